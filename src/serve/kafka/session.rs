//! A connection as handlers see it, and one request with its circumstances.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use kolk_io::door::Net;
use kolk_io::time::Monotonic;
use kolk_kafka::api::ApiKey;
use kolk_kafka::frame::{
    CorrelationId, RequestHeader, ResponseTo, ResponseTooLarge, encode_response,
};
use kolk_kafka::message::Message;
use kolk_kafka::wire::Version;
use kolk_metric::net::CloseReason;
use kolk_metric::requests::Call as Counted;
use kolk_shard::group::request::Client;
use kolk_shard::metadata::Metadata;
use kolk_shard::shard::Shard;

use super::door::Door;
use super::fetch_session::OwnSessions;
use super::view::View;
use kolk_connection::budget::Charge;
use kolk_connection::outbox::{self, Outbox, Then};

/// One connection of a Kafka client.
pub(crate) struct Session<N: Net> {
    pub(crate) door: Rc<Door<N>>,
    /// The address that the client connected to.
    pub(crate) local: IpAddr,
    /// The client's own address.
    pub(crate) peer: SocketAddr,
    pub(crate) fetch_sessions: OwnSessions,
}

/// What a handler knows beside its request. Cheap to clone.
pub(crate) struct Context<N: Net> {
    pub(crate) session: Rc<Session<N>>,
    pub(crate) api: ApiKey,
    version: Version,
    correlation_id: CorrelationId,
    /// What the client calls itself; not for the hot calls, which need no copy of it.
    pub(crate) client_id: Option<Rc<str>>,
    is_waiting_over: Rc<Cell<bool>>,
}

impl<N: Net> Clone for Context<N> {
    fn clone(&self) -> Self {
        Self {
            session: Rc::clone(&self.session),
            api: self.api,
            version: self.version,
            correlation_id: self.correlation_id,
            client_id: self.client_id.clone(),
            is_waiting_over: Rc::clone(&self.is_waiting_over),
        }
    }
}

impl<N: Net> Context<N> {
    /// The shard that took the connection; it forwards what is not its own.
    pub(crate) fn shard(&self) -> &Shard<N> {
        &self.session.door.shard
    }

    /// What the door shows of the node.
    pub(crate) fn view(&self) -> &View {
        &self.session.door.view
    }

    /// Which topics exist and who owns their partitions, as of now.
    pub(crate) fn metadata(&self) -> Rc<Metadata> {
        self.shard().metadata()
    }

    /// The address that the client connected to: what it is told where no other is set.
    pub(crate) fn local(&self) -> IpAddr {
        self.session.local
    }

    /// The client as groups show it: its name for itself, and its address after a slash as in Kafka.
    pub(crate) fn group_client(&self) -> Client {
        let host = format!("/{}", self.session.peer.ip().to_canonical());
        Client { id: self.client_id.as_deref().unwrap_or_default().to_owned(), host }
    }

    /// The version of request and response.
    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    /// Waits for something that may take its time, a long poll or a rebalance; `None` when the broker stops
    /// or the client ends its side before.
    pub(crate) async fn unless_over<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        let mut wait = pin!(wait);
        poll_fn(|context| match wait.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if self.is_waiting_over.get() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

/// One request that must be answered.
pub(crate) struct Call<N: Net> {
    pub(crate) context: Context<N>,
    pub(crate) outbox: Outbox,
    charge: Charge,
    at: Monotonic,
}

/// Whether any part of an answer says no; for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is as asked.
    Served,
    /// A part or all was refused.
    Refused,
}

impl<N: Net> Call<N> {
    /// A request that came in on a connection.
    pub(crate) fn new(
        session: &Rc<Session<N>>,
        header: &RequestHeader,
        charge: Charge,
        outbox: &Outbox,
    ) -> Self {
        let is_hot = matches!(header.api, ApiKey::Produce | ApiKey::Fetch);
        let client_id = header.client_id.as_ref().filter(|_| !is_hot);
        let context = Context {
            session: Rc::clone(session),
            api: header.api,
            version: header.version,
            correlation_id: header.correlation_id,
            client_id: client_id.map(|name| name.as_str().into()),
            is_waiting_over: outbox.is_waiting_over(),
        };
        let at = session.door.shard.io().now();
        Self { context, outbox: outbox.clone(), charge, at }
    }

    /// The version of request and response.
    pub(crate) const fn version(&self) -> Version {
        self.context.version
    }

    /// Bytes of the request's frame.
    pub(crate) const fn request_bytes(&self) -> usize {
        self.charge.bytes()
    }

    /// What the answer carries back.
    pub(crate) const fn response_to(&self) -> ResponseTo {
        let Context { version, correlation_id, .. } = self.context;
        ResponseTo { correlation_id, version }
    }

    /// The answer, of the version asked.
    pub(crate) fn answer(self, response: &impl Message) -> outbox::Reply {
        let to = self.response_to();
        let heads = &self.context.session.door.heads;
        match heads.write(|out| encode_response(out, to, response)) {
            Ok(head) => self.finish(head, Vec::new(), Outcome::Served),
            Err(too_large) => self.finish_too_large(too_large),
        }
    }

    /// The end of the connection instead of an answer that is larger than any may be.
    pub(crate) fn finish_too_large(self, too_large: ResponseTooLarge) -> outbox::Reply {
        let Context { session, api, version, .. } = &self.context;
        tracing::debug!(peer = %session.peer, api = api.name(), version = version.get(), %too_large, "no answer");
        self.finish_unanswered(Outcome::Refused, Then::CloseFor(CloseReason::ReplyTooLarge))
    }

    /// An answer written by hand: its head, and the payload behind it.
    pub(crate) fn finish(
        self,
        head: Bytes,
        payload: Vec<Bytes>,
        outcome: Outcome,
    ) -> outbox::Reply {
        self.end(head, payload, outcome, Then::Continue)
    }

    /// No answer, because none is wanted.
    pub(crate) fn finish_unanswered(self, outcome: Outcome, then: Then) -> outbox::Reply {
        self.end(Bytes::new(), Vec::new(), outcome, then)
    }

    fn end(self, head: Bytes, payload: Vec<Bytes>, outcome: Outcome, then: Then) -> outbox::Reply {
        let shard = self.context.shard();
        let counts = shard.metrics().requests.call(counted(self.context.api));
        counts.answered.inc();
        if outcome == Outcome::Refused {
            counts.refused.inc();
        }
        counts.latency_ns.record_ns(shard.io().now().as_ns().saturating_sub(self.at.as_ns()));
        outbox::Reply { head, payload, charge: self.charge, then }
    }
}

/// The counter of an API.
const fn counted(api: ApiKey) -> Counted {
    match api {
        ApiKey::Produce => Counted::Produce,
        ApiKey::Fetch => Counted::Fetch,
        ApiKey::ListOffsets => Counted::ListOffsets,
        ApiKey::Metadata => Counted::Metadata,
        ApiKey::OffsetCommit => Counted::CommitOffsets,
        ApiKey::OffsetFetch => Counted::FetchOffsets,
        ApiKey::FindCoordinator => Counted::FindCoordinator,
        ApiKey::JoinGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::SyncGroup
        | ApiKey::ConsumerGroupHeartbeat => Counted::Group,
        ApiKey::ApiVersions => Counted::ApiVersions,
        ApiKey::CreateTopics => Counted::CreateTopic,
        ApiKey::DeleteTopics => Counted::DeleteTopic,
        ApiKey::DeleteRecords => Counted::Trim,
        ApiKey::InitProducerId => Counted::InitProducer,
        ApiKey::OffsetForLeaderEpoch => Counted::EpochEnd,
        ApiKey::DescribeConfigs => Counted::DescribeTopic,
        ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs => Counted::AlterTopic,
        ApiKey::CreatePartitions => Counted::AddPartitions,
        // The rest is what tools ask now and then.
        _ => Counted::Admin,
    }
}
