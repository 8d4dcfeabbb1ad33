//! A node of shards without network: produce on the own core, and the way to another core and back.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench measures the real world and stops at the first surprise"
)]

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kolk_io::channel::{Receiver, Sender, pair};
use kolk_io::door::Io;
use kolk_io::uring::shard::{ShardSpec, spawn_shard};
use kolk_io::uring::uring_io::UringIo;
use kolk_metric::shard::ShardMetrics;
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::config::overrides::Overrides;
use kolk_model::durability::AckLevel;
use kolk_model::ids::{PartitionId, TopicName, TopicPartition};
use kolk_model::time::TimestampMs;
use kolk_shard::mesh::{Seat, seats};
use kolk_shard::request::{CreateTopicOp, Intent, OffsetPlace, ProduceOp};
use kolk_shard::settings::ShardSettings;
use kolk_shard::shard::Shard;
use kolk_shard::start::{ShardPart, StartPlan, recover};

#[derive(Clone, Copy)]
enum Work {
    /// Appends of 1 KB to an own partition, not waited for beyond the offset.
    OwnProduce,
    /// Questions to the other shard, so many at a time.
    RoundTrips { in_flight: usize },
}

fn batch() -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.append(TimestampMs::new(1), None, Some(&[7; 1000]), &[]).unwrap();
    builder.build(Compression::None).unwrap()
}

/// A partition of the shard itself and one of the other shard.
async fn partitions(shard: &Shard<UringIo>) -> (TopicPartition, TopicPartition) {
    let mut config = Overrides::topic();
    config.set("kolk.durability", "process-crash").unwrap();
    let name = TopicName::new("bench").unwrap();
    let op = CreateTopicOp { name, partitions: Some(2), config, intent: Intent::Carry };
    let topic = shard.create_topic(op).await.unwrap().id;
    let [a, b] = [0, 1].map(|number| TopicPartition::new(topic, PartitionId::new(number)));
    if shard.metadata().owner(a) == shard.id() { (a, b) } else { (b, a) }
}

async fn work(shard: &Shard<UringIo>, work: Work, rounds: u64) -> Duration {
    let (own, other) = partitions(shard).await;
    let batch = batch();
    let start = Instant::now();
    match work {
        Work::OwnProduce => {
            for round in 0..rounds {
                let (batches, wait) = (batch.clone(), AckLevel::None);
                let op = ProduceOp { partition: own, batches, wait, expected_next_offset: None };
                shard.produce(op).await.unwrap();
                if round % 64 == 63 {
                    shard.io().yield_now().await;
                }
            }
        }
        Work::RoundTrips { in_flight } => {
            let mut left = rounds;
            while left > 0 {
                let now = left.min(in_flight as u64);
                let (done, all) = pair::<()>(in_flight);
                let done = Rc::new(done);
                for _ in 0..now {
                    let (asked, done) =
                        (shard.list_offset(other, OffsetPlace::End), Rc::clone(&done));
                    shard.io().spawn(async move {
                        asked.await.unwrap();
                        done.try_send(()).unwrap();
                    });
                }
                for _ in 0..now {
                    all.recv().await.unwrap();
                }
                left -= now;
            }
        }
    }
    start.elapsed()
}

async fn open(io: UringIo, part: ShardPart, seat: Seat) -> Shard<UringIo> {
    let metrics = Rc::new(ShardMetrics::new(part.shard().get()));
    let shard = Shard::open(io, part, ShardSettings::default(), metrics).await.unwrap();
    seat.connect(&shard);
    shard
}

/// Starts two shards; the first one works, the second one is there until the first has done.
fn measure(kind: Work, rounds: u64) -> Duration {
    let dir = tempfile::tempdir_in(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let path = dir.path().to_path_buf();
    let recovered = spawn_shard(ShardSpec::new("recover"), move |io| async move {
        let log = ShardSettings::default().log;
        let plan = StartPlan { dir: &path, shards: 2, log: &log, boot: 0, accept_loss: false };
        recover(&io, &plan).await.unwrap()
    });
    let mut parts = recovered.unwrap().join().unwrap().parts.into_iter().zip(seats(2, 64));
    let (ends, ended): (Sender<()>, Receiver<()>) = pair(1);
    let (part, seat) = parts.next().unwrap();
    let first = spawn_shard(ShardSpec::new("first").on_core(0), move |io| async move {
        let shard = open(io, part, seat).await;
        let took = work(&shard, kind, rounds).await;
        drop(ends);
        shard.stop().await.unwrap();
        took
    });
    let (part, seat) = parts.next().unwrap();
    let second = spawn_shard(ShardSpec::new("second").on_core(1), move |io| async move {
        let shard = open(io, part, seat).await;
        ended.recv().await;
        shard.stop().await.unwrap();
    });
    // Without the second one the first would wait for ever.
    let ready = Duration::from_secs(20);
    let second = second.unwrap().wait_ready(ready).unwrap();
    let took = first.unwrap().wait_ready(ready).unwrap().join().unwrap();
    second.join().unwrap();
    took
}

fn shards(c: &mut Criterion) {
    let mut group = c.benchmark_group("shard");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(1));
    for (name, kind) in [
        ("produce on the own core, 1 KB, offset only", Work::OwnProduce),
        ("mesh round trip, one at a time", Work::RoundTrips { in_flight: 1 }),
        ("mesh round trip, 256 in flight", Work::RoundTrips { in_flight: 256 }),
    ] {
        group.bench_function(name, |b| b.iter_custom(|rounds| measure(kind, rounds)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    // Everything together stays below a minute.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1_500));
    targets = shards
}
criterion_main!(benches);
