//! Producers on the Kafka wire that write while the broker is killed under them. They build their frames themselves, so that each
//! retry is what a Kafka client sends: an idempotent one repeats a batch with its sequence until it has an answer, another one
//! gives it up and goes on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kolk_kafka::message::{init_producer_id, produce};
use kolk_model::batch::ProducerStamp;
use kolk_model::batch::builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::ids::{ProducerEpoch, ProducerId, Sequence};
use kolk_model::time::TimestampMs;

use super::ledger::{Keep, Lane, Stamp};
use super::load::{Fate, Topic, topic_of};
use crate::kafka::wire::KafkaWire;
use crate::random::Random;

/// Until a batch of an idempotent producer that was begun before a kill must have an answer.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(40);
const RECONNECT_PAUSE: Duration = Duration::from_millis(5);
/// Partitions in one request.
const PARTITIONS_MAX: usize = 6;
/// Their numbers begin where the native producers have none.
const NUMBER_FIRST: u32 = 100;
/// Kafka's codes after which a client sends the batch again: unknown topic, no leader, not the leader, timed out, too few replicas
/// before and after the append, disk failed.
const RETRIABLE: [i16; 7] = [3, 5, 6, 7, 19, 20, 56];

/// What a producer promises itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// `enable.idempotence`: acks=all, an id, sequences.
    Idempotent,
    /// With these acks, never sent twice.
    Once { acks: i16 },
}

/// (topic, mode, compression): one producer each.
const WRITERS: [(u32, Mode, Compression); 8] = [
    (0, Mode::Idempotent, Compression::None),
    (0, Mode::Once { acks: 1 }, Compression::None),
    (1, Mode::Idempotent, Compression::Lz4),
    (1, Mode::Once { acks: 0 }, Compression::None),
    (2, Mode::Once { acks: -1 }, Compression::None),
    (3, Mode::Idempotent, Compression::Zstd),
    (4, Mode::Idempotent, Compression::None),
    (5, Mode::Once { acks: -1 }, Compression::Snappy),
];

/// One producer; lives over all rounds.
pub(crate) struct KafkaWriter {
    door: SocketAddr,
    wire: Option<KafkaWire>,
    number: u32,
    topic: u32,
    mode: Mode,
    compression: Compression,
    /// The next number of each lane.
    next: Vec<u64>,
    producer: Option<ProducerId>,
    /// The next sequence of each partition.
    sequences: Vec<u32>,
    random: Random,
}

/// Every writer of the table above.
pub(crate) fn writers(door: SocketAddr, random: &mut Random) -> Vec<KafkaWriter> {
    let writer = |(number, (topic, mode, compression))| {
        let partitions = usize::try_from(topic_of(topic).partitions).expect("64-bit");
        KafkaWriter {
            door,
            wire: None,
            number: NUMBER_FIRST + number,
            topic,
            mode,
            compression,
            next: vec![0; partitions],
            producer: None,
            sequences: vec![0; partitions],
            random: Random::seeded(random.next()),
        }
    };
    (0..).zip(WRITERS).map(writer).collect()
}

/// A batch for one partition, and the stamps in it.
struct Sent {
    partition: usize,
    batch: Bytes,
    stamps: Vec<Stamp>,
}

impl KafkaWriter {
    /// Writes until told to stop; blocks.
    ///
    /// # Errors
    /// What no broker may answer to an honest producer, such as a sequence out of order.
    pub(crate) fn write(&mut self, stop: &AtomicBool) -> Result<Vec<Fate>, String> {
        let mut fates = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            if self.mode == Mode::Idempotent && self.producer.is_none() && !self.ask_for_id() {
                std::thread::sleep(RECONNECT_PAUSE);
                continue;
            }
            let batches = self.batches();
            match self.mode {
                Mode::Idempotent => self.deliver(batches, &mut fates)?,
                Mode::Once { acks } => self.send_once(batches, acks, &mut fates)?,
            }
            let pause = Duration::from_micros(self.random.next() % 4_000);
            std::thread::sleep(pause);
        }
        Ok(fates)
    }

    fn connected(&mut self) -> Option<&mut KafkaWire> {
        if self.wire.is_none() {
            self.wire = KafkaWire::try_open(self.door);
        }
        self.wire.as_mut()
    }

    fn ask_for_id(&mut self) -> bool {
        let request = init_producer_id::Request::default();
        let answer = self.connected().and_then(|wire| wire.try_call(4, &request));
        let answer: Option<init_producer_id::Response> = answer;
        if answer.is_none() {
            self.wire = None;
        }
        let given = answer.filter(|answer| answer.error_code == 0);
        self.producer =
            given.and_then(|answer| u64::try_from(answer.producer_id).ok()).map(ProducerId::new);
        self.sequences.fill(0);
        self.producer.is_some()
    }

    /// Batches for some partitions, one each.
    fn batches(&mut self) -> Vec<Sent> {
        let topic = topic_of(self.topic);
        let count = 1 + self.random.below(PARTITIONS_MAX.min(self.next.len()));
        let first = self.random.below(self.next.len());
        let places = (first..first + count).map(|place| place % self.next.len());
        places.collect::<Vec<_>>().into_iter().map(|place| self.batch(topic, place)).collect()
    }

    fn batch(&mut self, topic: &Topic, partition: usize) -> Sent {
        let records = 1 + self.random.below(5);
        let mut builder = BatchBuilder::new();
        // Retention by time must not find them old.
        let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        let time = TimestampMs::new(i64::try_from(time).expect("before the end of time"));
        let mut stamps = Vec::with_capacity(records);
        for _ in 0..records {
            let lane = Lane {
                topic: self.topic,
                partition: u32::try_from(partition).expect("few partitions"),
                producer: self.number,
            };
            let stamp = Stamp { lane, number: self.next[partition] };
            self.next[partition] += 1;
            let (from, below) = topic.value_bytes;
            let value = stamp.value(from + self.random.below(below - from));
            let key = (topic.keep == Keep::NewestOfKey).then(|| stamp.key());
            let key = key.as_ref().map(String::as_bytes);
            builder.append(time, key, Some(&value), &[]).expect("a record of a test");
            stamps.push(stamp);
        }
        if let Some(id) = self.producer {
            let base_sequence = Sequence::new(self.sequences[partition]);
            self.sequences[partition] += u32::try_from(records).expect("few records");
            builder.set_producer(ProducerStamp { id, epoch: ProducerEpoch::new(0), base_sequence });
        }
        let batch = builder.build(self.compression).expect("a batch of a test");
        Sent { partition, batch, stamps }
    }

    fn request(&self, batches: &[Sent], acks: i16) -> produce::Request {
        let partition = |sent: &Sent| produce::RequestPartition {
            index: i32::try_from(sent.partition).expect("few partitions"),
            records: Some(sent.batch.clone()),
        };
        let topic = produce::RequestTopic {
            name: topic_of(self.topic).name.to_owned(),
            partition_data: batches.iter().map(partition).collect(),
            ..Default::default()
        };
        produce::Request { acks, timeout_ms: 20_000, topic_data: vec![topic], ..Default::default() }
    }

    /// Sends and gives the code and base offset of each batch; `None` where the connection ended.
    fn call(&mut self, batches: &[Sent], acks: i16) -> Option<Vec<(i16, i64)>> {
        let request = self.request(batches, acks);
        let response: Option<produce::Response> =
            self.connected().and_then(|wire| wire.try_call(9, &request));
        let Some(response) = response else {
            self.wire = None;
            return None;
        };
        let parts = &response.responses.first()?.partition_responses;
        let of = |sent: &Sent| {
            let part = parts.iter().find(|part| usize::try_from(part.index) == Ok(sent.partition));
            part.map_or((-1, -1), |part| (part.error_code, part.base_offset))
        };
        Some(batches.iter().map(of).collect())
    }

    /// Sends the batches again and again until each has its answer.
    fn deliver(&mut self, mut left: Vec<Sent>, fates: &mut Vec<Fate>) -> Result<(), String> {
        let begun = Instant::now();
        while !left.is_empty() {
            if begun.elapsed() > DELIVERY_TIMEOUT {
                // What became of the sequences is unknown: the next batches are those of another producer.
                self.producer = None;
                fates.extend(left.iter().flat_map(|sent| failed(sent, "no answer in time")));
                return Ok(());
            }
            let Some(answers) = self.call(&left, -1) else {
                std::thread::sleep(RECONNECT_PAUSE);
                continue;
            };
            let mut again = Vec::new();
            for (sent, (code, base_offset)) in left.into_iter().zip(answers) {
                match code {
                    0 => fates.extend(acknowledged(&sent, base_offset)?),
                    code if RETRIABLE.contains(&code) => again.push(sent),
                    code => return Err(refused(&sent, code)),
                }
            }
            left = again;
        }
        Ok(())
    }

    fn send_once(
        &mut self,
        batches: Vec<Sent>,
        acks: i16,
        fates: &mut Vec<Fate>,
    ) -> Result<(), String> {
        if acks == 0 {
            let request = self.request(&batches, acks);
            if self.connected().and_then(|wire| wire.send(9, &request)).is_none() {
                self.wire = None;
            }
            fates.extend(batches.iter().flat_map(|sent| &sent.stamps).map(|_| Fate::Unpromised));
            return Ok(());
        }
        let Some(answers) = self.call(&batches, acks) else {
            std::thread::sleep(RECONNECT_PAUSE);
            // Most of them belong to a kill, not to a fault: they promise nothing.
            fates.extend(batches.iter().flat_map(|sent| &sent.stamps).map(|_| Fate::Unpromised));
            return Ok(());
        };
        for (sent, (code, base_offset)) in batches.iter().zip(answers) {
            match code {
                0 => fates.extend(acknowledged(sent, base_offset)?),
                code if RETRIABLE.contains(&code) => fates.extend(failed(sent, "refused")),
                code => return Err(refused(sent, code)),
            }
        }
        Ok(())
    }
}

fn acknowledged(sent: &Sent, base_offset: i64) -> Result<Vec<Fate>, String> {
    let base = u64::try_from(base_offset).map_err(|_| {
        format!("partition {} acknowledged at offset {base_offset}", sent.partition)
    })?;
    let fates = (base..).zip(&sent.stamps).map(|(at, stamp)| Fate::Acknowledged(*stamp, at));
    Ok(fates.collect())
}

fn failed(sent: &Sent, why: &str) -> Vec<Fate> {
    sent.stamps.iter().map(|stamp| Fate::Failed(*stamp, why.to_owned())).collect()
}

fn refused(sent: &Sent, code: i16) -> String {
    let stamp = sent.stamps.first().map(ToString::to_string).unwrap_or_default();
    format!("an honest producer's batch of {stamp} was refused with Kafka's code {code}")
}
