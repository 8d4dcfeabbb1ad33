//! The storage engine without network: appends that are durable, and index look-ups.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a bench measures the real world and stops at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kolk_io::uring::shard::{ShardSpec, spawn_shard};
use kolk_io::uring::uring_io::UringIo;
use kolk_layout::segment::index::{IndexedBatch, SegmentIndex};
use kolk_log::error::AppendRefused;
use kolk_log::log::Log;
use kolk_log::recovery::{RecoveryPlan, TopicFate, recover};
use kolk_log::settings::{LogConfig, LogSettings, SyncPolicy};
use kolk_log::shard_log::ShardLog;
use kolk_metric::shard::ShardMetrics;
use kolk_model::batch::BatchView;
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::ids::{PartitionId, ShardId, TopicId, TopicPartition};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

const CONFIG: LogConfig =
    LogConfig { segment_bytes: 1 << 30, index_interval_bytes: 4096, sync: SyncPolicy::EachGroup };

fn batch(records: usize, value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    let value = vec![7; value_bytes];
    for _ in 0..records {
        builder.append(TimestampMs::new(1), None, Some(&value), &[]).unwrap();
    }
    builder.build(Compression::None).unwrap()
}

async fn storage(io: &UringIo, dir: &Path) -> ShardLog<UringIo> {
    let settings = LogSettings::default();
    let plan = RecoveryPlan {
        shards: 1,
        settings: &settings,
        boot: 0,
        accept_loss: false,
        placement: &|_| ShardId::new(0),
        fate: &|_| TopicFate::Live(CONFIG),
    };
    let image = recover(io, dir, &plan).await.unwrap().shards.remove(0);
    let metrics = Rc::new(ShardMetrics::new(0));
    ShardLog::open(io.clone(), dir, image, settings, metrics).await.unwrap()
}

/// Appends `rounds` batches to each of `logs` logs with at most `in_flight` batches of each not durable; the time until all are.
async fn run(io: UringIo, dir: PathBuf, load: Load, rounds: u64) -> Duration {
    let storage = storage(&io, &dir).await;
    let mut logs = Vec::new();
    for partition in 0..load.logs {
        let id = TopicPartition::new(TopicId::from_random(1, 2), PartitionId::new(partition));
        logs.push(storage.create(id, CONFIG).await.unwrap());
    }
    let batch = batch(load.records, load.value_bytes);
    let view = BatchView::parse(&batch).unwrap().0;
    let window = load.in_flight * u64::from(view.record_count());
    let mut left = vec![rounds; logs.len()];
    let (start, mut events) = (Instant::now(), Vec::new());
    while left.iter().any(|left| *left > 0) || logs.iter().any(|log| log.durable() < log.log_end())
    {
        for (log, left) in logs.iter().zip(&mut left) {
            *left -= feed(log, &view, window, *left);
        }
        storage.next_events(&mut events).await;
    }
    let took = start.elapsed();
    storage.shutdown().await.unwrap();
    took
}

fn feed(log: &Log<UringIo>, view: &BatchView<'_>, window: u64, left: u64) -> u64 {
    let mut done = 0;
    while done < left && log.log_end().count_since(log.durable()) < window {
        match log.append(std::slice::from_ref(view), SyncPolicy::EachGroup) {
            Ok(_) => done += 1,
            Err(AppendRefused::Busy) => break,
            Err(error) => panic!("{error}"),
        }
    }
    done
}

#[derive(Clone, Copy)]
struct Load {
    logs: u32,
    records: usize,
    value_bytes: usize,
    in_flight: u64,
}

fn measure(load: Load, rounds: u64) -> Duration {
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let dir = tempfile::tempdir_in(base).unwrap();
    let path = dir.path().to_path_buf();
    let main = move |io| run(io, path, load, rounds);
    spawn_shard(ShardSpec::new("bench"), main).unwrap().join().unwrap()
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    let large = Load { logs: 4, records: 64, value_bytes: 1000, in_flight: 64 };
    let bytes = u64::try_from(batch(large.records, large.value_bytes).len()).unwrap() * 4;
    group.throughput(Throughput::Bytes(bytes));
    group
        .bench_function("durable, 64 KB batches, 4 logs", |b| b.iter_custom(|n| measure(large, n)));
    group.throughput(Throughput::Elements(256));
    let many = Load { logs: 256, records: 1, value_bytes: 128, in_flight: 1 };
    group.bench_function("durable, 128 B, 256 logs, one in flight", |b| {
        b.iter_custom(|n| measure(many, n))
    });
    group.throughput(Throughput::Elements(1));
    let one = Load { logs: 1, records: 1, value_bytes: 128, in_flight: 1 };
    group.bench_function("durable, 128 B, one at a time", |b| b.iter_custom(|n| measure(one, n)));
    group.finish();
}

fn index(c: &mut Criterion) {
    let mut index = SegmentIndex::new(Offset::ZERO, 4096);
    for number in 0..250_000_u64 {
        let batch = IndexedBatch {
            head: &[1; 17],
            bytes: 4096,
            base_offset: Offset::new(number * 10),
            max_timestamp: TimestampMs::new(1),
        };
        index.push(&batch, Offset::new(number * 10 + 10));
    }
    let mut offset = 0;
    c.bench_function("index look-up, 250,000 runs", |b| {
        b.iter(|| {
            offset = (offset + 1_234_567) % 2_500_000;
            index.run_of_offset(Offset::new(offset))
        });
    });
}

criterion_group! {
    name = benches;
    // Everything together stays below a minute.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1_500));
    targets = append, index
}
criterion_main!(benches);
