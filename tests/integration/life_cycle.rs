//! Start and stop: what a broker promises to whoever runs it.

mod command_line;
mod golden;

use std::time::{Duration, Instant};

use kolk_model::durability::AckLevel;
use kolk_model::ids::TopicId;
use kolk_native::reply::Reply;

use crate::broker::command::{inspect, kolk, kolk_ok};
use crate::broker::{Place, program};
use crate::wire::{self, Wire, batch};

const STOP_WAIT: Duration = Duration::from_secs(10);
const PARTITIONS: usize = 1_000;
/// What the start after a clean stop may take; a debug build beside other tests gets more.
const START_MAX: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });

/// Appends one batch after the other until the broker ends the connection; gives the number of records
/// that were acknowledged.
fn append_until_stopped(place: &Place, topic: TopicId) -> u64 {
    let mut wire = Wire::greeted(place);
    let mut acknowledged = 0;
    loop {
        let request = wire::produce(topic, batch(&[b"one", b"two"]), AckLevel::Topic);
        match wire.call(&request) {
            Some(Reply::Produce(reply)) => match &reply.partitions[0] {
                Ok(produced) => acknowledged = produced.next_offset.get(),
                Err(refusal) => assert!(refusal.code.retriable(), "{refusal}"),
            },
            _ => return acknowledged,
        }
    }
}

#[test]
fn sigterm_under_load_stops_within_ten_seconds_and_keeps_every_ack() {
    let place = Place::new("loaded", 2);
    let broker = place.start(2);
    let names = ["first", "second", "third"];
    let acknowledged = std::thread::scope(|scope| {
        let clients = names.map(|name| {
            let topic = Wire::greeted(&place).create_topic(name);
            let place = &place;
            scope.spawn(move || append_until_stopped(place, topic))
        });
        let begin = Instant::now();
        while place.metric("kolk_log_appends_total").unwrap_or_default() < 100.0 {
            assert!(begin.elapsed() < STOP_WAIT, "100 appends took too long");
        }
        let (status, took) = broker.terminate(STOP_WAIT);
        assert_eq!(status.code(), Some(0), "after {took:?}");
        clients.map(|client| client.join().expect("a client of the test"))
    });
    let (code, said) = inspect(&place.data());
    assert_eq!(code, Some(0), "{said}");
    let broker = place.start(1);
    for (name, acknowledged) in names.into_iter().zip(acknowledged) {
        let back = kolk_ok(&place, &["consume", name, "--from", "beginning", "--exit"]);
        let lines = back.iter().filter(|byte| **byte == b'\n').count();
        let acknowledged = usize::try_from(acknowledged).expect("64-bit");
        assert!(acknowledged > 0 && lines >= acknowledged, "{name}: {lines} of {acknowledged}");
    }
    broker.stop();
}

#[test]
fn a_start_after_a_clean_stop_with_a_thousand_partitions_is_quick() {
    let place = Place::new("thousand", 2);
    let broker = place.start(2);
    kolk_ok(&place, &["topic", "create", "wide", "--partitions", &PARTITIONS.to_string()]);
    let lines: String = (0..PARTITIONS * 4).map(|n| format!("{n} line\n")).collect();
    let file = place.folder().join("lines");
    std::fs::write(&file, lines).expect("the test's folder is writable");
    let file = file.to_string_lossy();
    kolk_ok(&place, &["produce", "wide", "--key-regex", r"^(\S+)", "--file", &file]);
    broker.stop();
    let begin = Instant::now();
    let broker = place.start(2);
    let took = begin.elapsed();
    eprintln!("ready after {took:?} with {PARTITIONS} partitions");
    assert!(took < START_MAX, "ready after {took:?}");
    let back = kolk_ok(&place, &["consume", "wide", "--from", "beginning", "--exit"]);
    assert_eq!(back.iter().filter(|byte| **byte == b'\n').count(), PARTITIONS * 4);
    broker.stop();
}

#[test]
fn sigterm_stops_cleanly_within_ten_seconds() {
    let place = Place::new("sigterm", 2);
    let broker = place.start(2);
    kolk_ok(&place, &["topic", "create", "web", "--partitions", "4"]);
    let (status, took) = broker.terminate(STOP_WAIT);
    assert_eq!(status.code(), Some(0), "after {took:?}");
}

#[test]
fn a_second_broker_on_one_data_directory_is_refused() {
    let place = Place::new("locked", 1);
    let mut first = place.start(1);
    let other = Place::beside(&place, 1);
    let refused = other.try_start(1, &[]).err().expect("a second broker must not start");
    assert!(!refused.status.success());
    assert!(refused.log.contains("LOCK") || refused.log.contains("lock"), "{}", refused.log);
    assert!(first.runs());
    kolk_ok(&place, &["topic", "list"]);
    first.stop();
}

#[test]
fn health_metrics_and_ready_answer_over_http() {
    let place = Place::new("http", 2);
    let broker = place.start(2);
    for path in ["/health", "/ready"] {
        assert_eq!(place.http(path).map(|(status, _)| status), Some(200), "{path}");
    }
    let (status, text) = place.http("/metrics").expect("the HTTP door answers");
    assert_eq!(status, 200);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("kolk_"), "{line}");
    }
    assert!(text.contains("shard=\"1\""), "no series of the second shard");
    assert_eq!(place.http("/nothing").map(|(status, _)| status), Some(404));
    broker.stop();
}

#[test]
fn an_unreachable_broker_and_a_missing_topic_have_exit_codes_of_their_own() {
    let place = Place::new("codes", 1);
    assert_eq!(kolk(&place, &["topic", "list"]).status.code(), Some(5), "unreachable");
    let broker = place.start(1);
    assert_eq!(kolk(&place, &["topic", "describe", "nothing"]).status.code(), Some(3), "missing");
    assert_eq!(kolk(&place, &["topic", "no-such-word"]).status.code(), Some(2), "usage");
    broker.stop();
}

#[test]
fn a_configuration_that_can_not_be_written_is_a_failure() {
    for arguments in [&["config"] as &[&str], &["config", "--json"]] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let shown = program().args(arguments).stdout(full.expect("Linux has it")).output();
        let shown = shown.expect("the program under test was built");
        assert_eq!(shown.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8_lossy(&shown.stderr);
        assert!(said.contains("standard output"), "{said}");
    }
}
