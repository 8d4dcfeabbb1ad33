//! Random values there and back, and hostile bytes. Apart from the tests of single rules because here only one
//! thing is asked: that nothing is lost, and nothing panics, hangs or grows.

mod value;

use bytes::{Bytes, BytesMut};
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use kolk_model::batch::batches;
use kolk_model::durability::AckLevel;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicId, TopicName, TopicPartition};
use kolk_model::limits::{
    CLIENT_ID_BYTES_MAX, REQUEST_PARTITIONS_MAX, REQUEST_TOPICS_MAX, TOPIC_SETTING_BYTES_MAX,
    TOPIC_SETTINGS_MAX,
};
use kolk_model::offset::Offset;

use self::value::Dice;
use crate::encoder::Encoder;
use crate::frame::{Frame, FrameDecoder, FrameLimits, write_front};
use crate::reply::{self, FetchReply, FetchedPartition, Reply, Stat, StatsReply, TrimReply};
use crate::request::{
    self, AlterTopic, CorrelationId, Fetch, FetchPartition, Hello, MetadataQuery, Produce,
    ProducePartition, Request, RequestError,
};
use crate::{fetch_generated, frame_generated as wire, ids_generated, topic_generated};

fn joined_bytes(front: BytesMut, payload: &[Bytes]) -> BytesMut {
    let mut bytes = front;
    for slice in payload {
        bytes.extend_from_slice(slice);
    }
    bytes
}

fn request_bytes(correlation: u64, request: &Request) -> BytesMut {
    let mut front = BytesMut::new();
    let correlation = CorrelationId::new(correlation);
    let payload = Encoder::new().request(correlation, request, &mut front).unwrap();
    joined_bytes(front, &payload)
}

fn reply_bytes(correlation: u64, mut reply: Reply) -> BytesMut {
    let mut front = BytesMut::new();
    let correlation = CorrelationId::new(correlation);
    let payload = Encoder::new().reply(correlation, &mut reply, &mut front).unwrap();
    joined_bytes(front, &payload)
}

fn frame(wire: &[u8]) -> Option<Frame> {
    FrameDecoder::new(FrameLimits::REQUEST).decode(&mut BytesMut::from(wire)).ok().flatten()
}

#[test]
fn requests_read_back() {
    for seed in 0..4000 {
        let mut dice = Dice::new(seed);
        let request = dice.request();
        let bytes = request_bytes(seed, &request);
        let decoded = request::decode(&frame(&bytes).unwrap());
        let decoded = decoded.unwrap_or_else(|error| panic!("seed {seed}: {error} {request:?}"));
        assert_eq!(decoded.correlation, CorrelationId::new(seed));
        assert_eq!(decoded.request, request, "seed {seed}");
        assert_eq!(decoded.request.kind(), request.kind());
    }
}

/// As a client sees it: a partition's slices are one.
fn joined(reply: Reply) -> Reply {
    let Reply::Fetch(FetchReply { mut partitions }) = reply else {
        return reply;
    };
    for one in &mut partitions {
        if let Ok(slices) = &mut one.batches {
            let whole = slices.concat();
            *slices = if whole.is_empty() { Vec::new() } else { vec![Bytes::from(whole)] };
        }
    }
    Reply::Fetch(FetchReply { partitions })
}

#[test]
fn replies_read_back() {
    for seed in 0..4000 {
        let mut dice = Dice::new(seed);
        let reply = dice.reply();
        let bytes = reply_bytes(seed, reply.clone());
        let decoded = reply::decode(&frame(&bytes).unwrap());
        let decoded = decoded.unwrap_or_else(|error| panic!("seed {seed}: {error} {reply:?}"));
        assert_eq!(decoded.correlation, CorrelationId::new(seed));
        assert_eq!(decoded.reply, joined(reply), "seed {seed}");
    }
}

#[test]
fn long_lists_read_back() {
    let stat = Stat { name: "kolk_forwarded_requests_total".to_owned(), shard: None, value: 0.0 };
    let empty = FetchedPartition {
        batches: Ok(Vec::new()),
        high_watermark: None,
        log_start: None,
        log_end: None,
    };
    let trimmed = Ok(Offset::ZERO);
    for reply in [
        Reply::Stats(StatsReply {
            broker_version: String::new(),
            uptime_ms: 0,
            shards: 0,
            stats: vec![stat; 10_000],
        }),
        Reply::Fetch(FetchReply { partitions: vec![empty; 10_000] }),
        Reply::Trim(TrimReply { partitions: vec![trimmed; 10_000] }),
    ] {
        let bytes = reply_bytes(0, reply.clone());
        assert!(reply::decode(&frame(&bytes).unwrap()).is_ok_and(|frame| frame.reply == reply));
    }
    for count in [0, 1, 5000] {
        let request = Dice::new(0).request_with_partitions(count);
        let mut bytes = request_bytes(0, &request);
        let frame = FrameDecoder::new(FrameLimits::REQUEST).decode(&mut bytes).unwrap().unwrap();
        assert!(request::decode(&frame).is_ok_and(|frame| frame.request == request), "{count}");
    }
}

#[test]
fn one_encoder_writes_many_frames_into_one_buffer() {
    let mut encoder = Encoder::new();
    let mut out = BytesMut::new();
    let mut sent = Vec::new();
    for seed in 0..200 {
        let request = Dice::new(seed).request();
        let payload = encoder.request(CorrelationId::new(seed), &request, &mut out).unwrap();
        out = joined_bytes(out, &payload);
        sent.push(request);
    }
    let decoder = FrameDecoder::new(FrameLimits::REPLY);
    for request in sent {
        let frame = decoder.decode(&mut out).unwrap().unwrap();
        assert_eq!(request::decode(&frame).unwrap().request, request);
    }
    assert!(out.is_empty());
}

#[test]
fn mutated_requests_never_panic() {
    for seed in 0..20_000 {
        let mut dice = Dice::new(seed);
        let mut bytes = request_bytes(seed, &dice.request()).to_vec();
        dice.mutate(&mut bytes);
        println!("seed {seed}");
        if let Some(frame) = frame(&bytes) {
            let _either_way = request::decode(&frame);
            let _wrong_way = reply::decode(&frame);
        }
    }
}

#[test]
fn mutated_replies_never_panic() {
    for seed in 0..20_000 {
        let mut dice = Dice::new(seed);
        let mut bytes = reply_bytes(seed, dice.reply()).to_vec();
        dice.mutate(&mut bytes);
        println!("seed {seed}");
        if let Some(frame) = frame(&bytes) {
            let _either_way = reply::decode(&frame);
            let _wrong_way = request::decode(&frame);
        }
    }
}

#[test]
fn random_headers_never_panic() {
    for seed in 0..20_000 {
        let mut dice = Dice::new(seed);
        let header_bytes = 12 + dice.below(60);
        let header_bytes = u32::try_from(header_bytes).unwrap();
        let length = 8 * header_bytes.div_ceil(8) + 4;
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(&header_bytes.to_le_bytes());
        // Small numbers make plausible offsets.
        bytes.extend((0..header_bytes).map(|_| dice.byte() & [0x1f, 0xff][dice.below(2)]));
        bytes.resize(length as usize + 4, 0);
        println!("seed {seed}");
        let frame = frame(&bytes).unwrap();
        let _request = request::decode(&frame);
        let _reply = reply::decode(&frame);
    }
}

#[test]
fn random_streams_never_panic() {
    for seed in 0..5000 {
        let mut dice = Dice::new(seed);
        let mut bytes = BytesMut::new();
        for _ in 0..dice.below(100) {
            bytes.extend_from_slice(&[dice.byte() & [0x03, 0xff][dice.below(2)]]);
        }
        println!("seed {seed}");
        let decoder = FrameDecoder::new(FrameLimits::HELLO);
        decoder.reserve(&mut bytes);
        while let Ok(Some(_)) = decoder.decode(&mut bytes) {}
        decoder.reserve(&mut bytes);
    }
}

/// A frame around a header that is built by hand.
fn hostile(
    call_type: wire::Call,
    build: impl FnOnce(&mut FlatBufferBuilder<'static>) -> WIPOffset<UnionWIPOffset>,
) -> Frame {
    let mut builder = FlatBufferBuilder::new();
    let call = Some(build(&mut builder));
    let args = wire::RequestArgs { correlation_id: 1, call_type, call };
    let root = wire::Request::create(&mut builder, &args);
    builder.finish_minimal(root);
    let mut out = BytesMut::new();
    write_front(builder.finished_data(), 0, 1 << 20, &mut out).unwrap();
    frame(&out).unwrap()
}

#[test]
fn tables_that_are_listed_many_times_are_refused() {
    let frame = hostile(wire::Call::Fetch, |b| {
        let topic = ids_generated::TopicId([1; 16]);
        let args =
            fetch_generated::FetchPartitionArgs { topic: Some(&topic), ..Default::default() };
        let one = fetch_generated::FetchPartition::create(b, &args);
        let partitions = Some(b.create_vector(&[one; 5000]));
        let args = fetch_generated::FetchArgs { partitions, ..Default::default() };
        fetch_generated::Fetch::create(b, &args).as_union_value()
    });
    let fault = "it has more tables than it has room for";
    assert_eq!(request::decode(&frame).unwrap_err(), RequestError::Malformed { fault });
}

#[test]
fn texts_that_are_listed_many_times_are_refused() {
    let frame = hostile(wire::Call::Metadata, |b| {
        let one = b.create_string(&"x".repeat(10_000));
        let topics = Some(b.create_vector(&[one; 5000]));
        let args = topic_generated::MetadataArgs { topics };
        topic_generated::Metadata::create(b, &args).as_union_value()
    });
    let fault = "its fields overlap";
    assert_eq!(request::decode(&frame).unwrap_err(), RequestError::Malformed { fault });
}

fn refused(request: &Request) -> (ErrorCode, String) {
    let bytes = request_bytes(5, request);
    match FrameDecoder::new(FrameLimits::REPLY)
        .decode(&mut bytes.clone())
        .map(|frame| frame.map(|f| request::decode(&f)))
    {
        Ok(Some(Err(RequestError::Refused { code, detail, .. }))) => (code, detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_beyond_their_limits_are_refused() {
    let name = TopicName::new("web").unwrap();
    let id = TopicPartition::new(TopicId::ZERO, PartitionId::new(0));
    let fetch = FetchPartition { id, offset: Offset::ZERO, bytes_max: 1 };
    let many = Request::Fetch(Fetch {
        wait_ms_max: 0,
        bytes_min: 0,
        bytes_max: 0,
        partitions: vec![fetch; REQUEST_PARTITIONS_MAX + 1],
    });
    assert_eq!(refused(&many).0, ErrorCode::InvalidRequest);
    let topics = Some(vec![name.clone(); REQUEST_TOPICS_MAX + 1]);
    let many = Request::Metadata(MetadataQuery { topics });
    assert_eq!(refused(&many).0, ErrorCode::InvalidRequest);
    let reset = vec!["retention.ms".to_owned(); TOPIC_SETTINGS_MAX + 1];
    let many = Request::AlterTopic(AlterTopic { name: name.clone(), set: Vec::new(), reset });
    assert_eq!(refused(&many).0, ErrorCode::InvalidRequest);
    let set = vec![("x".to_owned(), "y".repeat(TOPIC_SETTING_BYTES_MAX + 1))];
    let long = Request::AlterTopic(AlterTopic { name, set, reset: Vec::new() });
    assert_eq!(refused(&long).0, ErrorCode::InvalidConfig);
    let long = Request::Hello(Hello {
        protocol_version: 1,
        features: 0,
        client_id: "x".repeat(CLIENT_ID_BYTES_MAX + 1),
        wants_producer_id: false,
    });
    assert_eq!(refused(&long).0, ErrorCode::InvalidRequest);
}

#[test]
fn produce_payload_that_does_not_match_its_header_is_refused() {
    let id = TopicPartition::new(TopicId::ZERO, PartitionId::new(0));
    let produce = |batches: Vec<u8>| {
        let batches = Bytes::from(batches);
        let one = ProducePartition { id, batches, expected_next_offset: None };
        Request::Produce(Produce { durability: AckLevel::Topic, partitions: vec![one] })
    };
    // What is no batch is sent as it is, and refused.
    assert_eq!(refused(&produce(Vec::new())).0, ErrorCode::InvalidRequest);
    assert_eq!(refused(&produce(vec![0; 60])).0, ErrorCode::InvalidRequest);
    let (code, detail) = refused(&produce(vec![0; 61]));
    assert_eq!(code, ErrorCode::InvalidRecord, "{detail}");
    // Bytes of payload that the header does not speak of, and the reverse.
    let whole = request_bytes(5, &Dice::new(3).request_with_partitions(2));
    for delta in [-1_i32, 1, 100] {
        let mut bytes = whole.to_vec();
        let bytes_wanted = usize::try_from(i32::try_from(whole.len()).unwrap() + delta).unwrap();
        bytes.resize(bytes_wanted, 0);
        let length = u32::try_from(bytes_wanted - 4).unwrap();
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        let refused = request::decode(&frame(&bytes).unwrap()).unwrap_err();
        let is_refused =
            matches!(refused, RequestError::Refused { code: ErrorCode::InvalidRequest, .. });
        assert!(is_refused, "{delta}: {refused}");
    }
}

#[test]
fn payload_behind_another_call_is_refused() {
    let mut bytes = request_bytes(5, &Request::Stats).to_vec();
    bytes.extend_from_slice(&[0; 8]);
    let length = u32::try_from(bytes.len() - 4).unwrap();
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    let refused = request::decode(&frame(&bytes).unwrap()).unwrap_err();
    assert!(matches!(refused, RequestError::Refused { code: ErrorCode::InvalidRequest, .. }));
}

#[test]
fn produced_batches_share_the_frames_memory() {
    let bytes = request_bytes(5, &Dice::new(3).request_with_partitions(2));
    let range = bytes.as_ptr_range();
    let frame = FrameDecoder::new(FrameLimits::REPLY).decode(&mut bytes.clone()).unwrap().unwrap();
    let payload = frame.payload();
    let Request::Produce(produce) = request::decode(&frame).unwrap().request else {
        panic!("{range:?}");
    };
    let first = &produce.partitions[0].batches;
    let second = &produce.partitions[1].batches;
    assert_eq!(first.as_ptr(), payload.as_ptr());
    assert_eq!(second.as_ptr(), payload[first.len()..].as_ptr());
}

/// A produce request of the first release: a later one must still read it.
#[test]
fn the_golden_request_reads_back() {
    let bytes = include_bytes!("../../tests/data/native/produce-1.bin");
    let decoded = request::decode(&frame(bytes).unwrap()).unwrap();
    assert_eq!(decoded.correlation, CorrelationId::new(0x0102_0304_0506_0708));
    let Request::Produce(produce) = decoded.request else { panic!("{:?}", decoded.request) };
    assert_eq!(produce.durability, AckLevel::PowerLoss);
    let [one] = &produce.partitions[..] else { panic!("{produce:?}") };
    assert_eq!(one.id.topic.to_string(), "000102030405060708090a0b0c0d0e0f");
    assert_eq!(one.id.partition, PartitionId::new(3));
    assert_eq!(one.expected_next_offset, Some(Offset::new(42)));
    assert_eq!(batches(&one.batches).map(|b| b.unwrap().record_count()).sum::<u32>(), 2);
}

#[test]
fn a_call_from_the_future_is_refused_with_its_number() {
    let mut bytes = request_bytes(77, &Request::Stats).to_vec();
    let kind = bytes.iter().rposition(|byte| *byte == 13).unwrap();
    bytes[kind] = 99;
    let refused = request::decode(&frame(&bytes).unwrap()).unwrap_err();
    let RequestError::Refused { correlation, code, detail } = refused else {
        panic!("{refused}");
    };
    assert_eq!((correlation, code), (CorrelationId::new(77), ErrorCode::UnsupportedVersion));
    assert!(detail.contains("99"), "{detail}");
}
