//! Real logs in, durably, and out again: the same bytes, whatever happened in between.

pub(crate) mod access_log;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::Place;
use crate::broker::command::{inspect, kolk_ok};

const PARTITIONS: &str = "8";
const KEY_REGEX: &str = r"^(\S+)";

/// All records of a topic as `consume` prints them, a line each.
fn consumed(place: &Place, topic: &str) -> Vec<u8> {
    kolk_ok(place, &["consume", topic, "--from", "beginning", "--exit"])
}

fn produce_whole(place: &Place, topic: &str) -> Vec<u8> {
    let file = access_log::file_in(place.folder());
    kolk_ok(place, &["produce", topic, "--create=1", "--file", &file.to_string_lossy()]);
    access_log::bytes()
}

fn produce_keyed(place: &Place, topic: &str) {
    let file = access_log::file_in(place.folder());
    let create = format!("--create={PARTITIONS}");
    let file = file.to_string_lossy();
    kolk_ok(place, &["produce", topic, &create, "--key-regex", KEY_REGEX, "--file", &file]);
}

/// The same lines, and those of one key in the order of the file.
fn check_keyed(consumed: &[u8], what: &str) {
    let wanted = String::from_utf8(access_log::bytes()).expect("a log is text");
    let found = String::from_utf8(consumed.to_vec()).expect("a log is text");
    let by_key = |text: &str| {
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            keys.entry(access_log::key(line).to_owned()).or_default().push(line.to_owned());
        }
        keys
    };
    assert_eq!(found.lines().count(), wanted.lines().count(), "{what}: lines");
    let (found, wanted) = (by_key(&found), by_key(&wanted));
    for (key, lines) in &wanted {
        assert_eq!(found.get(key), Some(lines), "{what}: the lines of {key}");
    }
    assert_eq!(found.len(), wanted.len(), "{what}: keys");
}

#[test]
fn a_file_comes_back_byte_for_byte() {
    let place = Place::new("bytes", 2);
    let broker = place.start(2);
    let wanted = produce_whole(&place, "web");
    assert!(consumed(&place, "web") == wanted, "other bytes came back");
    broker.stop();
    let (code, said) = inspect(&place.data());
    assert_eq!(code, Some(0), "inspect after a clean stop:\n{said}");
}

#[test]
fn keyed_lines_keep_their_order_over_eight_partitions() {
    let place = Place::new("keyed", 2);
    let broker = place.start(2);
    produce_keyed(&place, "web");
    check_keyed(&consumed(&place, "web"), "straight after");
    broker.stop();
}

#[test]
fn a_file_survives_kill_nine_straight_after_the_last_ack() {
    let place = Place::new("killed", 2);
    let broker = place.start(2);
    let wanted = produce_whole(&place, "web");
    broker.kill();
    let (code, said) = inspect(&place.data());
    assert_eq!(code, Some(0), "inspect after kill -9:\n{said}");
    let broker = place.start(2);
    assert!(consumed(&place, "web") == wanted, "other bytes came back after kill -9");
    broker.stop();
}

#[test]
fn keyed_lines_survive_restarts_with_every_number_of_shards() {
    let place = Place::new("shards", 8);
    let broker = place.start(3);
    produce_keyed(&place, "web");
    broker.kill();
    for shards in 1..=8 {
        let broker = place.start(shards);
        check_keyed(&consumed(&place, "web"), &format!("{shards} shards"));
        // Every other stop is a kill: recovery of a recovered directory.
        if shards % 2 == 0 {
            broker.kill();
        } else {
            let (status, took) = broker.terminate(Duration::from_secs(10));
            assert!(status.success(), "{shards} shards: {status} after {took:?}");
        }
    }
}
