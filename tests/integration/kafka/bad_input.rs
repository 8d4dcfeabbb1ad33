//! What strangers send to the Kafka doors: each is closed with one line that says why, and nobody else notices.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use kolk_kafka::message::metadata;
use kolk_model::compression::Compression;

use super::wire::{self, KafkaWire, batch};
use crate::broker::{Broker, Place};
use crate::random::Random;

const MIB: u64 = 1 << 20;
/// Until a refused connection must be closed.
const CLOSED_WAIT: Duration = Duration::from_secs(10);
const RANDOM_CASES: usize = 300;

/// Sends and reads what comes until the broker closes; panics where it stays open.
fn sent_and_closed(place: &Place, bytes: &[u8], what: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(place.kafka()).expect("the Kafka door is open");
    stream.set_read_timeout(Some(CLOSED_WAIT)).expect("a socket");
    // The broker may close before it has read everything.
    drop(stream.write_all(bytes));
    drop(stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(e) if e.kind() == ErrorKind::WouldBlock || e.kind() == ErrorKind::TimedOut => {
            panic!("{what}: still open after {CLOSED_WAIT:?}")
        }
        // A reset is a close with unread bytes.
        Ok(_) | Err(_) => answer,
    }
}

fn check_served(wire: &mut KafkaWire) {
    let part = wire.produce("web", 0, batch(&[b"still here"], None, Compression::None));
    assert_eq!(part.error_code, 0);
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a small body");
    [&length.to_be_bytes(), body].concat()
}

fn start(place: &Place) -> (Broker<'_>, KafkaWire) {
    let broker = place.start(2);
    let mut wire = KafkaWire::open(place.kafka());
    wire.topic("web");
    (broker, wire)
}

#[test]
fn strangers_are_closed_with_one_line_that_says_why() {
    let place = Place::new("kafka-strangers", 2);
    let (broker, mut wire) = start(&place);
    // An array of 2^28 topics in a body of a few bytes: Metadata v9 and Produce v9.
    let array = [0x81, 0x80, 0x80, 0x80, 1, 0, 0, 0];
    let metadata = [&[0, 3, 0, 9, 0, 0, 0, 1, 255, 255, 0], &array[..]].concat();
    let produce =
        [&[0, 0, 0, 9, 0, 0, 0, 1, 255, 255, 0, 0, 0, 1, 0, 0, 0, 9], &array[..]].concat();
    // Ten thousand tags and more in a header.
    let mut tags = vec![0, 3, 0, 9, 0, 0, 0, 1, 255, 255, 0xff, 0xff, 3];
    (0..65_535).for_each(|_| tags.extend_from_slice(&[7, 0]));
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: kolk\r\n\r\n".to_vec(), "HTTP"),
        ("TLS", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3], "TLS"),
        ("the native protocol", vec![64, 0, 0, 0, 56, 0, 0, 0, 0, 0], "native"),
        ("a negative length", vec![0xff, 0xff, 0xff, 0xfe, 0, 18, 0, 0], "-2 bytes"),
        ("a length over the limit", vec![0x06, 0x40, 0, 1, 0, 18, 0, 0], "beyond"),
        ("an API that does not exist", framed(&[7, 7, 0, 0, 0, 0, 0, 1, 255, 255]), "1799"),
        ("an array of 2^28 topics", framed(&metadata), "Metadata v9"),
        ("an array of 2^28 topics to produce to", framed(&produce), "Produce v9"),
        ("a flood of tags", framed(&tags), "tags"),
    ];
    for (what, bytes, said) in &cases {
        let before = broker.log().len();
        assert_eq!(sent_and_closed(&place, bytes, what), b"", "{what}");
        let log = broker.log();
        let lines: Vec<_> = log[before..].lines().filter(|line| line.contains("peer")).collect();
        assert!(lines.len() == 1 && lines[0].contains(said), "{what}: {lines:?}");
        check_served(&mut wire);
    }
    broker.stop();
}

#[test]
fn half_frames_and_random_bytes_hurt_nobody() {
    let place = Place::new("kafka-random", 2);
    let (broker, mut wire) = start(&place);
    let before = broker.memory_bytes();
    let templates = [
        wire::frame(9, 1, &wire::produce("web", 0, batch(&[b"a"], None, Compression::Lz4))),
        wire::frame(11, 1, &wire::fetch("web", 0, 0)),
        wire::frame(12, 1, &metadata::Request { topics: None, ..Default::default() }),
    ];
    let mut random = Random::seeded(0x6b61_666b_6121);
    for case in 0..RANDOM_CASES {
        let mut bytes = match case % 4 {
            0 => (0..random.below(400))
                .map(|_| u8::try_from(random.below(256)).expect("a byte"))
                .collect(),
            kind => templates[kind - 1].clone(),
        };
        for _ in 0..random.below(6) {
            if !bytes.is_empty() {
                let place = random.below(bytes.len());
                bytes[place] = u8::try_from(random.below(256)).expect("a byte");
            }
        }
        bytes.truncate(bytes.len() - random.below(bytes.len() / 3 + 1));
        sent_and_closed(&place, &bytes, "random bytes");
        if case % 20 == 0 {
            check_served(&mut wire);
        }
    }
    let growth = broker.memory_bytes().saturating_sub(before);
    assert!(growth <= 64 * MIB, "memory grew by {} MiB", growth / MIB);
    broker.stop();
}

#[test]
fn announced_frames_hold_little_memory_and_nobody_up() {
    let place = Place::new("kafka-announced", 2);
    let (broker, _) = start(&place);
    // On the same shard as the strangers, whatever it does for them.
    let mut wire = KafkaWire::open(place.kafka_shard(0));
    let before = broker.memory_bytes();
    // Each announces 100 MiB and sends a few bytes of it.
    let halves: Vec<_> = (0..50)
        .map(|_| {
            let address = place.kafka_shard(0);
            let mut stream = TcpStream::connect(address).expect("the Kafka door is open");
            stream.write_all(&[0x06, 0x3f, 0xff, 0xff, 0, 0, 0, 9]).expect("a socket");
            stream
        })
        .collect();
    let begin = Instant::now();
    check_served(&mut wire);
    assert!(begin.elapsed() < CLOSED_WAIT, "held up for {:?}", begin.elapsed());
    let growth = broker.memory_bytes().saturating_sub(before);
    assert!(growth <= 64 * MIB, "memory grew by {} MiB", growth / MIB);
    drop(halves);
    broker.stop();
}
