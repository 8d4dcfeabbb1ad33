//! The Kafka wire: a produce request in, the head of a fetch answer out.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, criterion_group, criterion_main};
use kolk_kafka::fetch::{FetchFrame, FetchHead, FetchTop, FetchedPartition};
use kolk_kafka::frame::{CorrelationId, FrameDecoder, RequestHeader, ResponseTo, encode_request};
use kolk_kafka::message::{Message, metadata, produce};
use kolk_kafka::produce::{ProduceAnswer, ProduceRequest, encode_response};
use kolk_kafka::wire::{Reader, Version, Writer};
use kolk_model::error::ErrorCode;

const FRAME_BYTES_MAX: usize = 256 << 20;

/// A frame without its length field, as the connection hands it on.
fn frame(partitions: usize, version: Version) -> Bytes {
    let records = Bytes::from(vec![7; 1 << 20]);
    let partition = |index| produce::RequestPartition { index, records: Some(records.clone()) };
    let topic = produce::RequestTopic {
        name: "a-topic-of-usual-length".to_owned(),
        topic_id: [1; 16],
        partition_data: (0..i32::try_from(partitions).unwrap()).map(partition).collect(),
    };
    let request =
        produce::Request { acks: -1, timeout_ms: 1, topic_data: vec![topic], ..Default::default() };
    let header = RequestHeader {
        api: produce::Request::API,
        version,
        correlation_id: CorrelationId::new(1),
        client_id: Some("bench".into()),
    };
    let mut out = BytesMut::new();
    encode_request(&mut out, &header, &request);
    FrameDecoder::new(FRAME_BYTES_MAX).decode(&mut out).unwrap().unwrap()
}

fn decode(frame: &Bytes) -> (RequestHeader, ProduceRequest) {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader).unwrap();
    let request = ProduceRequest::decode(&mut reader, header.version).unwrap();
    (header, request)
}

fn fetched(partitions: usize, to: ResponseTo) -> FetchFrame {
    let error_code = ErrorCode::None;
    let mut head = FetchHead::begin(
        to,
        FetchTop { throttle_time_ms: 0, error_code, session_id: 0, topics: 1 },
    );
    head.topic("a-topic-of-usual-length", [1; 16], partitions);
    for index in 0..i32::try_from(partitions).unwrap() {
        head.partition(&FetchedPartition {
            index,
            high_watermark: 1_000_000,
            last_stable_offset: 1_000_000,
            log_start_offset: 0,
            records_bytes: 1 << 20,
            ..Default::default()
        });
    }
    head.finish(&[]).unwrap()
}

fn kafka(c: &mut Criterion) {
    let mut group = c.benchmark_group("kafka");
    for partitions in [1, 50] {
        let bytes = frame(partitions, Version::new(9));
        group.bench_function(format!("decode a produce request of {partitions} × 1 MiB"), |b| {
            b.iter(|| decode(&bytes));
        });
        let (header, request) = decode(&bytes);
        let answers = vec![ProduceAnswer::default(); partitions];
        let mut out = BytesMut::with_capacity(1 << 16);
        group.bench_function(format!("answer a produce request of {partitions} partitions"), |b| {
            b.iter(|| {
                out.clear();
                encode_response(&mut out, header.response_to(), &request, &answers, &[]).unwrap();
                out.len()
            });
        });
        let to = ResponseTo { correlation_id: CorrelationId::new(1), version: Version::new(12) };
        group.bench_function(
            format!("write the head of a fetch answer of {partitions} × 1 MiB"),
            |b| {
                b.iter(|| fetched(partitions, to));
            },
        );
    }
    group.bench_function("write metadata of 1,000 topics × 10 partitions", |b| {
        let partition = metadata::Partition {
            replica_nodes: vec![1],
            isr_nodes: vec![1],
            ..Default::default()
        };
        let topic = metadata::Topic {
            name: Some("a-topic-of-usual-length".to_owned()),
            partitions: vec![partition; 10],
            ..Default::default()
        };
        let answer = metadata::Response { topics: vec![topic; 1000], ..Default::default() };
        let mut out = BytesMut::with_capacity(1 << 20);
        b.iter(|| {
            out.clear();
            answer.encode(&mut Writer::new(&mut out), Version::new(12));
            out.len()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    // Everything together stays below a minute.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1_500));
    targets = kafka
}
criterion_main!(benches);
