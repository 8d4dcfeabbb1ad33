//! What strangers send: each gets an answer or a closed connection, and nobody else notices.

mod damage;
mod request;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::broker::command::kolk_ok;
use crate::broker::{Broker, Place};
use crate::random::Random;

const MIB: u64 = 1 << 20;
/// Until a refused connection must be closed.
const CLOSED_WAIT: Duration = Duration::from_secs(10);
/// `frame_bytes_max` of the native wire.
const FRAME_BYTES_MAX: u32 = 100 << 20;
const RANDOM_CASES: usize = 300;
const IDLE_CONNECTIONS: usize = 10_000;
/// Descriptors a test process needs beside its connections.
const DESCRIPTORS_SPARED: usize = 500;

fn connect(place: &Place) -> TcpStream {
    let stream = TcpStream::connect(place.native()).expect("the native door is open");
    stream.set_read_timeout(Some(CLOSED_WAIT)).expect("a socket");
    stream
}

/// Sends and reads what comes until the broker closes; panics where it stays open.
fn sent_and_closed(place: &Place, bytes: &[u8], what: &str) {
    let mut stream = connect(place);
    // The broker may close before it has read everything.
    drop(stream.write_all(bytes));
    drop(stream.shutdown(Shutdown::Write));
    let begin = Instant::now();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(e) if e.kind() == ErrorKind::WouldBlock || e.kind() == ErrorKind::TimedOut => {
            panic!("{what}: still open after {:?}", begin.elapsed())
        }
        // A reset is a close with unread bytes.
        Ok(_) | Err(_) => {}
    }
}

fn frame(length: u32, header_length: u32, rest: &[u8]) -> Vec<u8> {
    [&length.to_le_bytes(), &header_length.to_le_bytes(), rest].concat()
}

/// A client like any other gets its records in and out.
fn check_served(place: &Place, topic: &str) {
    let file = place.folder().join("small");
    std::fs::write(&file, "one\ntwo\n").expect("the test's folder is writable");
    kolk_ok(place, &["produce", topic, "--create=1", "--file", &file.to_string_lossy()]);
    let back = kolk_ok(place, &["consume", topic, "--from", "beginning", "--exit"]);
    assert_eq!(String::from_utf8_lossy(&back), "one\ntwo\n");
}

/// Runs a case and checks that memory stays within `growth_max` of what it was.
fn check_memory(broker: &Broker<'_>, growth_max: u64, case: impl FnOnce()) {
    let before = broker.memory_bytes();
    case();
    let growth = broker.memory_bytes().saturating_sub(before);
    assert!(growth <= growth_max, "memory grew by {} MiB", growth / MIB);
}

#[test]
fn broken_frames_close_their_connection_and_no_other() {
    let place = Place::new("frames", 2);
    let mut broker = place.start(2);
    let cases: [(&str, Vec<u8>); 10] = [
        ("nothing", Vec::new()),
        ("a length of zero", vec![0; 4]),
        ("a length of less than a header's", frame(3, 0, &[])),
        ("a negative length", frame(u32::MAX, 64, &[0; 64])),
        ("a length over the limit", frame(FRAME_BYTES_MAX + 1, 64, &[0; 64])),
        ("a header longer than its frame", frame(16, 4_096, &[0; 12])),
        ("an empty header", frame(4, 0, &[])),
        ("a header of zeros", frame(68, 64, &[0; 64])),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: kolk\r\n\r\n".to_vec()),
        ("a truncated frame", frame(100, 64, &[0; 20])),
    ];
    for (what, bytes) in &cases {
        sent_and_closed(&place, bytes, what);
        assert!(broker.runs(), "{what} ended the broker");
    }
    check_served(&place, "after");
    broker.stop();
}

#[test]
fn random_bytes_end_no_broker() {
    let mut random = Random::from_environment("KOLK_BYTES_SEED");
    eprintln!("KOLK_BYTES_SEED={}", random.seed());
    let place = Place::new("noise", 1);
    let mut broker = place.start(1);
    check_memory(&broker, 64 * MIB, || {
        for case in 0..RANDOM_CASES {
            let count = 1 + random.below(2_000);
            let mut bytes = random.bytes(count);
            if case % 2 == 0 {
                // A true length, so that the noise reaches the header's verifier.
                let header = u32::try_from(count).expect("below 2,001");
                bytes = frame(header + 4, header, &bytes);
            }
            sent_and_closed(&place, &bytes, &format!("random case {case}"));
        }
    });
    assert!(broker.runs(), "random bytes ended the broker");
    check_served(&place, "after");
    broker.stop();
}

#[test]
fn half_a_frame_holds_neither_memory_nor_other_clients() {
    let place = Place::new("half", 1);
    let broker = place.start(1);
    let half = frame(FRAME_BYTES_MAX, 64, &[0; 30]);
    check_memory(&broker, 64 * MIB, || {
        let open: Vec<_> = (0..100)
            .map(|_| {
                let mut stream = connect(&place);
                stream.write_all(&half).expect("a fresh socket takes 38 bytes");
                stream
            })
            .collect();
        check_served(&place, "beside");
        drop(open);
    });
    broker.stop();
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_stop_nobody() {
    let place = Place::new("idle", 2);
    let broker = place.start(2);
    let count = IDLE_CONNECTIONS.min(descriptors_max().saturating_sub(DESCRIPTORS_SPARED));
    check_memory(&broker, 512 * MIB, || {
        let open: Vec<_> = (0..count).map(|_| connect(&place)).collect();
        check_served(&place, "beside");
        assert_eq!(open.len(), count);
        if count < IDLE_CONNECTIONS {
            eprintln!("{count} idle connections: the limit of open files allows no more");
        }
    });
    broker.stop();
}

/// The soft limit of open files, which the broker inherits too.
fn descriptors_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    soft.unwrap_or(IDLE_CONNECTIONS + DESCRIPTORS_SPARED)
}
