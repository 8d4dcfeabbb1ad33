//! librdkafka as producer and consumer, with a counter in place of what `kolk-driver` does for each record: there every
//! acknowledgement goes through a channel with its moment, from a thread of its own, and here the client's core is what
//! bounds the figures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use super::count::{Ledger, Mark, Phase};
use crate::error::{BenchError, Outcome};

/// How long a broker may be silent while something is expected of it.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes that wait in the producer, so that the last of them are gone soon.
const QUEUE_KIB: &str = "32768";
const QUEUE_RECORDS: &str = "500000";
/// Records between two looks at what has come.
const RECORDS_PER_LOOK: u64 = 256;
/// Wait where the producer takes no more.
const FULL_WAIT: Duration = Duration::from_millis(1);

/// The topic that is played on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topic<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: u32,
}

/// Whom to talk to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    pub(crate) broker: &'a str,
    /// Its process.
    pub(crate) pid: u32,
    pub(crate) topic: Topic<'a>,
}

/// What to produce.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProducePlan {
    pub(crate) record_bytes: usize,
    pub(crate) batch_bytes: u32,
    pub(crate) linger_ms: u32,
    pub(crate) warmup_bytes: u64,
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

/// Counts what was acknowledged and what was not.
#[derive(Debug, Default)]
struct Deliveries {
    acknowledged: AtomicU64,
    failed: AtomicU64,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivery: &DeliveryResult<'_>, (): ()) {
        let counter = if delivery.is_ok() { &self.acknowledged } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Client<'_> {
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.broker).set("client.id", "kolk-bench");
        config
    }

    /// Produces, round robin over the partitions; gives the measured part and the records acknowledged in all.
    pub(crate) fn produce(&self, plan: &ProducePlan) -> Outcome<(Phase, u64)> {
        let mut config = self.config();
        config.set("acks", "all").set("compression.type", "none");
        config.set("batch.size", plan.batch_bytes.to_string());
        config.set("batch.num.messages", "1000000");
        config.set("linger.ms", plan.linger_ms.to_string());
        config.set("queue.buffering.max.kbytes", QUEUE_KIB);
        config.set("queue.buffering.max.messages", QUEUE_RECORDS);
        let producer: BaseProducer<Deliveries> = config
            .create_with_context(Deliveries::default())
            .map_err(|error| refused("produce", &error))?;
        let mut value = vec![0; plan.record_bytes.max(8)];
        fill(&mut value);
        let (warmup, limit) = (plan.warmup_bytes, plan.warmup_bytes.saturating_add(plan.bytes));
        let (mut begin, started) = (None, Instant::now());
        let mut sent = 0_u64;
        let end = loop {
            for _ in 0..RECORDS_PER_LOOK {
                self.send(&producer, &mut value, sent)?;
                sent += 1;
            }
            producer.poll(Duration::ZERO);
            let acknowledged = producer.context().acknowledged.load(Ordering::Relaxed);
            let bytes = acknowledged.saturating_mul(plan.record_bytes as u64);
            let elapsed = started.elapsed();
            if begin.is_none() && (bytes >= warmup || elapsed >= plan.time / 5) {
                begin = Some(Mark::now(acknowledged, self.pid)?);
            }
            if bytes >= limit || elapsed >= plan.time {
                break Mark::now(acknowledged, self.pid)?;
            }
        };
        producer.flush(SILENCE).map_err(|error| refused("flush", &error))?;
        let acknowledged = producer.context().acknowledged.load(Ordering::Relaxed);
        let failed = producer.context().failed.load(Ordering::Relaxed);
        if failed > 0 || acknowledged != sent {
            let what = format!("{acknowledged} of {sent} acknowledged, {failed} failed");
            return Err(BenchError::refused("produce", what));
        }
        Ok((begin.unwrap_or(end).until(end, plan.record_bytes), acknowledged))
    }

    fn send(
        &self,
        producer: &BaseProducer<Deliveries>,
        value: &mut [u8],
        number: u64,
    ) -> Outcome<()> {
        if let Some(head) = value.first_chunk_mut() {
            *head = number.to_le_bytes();
        }
        let partition = i32::try_from(number % u64::from(self.topic.partitions.max(1)));
        let partition = partition.unwrap_or_default();
        let deadline = Instant::now() + SILENCE;
        loop {
            let record: BaseRecord<'_, (), [u8]> =
                BaseRecord::to(self.topic.name).partition(partition).payload(value);
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                    if Instant::now() < deadline =>
                {
                    producer.poll(FULL_WAIT);
                }
                Err((error, _)) => return Err(refused("produce", &error)),
            }
        }
    }

    /// Checks that the partitions together hold so many records.
    pub(crate) fn expect_records(&self, records: u64) -> Outcome<()> {
        let consumer = self.consumer()?;
        let mut held = 0;
        for partition in 0..i32::try_from(self.topic.partitions).unwrap_or(i32::MAX) {
            let (low, high) = consumer
                .fetch_watermarks(self.topic.name, partition, SILENCE)
                .map_err(|error| refused("list offsets", &error))?;
            held += u64::try_from(high - low).unwrap_or_default();
        }
        if held == records {
            return Ok(());
        }
        Err(BenchError::refused("list offsets", format!("{held} of {records} records are there")))
    }

    fn consumer(&self) -> Outcome<BaseConsumer> {
        let mut config = self.config();
        config.set("group.id", "kolk-bench").set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("queued.min.messages", "1000000");
        // By default librdkafka does not fetch for a second once 64 MiB wait for the application: it would measure that pause.
        config.set("fetch.queue.backoff.ms", "1");
        config.create().map_err(|error| refused("consume", &error))
    }

    /// Reads every partition from its beginning, each record once and in order.
    pub(crate) fn consume(&self, records: u64) -> Outcome<Phase> {
        let failed = |error: KafkaError| refused("consume", &error);
        let consumer = self.consumer()?;
        let mut places = TopicPartitionList::new();
        for partition in 0..i32::try_from(self.topic.partitions).unwrap_or(i32::MAX) {
            places
                .add_partition_offset(self.topic.name, partition, Offset::Beginning)
                .map_err(failed)?;
        }
        consumer.assign(&places).map_err(failed)?;
        let mut ledger = Ledger::new(self.topic.partitions);
        let (mut begin, mut record_bytes) = (None, 0);
        while ledger.read() < records {
            let Some(read) = consumer.poll(SILENCE) else {
                let what = format!("silent after {} of {records} records", ledger.read());
                return Err(BenchError::refused("consume", what));
            };
            let read = read.map_err(failed)?;
            let value = read.payload().unwrap_or_default();
            ledger.add(read.partition(), value)?;
            if begin.is_none() {
                begin = Some(Mark::now(0, self.pid)?);
                record_bytes = value.len();
            }
        }
        let end = Mark::now(records, self.pid)?;
        Ok(begin.unwrap_or(end).until(end, record_bytes))
    }
}

fn refused(what: &str, error: &KafkaError) -> BenchError {
    BenchError::refused(what, error)
}

/// Printable bytes that do not repeat soon.
fn fill(value: &mut [u8]) {
    let mut state = 1_u64;
    for byte in value {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [.., high] = state.to_le_bytes();
        *byte = b' ' + high % 95;
    }
}
