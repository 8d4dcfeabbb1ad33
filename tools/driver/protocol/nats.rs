//! NATS JetStream through `async-nats`: one stream on files, a partition is a subject of it, as its users have it. A consumer
//! is an ordered pull consumer of its subjects. Keys are not sent: the subject is the key.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::context::{PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{Context, ContextBuilder};
use futures_util::StreamExt;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::chores::{Workplace, background, own};
use crate::ack::{AckSink, Fate};
use crate::clock::Moment;
use crate::driver::{
    Appended, ClientPlan, Conditional, Consumer, Driver, Labour, Outgoing, Place, Producer,
};
use crate::error::{DriverError, Outcome};

/// Acknowledgements that may be outstanding on one connection; the client's default is 5,000.
const ACKS_MAX: usize = 100_000;
/// Records that may be on their way to one stream. The server buffers 10,000 (its `max_buffered_msgs`) and discards others:
/// with 100,000 on their way from two producers some were never acknowledged.
const IN_FLIGHT_MAX: u32 = 10_000;
const SILENCE: Duration = Duration::from_secs(60);
/// Records that one poll takes at most.
const RECORDS_MAX: usize = 1_000;

/// The driver.
pub(super) struct Nats {
    place: Place,
    plan: ClientPlan,
    runtime: Runtime,
}

impl Nats {
    pub(super) fn new(place: Place, plan: ClientPlan) -> Outcome<Self> {
        Ok(Self { place, plan, runtime: background()? })
    }

    fn subject(&self, partition: u32) -> String {
        format!("{}.{partition}", self.place.topic)
    }

    async fn connect(&self) -> Outcome<Context> {
        let client = async_nats::connect(&self.place.address).await.map_err(refused("connect"))?;
        let context = ContextBuilder::new().timeout(SILENCE).ack_timeout(SILENCE);
        Ok(context.max_ack_inflight(ACKS_MAX).build(client))
    }
}

impl Driver for Nats {
    fn configuration(&self) -> Vec<(String, String)> {
        let text = format!(
            "async-nats 0.51, one stream on files, a subject a partition\n\
             max_ack_inflight={ACKS_MAX}, at most {IN_FLIGHT_MAX} records of all producers on their way; the client sends at once what is given to it: no linger of {} ms\n\
             ordered pull consumers with the client's defaults\n",
            self.plan.linger_ms
        );
        vec![("client".to_owned(), text)]
    }

    fn in_flight_max(&self) -> u32 {
        IN_FLIGHT_MAX
    }

    fn create(&self) -> Outcome<()> {
        let name = self.place.topic.clone();
        let subjects = vec![format!("{name}.*")];
        let config = Config { name, subjects, storage: StorageType::File, ..Config::default() };
        self.runtime.block_on(async {
            self.connect()
                .await?
                .create_stream(config)
                .await
                .map(drop)
                .map_err(refused("create stream"))
        })
    }

    fn delete(&self) -> Outcome<()> {
        self.runtime.block_on(async {
            let deleted = self.connect().await?.delete_stream(&self.place.topic).await;
            deleted.map(drop).map_err(refused("delete stream"))
        })
    }

    fn producer(&self, acks: AckSink, labour: Labour) -> Outcome<Box<dyn Producer>> {
        let place = Workplace::new(labour, &self.runtime)?;
        let context = place.block_on(self.connect())?;
        let reporter = place.reporter(acks);
        let (lane, mut sent) = unbounded_channel::<(PublishAckFuture, Moment)>();
        // One stream acknowledges in the order in which it was sent to.
        place.handle().spawn(async move {
            while let Some((ack, intended)) = sent.recv().await {
                match ack.await {
                    Ok(_) => reporter.acknowledged(intended),
                    Err(error) => reporter.failed(error),
                }
            }
        });
        let subjects = (0..self.place.partitions).map(|one| self.subject(one).into()).collect();
        Ok(Box::new(NatsProducer { context, lane, subjects, place }))
    }

    fn consumer(&self, _name: &str, partitions: &[u32]) -> Outcome<Box<dyn Consumer>> {
        let runtime = own()?;
        let all = partitions.len() == self.place.partitions as usize;
        // Everything needs no filter, which costs the server something.
        let own = partitions.iter().filter(|_| !all).map(|one| self.subject(*one));
        let config = OrderedConfig {
            filter_subjects: own.collect(),
            deliver_policy: DeliverPolicy::All,
            ..OrderedConfig::default()
        };
        let messages = runtime.block_on(async {
            let stream = self.connect().await?.get_stream(&self.place.topic).await;
            let stream = stream.map_err(refused("stream"))?;
            let consumer = stream.create_consumer(config).await.map_err(refused("consumer"))?;
            consumer.messages().await.map_err(refused("consumer"))
        })?;
        Ok(Box::new(NatsConsumer { messages: Some(messages), runtime }))
    }

    fn conditional(&self) -> Outcome<Box<dyn Conditional>> {
        // One append at a time, and its writer waits for it.
        let place = Workplace::new(Labour::Caller, &self.runtime)?;
        let context = place.block_on(self.connect())?;
        let subjects = (0..self.place.partitions).map(|one| self.subject(one)).collect();
        Ok(Box::new(NatsConditional { context, subjects, place }))
    }
}

struct NatsProducer {
    context: Context,
    lane: UnboundedSender<(PublishAckFuture, Moment)>,
    subjects: Vec<async_nats::Subject>,
    place: Workplace,
}

impl Producer for NatsProducer {
    fn send(&mut self, record: &Outgoing<'_>) -> Outcome<()> {
        let subject = self.subjects.get(record.partition as usize).cloned();
        let subject =
            subject.ok_or_else(|| DriverError::refused("publish", "no such partition"))?;
        let value = bytes::Bytes::copy_from_slice(record.value);
        let sent = self.place.at_once(self.context.publish(subject, value));
        let sent = sent.map_err(refused("publish"))?;
        // The lane ends with its sender, so that it takes whatever is sent.
        let _taken = self.lane.send((sent, record.intended));
        self.place.sent();
        Ok(())
    }

    fn finish(&mut self) -> Outcome<()> {
        self.place.block_on(self.context.client().flush()).map_err(refused("flush"))
    }

    fn take(&mut self, fates: &Receiver<Fate>, wait: Duration) -> Result<Fate, RecvTimeoutError> {
        self.place.take(fates, wait)
    }

    fn rest(&mut self, time: Duration) -> Outcome<()> {
        self.place.rest(time)
    }
}

struct NatsConsumer {
    /// Dropped within its runtime.
    messages: Option<Ordered>,
    runtime: Runtime,
}

impl Consumer for NatsConsumer {
    fn poll(&mut self, wait: Duration, each: &mut dyn FnMut(&[u8])) -> Outcome<()> {
        let Some(messages) = &mut self.messages else { return Ok(()) };
        self.runtime.block_on(async {
            let mut wait = wait;
            for _ in 0..RECORDS_MAX {
                let Ok(Some(read)) = timeout(wait, messages.next()).await else { break };
                each(&read.map_err(refused("consume"))?.payload);
                // The first one may be waited for, those behind it are there or are not.
                wait = Duration::ZERO;
            }
            Ok(())
        })
    }
}

impl Drop for NatsConsumer {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        drop(self.messages.take());
    }
}

/// The condition is the sequence of a subject's last record, 0 if it has none.
struct NatsConditional {
    context: Context,
    subjects: Vec<String>,
    place: Workplace,
}

impl Conditional for NatsConditional {
    fn append(&mut self, record: &Outgoing<'_>, expected: u64) -> Outcome<Appended> {
        let subject = self.subjects.get(record.partition as usize).cloned().unwrap_or_default();
        let value = bytes::Bytes::copy_from_slice(record.value);
        let publish = PublishMessage::build().payload(value);
        let publish = publish.expected_last_subject_sequence(expected);
        let acknowledged = self
            .place
            .block_on(async { self.context.send_publish(subject.clone(), publish).await?.await });
        match acknowledged {
            Ok(ack) => Ok(Appended::Yes { next: ack.sequence }),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                Ok(Appended::Conflict { end: self.last(&subject)? })
            }
            Err(error) => Err(refused("publish")(error)),
        }
    }
}

impl NatsConditional {
    /// The sequence of a subject's last record.
    fn last(&self, subject: &str) -> Outcome<Option<u64>> {
        let (name, _) = subject.split_once('.').unwrap_or((subject, ""));
        self.place.block_on(async {
            let stream = self.context.get_stream_no_info(name).await.map_err(refused("stream"))?;
            let last = stream.get_last_raw_message_by_subject(subject).await;
            last.map(|last| Some(last.sequence)).map_err(refused("last"))
        })
    }
}

fn refused<E: ToString>(what: &'static str) -> impl Fn(E) -> DriverError {
    move |error| DriverError::refused(what, error)
}
