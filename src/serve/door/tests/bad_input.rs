//! Clients that send what they must not.

use std::net::Shutdown;

use kolk_model::error::ErrorCode;
use kolk_native::request::MetadataQuery;

use super::*;

/// A frame of a good request.
fn frame(request: &Request) -> Vec<u8> {
    let mut wire = BytesMut::new();
    let payload = Encoder::new().request(CorrelationId::new(9), request, &mut wire).unwrap();
    payload.into_iter().fold(wire.to_vec(), |mut bytes, slice| {
        bytes.extend_from_slice(&slice);
        bytes
    })
}

/// Sends bytes after a hello and reads until the broker closes.
#[track_caller]
fn is_closed_after(broker: &Broker, bytes: &[u8]) -> Option<Reply> {
    let mut client = broker.connect();
    let _reset = client.stream.write_all(bytes);
    let mut last = None;
    while let Some((_, reply)) = client.try_receive() {
        last = Some(reply);
    }
    last
}

pub(super) fn closed(metrics: &MetricsSnapshot, reason: &str) -> u64 {
    metrics
        .series()
        .filter(|(family, _, label, _)| {
            *family == "kolk_connections_closed_total"
                && label.is_some_and(|label| label.value == reason)
        })
        .map(|(_, _, _, value)| match value {
            kolk_metric::shard::Value::Counter(count) => *count,
            _ => 0,
        })
        .sum()
}

#[test]
fn lengths_that_make_no_sense_close_the_connection() {
    let broker = Broker::start();
    let cases: [&[u8]; 5] = [
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &[255, 255, 255, 255, 12, 0, 0, 0],
        &[0, 0, 0, 128, 12, 0, 0, 0],
        &[16, 0, 0, 0, 255, 255, 255, 127],
        &[1, 0, 0, 0, 1, 0, 0, 0],
    ];
    for bytes in cases {
        assert_eq!(is_closed_after(&broker, bytes), None, "{bytes:?}");
    }
    broker.connect().create_topic("web", 1);
    let metrics = broker.stop();
    assert_eq!(closed(&metrics, "frame_too_large"), 2);
    assert_eq!(closed(&metrics, "bad_frame"), 3);
}

#[test]
fn a_header_that_is_no_flatbuffer_closes_the_connection() {
    let broker = Broker::start();
    let mut bytes = frame(&Request::Metadata(MetadataQuery { topics: None }));
    bytes[8..20].fill(0xff);
    assert_eq!(is_closed_after(&broker, &bytes), None);
    assert_eq!(closed(&broker.stop(), "bad_frame"), 1);
}

#[test]
fn a_request_before_hello_is_told_so_and_closed() {
    let broker = Broker::start();
    let mut client = Client::connect(broker.native);
    let metadata = Request::Metadata(MetadataQuery { topics: None });
    let Reply::Refused(refusal) = client.call(&metadata) else { panic!() };
    assert_eq!(refusal.code, ErrorCode::InvalidRequest);
    assert!(refusal.detail.contains("hello"), "{}", refusal.detail);
    assert!(client.try_receive().is_none());
}

#[test]
fn a_version_that_does_not_exist_is_told_so_and_closed() {
    let broker = Broker::start();
    let mut client = Client::connect(broker.native);
    let hello = Hello {
        protocol_version: 0,
        features: 0,
        client_id: String::new(),
        wants_producer_id: false,
    };
    let Reply::Refused(refusal) = client.call(&Request::Hello(hello)) else { panic!() };
    assert_eq!(refusal.code, ErrorCode::UnsupportedVersion);
    assert!(client.try_receive().is_none());
}

#[test]
fn a_stranger_may_not_announce_much_before_hello() {
    let broker = Broker::start();
    let mut client = Client::connect(broker.native);
    client.stream.write_all(&[0, 0, 16, 0, 12, 0, 0, 0]).unwrap();
    assert!(client.try_receive().is_none());
    assert_eq!(closed(&broker.stop(), "frame_too_large"), 1);
}

#[test]
fn a_damaged_batch_is_refused_and_the_connection_goes_on() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 1);
    let good = batch(&["a", "b"]);
    let mut bad = good.to_vec();
    *bad.last_mut().unwrap() ^= 1;
    let Reply::Produce(reply) = client.call(&produce(topic, 0, Bytes::from(bad))) else { panic!() };
    assert_eq!(reply.partitions[0].as_ref().unwrap_err().code, ErrorCode::CorruptMessage);
    assert_eq!(client.produce(topic, 0, &["a"]).base_offset.get(), 0);
    let large = "x".repeat(2 << 20);
    let Reply::Produce(reply) = client.call(&produce(topic, 0, batch(&[&large]))) else { panic!() };
    assert_eq!(reply.partitions[0].as_ref().unwrap_err().code, ErrorCode::MessageTooLarge);
    assert_eq!(client.produce(topic, 0, &["b"]).base_offset.get(), 1);
}

#[test]
fn partitions_that_are_not_there_are_refused_one_by_one() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 1);
    let mut request = produce(topic, 0, batch(&["a"]));
    if let Request::Produce(produce) = &mut request {
        let mut wrong = produce.partitions[0].clone();
        wrong.id.partition = PartitionId::new(7);
        produce.partitions.insert(0, wrong);
    }
    let Reply::Produce(reply) = client.call(&request) else { panic!() };
    let code = reply.partitions[0].as_ref().unwrap_err().code;
    assert_eq!(code, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(reply.partitions[1].as_ref().unwrap().base_offset.get(), 0);
    let fetched = client.fetch(topic, 0, 55).partitions.remove(0);
    assert_eq!(fetched.batches.unwrap_err().code, ErrorCode::OffsetOutOfRange);
}

#[test]
fn random_bytes_never_hurt_other_connections() {
    let broker = Broker::start();
    let mut good = broker.connect();
    let topic = good.create_topic("web", 1);
    let template = frame(&produce(topic, 0, batch(&["a", "b", "c"])));
    let seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut state = seed;
    let mut chance = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap()
    };
    let mut answered = 0;
    for case in 0..200 {
        let mut bytes = match case % 3 {
            0 => (0..chance(300)).map(|_| u8::try_from(chance(256)).unwrap()).collect(),
            _ => template.clone(),
        };
        for _ in 0..chance(6) {
            if let Some(at) = (!bytes.is_empty()).then(|| chance(bytes.len())) {
                bytes[at] = u8::try_from(chance(256)).unwrap();
            }
        }
        if case % 2 == 0 {
            bytes.truncate(bytes.len() - chance(bytes.len() / 4 + 1));
        }
        let mut client = broker.connect();
        let _reset = client.stream.write_all(&bytes);
        let _gone = client.stream.shutdown(Shutdown::Write);
        while client.try_receive().is_some() {
            answered += 1;
        }
        let before = good.fetch(topic, 0, 0).partitions.remove(0);
        assert!(before.batches.is_ok(), "seed {seed:#x} case {case}");
    }
    assert!(good.produce(topic, 0, &["still here"]).next_offset.get() >= 1);
    let damaged = closed(&broker.stop(), "bad_frame");
    assert!(answered > 20 && damaged > 20, "{answered} answered, {damaged} no frames");
}

#[test]
fn half_a_request_is_closed_and_others_go_on() {
    let stall = Duration::from_secs(1);
    let broker = Broker::start_with(ServeSettings { frame_stall: stall, ..Default::default() });
    let mut stalled = broker.connect();
    stalled.stream.write_all(&[0, 0, 0, 4, 64]).unwrap();
    let mut other = broker.connect();
    let topic = other.create_topic("web", 1);
    assert!(stalled.try_receive().is_none());
    other.produce(topic, 0, &["a"]);
    assert_eq!(closed(&broker.stop(), "frame_stalled"), 1);
}

#[test]
fn a_consumer_that_never_reads_is_closed_and_others_go_on() {
    let stall = Duration::from_secs(1);
    let broker = Broker::start_with(ServeSettings {
        write_stall: stall,
        connection_reply_bytes_max: 1 << 20,
        ..Default::default()
    });
    let mut other = broker.connect();
    let topic = other.create_topic("web", 1);
    let value = "x".repeat(900_000);
    other.produce(topic, 0, &[&value]);
    let mut stuck = broker.connect();
    stuck.stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let request = frame(&fetch(topic, 0, 0, 0));
    let asked = (0..100_000).take_while(|_| stuck.stream.write_all(&request).is_ok()).count();
    assert!(asked < 100_000, "the socket was read for ever");
    other.produce(topic, 0, &["a"]);
    assert_eq!(closed(&broker.stop(), "write_stalled"), 1);
}
