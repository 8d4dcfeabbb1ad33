//! The loads against a broker of two hundred lines, which keeps what it is sent: what they count must be what was there.
#![allow(clippy::disallowed_types, reason = "threads of a test's broker share what it keeps")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kolk_model::batch::{BatchView, stamp_head};
use kolk_model::compression::Compression;
use kolk_model::durability::AckLevel;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, NodeId, PartitionId, ShardId, TopicId, TopicPartition};
use kolk_model::offset::Offset;
use kolk_native::encoder::Encoder;
use kolk_native::frame::{FrameDecoder, FrameLimits};
use kolk_native::reply::{
    Door, FetchReply, FetchedPartition, HelloReply, ListOffsetsReply, ListedOffset, MetadataReply,
    PartitionOwner, ProduceRefusal, ProduceReply, Produced, Refusal, Reply, ReplyFrame,
    TopicMetadata, TopicPlaces,
};
use kolk_native::request::{self, CorrelationId, OffsetPlace, Request};

use super::acks::{self, AckPlan};
use super::fetch::{self, AtEnd, FetchPlan};
use super::open_loop::{self, OpenLoopPlan};
use super::produce::{self, ProducePlan};
use super::{Limit, Target, split};
use crate::error::BenchError;
use crate::load::batches::{BatchShape, build};
use crate::load::topology::DoorPartitions;

const PARTITIONS: usize = 3;

/// Batches of each partition, stamped, with the offset after the last.
type Logs = BTreeMap<TopicPartition, (Vec<u8>, Offset)>;

#[derive(Default)]
struct Store {
    logs: Mutex<Logs>,
    produce_requests: AtomicU64,
    /// Requests after which producing is refused.
    refuse_after: Option<u64>,
}

struct FakeBroker {
    store: Arc<Store>,
    address: String,
}

impl FakeBroker {
    fn start(refuse_after: Option<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let store = Arc::new(Store { refuse_after, ..Store::default() });
        let (shared, port) = (Arc::clone(&store), listener.local_addr().unwrap().port());
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let store = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &store, port));
            }
        });
        Self { store, address }
    }

    fn target(&self, connections: usize) -> Target<'_> {
        Target { broker: &self.address, topic: "t", connections, cores: &[], pid: None }
    }

    fn records(&self) -> u64 {
        let logs = self.store.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.values().map(|(_, end)| end.get()).sum()
    }
}

fn serve(mut stream: TcpStream, store: &Store, port: u16) {
    let decoder = FrameDecoder::new(FrameLimits::REQUEST);
    let (mut encoder, mut received) = (Encoder::new(), BytesMut::new());
    let mut chunk = vec![0; 1 << 16];
    loop {
        while let Some(frame) = decoder.decode(&mut received).unwrap() {
            let asked = request::decode(&frame).unwrap();
            let mut reply = answer(asked.request, store, port);
            let mut out = BytesMut::new();
            let payload = encoder.reply(asked.correlation, &mut reply, &mut out).unwrap();
            for part in payload {
                out.extend_from_slice(&part);
            }
            if stream.write_all(&out).is_err() {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(count) => received.extend_from_slice(&chunk[..count]),
        }
    }
}

fn answer(asked: Request, store: &Store, port: u16) -> Reply {
    let mut logs = store.logs.lock().unwrap_or_else(PoisonError::into_inner);
    match asked {
        Request::Hello(hello) => Reply::Hello(HelloReply {
            protocol_version: hello.protocol_version,
            frame_bytes_max: 1 << 26,
            ..HelloReply::default()
        }),
        Request::Metadata(query) => Reply::Metadata(metadata(&query.topics.unwrap(), port)),
        Request::Produce(produce) => {
            let count = store.produce_requests.fetch_add(1, Ordering::Relaxed);
            if store.refuse_after.is_some_and(|limit| count >= limit) {
                return Reply::Refused(Refusal::new(ErrorCode::StorageFull, "no room"));
            }
            let each =
                produce.partitions.iter().map(|one| Ok(append(&mut logs, one.id, &one.batches)));
            Reply::Produce(ProduceReply { partitions: each.collect() })
        }
        Request::ListOffsets(list) => {
            let end = |id| logs.get(&id).map_or(Offset::ZERO, |(_, end)| *end);
            let each = list.queries.iter().map(|query| {
                let place =
                    if query.place == OffsetPlace::End { end(query.id) } else { Offset::ZERO };
                Ok(ListedOffset { offset: Some(place), timestamp: None, leader_epoch: None })
            });
            Reply::ListOffsets(ListOffsetsReply { partitions: each.collect() })
        }
        Request::Fetch(fetch) => {
            let each = fetch.partitions.iter().map(|one| {
                let (bytes, end) = &logs[&one.id];
                let batches = Ok(vec![from_offset(bytes, one.offset, one.bytes_max as usize)]);
                let (high_watermark, log_start, log_end) =
                    (Some(*end), Some(Offset::ZERO), Some(*end));
                FetchedPartition { batches, high_watermark, log_start, log_end }
            });
            Reply::Fetch(FetchReply { partitions: each.collect() })
        }
        other => Reply::Refused(Refusal::new(ErrorCode::InvalidRequest, format!("{other:?}"))),
    }
}

fn metadata(topics: &[kolk_model::ids::TopicName], port: u16) -> MetadataReply {
    let owner =
        PartitionOwner { door: 0, leader_epoch: LeaderEpoch::new(0), error: ErrorCode::None };
    let partitions = vec![owner; PARTITIONS];
    let places = TopicPlaces { id: TopicId::new([7; 16]), partitions };
    let (node, shard) = (NodeId::new(0), ShardId::new(0));
    MetadataReply {
        cluster_id: String::new(),
        controller_door: 0,
        doors: vec![Door { node, shard, host: "127.0.0.1".to_owned(), port }],
        topics: vec![TopicMetadata { name: topics[0].clone(), outcome: Ok(places) }],
    }
}

fn append(logs: &mut Logs, id: TopicPartition, batches: &Bytes) -> Produced {
    let (bytes, end) = logs.entry(id).or_default();
    let base_offset = *end;
    let mut rest = &batches[..];
    while !rest.is_empty() {
        let (view, len) = BatchView::parse(rest).unwrap();
        view.verify_crc().unwrap();
        let head = stamp_head(&view, *end, LeaderEpoch::new(0));
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&rest[head.len()..len]);
        *end += u64::from(view.record_count());
        rest = &rest[len..];
    }
    let (next_offset, log_start) = (*end, Offset::ZERO);
    Produced { base_offset, next_offset, log_start, append_time_ns: 1, duplicate: false }
}

/// Whole batches from the one with `offset` on, at least one.
fn from_offset(bytes: &[u8], offset: Offset, bytes_max: usize) -> Bytes {
    let mut found = Vec::new();
    for view in kolk_model::batch::batches(bytes).map(Result::unwrap) {
        let fits = found.is_empty() || found.len() + view.as_bytes().len() <= bytes_max;
        if view.next_offset() > offset && fits {
            found.extend_from_slice(view.as_bytes());
        }
    }
    Bytes::from(found)
}

const fn shape(record_bytes: usize, batch_bytes: usize) -> BatchShape {
    BatchShape { record_bytes, batch_bytes, compression: Compression::None }
}

const NO_WARMUP: Limit = Limit::Bytes(0);

fn produce_plan(limit: Limit) -> ProducePlan {
    ProducePlan {
        shape: shape(100, 2_000),
        batches_per_request: 2,
        partitions_per_request: 1,
        in_flight: 4,
        durability: AckLevel::Topic,
        warmup: NO_WARMUP,
        limit,
    }
}

#[test]
fn what_was_produced_is_fetched_again() {
    let broker = FakeBroker::start(None);
    let produced = produce::run(&broker.target(2), &produce_plan(Limit::Bytes(200_000))).unwrap();
    assert!(produced.bytes_total >= 200_000 && produced.measured.bytes <= produced.bytes_total);
    let stored: usize = {
        let logs = broker.store.logs.lock().unwrap();
        logs.values().map(|(bytes, _)| bytes.len()).sum()
    };
    assert_eq!(stored as u64, produced.bytes_total);

    let plan = FetchPlan {
        fetch_bytes: 10_000,
        at_end: AtEnd::Leave,
        verify: true,
        warmup: NO_WARMUP,
        limit: Limit::Bytes(u64::MAX),
    };
    let fetched = fetch::run(&broker.target(1), &plan).unwrap();
    // The first reply ends the warm-up, so it is not in the measured part.
    assert!(fetched.records < broker.records() && fetched.records > broker.records() * 8 / 10);
    assert!(fetched.latency.count > 0);
}

#[test]
fn a_request_may_have_batches_for_several_partitions() {
    let broker = FakeBroker::start(None);
    let plan = ProducePlan { partitions_per_request: 2, ..produce_plan(Limit::Bytes(200_000)) };
    let produced = produce::run(&broker.target(1), &plan).unwrap();
    let requests = broker.store.produce_requests.load(Ordering::Relaxed);
    assert_eq!(produced.records_total, broker.records());
    let part = plan.batches_per_request as u64 * build(plan.shape, 0).unwrap().records;
    let logs = broker.store.logs.lock().unwrap();
    let parts: Vec<u64> = logs.values().map(|(_, end)| end.get() / part).collect();
    // Three partitions are two requests in turn: one of two, one of the third alone.
    let [first, second, third] = parts[..] else { panic!("{parts:?}") };
    assert_eq!((first, first + third), (second, requests), "{parts:?}");
    assert!(first.abs_diff(third) <= 1, "{parts:?}");
}

#[test]
fn a_refusal_of_any_partition_is_found() {
    let one = Ok(Produced {
        base_offset: Offset::ZERO,
        next_offset: Offset::ZERO,
        log_start: Offset::ZERO,
        append_time_ns: 1,
        duplicate: false,
    });
    let refused = || {
        Err(ProduceRefusal {
            code: ErrorCode::StorageFull,
            detail: "no room".to_owned(),
            end_offset: None,
        })
    };
    for (partitions, is_good) in [
        (vec![one.clone(), one.clone()], true),
        (vec![one.clone(), refused()], false),
        (vec![refused(), one], false),
        (Vec::new(), false),
    ] {
        let reply = Reply::Produce(ProduceReply { partitions });
        let frame = ReplyFrame { correlation: CorrelationId::new(1), reply };
        assert_eq!(produce::check(&frame).is_ok(), is_good);
    }
}

#[test]
fn each_partition_has_one_record_in_flight() {
    let broker = FakeBroker::start(None);
    let limit = Limit::Bytes(50_000);
    let plan =
        AckPlan { shape: shape(128, 1), durability: AckLevel::None, warmup: NO_WARMUP, limit };
    let acknowledged = acks::run(&broker.target(1), &plan).unwrap();
    let requests = broker.store.produce_requests.load(Ordering::Relaxed);
    assert_eq!(requests, broker.records(), "a record a request");
    let measured = acknowledged.measured.requests;
    assert!(measured > 100 && measured <= requests, "{measured} of {requests}");
    // Those of the first and of the last round are not timed.
    assert!(acknowledged.measured.latency.count + 2 * PARTITIONS as u64 >= measured);
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let broker = FakeBroker::start(None);
    let plan = OpenLoopPlan {
        shape: shape(10, 1),
        durability: AckLevel::None,
        rate: 2_000,
        warmup: NO_WARMUP,
        limit: Limit::Time(Duration::from_millis(500)),
        since: Instant::now(),
    };
    let result = open_loop::run(&broker.target(2), &plan).unwrap();
    let rate = result.measured.requests_per_second();
    assert!((1_500.0..2_500.0).contains(&rate), "{rate} a second");
    // All of it was due within the first second, and the longest of all is the longest of that one.
    let longest = result.maxima.ns().iter().copied().max().unwrap_or(0);
    let histogram = result.measured.latency.max_ns;
    assert!(longest > 0 && longest.abs_diff(histogram) <= histogram / 500, "{result:?}");
}

#[test]
fn a_refusal_ends_the_run_with_the_brokers_words() {
    let broker = FakeBroker::start(Some(10));
    let refused = produce::run(&broker.target(1), &produce_plan(Limit::Bytes(u64::MAX)));
    match refused {
        Err(BenchError::Refused { reason, .. }) => assert!(reason.contains("no room"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn partitions_are_dealt_out_and_none_is_forgotten() {
    let id = |n| TopicPartition::new(TopicId::ZERO, PartitionId::new(n));
    let door = |count| DoorPartitions {
        address: "a:1".to_owned(),
        partitions: (0..count).map(id).collect(),
    };
    for (partitions, connections, shares) in [(5, 2, 2), (2, 8, 2), (4, 1, 1), (3, 0, 1)] {
        let split = split(door(partitions), connections);
        assert_eq!(split.len(), shares);
        let dealt: usize = split.iter().map(|share| share.partitions.len()).sum();
        assert_eq!(dealt, partitions as usize);
    }
}
