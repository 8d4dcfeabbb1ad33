//! Producers that write while the broker is killed under them: each remembers what was promised.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kolk_client::client::Client;
use kolk_client::producer::delivery::Delivery;
use kolk_client::producer::settings::ProducerSettings;
use kolk_client::producer::{Producer, Record};
use kolk_model::compression::Compression;
use kolk_model::durability::AckLevel;
use kolk_model::ids::PartitionId;

use super::ledger::{Keep, Lane, Stamp};
use crate::random::Random;

/// Records of one writer that wait for their acknowledgement.
const OUTSTANDING_MAX: usize = 400;
/// Until a record that was begun before a kill must be settled by the restarted broker.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// A topic under load.
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    pub(crate) partitions: u32,
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// What may go. Records of a topic that is compacted have keys.
    pub(crate) keep: Keep,
    /// Bytes of a value: from, below.
    pub(crate) value_bytes: (usize, usize),
    /// Records between two pauses of a writer.
    burst_max: usize,
}

/// 64 partitions: small and large records, synced and not, kept, compacted and retired, many rolls.
pub(crate) const TOPICS: [Topic; 6] = [
    Topic {
        name: "synced",
        partitions: 20,
        settings: &[("segment.bytes", "65536")],
        keep: Keep::All,
        value_bytes: (40, 600),
        burst_max: 30,
    },
    Topic {
        name: "unsynced",
        partitions: 20,
        settings: &[("kolk.durability", "process-crash"), ("segment.bytes", "131072")],
        keep: Keep::All,
        value_bytes: (40, 1_000),
        burst_max: 30,
    },
    Topic {
        name: "large",
        partitions: 8,
        settings: &[("segment.bytes", "1048576")],
        keep: Keep::All,
        value_bytes: (4_000, 60_000),
        burst_max: 4,
    },
    Topic {
        name: "compressed",
        partitions: 8,
        settings: &[("segment.bytes", "65536"), ("index.interval.bytes", "1024")],
        keep: Keep::All,
        value_bytes: (40, 4_000),
        burst_max: 20,
    },
    Topic {
        name: "state",
        partitions: 4,
        settings: &[
            ("cleanup.policy", "compact"),
            ("segment.bytes", "65536"),
            ("min.cleanable.dirty.ratio", "0.1"),
        ],
        keep: Keep::NewestOfKey,
        value_bytes: (200, 1_500),
        burst_max: 20,
    },
    Topic {
        name: "retired",
        partitions: 4,
        settings: &[("segment.bytes", "65536"), ("retention.bytes", "262144")],
        // Values are nearly all of a batch.
        keep: Keep::Newest { value_bytes_min: 200_000 },
        value_bytes: (1_000, 8_000),
        burst_max: 10,
    },
];

/// (topic, what a reply waits for, compression): one client producer each.
const WRITERS: [(u32, AckLevel, Compression); 12] = [
    (0, AckLevel::Topic, Compression::None),
    (0, AckLevel::ProcessCrash, Compression::None),
    (0, AckLevel::None, Compression::None),
    (1, AckLevel::Topic, Compression::None),
    (1, AckLevel::PowerLoss, Compression::None),
    (2, AckLevel::Topic, Compression::None),
    (2, AckLevel::PowerLoss, Compression::None),
    (3, AckLevel::Topic, Compression::Lz4),
    (3, AckLevel::PowerLoss, Compression::Zstd),
    (4, AckLevel::Topic, Compression::None),
    (4, AckLevel::ProcessCrash, Compression::None),
    (5, AckLevel::Topic, Compression::None),
];

/// What became of a record that was sent.
pub(crate) enum Fate {
    /// Promised at this offset.
    Acknowledged(Stamp, u64),
    /// Acknowledged by a reply that promises nothing.
    Unpromised,
    /// Given up: it may be there or not.
    Failed(Stamp, String),
}

/// One producer and the next number of each of its lanes; lives over all rounds, so that what a kill
/// interrupted is sent again to the restarted broker.
pub(crate) struct Writer {
    producer: Producer,
    number: u32,
    topic: u32,
    promised: bool,
    next: Vec<u64>,
    random: Random,
}

/// Every writer of the table above.
pub(crate) fn writers(client: &Client, random: &mut Random) -> Vec<Writer> {
    let writer =
        |(number, (topic, durability, compression)): (u32, (u32, AckLevel, Compression))| {
            let mut settings = ProducerSettings::default();
            settings.durability = durability;
            settings.compression = compression;
            settings.linger = Duration::from_millis(u64::from(number % 3));
            settings.batch_bytes = if topic == 2 { 256 * 1024 } else { 8 * 1024 };
            settings.delivery_timeout = DELIVERY_TIMEOUT;
            let partitions = usize::try_from(topic_of(topic).partitions).expect("64-bit");
            Writer {
                producer: client.producer(settings).expect("settings in their ranges"),
                number,
                topic,
                promised: durability != AckLevel::None,
                next: vec![0; partitions],
                random: Random::seeded(random.next()),
            }
        };
    (0..).zip(WRITERS).map(writer).collect()
}

/// The topic of this number.
pub(crate) fn topic_of(number: u32) -> &'static Topic {
    &TOPICS[usize::try_from(number).expect("64-bit")]
}

impl Writer {
    /// Writes until told to stop, then waits until everything is settled.
    pub(crate) async fn write(&mut self, stop: Arc<AtomicBool>) -> Vec<Fate> {
        let topic = topic_of(self.topic);
        let mut outstanding: VecDeque<(Stamp, Delivery)> = VecDeque::new();
        let mut fates = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..=self.random.below(topic.burst_max) {
                let (stamp, bytes) = self.next_stamp(topic);
                let value = stamp.value(bytes);
                let partition = PartitionId::new(stamp.lane.partition);
                let mut record = Record::to(topic.name).partition(partition).value(&value);
                let key = stamp.key();
                if topic.keep == Keep::NewestOfKey {
                    record = record.key(key.as_bytes());
                }
                match self.producer.enqueue(record).await {
                    Ok(delivery) => outstanding.push_back((stamp, delivery)),
                    Err(error) => fates.push(Fate::Failed(stamp, error.to_string())),
                }
            }
            while outstanding.len() > OUTSTANDING_MAX {
                self.settle(&mut outstanding, &mut fates).await;
            }
            let pause = Duration::from_micros(self.random.next() % 4_000);
            tokio::time::sleep(pause).await;
        }
        while !outstanding.is_empty() {
            self.settle(&mut outstanding, &mut fates).await;
        }
        fates
    }

    fn next_stamp(&mut self, topic: &Topic) -> (Stamp, usize) {
        let place = self.random.below(self.next.len());
        let lane = Lane {
            topic: self.topic,
            partition: u32::try_from(place).expect("few partitions"),
            producer: self.number,
        };
        let number = self.next[place];
        self.next[place] += 1;
        let (from, below) = topic.value_bytes;
        (Stamp { lane, number }, from + self.random.below(below - from))
    }

    async fn settle(&self, outstanding: &mut VecDeque<(Stamp, Delivery)>, fates: &mut Vec<Fate>) {
        let Some((stamp, delivery)) = outstanding.pop_front() else {
            return;
        };
        fates.push(match delivery.await {
            Ok(sent) if self.promised => Fate::Acknowledged(stamp, sent.offset.get()),
            Ok(_) => Fate::Unpromised,
            Err(error) => Fate::Failed(stamp, error.to_string()),
        });
    }
}
