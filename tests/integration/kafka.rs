//! The Kafka wire of the real program: what outlives a crash, what both doors say, what strangers can't do.

mod bad_input;
mod flood;
mod listening;
pub(crate) mod wire;

use std::time::Duration;

use bytes::Bytes;
use kolk_kafka::message::{fetch, init_producer_id, list_offsets, offset_for_leader_epoch};
use kolk_model::batch::ProducerStamp;
use kolk_model::compression::Compression;
use kolk_model::ids::{ProducerEpoch, ProducerId, Sequence};

use crate::broker::Place;
use crate::broker::command::kolk_ok;
use crate::real_input::access_log;
use wire::{KafkaWire, batch};

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// The records of a partition from its beginning: whole batches, up to the high watermark.
fn read_all(wire: &mut KafkaWire, topic: &str, index: i32) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    let mut next = 0;
    loop {
        let part = wire.fetch(topic, index, next);
        assert_eq!(part.error_code, 0, "{topic} {index} at {next}");
        let bytes = part.records.expect("records are never null");
        for view in kolk_model::batch::batches(&bytes) {
            let view = view.expect("whole batches");
            view.verify_crc().expect("a batch as it was sent");
            let plain = match view.compression() {
                Compression::None => None,
                _ => Some(kolk_model::compression::decompress(&view, 64 << 20).expect("its codec")),
            };
            let records = match &plain {
                Some(plain) => kolk_model::records::Records::of_plain(&view, plain),
                None => kolk_model::records::Records::of_plain(&view, view.records_bytes()),
            };
            for record in records {
                let record = record.expect("a record");
                values.push(record.value.unwrap_or_default().to_vec());
            }
            next = view.next_offset().to_wire();
        }
        if next >= part.high_watermark {
            return values;
        }
    }
}

fn leader_epoch(wire: &mut KafkaWire, topic: &str) -> i32 {
    wire.topic(topic).topics[0].partitions[0].leader_epoch
}

#[test]
fn an_access_log_comes_back_in_all_codecs_through_both_doors() {
    let place = Place::new("kafka-codecs", 2);
    let broker = place.start_with(2, &["--set", "num.partitions=2"]);
    let log = access_log::bytes();
    let lines: Vec<&[u8]> =
        log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    for (number, codec) in CODECS.into_iter().enumerate() {
        let topic = format!("log-{number}");
        let doors = [place.kafka(), place.kafka_shard(0), place.kafka_shard(1)];
        let mut wires = doors.map(KafkaWire::open);
        wires[number % 3].topic(&topic);
        for (count, some) in lines.chunks(500).enumerate() {
            let index = i32::try_from(count % 2).expect("0 or 1");
            let part = wires[count % 3].produce(&topic, index, batch(some, None, codec));
            assert_eq!(part.error_code, 0, "{part:?}");
        }
        for wire in &mut wires {
            let mut parts = [0, 1].map(|index| read_all(wire, &topic, index).into_iter());
            let mut back = Vec::new();
            for count in 0..lines.chunks(500).count() {
                back.extend(parts[count % 2].by_ref().take(500));
            }
            assert!(back == lines, "{codec:?} comes back otherwise");
        }
    }
    broker.stop();
}

#[test]
fn both_wires_reach_the_same_records() {
    let place = Place::new("kafka-native", 2);
    let broker = place.start(2);
    let file = place.folder().join("lines");
    std::fs::write(&file, "one\ntwo\n").expect("the test's folder is writable");
    kolk_ok(&place, &["produce", "web", "--create=1", "--file", &file.to_string_lossy()]);
    let mut wire = KafkaWire::open(place.kafka());
    let part = wire.produce("web", 0, batch(&[b"three"], None, Compression::Zstd));
    assert_eq!((part.error_code, part.base_offset), (0, 2));
    assert_eq!(read_all(&mut wire, "web", 0), [&b"one"[..], b"two", b"three"]);
    let back = kolk_ok(&place, &["consume", "web", "--from", "beginning", "--exit"]);
    assert_eq!(String::from_utf8_lossy(&back), "one\ntwo\nthree\n");
    broker.stop();
}

#[test]
fn an_idempotent_producer_and_its_records_outlive_kill_9() {
    let place = Place::new("kafka-kill", 3);
    let mut broker = place.start_with(2, &["--set", "num.partitions=3"]);
    let mut wire = KafkaWire::open(place.kafka());
    wire.topic("orders");
    let request = init_producer_id::Request::default();
    let assigned: init_producer_id::Response = wire.call(4, &request);
    let stamp = |sequence: u32| {
        Some(ProducerStamp {
            id: ProducerId::new(u64::try_from(assigned.producer_id).expect("an id")),
            epoch: ProducerEpoch::new(0),
            base_sequence: Sequence::new(sequence),
        })
    };
    let value = |round: u32| format!("order {round}").into_bytes();
    let order = |round: u32| batch(&[&value(round)], stamp(round), Compression::None);
    let mut sent = 0;
    let mut ended = Vec::new();
    for (round, shards) in [(0, 3), (1, 1), (2, 2)] {
        for index in 0..3 {
            for number in sent..sent + 5 {
                let part = wire.produce("orders", index, order(number));
                assert_eq!((part.error_code, part.base_offset), (0, i64::from(number)));
            }
        }
        sent += 5;
        let before = leader_epoch(&mut wire, "orders");
        broker.kill();
        broker = place.start_with(shards, &["--set", "num.partitions=3"]);
        wire = KafkaWire::open(place.kafka());
        let after = leader_epoch(&mut wire, "orders");
        assert!(after > before, "round {round}: {after} after {before}");
        ended.push((before, i64::from(sent)));
        check_fenced(&mut wire, after, &ended);
        for index in 0..3 {
            // The last batch again, as a producer whose answer was lost sends it.
            let part = wire.produce("orders", index, order(sent - 1));
            assert_eq!((part.error_code, part.base_offset), (0, i64::from(sent) - 1));
            let values: Vec<_> = (0..sent).map(value).collect();
            assert_eq!(read_all(&mut wire, "orders", index), values);
        }
    }
    broker.stop();
}

/// A client that still believes in the epoch before is told so, and where each epoch ended.
fn check_fenced(wire: &mut KafkaWire, now: i32, ended: &[(i32, i64)]) {
    let (before, _) = *ended.last().expect("an epoch has ended");
    let mut request = wire::fetch("orders", 0, 0);
    request.topics[0].partitions[0].current_leader_epoch = before;
    let fenced: fetch::Response = wire.call(11, &request);
    assert_eq!(fenced.responses[0].partitions[0].error_code, 74);
    for (epoch, end) in ended {
        let partition = offset_for_leader_epoch::RequestPartition {
            partition: 0,
            current_leader_epoch: now,
            leader_epoch: *epoch,
        };
        let topic = offset_for_leader_epoch::RequestTopic {
            topic: "orders".to_owned(),
            partitions: vec![partition],
        };
        let request =
            offset_for_leader_epoch::Request { topics: vec![topic], ..Default::default() };
        let told: offset_for_leader_epoch::Response = wire.call(2, &request);
        let told = &told.topics[0].partitions[0];
        assert_eq!((told.error_code, told.leader_epoch, told.end_offset), (0, *epoch, *end));
    }
    check_listed_epochs(wire, now, ended[0].0);
}

/// The oldest record is still of the epoch that wrote it; the next one will be of the current epoch.
fn check_listed_epochs(wire: &mut KafkaWire, now: i32, first: i32) {
    for (timestamp, epoch) in [(-2, first), (-1, now)] {
        let partition = list_offsets::RequestPartition {
            partition_index: 0,
            current_leader_epoch: now,
            timestamp,
        };
        let topic =
            list_offsets::RequestTopic { name: "orders".to_owned(), partitions: vec![partition] };
        let request = list_offsets::Request { topics: vec![topic], ..Default::default() };
        let listed: list_offsets::Response = wire.call(7, &request);
        let listed = &listed.topics[0].partitions[0];
        assert_eq!((listed.error_code, listed.leader_epoch), (0, epoch), "at {timestamp}");
    }
}

#[test]
fn a_stop_answers_a_long_poll_and_is_soon_over() {
    let place = Place::new("kafka-stop", 2);
    let broker = place.start(2);
    let mut wire = KafkaWire::open(place.kafka());
    wire.topic("web");
    let mut request = wire::fetch("web", 0, 0);
    request.max_wait_ms = 60_000;
    let waiting = std::thread::spawn(move || wire.try_call::<_, fetch::Response>(11, &request));
    let mut other = KafkaWire::open(place.kafka());
    let listed: list_offsets::Response = other.call(1, &list_offsets::Request::default());
    assert!(listed.topics.is_empty());
    let (status, took) = broker.terminate(Duration::from_secs(20));
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
    if let Some(response) = waiting.join().expect("the client's thread") {
        let records = &response.responses[0].partitions[0].records;
        assert_eq!(records.as_ref().map(Bytes::len), Some(0));
    }
}

#[test]
fn a_door_that_is_switched_off_is_closed() {
    let place = Place::new("kafka-off", 2);
    let closed = ["--set", "kafka.port=off", "--set", "kafka.shard_door=off"];
    let broker = place.start_with(2, &closed);
    for address in [place.kafka(), place.kafka_shard(0)] {
        assert!(std::net::TcpStream::connect(address).is_err(), "{address}");
    }
    broker.stop();
}

#[test]
fn a_port_that_is_taken_is_named_with_its_setting() {
    let place = Place::new("kafka-port", 2);
    let _taken = std::net::TcpListener::bind(place.kafka_shard(1)).expect("it was free");
    let refused = place.try_start(2, &[]).err().expect("a port is taken");
    assert!(refused.log.contains("kafka.shard_port"), "{}", refused.log);
}
