//! kolk by its own protocol: `kolk-client` on tokio.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use kolk_client::admin::NewTopic;
use kolk_client::client::Client;
use kolk_client::consumer::Position;
use kolk_client::consumer::settings::ConsumerSettings;
use kolk_client::error::ClientError;
use kolk_client::producer::delivery::Delivery;
use kolk_client::producer::settings::ProducerSettings;
use kolk_client::producer::{self, Record};
use kolk_model::ids::PartitionId;
use kolk_model::offset::Offset;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::chores::{Reporter, Workplace, background, own};
use crate::ack::{AckSink, Fate};
use crate::clock::Moment;
use crate::driver::{
    Appended, ClientPlan, Conditional, Consumer, Driver, Labour, Outgoing, Place, Producer,
};
use crate::error::{DriverError, Outcome};

/// Requests in flight on a connection. More than the default, because a connection carries all partitions of a shard.
const IN_FLIGHT_MAX: usize = 64;

/// Most bytes that a producer may have in batches.
const BUFFER_BYTES_MAX: usize = 1 << 30;

/// The driver.
pub(super) struct Native {
    place: Place,
    plan: ClientPlan,
    client: Client,
    runtime: Runtime,
}

impl Native {
    pub(super) fn new(place: Place, plan: ClientPlan) -> Outcome<Self> {
        let client = Client::new(&place.address).map_err(refused("connect"))?;
        Ok(Self { place, plan, client, runtime: background()? })
    }

    fn producer_settings(&self) -> ProducerSettings {
        let mut settings = ProducerSettings::default();
        settings.linger = Duration::from_millis(u64::from(self.plan.linger_ms));
        settings.batch_bytes = self.plan.batch_bytes as usize;
        settings.in_flight_max = IN_FLIGHT_MAX;
        // A batch that is begun counts as if it were full: of each partition one may be under way and one be filled, or
        // the producer's memory is what a load over many partitions is bounded by.
        let batches = 2 * self.place.partitions as usize;
        settings.buffer_bytes_max = (batches * settings.batch_bytes)
            .clamp(settings.buffer_bytes_max, BUFFER_BYTES_MAX.max(settings.batch_bytes));
        settings.idempotence = self.plan.idempotence;
        settings
    }

    fn consumer_settings(&self) -> ConsumerSettings {
        let mut settings = ConsumerSettings::default();
        settings.wait_max = Duration::from_millis(u64::from(self.plan.fetch_wait_ms));
        settings.prefetch_bytes_max = self.plan.prefetch_bytes as usize;
        settings
    }

    fn open_producer(&self, place: &Workplace) -> Outcome<producer::Producer> {
        let _entered = place.handle().enter();
        self.client.producer(self.producer_settings()).map_err(refused("producer"))
    }
}

impl Driver for Native {
    fn configuration(&self) -> Vec<(String, String)> {
        let pair = |name: &str, value: String| (name.to_owned(), value);
        vec![
            pair("client", format!("kolk-client {}", env!("CARGO_PKG_VERSION"))),
            pair("producer", format!("{:?}", self.producer_settings())),
            pair("consumer", format!("{:?}", self.consumer_settings())),
            pair("topic", format!("{:?}", self.place.topic_settings)),
        ]
    }

    fn create(&self) -> Outcome<()> {
        let mut topic = NewTopic::named(&self.place.topic).partitions(self.place.partitions);
        for (name, value) in &self.place.topic_settings {
            topic = topic.setting(name, value);
        }
        let created = self.runtime.block_on(self.client.admin().create_topic(topic));
        created.map(drop).map_err(refused("create topic"))
    }

    fn delete(&self) -> Outcome<()> {
        let deleted = self.runtime.block_on(self.client.admin().delete_topic(&self.place.topic));
        deleted.map_err(refused("delete topic"))
    }

    fn producer(&self, acks: AckSink, labour: Labour) -> Outcome<Box<dyn Producer>> {
        let place = Workplace::new(labour, &self.runtime)?;
        let (producer, reporter) = (self.open_producer(&place)?, place.reporter(acks));
        let (topic, lanes) = (self.place.topic.clone(), BTreeMap::new());
        Ok(Box::new(NativeProducer { topic, producer, lanes, reporter, place }))
    }

    fn consumer(&self, _name: &str, partitions: &[u32]) -> Outcome<Box<dyn Consumer>> {
        let runtime = own()?;
        let mut consumer = {
            let _entered = runtime.enter();
            self.client.consumer(self.consumer_settings()).map_err(refused("consumer"))?
        };
        for partition in partitions {
            let partition = PartitionId::new(*partition);
            let assigned = consumer.assign(&self.place.topic, partition, Position::Beginning);
            assigned.map_err(refused("assign"))?;
        }
        Ok(Box::new(NativeConsumer { consumer: Some(consumer), runtime }))
    }

    fn conditional(&self) -> Outcome<Box<dyn Conditional>> {
        // One append at a time, and its writer waits for it.
        let place = Workplace::new(Labour::Caller, &self.runtime)?;
        let producer = self.open_producer(&place)?;
        Ok(Box::new(NativeConditional { topic: self.place.topic.clone(), producer, place }))
    }
}

/// Waits for a partition's deliveries one after the other: their acknowledgements come in that order.
fn lane(handle: &Handle, reporter: Reporter) -> UnboundedSender<(Delivery, Moment)> {
    let (lane, mut deliveries) = unbounded_channel::<(Delivery, Moment)>();
    handle.spawn(async move {
        while let Some((delivery, intended)) = deliveries.recv().await {
            match delivery.await {
                Ok(_) => reporter.acknowledged(intended),
                Err(error) => reporter.failed(error),
            }
        }
    });
    lane
}

struct NativeProducer {
    topic: String,
    producer: producer::Producer,
    /// One for each partition that was sent to: of thousands of producers few send to all.
    lanes: BTreeMap<u32, UnboundedSender<(Delivery, Moment)>>,
    reporter: Reporter,
    place: Workplace,
}

impl Producer for NativeProducer {
    fn send(&mut self, record: &Outgoing<'_>) -> Outcome<()> {
        let delivery = self.place.at_once(self.producer.enqueue(outgoing(&self.topic, record)));
        let delivery = delivery.map_err(refused("produce"))?;
        let begin = || lane(self.place.handle(), self.reporter.clone());
        let lane = self.lanes.entry(record.partition).or_insert_with(begin);
        // A lane ends with its sender, so that it takes whatever is sent.
        let _taken = lane.send((delivery, record.intended));
        self.place.sent();
        Ok(())
    }

    fn finish(&mut self) -> Outcome<()> {
        self.place.block_on(self.producer.flush()).map_err(refused("flush"))
    }

    fn take(&mut self, fates: &Receiver<Fate>, wait: Duration) -> Result<Fate, RecvTimeoutError> {
        self.place.take(fates, wait)
    }

    fn rest(&mut self, time: Duration) -> Outcome<()> {
        self.place.rest(time)
    }
}

fn outgoing<'a>(topic: &'a str, record: &Outgoing<'a>) -> Record<'a> {
    let own = Record::to(topic).value(record.value).partition(PartitionId::new(record.partition));
    match record.key {
        Some(key) => own.key(key),
        None => own,
    }
}

struct NativeConsumer {
    /// Dropped within its runtime.
    consumer: Option<kolk_client::consumer::Consumer>,
    runtime: Runtime,
}

impl Consumer for NativeConsumer {
    fn poll(&mut self, wait: Duration, each: &mut dyn FnMut(&[u8])) -> Outcome<()> {
        let Some(consumer) = &mut self.consumer else { return Ok(()) };
        let next = self.runtime.block_on(async { timeout(wait, consumer.next_records()).await });
        let Ok(fetched) = next else { return Ok(()) };
        for record in &fetched.map_err(refused("fetch"))? {
            each(record.map_err(refused("fetch"))?.value.unwrap_or_default());
        }
        Ok(())
    }
}

impl Drop for NativeConsumer {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        drop(self.consumer.take());
    }
}

struct NativeConditional {
    topic: String,
    producer: producer::Producer,
    place: Workplace,
}

impl Conditional for NativeConditional {
    fn append(&mut self, record: &Outgoing<'_>, expected: u64) -> Outcome<Appended> {
        let own = [outgoing(&self.topic, record)];
        let (partition, expected) = (PartitionId::new(record.partition), Offset::new(expected));
        let appending = self.producer.append_expecting(&self.topic, partition, expected, &own);
        match self.place.block_on(appending) {
            Ok(appended) => Ok(Appended::Yes { next: appended.next_offset.get() }),
            Err(ClientError::WrongNextOffset { end_offset, .. }) => {
                Ok(Appended::Conflict { end: end_offset.map(Offset::get) })
            }
            Err(error) => Err(refused("conditional append")(error)),
        }
    }
}

fn refused(what: &'static str) -> impl Fn(ClientError) -> DriverError {
    move |error| DriverError::refused(what, error)
}
