//! The native wire: one produce frame in, decoded and verified.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, criterion_group, criterion_main};
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::durability::AckLevel;
use kolk_model::ids::{PartitionId, TopicId, TopicPartition};
use kolk_model::time::TimestampMs;
use kolk_native::encoder::Encoder;
use kolk_native::frame::{FrameDecoder, FrameLimits};
use kolk_native::request::{CorrelationId, Produce, ProducePartition, Request, decode};

fn batch() -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.append(TimestampMs::new(1), None, Some(&[7; 128]), &[]).unwrap();
    builder.build(Compression::None).unwrap()
}

fn frame(partitions: u32) -> Vec<u8> {
    let partition = |number| ProducePartition {
        id: TopicPartition::new(TopicId::from_random(1, 2), PartitionId::new(number)),
        batches: batch(),
        expected_next_offset: None,
    };
    let partitions = (0..partitions).map(partition).collect();
    let request = Request::Produce(Produce { durability: AckLevel::Topic, partitions });
    let mut front = BytesMut::new();
    let payload = Encoder::new().request(CorrelationId::new(1), &request, &mut front).unwrap();
    [front.to_vec(), payload.concat()].concat()
}

fn native(c: &mut Criterion) {
    let mut group = c.benchmark_group("native");
    for partitions in [1, 64] {
        let bytes = frame(partitions);
        let decoder = FrameDecoder::new(FrameLimits::REQUEST);
        group.bench_function(format!("decode a produce frame of {partitions} partitions"), |b| {
            b.iter_batched(
                || BytesMut::from(bytes.as_slice()),
                |mut buffer| decode(&decoder.decode(&mut buffer).unwrap().unwrap()).unwrap(),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    // Everything together stays below a minute.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1_500));
    targets = native
}
criterion_main!(benches);
