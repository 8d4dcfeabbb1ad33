//! The record batch: building, verifying, walking.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kolk_model::batch::BatchView;
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::checksum::crc32c;
use kolk_model::compression::Compression;
use kolk_model::records::Records;
use kolk_model::time::TimestampMs;

const RECORDS: usize = 64;
const VALUE: [u8; 1000] = [7; 1000];

fn batch() -> Bytes {
    let mut builder = BatchBuilder::with_capacity(80 << 10);
    for _ in 0..RECORDS {
        builder.append(TimestampMs::new(1), None, Some(&VALUE), &[]).unwrap();
    }
    builder.build(Compression::None).unwrap()
}

fn model(c: &mut Criterion) {
    let bytes = batch();
    let mut group = c.benchmark_group("model");
    group.throughput(Throughput::Bytes(u64::try_from(bytes.len()).unwrap()));
    group.bench_function("crc32c of 64 KB", |b| b.iter(|| crc32c(&bytes)));
    group.bench_function("parse and verify a batch of 64 KB", |b| {
        b.iter(|| {
            let (view, _) = BatchView::parse(&bytes).unwrap();
            view.verify_crc().unwrap();
            view.verify_records(64 << 20)
        });
    });
    group.bench_function("walk 64 records of 1 KB", |b| {
        let (view, _) = BatchView::parse(&bytes).unwrap();
        b.iter(|| {
            Records::of(&view)
                .unwrap()
                .map(|r| r.unwrap().value.map_or(0, <[u8]>::len))
                .sum::<usize>()
        });
    });
    group.bench_function("build a batch of 64 records of 1 KB", |b| b.iter(batch));
    group.finish();
}

criterion_group! {
    name = benches;
    // Everything together stays below a minute.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1_500));
    targets = model
}
criterion_main!(benches);
