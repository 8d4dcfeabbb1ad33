//! Data directories with everything in them that a broker keeps, as real brokers left them: one after a clean stop, one after
//! `kill -9`; and what a reader gets of one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kolk_kafka::message::{init_producer_id, offset_commit, offset_fetch};
use kolk_model::batch::{ProducerStamp, batches};
use kolk_model::compression::Compression;
use kolk_model::ids::{ProducerEpoch, ProducerId, Sequence};

use crate::broker::Place;
use crate::broker::command::kolk_ok;
use crate::kafka::wire::{KafkaWire, batch};
use crate::random::Random;

/// Topics with the number of their partitions.
pub(crate) const TOPICS: [(&str, i32); 4] =
    [("plain", 3), ("state", 2), ("large", 1), ("__consumer_offsets", 1)];
const GROUP: &str = "readers";
const COMMITTED: i64 = 17;
/// Nothing is compacted or retired while flips are judged, so that a directory gives the same each time.
pub(crate) const STILL: [&str; 10] = [
    "--set",
    "journal_file_bytes=1048576",
    "--set",
    "journal_files=3",
    "--set",
    "journal_group_bytes_max=524288",
    "--set",
    "offsets.topic.num.partitions=1",
    "--set",
    "log.cleaner.backoff.ms=3600000",
];
/// The same at work.
const BUSY: [&str; 12] = [
    "--set",
    "journal_file_bytes=1048576",
    "--set",
    "journal_files=3",
    "--set",
    "journal_group_bytes_max=524288",
    "--set",
    "offsets.topic.num.partitions=1",
    "--set",
    "log.cleaner.backoff.ms=100",
    "--set",
    "log.retention.check.interval.ms=100",
];
const PLAIN: [&str; 6] = [
    "topic",
    "create",
    "plain",
    "--partitions=3",
    "--config=segment.bytes=65536",
    "--config=retention.ms=-1",
];
const LARGE: [&str; 6] = [
    "topic",
    "create",
    "large",
    "--partitions=1",
    "--config=segment.bytes=524288",
    "--config=retention.ms=-1",
];
const GONE: [&str; 4] = ["topic", "create", "gone", "--partitions=2"];
const STATE: [&str; 8] = [
    "topic",
    "create",
    "state",
    "--partitions=2",
    "--config=cleanup.policy=compact",
    "--config=segment.bytes=65536",
    "--config=min.cleanable.dirty.ratio=0.1",
    "--config=segment.ms=1000",
];
const COMPACTION_WAIT: Duration = Duration::from_secs(60);
/// Batches of the idempotent producer for each partition of a life.
const PLAIN_BATCHES: usize = 26;
const LARGE_BATCHES: usize = 8;
/// What drives the journals to a checkpoint, and goes with its topic.
const GONE_BATCHES: usize = 60;

/// What a reader gets of one partition: its batches as they came, and the code that ended it where one did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Whole batches from the log start on.
    pub(crate) batches: Vec<Bytes>,
    /// Kafka's error code.
    pub(crate) refused: Option<i16>,
    /// Offset after the last batch.
    pub(crate) end: i64,
}

/// What readers get of a whole broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// By topic and partition.
    pub(crate) partitions: BTreeMap<(&'static str, i32), Reading>,
    /// The committed offset of the group, or the code in its place.
    pub(crate) committed: Result<i64, i16>,
}

/// How the last broker of a directory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Stopped,
    Killed,
}

/// A directory and what is in it.
pub(crate) struct Pristine {
    /// The directory, which is never started from.
    pub(crate) data: PathBuf,
    /// What a start on a copy of it gives.
    pub(crate) content: Content,
    _place: Place,
}

impl Pristine {
    /// Has brokers make it.
    pub(crate) fn make(ended: Ended) -> Self {
        let place = Place::new("rot-made", 2);
        first_life(&place);
        let broker = place.start_with(2, &BUSY);
        let mut wire = KafkaWire::open(place.kafka());
        fill_gone(&place, &mut wire);
        fill(&mut wire, 1);
        match ended {
            Ended::Stopped => broker.stop(),
            Ended::Killed => broker.kill(),
        }
        let reading = Place::new("rot-read", 2);
        copy(&place.data(), &reading.data());
        let broker = reading.start_with(2, &STILL);
        let content = read(&reading);
        broker.kill();
        assert_eq!(content.committed, Ok(COMMITTED));
        for (place, found) in &content.partitions {
            assert!(found.refused.is_none() && !found.batches.is_empty(), "{place:?}: {found:?}");
        }
        Self { data: place.data(), content, _place: place }
    }
}

fn first_life(place: &Place) {
    let broker = place.start_with(2, &BUSY);
    for topic in [&PLAIN[..], &LARGE, &STATE] {
        kolk_ok(place, topic);
    }
    let mut wire = KafkaWire::open(place.kafka());
    fill(&mut wire, 0);
    fill_state(place);
    commit(&mut wire);
    let begun = Instant::now();
    while place.metric("kolk_compaction_segments_replaced_total").unwrap_or_default() < 1.0 {
        assert!(begun.elapsed() < COMPACTION_WAIT, "compaction never came:\n{}", broker.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    broker.stop();
}

/// An idempotent producer for each partition, in all codecs, and some batches that go straight to a segment.
fn fill(wire: &mut KafkaWire, life: u64) {
    let mut random = Random::seeded(life);
    let codecs = [Compression::None, Compression::Lz4, Compression::Zstd];
    for index in 0..3 {
        let assigned: init_producer_id::Response =
            wire.call(4, &init_producer_id::Request::default());
        for number in 0..PLAIN_BATCHES {
            let producer = ProducerStamp {
                id: ProducerId::new(u64::try_from(assigned.producer_id).expect("an id")),
                epoch: ProducerEpoch::new(0),
                base_sequence: Sequence::new(u32::try_from(2 * number).expect("few")),
            };
            let values = [random.bytes(1_200), random.bytes(800)];
            let values = [&values[0][..], &values[1]];
            let batch = batch(&values, Some(producer), codecs[number % codecs.len()]);
            appended(wire, "plain", index, batch);
        }
    }
    for _ in 0..LARGE_BATCHES {
        let value = random.bytes(90_000);
        appended(wire, "large", 0, batch(&[&value], None, Compression::None));
    }
}

fn appended(wire: &mut KafkaWire, topic: &str, index: i32, batch: Bytes) {
    let part = wire.produce(topic, index, batch);
    assert_eq!(part.error_code, 0, "{topic}/{index}: {part:?}");
}

fn fill_gone(place: &Place, wire: &mut KafkaWire) {
    kolk_ok(place, &GONE);
    let mut random = Random::seeded(2);
    for number in 0..GONE_BATCHES {
        let value = random.bytes(60_000);
        let index = i32::from(number % 2 == 0);
        appended(wire, "gone", index, batch(&[&value], None, Compression::None));
    }
    kolk_ok(place, &["topic", "delete", "gone"]);
}

fn fill_state(place: &Place) {
    let mut lines = String::new();
    for number in 0..3_000 {
        lines.push_str(&format!("key-{} value {number} {}\n", number % 50, "x".repeat(60)));
    }
    let file = place.folder().join("lines");
    std::fs::write(&file, lines).expect("the test's folder is writable");
    let file = file.to_string_lossy();
    kolk_ok(place, &["produce", "state", "--key-regex", r"^(\S+)", "--file", &file]);
}

fn commit(wire: &mut KafkaWire) {
    let partition = offset_commit::RequestPartition {
        partition_index: 0,
        committed_offset: COMMITTED,
        committed_metadata: Some(String::new()),
        ..Default::default()
    };
    let topic = offset_commit::RequestTopic {
        name: "plain".to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = offset_commit::Request {
        group_id: GROUP.to_owned(),
        topics: vec![topic],
        ..Default::default()
    };
    let begun = Instant::now();
    loop {
        let response: offset_commit::Response = wire.call(7, &request);
        let code = response.topics[0].partitions[0].error_code;
        if code == 0 {
            return;
        }
        // The topic of the offsets comes into being by the first commit.
        assert!(begun.elapsed() < COMPACTION_WAIT, "commit: {code}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn committed(wire: &mut KafkaWire) -> Result<i64, i16> {
    let topic = offset_fetch::RequestTopic { name: "plain".to_owned(), partition_indexes: vec![0] };
    let request = offset_fetch::Request {
        group_id: GROUP.to_owned(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    /// The group is being read from its topic.
    const LOADING: i16 = 14;
    let begun = Instant::now();
    loop {
        let response: offset_fetch::Response = wire.call(5, &request);
        let found = response.topics.first().and_then(|topic| topic.partitions.first());
        let code = found.map_or(0, |found| found.error_code).max(response.error_code);
        match (code, found) {
            (LOADING, _) if begun.elapsed() < Duration::from_secs(5) => {}
            (0, Some(found)) => return Ok(found.committed_offset),
            (code, _) => return Err(code),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads everything from the broker of a place.
pub(crate) fn read(place: &Place) -> Content {
    let mut wire = KafkaWire::open(place.kafka());
    let mut partitions = BTreeMap::new();
    for (topic, count) in TOPICS {
        for index in 0..count {
            partitions.insert((topic, index), read_partition(&mut wire, topic, index));
        }
    }
    Content { partitions, committed: committed(&mut wire) }
}

fn read_partition(wire: &mut KafkaWire, topic: &str, index: i32) -> Reading {
    let mut reading = Reading::default();
    loop {
        let part = wire.fetch(topic, index, reading.end);
        if part.error_code != 0 {
            reading.refused = Some(part.error_code);
            return reading;
        }
        let bytes = part.records.unwrap_or_default();
        let mut at = 0;
        for view in batches(&bytes) {
            let Ok(view) = view else { break };
            let len = view.as_bytes().len();
            reading.batches.push(bytes.slice(at..at + len));
            at += len;
            reading.end = view.next_offset().to_wire();
        }
        if at < bytes.len() {
            // No batch: shown as it came, so that it fits none.
            reading.batches.push(bytes.slice(at..));
            return reading;
        }
        if at == 0 {
            // Behind the last batch compaction may have left a gap, or nothing.
            return reading;
        }
        if reading.end >= part.high_watermark {
            return reading;
        }
    }
}

/// Copies a data directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the test's folder is writable");
    for entry in std::fs::read_dir(from).expect("a data directory").flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().expect("an entry").is_dir() {
            copy(&source, &target);
        } else {
            std::fs::copy(&source, &target).expect("the test's folder is writable");
        }
    }
}
