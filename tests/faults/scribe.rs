//! A producer of one partition that takes down what it was promised, and the judgement at the end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kolk_kafka::message::{create_topics, fetch};
use kolk_model::batch::batches;
use kolk_model::compression::Compression;
use kolk_model::records::Records;

use crate::broker::Place;
use crate::kafka_wire::{KafkaWire, batch, produce};
use crate::ledger::{Found, Keep, Lane, Ledger, Stamp};

/// Kafka's code for a disk that failed or is full.
pub(crate) const STORAGE_ERROR: i16 = 56;
/// Kafka's code where an append may or may not be there.
pub(crate) const OUTCOME_UNKNOWN: i16 = 20;
const CREATED_WAIT: Duration = Duration::from_secs(20);

/// What the broker said to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Acknowledged,
    /// Kafka's code.
    Refused(i16),
    /// The connection ended.
    Ended,
}

/// One producer.
pub(crate) struct Scribe {
    door: SocketAddr,
    wire: Option<KafkaWire>,
    topic: String,
    lane: Lane,
    next: u64,
    value_bytes: usize,
    ledger: Ledger,
    /// The longest wait for an answer.
    pub(crate) slowest: Duration,
}

impl Scribe {
    /// A producer of values of so many bytes for one partition of an existing topic.
    pub(crate) fn new(door: SocketAddr, topic: &str, partition: u32, value_bytes: usize) -> Self {
        Self {
            door,
            wire: None,
            topic: topic.to_owned(),
            lane: Lane { topic: 0, partition, producer: 0 },
            next: 0,
            value_bytes,
            ledger: Ledger::default(),
            slowest: Duration::ZERO,
        }
    }

    fn index(&self) -> i32 {
        i32::try_from(self.lane.partition).expect("few partitions")
    }

    /// Appends one record and waits for the answer.
    pub(crate) fn write(&mut self) -> Answer {
        let stamp = Stamp { lane: self.lane, number: self.next };
        self.next += 1;
        let value = stamp.value(self.value_bytes);
        let request = produce(&self.topic, self.index(), batch(&[&value], None, Compression::None));
        if self.wire.is_none() {
            self.wire = KafkaWire::try_open(self.door);
        }
        let begun = Instant::now();
        let response: Option<kolk_kafka::message::produce::Response> =
            self.wire.as_mut().and_then(|wire| wire.try_call(9, &request));
        let Some(response) = response else {
            self.wire = None;
            return Answer::Ended;
        };
        self.slowest = self.slowest.max(begun.elapsed());
        let part = &response.responses[0].partition_responses[0];
        if part.error_code != 0 {
            return Answer::Refused(part.error_code);
        }
        let offset = u64::try_from(part.base_offset).expect("an acknowledged record has an offset");
        self.ledger.acknowledged(stamp, offset);
        Answer::Acknowledged
    }

    /// Appends so many records that must all be acknowledged.
    pub(crate) fn write_all(&mut self, count: usize) {
        for number in 0..count {
            let answer = self.write();
            assert_eq!(answer, Answer::Acknowledged, "{}: record {number}", self.topic);
        }
    }

    /// Appends until told to stop, whatever the answers are; gives those that were no acknowledgement.
    pub(crate) fn write_until(&mut self, stop: &AtomicBool) -> Vec<Answer> {
        let mut others = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let answer = self.write();
            if answer != Answer::Acknowledged {
                others.push(answer);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        others
    }

    /// Appends until a record is refused; gives the code. The broker must not go away.
    pub(crate) fn write_until_refused(&mut self, records_max: usize) -> i16 {
        for _ in 0..records_max {
            match self.write() {
                Answer::Acknowledged => {}
                Answer::Refused(code) => return code,
                Answer::Ended => panic!("{}: the connection ended", self.topic),
            }
        }
        panic!("{}: {records_max} records and none refused", self.topic);
    }

    /// Tries until a record is acknowledged; gives how long that took.
    pub(crate) fn write_again(&mut self, wait_max: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            let answer = self.write();
            if answer == Answer::Acknowledged {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < wait_max, "{}: still {answer:?}", self.topic);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many records were acknowledged.
    pub(crate) fn count(&self) -> usize {
        self.ledger.count()
    }

    /// Reads the partition and compares it with what was acknowledged.
    pub(crate) fn judge(&mut self) -> Result<(), String> {
        let mut wire = KafkaWire::try_open(self.door).ok_or("nobody listens")?;
        let found = self.read(&mut wire)?;
        self.ledger.judge((self.lane.topic, self.lane.partition), Keep::All, &found)
    }

    /// The same where only one outcome will do.
    pub(crate) fn check(&mut self) {
        if let Err(fault) = self.judge() {
            panic!("{}/{}: {fault}", self.topic, self.lane.partition);
        }
    }

    fn read(&self, wire: &mut KafkaWire) -> Result<Found, String> {
        let mut found = Found::default();
        let mut next = 0;
        loop {
            let part: fetch::Partition = wire.fetch(&self.topic, self.index(), next);
            if part.error_code != 0 {
                return Err(format!("offset {next}: code {}", part.error_code));
            }
            for view in batches(&part.records.unwrap_or_default()) {
                let view = view.map_err(|error| format!("offset {next}: {error}"))?;
                view.verify_crc().map_err(|error| format!("offset {next}: {error}"))?;
                let mut offset = u64::try_from(view.base_offset().to_wire()).expect("an offset");
                for record in Records::of_plain(&view, view.records_bytes()) {
                    let record = record.map_err(|error| format!("offset {offset}: {error}"))?;
                    let stamp = record.value.and_then(Stamp::parse);
                    let stamp = stamp.ok_or_else(|| format!("offset {offset}: other bytes"))?;
                    found.records.push((offset, stamp));
                    offset += 1;
                }
                next = view.next_offset().to_wire();
            }
            if next >= part.high_watermark {
                return Ok(found);
            }
        }
    }
}

/// Makes a topic with two partitions, which two shards share between them.
pub(crate) fn create(door: SocketAddr, name: &str, settings: &[(&str, &str)]) {
    let setting = |(name, value): &(&str, &str)| create_topics::RequestConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    let mut configs: Vec<_> = settings.iter().map(setting).collect();
    if settings.iter().all(|(name, _)| !name.starts_with("retention")) {
        // The time in a record of these tests is years ago.
        configs.push(setting(&("retention.ms", "-1")));
    }
    let topic = create_topics::RequestTopic {
        name: name.to_owned(),
        num_partitions: 2,
        replication_factor: 1,
        configs,
        ..Default::default()
    };
    let request =
        create_topics::Request { topics: vec![topic], timeout_ms: 20_000, ..Default::default() };
    let mut wire = KafkaWire::open(door);
    let response: create_topics::Response = wire.call(5, &request);
    assert_eq!(response.topics[0].error_code, 0, "{response:?}");
    let begun = Instant::now();
    while wire.topic(name).topics[0].partitions.iter().any(|part| part.error_code != 0) {
        assert!(begun.elapsed() < CREATED_WAIT, "{name} has no leaders");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The shard that leads a partition, by the ids of the shard doors.
pub(crate) fn leader(place: &Place, topic: &str, partition: u32) -> u16 {
    let mut wire = KafkaWire::open(place.kafka_shard(0));
    let response = wire.topic(topic);
    let wanted = i32::try_from(partition).expect("few partitions");
    let mut parts = response.topics[0].partitions.iter();
    let part = parts.find(|part| part.partition_index == wanted).expect("it exists");
    // Node 0: a shard is the broker 1 + its number.
    u16::try_from(part.leader_id - 1).expect("a shard's id")
}
