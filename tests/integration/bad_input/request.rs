//! Frames that are frames, and wrong in what they hold: a typed error or a closed connection with its
//! reason in the log, and nobody else notices.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kolk_model::batch::seal;
use kolk_model::durability::AckLevel;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicPartition};
use kolk_model::offset::Offset;
use kolk_native::reply::Reply;
use kolk_native::request::{Fetch, FetchPartition, MetadataQuery, Request};

use crate::broker::{Broker, Place};
use crate::wire::{self, Wire, batch, compressed};

const MIB: u64 = 1 << 20;
/// Where the count of records stands in a batch's header.
const RECORD_COUNT_AT: usize = 57;
/// Until a stalled connection must be closed: the limit of one second, the sweep, a busy machine.
const CLOSED_WAIT: Duration = Duration::from_secs(15);
const QUICK: [&str; 4] = ["--set", "frame_stall_ms=1000", "--set", "write_stall_ms=1000"];

/// The log must say why within a moment.
fn check_logged(broker: &Broker<'_>, reason: &str) {
    let begin = Instant::now();
    while !broker.log().contains(reason) {
        assert!(
            begin.elapsed() < CLOSED_WAIT,
            "the log says nothing of {reason}:\n{}",
            broker.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_batch_that_lies_is_refused_with_its_own_error_and_the_connection_goes_on() {
    let place = Place::new("lies", 2);
    let broker = place.start(2);
    let mut wire = Wire::greeted(&place);
    let topic = wire.create_topic("web");

    let good = batch(&[b"one", b"two"]);
    let mut flipped = good.to_vec();
    *flipped.last_mut().expect("a batch has bytes") ^= 1;
    let mut counted = BytesMut::from(&compressed(&[b"one", b"two"])[..]);
    counted[RECORD_COUNT_AT + 3] = 9;
    seal(&mut counted);
    let bomb = vec![0_u8; 80 << 20];
    let large = vec![b'x'; 2 << 20];
    let cases = [
        ("a wrong CRC", Bytes::from(flipped), ErrorCode::CorruptMessage),
        ("a wrong count", counted.freeze(), ErrorCode::InvalidRecord),
        ("a bomb", compressed(&[&bomb]), ErrorCode::DecompressedTooLarge),
        ("a record over the limit", batch(&[&large]), ErrorCode::MessageTooLarge),
    ];
    let before = broker.memory_bytes();
    for (offset, (what, bytes, code)) in (0..).zip(cases) {
        let refusal = wire.produce(topic, bytes).expect_err(what);
        assert_eq!(refusal.code, code, "{what}: {}", refusal.detail);
        let produced = wire.produce(topic, good.clone()).expect("a good batch after a bad one");
        assert_eq!(produced.base_offset, Offset::new(offset * 2), "after {what}");
    }
    let growth = broker.memory_bytes().saturating_sub(before);
    assert!(growth <= 96 * MIB, "memory grew by {} MiB", growth / MIB);
    broker.stop();
}

#[test]
fn a_wrong_version_and_a_broken_header_end_their_connection_with_a_reason() {
    let place = Place::new("version", 1);
    let broker = place.start(1);
    let mut old = Wire::open(&place);
    match old.call(&wire::hello(0)) {
        Some(Reply::Refused(refusal)) => assert_eq!(refusal.code, ErrorCode::UnsupportedVersion),
        other => panic!("version 0: {other:?}"),
    }
    assert_eq!(old.reply(), None, "version 0 stays connected");

    let mut broken = Wire::greeted(&place);
    let mut bytes = wire::frame(&Request::Metadata(MetadataQuery { topics: None }));
    bytes[8..20].fill(0xff);
    drop(broken.stream.write_all(&bytes));
    assert_eq!(broken.reply(), None, "a header that is no flatbuffer is answered");
    check_logged(&broker, "bad_frame");
    drop(Wire::greeted(&place));
    broker.stop();
}

#[test]
fn half_a_frame_is_closed_with_a_reason() {
    let place = Place::new("stalled", 1);
    let broker = place.start_with(1, &QUICK);
    let mut wire = Wire::greeted(&place);
    let bytes = wire::frame(&Request::Metadata(MetadataQuery { topics: None }));
    wire.stream.write_all(&bytes[..bytes.len() - 3]).expect("an open socket");
    assert_eq!(wire.reply(), None, "half a frame is answered");
    check_logged(&broker, "frame_stalled");
    broker.stop();
}

#[test]
fn a_client_that_never_reads_is_closed_and_another_goes_on() {
    let place = Place::new("deaf", 1);
    let broker = place.start_with(1, &QUICK);
    let mut wire = Wire::greeted(&place);
    let topic = wire.create_topic("web");
    let value = vec![b'x'; 900_000];
    for _ in 0..8 {
        wire.produce(topic, batch(&[&value])).expect("a good batch");
    }

    let before = broker.memory_bytes();
    let mut deaf = Wire::greeted(&place);
    let id = TopicPartition { topic, partition: PartitionId::new(0) };
    let fetch = wire::frame(&Request::Fetch(Fetch {
        wait_ms_max: 0,
        bytes_min: 1,
        bytes_max: 8 << 20,
        partitions: vec![FetchPartition { id, offset: Offset::new(0), bytes_max: 8 << 20 }],
    }));
    deaf.stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a socket");
    for _ in 0..500 {
        // The broker stops reading at its limits; then this side may not write any more either.
        if deaf.stream.write_all(&fetch).is_err() {
            break;
        }
    }
    let good = batch(&[b"beside"]);
    let durable = wire::produce(topic, good, AckLevel::PowerLoss);
    assert!(matches!(wire.call(&durable), Some(Reply::Produce(_))), "the other client waits");
    check_logged(&broker, "write_stalled");
    let growth = broker.memory_bytes().saturating_sub(before);
    assert!(growth <= 160 * MIB, "memory grew by {} MiB", growth / MIB);
    // What the kernel still holds comes, then the end.
    let mut rest = Vec::new();
    drop(deaf.stream.read_to_end(&mut rest));
    broker.stop();
}
