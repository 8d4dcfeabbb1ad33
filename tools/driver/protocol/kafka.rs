//! Kafka's protocol through librdkafka: Kafka itself, kolk by either of its Kafka doors, or anything else that speaks it.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};
use rdkafka::util::get_rdkafka_version;
use rdkafka::{Offset, TopicPartitionList};

use crate::ack::AckSink;
use crate::clock::Moment;
use crate::driver::{ClientPlan, Consumer, Driver, Labour, Outgoing, Place, Producer};
use crate::error::{DriverError, Outcome};

/// How long a broker may be silent while something is expected of it.
const SILENCE: Duration = Duration::from_secs(60);
/// Wait where the producer takes no more.
const FULL_WAIT: Duration = Duration::from_micros(200);
/// Records that one look at the consumer may take.
const RECORDS_MAX: usize = 10_000;

/// The driver.
pub(super) struct Kafka {
    place: Place,
    plan: ClientPlan,
}

/// Reports deliveries; the opaque value of a record is the moment it was due.
struct Deliveries(AckSink);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, delivery: &DeliveryResult<'_>, intended: usize) {
        match delivery {
            Ok(_) => self.0.acknowledged(Moment::from_ns(intended as u64)),
            Err((error, _)) => self.0.failed(error),
        }
    }
}

impl Kafka {
    pub(super) const fn new(place: Place, plan: ClientPlan) -> Self {
        Self { place, plan }
    }

    fn config(&self, own: &[(&str, String)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.place.address).set("client.id", "kolk-bench");
        for (name, value) in own {
            config.set(*name, value);
        }
        config
    }

    fn producer_settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("acks", "all".to_owned()),
            ("enable.idempotence", self.plan.idempotence.to_string()),
            ("compression.type", "none".to_owned()),
            ("batch.size", self.plan.batch_bytes.to_string()),
            ("batch.num.messages", "1000000".to_owned()),
            // The largest record; batches end at batch.size.
            ("message.max.bytes", "8388608".to_owned()),
            ("linger.ms", self.plan.linger_ms.to_string()),
            ("queue.buffering.max.kbytes", "262144".to_owned()),
            ("queue.buffering.max.messages", "1000000".to_owned()),
            ("socket.nagle.disable", "true".to_owned()),
        ]
    }

    fn consumer_settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("enable.auto.commit", "false".to_owned()),
            ("enable.auto.offset.store", "false".to_owned()),
            ("fetch.wait.max.ms", self.plan.fetch_wait_ms.to_string()),
            ("queued.max.messages.kbytes", (self.plan.prefetch_bytes / 1024).to_string()),
            ("queued.min.messages", "1000000".to_owned()),
            // By default librdkafka does not fetch for a second once enough waits for the application.
            ("fetch.queue.backoff.ms", "1".to_owned()),
            ("check.crcs", "true".to_owned()),
            ("socket.nagle.disable", "true".to_owned()),
        ]
    }

    fn admin(&self) -> Outcome<AdminClient<DefaultClientContext>> {
        self.config(&[]).create().map_err(refused("admin"))
    }
}

impl Driver for Kafka {
    fn configuration(&self) -> Vec<(String, String)> {
        let text = |all: Vec<(&str, String)>| {
            all.iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>()
        };
        let own = self.place.topic_settings.iter();
        let topic = own.map(|(name, value)| (name.as_str(), value.clone())).collect();
        vec![
            ("client".to_owned(), format!("librdkafka {}", get_rdkafka_version().1)),
            ("producer".to_owned(), text(self.producer_settings())),
            ("consumer".to_owned(), text(self.consumer_settings())),
            ("topic".to_owned(), text(topic)),
        ]
    }

    fn create(&self) -> Outcome<()> {
        let admin = self.admin()?;
        let partitions = i32::try_from(self.place.partitions).unwrap_or(i32::MAX);
        let mut topic = NewTopic::new(&self.place.topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in &self.place.topic_settings {
            topic = topic.set(name, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(SILENCE));
        let created =
            wait(admin.create_topics([&topic], &options)).map_err(refused("create topic"))?;
        for outcome in created {
            outcome.map_err(|(_, code)| DriverError::refused("create topic", code))?;
        }
        let deadline = Instant::now() + SILENCE;
        while Instant::now() < deadline {
            let cluster = admin.inner().fetch_metadata(Some(&self.place.topic), SILENCE);
            let cluster = cluster.map_err(refused("metadata"))?;
            let led = cluster.topics().first().map_or(0, |topic| {
                topic.partitions().iter().filter(|partition| partition.leader() >= 0).count()
            });
            if led as u64 == u64::from(self.place.partitions) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(DriverError::refused("create topic", "a partition has no leader"))
    }

    fn delete(&self) -> Outcome<()> {
        let options = AdminOptions::new().operation_timeout(Some(SILENCE));
        let deleted = wait(self.admin()?.delete_topics(&[&self.place.topic], &options));
        for outcome in deleted.map_err(refused("delete topic"))? {
            outcome.map_err(|(_, code)| DriverError::refused("delete topic", code))?;
        }
        Ok(())
    }

    fn producer(&self, acks: AckSink, _labour: Labour) -> Outcome<Box<dyn Producer>> {
        let config = self.config(&self.producer_settings());
        let producer = config.create_with_context(Deliveries(acks)).map_err(refused("producer"))?;
        Ok(Box::new(KafkaProducer { topic: self.place.topic.clone(), producer }))
    }

    fn consumer(&self, name: &str, partitions: &[u32]) -> Outcome<Box<dyn Consumer>> {
        let mut config = self.config(&self.consumer_settings());
        config.set("group.id", name);
        let consumer: BaseConsumer = config.create().map_err(refused("consumer"))?;
        let mut places = TopicPartitionList::new();
        for partition in partitions {
            let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
            let added =
                places.add_partition_offset(&self.place.topic, partition, Offset::Beginning);
            added.map_err(refused("assign"))?;
        }
        consumer.assign(&places).map_err(refused("assign"))?;
        Ok(Box::new(KafkaConsumer(consumer)))
    }
}

/// Its own thread hears of deliveries, so that their moment is not that of the next send.
struct KafkaProducer {
    topic: String,
    producer: ThreadedProducer<Deliveries>,
}

impl Producer for KafkaProducer {
    fn send(&mut self, record: &Outgoing<'_>) -> Outcome<()> {
        let partition = i32::try_from(record.partition).unwrap_or(i32::MAX);
        let intended = usize::try_from(record.intended.ns()).unwrap_or(usize::MAX);
        let deadline = Instant::now() + SILENCE;
        loop {
            let mut own: BaseRecord<'_, [u8], [u8], usize> =
                BaseRecord::with_opaque_to(&self.topic, intended);
            own = own.partition(partition).payload(record.value);
            if let Some(key) = record.key {
                own = own.key(key);
            }
            match self.producer.send(own) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                    if Instant::now() < deadline =>
                {
                    std::thread::sleep(FULL_WAIT);
                }
                Err((error, _)) => return Err(refused("produce")(error)),
            }
        }
    }

    fn finish(&mut self) -> Outcome<()> {
        self.producer.flush(SILENCE).map_err(refused("flush"))
    }
}

struct KafkaConsumer(BaseConsumer);

impl Consumer for KafkaConsumer {
    fn poll(&mut self, wait: Duration, each: &mut dyn FnMut(&[u8])) -> Outcome<()> {
        let mut wait = wait;
        for _ in 0..RECORDS_MAX {
            let Some(read) = self.0.poll(wait) else { break };
            each(read.map_err(refused("consume"))?.payload().unwrap_or_default());
            // The first one may be waited for, those behind it are there or are not.
            wait = Duration::ZERO;
        }
        Ok(())
    }
}

fn refused(what: &'static str) -> impl Fn(KafkaError) -> DriverError {
    move |error| DriverError::refused(what, error)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future of the administrator, whose own thread completes it.
fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
