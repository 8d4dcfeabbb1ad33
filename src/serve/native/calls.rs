//! What each native call does: begins it on the shard, and makes its reply from the answer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, StreamExt as _};
use kolk_io::door::Net;
use kolk_io::time::Monotonic;
use kolk_metric::requests::Call;
use kolk_model::config::overrides::Overrides;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{TopicId, TopicName, TopicPartition};
use kolk_model::limits::FETCH_BYTES_MAX;
use kolk_native::reply::group::GroupReply;
use kolk_native::reply::{
    AssignedProducer, CreateTopicReply, FetchReply, HelloReply, ListOffsetsReply, ProduceRefusal,
    ProduceReply, Produced, Refusal, Reply, StatsReply, TrimReply,
};
use kolk_native::request::{
    AddPartitions, AlterTopic, CorrelationId, CreateTopic, Fetch, Hello, ListOffsets, Produce,
    ProducePartition, Request, Trim,
};
use kolk_shard::group::request::Client;
use kolk_shard::request::{
    AddPartitionsOp, AlterTopicOp, ConfigChange, CreateTopicOp, Intent, ProduceOp,
};
use kolk_shard::shard::{Producing, Shard};

use super::groups::Asker;
use super::identity::Identity;
use super::metadata_reply::metadata_reply;
use super::reply_writer::ReplyWriter;
use super::translate;
use crate::inflation::Inflation;
use crate::lists::Lists;
use kolk_connection::budget::Charge;
use kolk_connection::outbox::{self, Outbox, Then};

/// The calls of one shard's native connections.
pub(crate) struct Calls<N: Net> {
    pub(crate) shard: Shard<N>,
    pub(crate) identity: Rc<Identity>,
    pub(crate) writer: ReplyWriter,
    pub(crate) frame_bytes_max: usize,
    pub(crate) lists: CallLists,
}

/// What produce requests have lists of.
#[derive(Default)]
pub(crate) struct CallLists {
    pub(super) partitions: Lists<ProducePartition>,
    appends: Lists<Producing>,
    produced: Lists<Result<Produced, ProduceRefusal>>,
}

/// A request's circumstances.
pub(crate) struct Received {
    pub(crate) correlation: CorrelationId,
    pub(crate) charge: Charge,
    /// The protocol version agreed on.
    pub(crate) version: u16,
    /// The host that this client is told.
    pub(crate) host: Rc<str>,
    /// The client, as groups show their members.
    pub(crate) client: Rc<Client>,
}

/// What the reply to a begun call needs.
pub(super) struct Begun {
    correlation: CorrelationId,
    charge: Charge,
    call: Call,
    at: Monotonic,
}

impl<N: Net> Calls<N> {
    /// Begins a call. What it does to logs begins here, in the order of the calls; its reply comes through
    /// the outbox.
    pub(crate) fn begin(self: Rc<Self>, received: Received, request: Request, outbox: &Outbox) {
        let Received { correlation, charge, version, host, client } = received;
        let call = translate::call(request.kind());
        let begun = Begun { correlation, charge, call, at: self.shard.io().now() };
        match request {
            Request::Produce(produce) => self.produce(begun, produce, outbox),
            Request::Fetch(fetch) => self.fetch(begun, fetch, outbox),
            Request::Metadata(query) => {
                let metadata = self.shard.metadata();
                let reply = metadata_reply(&query, &metadata, &self.identity, &host);
                outbox.submit_ready(self.finish(begun, Reply::Metadata(reply)));
            }
            Request::Group(call) => self.group(begun, call, Asker { client, host }, outbox),
            Request::Hello(hello) => {
                let calls = Rc::clone(&self);
                self.later(begun, outbox, async move { calls.hello(hello, version).await });
            }
            other => {
                let calls = Rc::clone(&self);
                self.later(begun, outbox, async move {
                    calls.control(other).await.unwrap_or_else(Reply::Refused)
                });
            }
        }
    }

    /// Answers a request that is whole but asks for something impossible.
    pub(crate) fn refuse(
        &self,
        correlation: CorrelationId,
        refusal: Refusal,
        charge: Charge,
        outbox: &Outbox,
    ) {
        let (head, payload) = self.writer.write(correlation, &mut Reply::Refused(refusal));
        outbox.submit_ready(outbox::Reply { head, payload, charge, then: Then::Continue });
    }

    /// The bytes of a reply.
    pub(crate) fn write(
        &self,
        correlation: CorrelationId,
        reply: &mut Reply,
    ) -> (Bytes, Vec<Bytes>) {
        self.writer.write(correlation, reply)
    }

    fn produce(self: Rc<Self>, begun: Begun, produce: Produce, outbox: &Outbox) {
        let frame_bytes = begun.charge.bytes();
        let Produce { durability: wait, mut partitions } = produce;
        // All are begun before one is waited for, so waiting in order costs as much as the slowest.
        let mut appends = self.lists.appends.take();
        let inflation = Inflation::of(&self.shard, frame_bytes);
        appends.extend(partitions.drain(..).map(|part| {
            if let Err(refusal) = inflation.check() {
                return Producing::refused(refusal);
            }
            self.shard.produce(ProduceOp {
                partition: part.id,
                batches: part.batches,
                wait,
                expected_next_offset: part.expected_next_offset,
            })
        }));
        self.lists.partitions.give(partitions);
        let reply = async move {
            let mut partitions = self.lists.produced.take();
            partitions.reserve(appends.len());
            for append in appends.drain(..) {
                partitions.push(translate::produced(append.await));
            }
            self.lists.appends.give(appends);
            self.finish(begun, Reply::Produce(ProduceReply { partitions }))
        };
        outbox.submit_ordered(frame_bytes, Box::pin(reply));
    }

    fn fetch(self: Rc<Self>, begun: Begun, fetch: Fetch, outbox: &Outbox) {
        let frame_bytes = begun.charge.bytes();
        let asked = usize::try_from(fetch.bytes_max.min(FETCH_BYTES_MAX)).unwrap_or(usize::MAX);
        let grant = outbox.grant_fetch(asked);
        let slots = fetch.partitions.len();
        let mut read = self.shard.fetch(translate::fetch(&fetch, grant.bytes()));
        // Records at hand are answered at once, without a future to keep.
        if let Some(slots) = read.is_done().then(|| (&mut read).now_or_never()).flatten() {
            drop(grant);
            let partitions = slots.into_iter().map(translate::fetched).collect();
            outbox.submit_ready(self.finish(begun, Reply::Fetch(FetchReply { partitions })));
            return;
        }
        let is_waiting_over = outbox.is_waiting_over();
        let reply = async move {
            let mut read = pin!(read);
            let partitions = poll_fn(|context| match read.as_mut().poll(context) {
                Poll::Ready(slots) => {
                    Poll::Ready(slots.into_iter().map(translate::fetched).collect())
                }
                Poll::Pending if is_waiting_over.get() => {
                    Poll::Ready(translate::fetch_cut_short(slots))
                }
                Poll::Pending => Poll::Pending,
            })
            .await;
            drop(grant);
            self.finish(begun, Reply::Fetch(FetchReply { partitions }))
        };
        outbox.submit_unordered(frame_bytes, Box::pin(reply));
    }

    /// A call whose reply needs no order.
    pub(super) fn later(
        self: Rc<Self>,
        begun: Begun,
        outbox: &Outbox,
        reply: impl Future<Output = Reply> + 'static,
    ) {
        let frame_bytes = begun.charge.bytes();
        let reply = async move {
            let reply = reply.await;
            self.finish(begun, reply)
        };
        outbox.submit_unordered(frame_bytes, Box::pin(reply));
    }

    fn finish(&self, begun: Begun, mut reply: Reply) -> outbox::Reply {
        let Begun { correlation, charge, call, at } = begun;
        let counts = self.shard.metrics().requests.call(call);
        counts.answered.inc();
        if has_refusal(&reply) {
            counts.refused.inc();
        }
        counts.latency_ns.record_ns(self.shard.io().now().as_ns().saturating_sub(at.as_ns()));
        let (head, payload) = self.writer.write(correlation, &mut reply);
        if let Reply::Produce(ProduceReply { partitions }) = reply {
            self.lists.produced.give(partitions);
        }
        outbox::Reply { head, payload, charge, then: Then::Continue }
    }

    async fn hello(&self, hello: Hello, protocol_version: u16) -> Reply {
        let producer = match hello.wants_producer_id {
            false => None,
            true => match self.assign_producer().await {
                Ok(producer) => Some(producer),
                Err(refusal) => return Reply::Refused(refusal),
            },
        };
        Reply::Hello(HelloReply {
            protocol_version,
            features: 0,
            broker_version: self.identity.broker_version.to_owned(),
            cluster_id: self.shard.metadata().cluster().to_string(),
            node: self.identity.node(),
            shard: self.shard.id(),
            frame_bytes_max: u32::try_from(self.frame_bytes_max).unwrap_or(u32::MAX),
            producer,
        })
    }

    /// Everything that is neither hot nor in need of the connection.
    async fn control(&self, request: Request) -> Result<Reply, Refusal> {
        match request {
            Request::InitProducer => self.assign_producer().await.map(Reply::InitProducer),
            Request::CreateTopic(create) => self.create_topic(create).await,
            Request::DeleteTopic(name) => {
                let deleted = self.shard.delete_topic(self.topic(&name)?).await;
                deleted.map(|()| Reply::DeleteTopic).map_err(translate::refusal)
            }
            Request::AlterTopic(alter) => self.alter_topic(alter).await,
            Request::AddPartitions(AddPartitions { name, partitions }) => {
                let (topic, intent) = (self.topic(&name)?, Intent::Carry);
                let op = AddPartitionsOp { topic, partitions, intent };
                let added = self.shard.add_partitions(op).await;
                added.map(|()| Reply::AddPartitions).map_err(translate::refusal)
            }
            Request::DescribeTopic(name) => {
                let described = self.shard.describe_topic(self.topic(&name)?).await;
                described
                    .map(|topic| Reply::DescribeTopic(translate::described(topic)))
                    .map_err(translate::refusal)
            }
            Request::Trim(trim) => self.trim(trim).await,
            Request::ListOffsets(list) => Ok(self.list_offsets(list).await),
            Request::Stats => self.stats().await,
            // Begun elsewhere, or newer than this broker.
            _ => Err(Refusal::new(ErrorCode::UnsupportedVersion, "the call is not known here")),
        }
    }

    /// The id of a topic by its name.
    fn topic(&self, name: &TopicName) -> Result<TopicId, Refusal> {
        let metadata = self.shard.metadata();
        metadata.topic_named(name.as_str()).map(|topic| topic.id).ok_or_else(|| {
            let detail = format!("there is no topic '{name}'");
            Refusal::new(ErrorCode::UnknownTopicOrPartition, detail)
        })
    }

    async fn assign_producer(&self) -> Result<AssignedProducer, Refusal> {
        let assigned = self.shard.assign_producer_id().await.map_err(translate::refusal)?;
        Ok(AssignedProducer { id: assigned.id, epoch: assigned.epoch })
    }

    async fn create_topic(&self, create: CreateTopic) -> Result<Reply, Refusal> {
        let mut config = Overrides::topic();
        for (name, value) in &create.settings {
            let set = config.set(name, value);
            set.map_err(|error| Refusal::new(ErrorCode::InvalidConfig, error.to_string()))?;
        }
        let intent = if create.validate_only { Intent::Validate } else { Intent::Carry };
        let CreateTopic { name, partitions, .. } = create;
        let op = CreateTopicOp { name, partitions, config, intent };
        let created = self.shard.create_topic(op).await.map_err(translate::refusal)?;
        Ok(Reply::CreateTopic(CreateTopicReply { id: created.id, partitions: created.partitions }))
    }

    async fn alter_topic(&self, alter: AlterTopic) -> Result<Reply, Refusal> {
        let topic = self.topic(&alter.name)?;
        let set = alter.set.into_iter().map(|(name, value)| ConfigChange::Set { name, value });
        let reset = alter.reset.into_iter().map(|name| ConfigChange::Reset { name });
        let op = AlterTopicOp { topic, changes: set.chain(reset).collect(), intent: Intent::Carry };
        let altered = self.shard.alter_topic(op).await;
        altered.map(|()| Reply::AlterTopic).map_err(translate::refusal)
    }

    async fn trim(&self, trim: Trim) -> Result<Reply, Refusal> {
        let topic = self.topic(&trim.name)?;
        let trimming: FuturesOrdered<_> = trim
            .partitions
            .into_iter()
            .map(|part| self.shard.trim(TopicPartition::new(topic, part.partition), part.before))
            .collect();
        let partitions =
            trimming.map(|trimmed| trimmed.map_err(translate::refusal)).collect().await;
        Ok(Reply::Trim(TrimReply { partitions }))
    }

    async fn list_offsets(&self, list: ListOffsets) -> Reply {
        let listing: FuturesOrdered<_> = list
            .queries
            .into_iter()
            .map(|query| self.shard.list_offset(query.id, translate::place(query.place)))
            .collect();
        let partitions = listing
            .map(|listed| listed.map(translate::listed).map_err(translate::refusal))
            .collect()
            .await;
        Reply::ListOffsets(ListOffsetsReply { partitions })
    }

    async fn stats(&self) -> Result<Reply, Refusal> {
        let stats = self.shard.describe_stats().await.map_err(translate::refusal)?;
        let uptime_ns = self.shard.io().now().as_ns().saturating_sub(self.identity.started_ns);
        Ok(Reply::Stats(StatsReply {
            broker_version: self.identity.broker_version.to_owned(),
            uptime_ms: uptime_ns / 1_000_000,
            shards: u32::try_from(self.identity.shard_ports.len()).unwrap_or(u32::MAX),
            stats: translate::stats(&stats.snapshots),
        }))
    }
}

/// Whether any part of the reply says no.
fn has_refusal(reply: &Reply) -> bool {
    match reply {
        Reply::Refused(_) => true,
        Reply::Produce(reply) => reply.partitions.iter().any(Result::is_err),
        Reply::Fetch(reply) => reply.partitions.iter().any(|part| part.batches.is_err()),
        Reply::Trim(reply) => reply.partitions.iter().any(Result::is_err),
        Reply::ListOffsets(reply) => reply.partitions.iter().any(Result::is_err),
        Reply::Group(GroupReply::Join(joined)) => joined.is_err(),
        Reply::Group(GroupReply::Leave(codes) | GroupReply::CommitOffsets(codes)) => {
            codes.iter().any(|code| !code.is_ok())
        }
        _ => false,
    }
}
