//! Compacted topics on a real disk: old values go by themselves, the newest of every key stays, whatever is killed meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::broker::command::{inspect, kolk_ok};
use crate::broker::{Broker, Place};

const KEYS: usize = 200;
const LIVES: u16 = 6;
/// Values of each key in one life.
const VALUES: usize = 12;
const COMPACT_OFTEN: [&str; 4] =
    ["--set", "log.cleaner.backoff.ms=100", "--set", "log.retention.check.interval.ms=100"];
const TOPIC: [&str; 8] = [
    "topic",
    "create",
    "state",
    "--partitions=3",
    "--config=cleanup.policy=compact",
    "--config=segment.bytes=65536",
    "--config=min.cleanable.dirty.ratio=0.1",
    "--config=segment.ms=1000",
];
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Keys with the values that a consumer sees, oldest first.
fn consumed(place: &Place) -> BTreeMap<String, Vec<String>> {
    let bytes = kolk_ok(place, &["consume", "state", "--from", "beginning", "--exit"]);
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8(bytes).expect("lines of the test").lines() {
        let key = line.split_whitespace().next().unwrap_or_default();
        keys.entry(key.to_owned()).or_default().push(line.to_owned());
    }
    keys
}

fn line(key: usize, life: u16, value: usize) -> String {
    format!("key-{key} life {life} value {value} {}", "x".repeat(60))
}

fn check_newest(place: &Place, life: u16) -> usize {
    let keys = consumed(place);
    assert_eq!(keys.len(), KEYS, "life {life}");
    for key in 0..KEYS {
        let values = &keys[&format!("key-{key}")];
        assert_eq!(values.last(), Some(&line(key, life, VALUES - 1)), "life {life}, key {key}");
        let mut sorted = values.clone();
        sorted.sort_by_key(|line| {
            let mut numbers = line.split_whitespace().filter_map(|word| word.parse::<usize>().ok());
            (numbers.next(), numbers.next())
        });
        assert_eq!(*values, sorted, "life {life}: the order of a key");
    }
    keys.values().map(Vec::len).sum()
}

fn passes(place: &Place, name: &str) -> f64 {
    place.metric(name).unwrap_or_default()
}

fn until(what: &str, broker: &Broker<'_>, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < WAIT_MAX, "{what} never came:\n{}", broker.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_newest_value_of_every_key_survives_compaction_and_kill_nine() {
    let place = Place::new("compaction", 3);
    let file = place.folder().join("lines");
    for life in 0..LIVES {
        let broker = place.start_with(1 + life % 3, &COMPACT_OFTEN);
        if life == 0 {
            kolk_ok(&place, &TOPIC);
        } else {
            check_newest(&place, life - 1);
        }
        let values = (0..VALUES).flat_map(|value| (0..KEYS).map(move |key| (key, value)));
        let lines: String = values.map(|(key, value)| line(key, life, value) + "\n").collect();
        std::fs::write(&file, lines).expect("the test's folder is writable");
        let file = file.to_string_lossy();
        kolk_ok(&place, &["produce", "state", "--key-regex", r"^(\S+)", "--file", &file]);
        // At another moment of a pass each time, or before the first.
        if life > 0 {
            until("compaction", &broker, || {
                passes(&place, "kolk_compaction_segments_replaced_total") >= f64::from(life)
            });
        }
        broker.kill();
        let (code, said) = inspect(&place.data());
        assert_eq!(code, Some(0), "life {life}: inspect after kill -9:\n{said}");
    }
    let broker = place.start_with(2, &COMPACT_OFTEN);
    let all = usize::from(LIVES) * VALUES * KEYS;
    until("a compacted topic", &broker, || check_newest(&place, LIVES - 1) <= KEYS * 2);
    let left = check_newest(&place, LIVES - 1);
    eprintln!("{left} of {all} records are left of {KEYS} keys");
    broker.stop();
    let (code, said) = inspect(&place.data());
    assert_eq!(code, Some(0), "inspect after a clean stop:\n{said}");
}
