//! The connections of one listener on one shard: what they share, how many they are, and the sweep that
//! ends those that keep the broker waiting.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kolk_io::door::{Net, Stream};
use kolk_metric::net::CloseReason;
use kolk_metric::shard::ShardMetrics;
use kolk_shard::request::{CrowdLimits, Crowded};
use kolk_shard::shard::{Entry, Shard};

use crate::budget::{Budget, Charge};
use crate::log_gate::LogGate;
use crate::outbox::{Outbox, OutboxLimits};
use crate::pace::{Contention, Pace, PaceLimits, Pressure};
use crate::receive::ReceivePool;
use crate::share::OutputShare;

/// How often the sweep looks at every connection.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How often a stop looks whether the last connection has ended.
const STOP_INTERVAL: Duration = Duration::from_millis(5);

/// Whether a connection has made a request that was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Stranger,
    Known,
}

/// Largest frame of a stranger that counts as usual: the first request of every client is smaller.
const STRANGER_FRAME_BYTES_MAX: usize = 64 << 10;

/// A frame of a known client counts as usual up to this part of what all may hold.
const USUAL_FRAME_PART: usize = 16;

/// Limits of all connections of one listener and of each.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// How many there may be.
    pub crowd: CrowdLimits,
    /// The patience with each.
    pub pace: PaceLimits,
    /// What each may hold.
    pub outbox: OutboxLimits,
    /// Bytes of request frames that all connections together hold.
    pub request_bytes_max: usize,
    /// Bytes of replies that all connections together hold.
    pub reply_bytes_max: usize,
}

/// The open connections of one listener on one shard. Cloning gives the same.
pub struct Connections<N: Net>(Rc<Shared<N>>);

impl<N: Net> Clone for Connections<N> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

struct Shared<N: Net> {
    io: N,
    /// What counts connections over all shards; none where those of this listener count alone.
    census: Option<Shard<N>>,
    metrics: Rc<ShardMetrics>,
    limits: ConnectionLimits,
    /// What frames of the usual size may hold…
    budget: Budget,
    /// …and what large ones and those of strangers may, who wait for each other and for nobody else.
    budget_large: Budget,
    share: OutputShare,
    pool: ReceivePool,
    gate: LogGate,
    open: RefCell<BTreeMap<u64, Rc<Connection<N>>>>,
    accepted: Cell<u64>,
    held_reported: Cell<u64>,
    is_stopping: Cell<bool>,
    /// The listeners' tasks, to be woken by the stop.
    listeners: RefCell<Vec<Waker>>,
}

/// One connection as its two halves and the sweep see it.
pub(crate) struct Connection<N: Net> {
    pub(crate) id: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) stream: N::Stream,
    pub(crate) outbox: Outbox,
    pub(crate) pace: RefCell<Pace>,
    /// Its place among the clients of the node.
    entry: RefCell<Option<Entry<N>>>,
    /// Why it ends, once that is decided.
    reason: Cell<Option<CloseReason>>,
}

impl<N: Net> Connections<N> {
    /// None open. Its connections count alone.
    pub fn new(io: N, metrics: Rc<ShardMetrics>, limits: ConnectionLimits) -> Self {
        Self::made(io, metrics, limits, None)
    }

    /// None open. Its connections count with those of all other shards.
    pub fn counted(shard: &Shard<N>, limits: ConnectionLimits) -> Self {
        let (io, metrics) = (shard.io().clone(), Rc::clone(shard.metrics()));
        Self::made(io, metrics, limits, Some(shard.clone()))
    }

    fn made(
        io: N,
        metrics: Rc<ShardMetrics>,
        limits: ConnectionLimits,
        census: Option<Shard<N>>,
    ) -> Self {
        Self(Rc::new(Shared {
            io,
            census,
            metrics,
            limits,
            budget: Budget::new(limits.request_bytes_max.div_ceil(2)),
            budget_large: Budget::new(limits.request_bytes_max / 2),
            share: OutputShare::new(limits.reply_bytes_max),
            // Guesses may use a quarter of what frames may.
            pool: ReceivePool::new(limits.request_bytes_max / 4),
            gate: LogGate::default(),
            open: RefCell::default(),
            accepted: Cell::new(0),
            held_reported: Cell::new(0),
            is_stopping: Cell::new(false),
            listeners: RefCell::default(),
        }))
    }

    /// The executor's door.
    pub fn io(&self) -> &N {
        &self.0.io
    }

    /// The shard's counters.
    pub(crate) fn metrics(&self) -> &Rc<ShardMetrics> {
        &self.0.metrics
    }

    /// What a request frame of so many bytes counts against. Who announces much and sends little, as a
    /// stranger's bytes do that are taken for a length, must not hold up those who send what they announce.
    pub(crate) fn budget_for(&self, frame_bytes: usize, standing: Standing) -> &Budget {
        let usual_bytes_max = match standing {
            Standing::Stranger => STRANGER_FRAME_BYTES_MAX,
            Standing::Known => self.0.limits.request_bytes_max / USUAL_FRAME_PART,
        };
        if frame_bytes <= usual_bytes_max { &self.0.budget } else { &self.0.budget_large }
    }

    /// A charge of nothing, for replies to what was no request.
    pub(crate) fn no_charge(&self) -> Charge {
        self.0.budget.no_charge()
    }

    /// The shard's receive buffers.
    pub(crate) fn pool(&self) -> ReceivePool {
        self.0.pool.clone()
    }

    /// What keeps floods out of the log.
    pub(crate) fn gate(&self) -> &LogGate {
        &self.0.gate
    }

    /// Adds an accepted connection; `None` when there are too many: the stream is closed. Whether there are too
    /// many on the node turns out a moment later: who is too many is closed then.
    pub(crate) fn admit(&self, stream: N::Stream, peer: SocketAddr) -> Option<Rc<Connection<N>>> {
        let net = &self.0.metrics.net;
        net.accepted.inc();
        let mut open = self.0.open.borrow_mut();
        let refused = if self.0.is_stopping.get() {
            Some(CloseReason::ShuttingDown)
        } else {
            let connections_max = usize::try_from(self.0.limits.crowd.clients_max);
            let is_full = connections_max.is_ok_and(|max| open.len() >= max);
            is_full.then_some(CloseReason::TooManyConnections)
        };
        if let Some(reason) = refused {
            net.closed(reason).inc();
            self.0.gate.warn(|| {
                tracing::warn!(%peer, reason = reason.name(), open = open.len(), "connection refused");
            });
            return None;
        }
        let id = self.0.accepted.get();
        self.0.accepted.set(id + 1);
        let connection = Rc::new(Connection {
            id,
            peer,
            stream,
            outbox: Outbox::new(self.0.limits.outbox, self.0.share.clone()),
            pace: RefCell::new(Pace::new(self.0.io.now())),
            entry: RefCell::default(),
            reason: Cell::new(None),
        });
        open.insert(id, Rc::clone(&connection));
        drop(open);
        net.connections.inc();
        if let Some(shard) = &self.0.census {
            self.0.io.spawn(count_in(self.clone(), shard.clone(), Rc::clone(&connection)));
        }
        tracing::debug!(%peer, connection = id, "connection accepted");
        Some(connection)
    }

    /// Removes an ended connection, with its reason counted and logged.
    pub(crate) fn remove(&self, connection: &Connection<N>) {
        if self.0.open.borrow_mut().remove(&connection.id).is_none() {
            return;
        }
        drop(connection.entry.take());
        let reason = connection.reason.get().unwrap_or(CloseReason::ByClient);
        let net = &self.0.metrics.net;
        net.connections.dec();
        net.closed(reason).inc();
        let (peer, id) = (connection.peer, connection.id);
        match reason {
            // What is no request, and who is too many, was logged where it was refused.
            CloseReason::ByClient
            | CloseReason::Idle
            | CloseReason::BadFrame
            | CloseReason::FrameTooLarge
            | CloseReason::TooManyConnections
            | CloseReason::ShuttingDown => {
                tracing::debug!(%peer, connection = id, reason = reason.name(), "connection closed");
            }
            _ => self.0.gate.warn(|| {
                tracing::warn!(%peer, connection = id, reason = reason.name(), "connection closed");
            }),
        }
    }

    /// Looks at every connection once a second until the stop, and closes those that are late.
    pub async fn sweep(self) {
        while !self.0.is_stopping.get() {
            self.0.io.sleep(SWEEP_INTERVAL).await;
            self.close_late();
            self.0.gate.next_second();
            let requests = self.0.budget.used() + self.0.budget_large.used();
            let held = requests + self.0.share.queued_bytes();
            let held = u64::try_from(held).unwrap_or(u64::MAX);
            // Several listeners of a shard share the gauge.
            self.0.metrics.net.held_bytes.sub(self.0.held_reported.replace(held));
            self.0.metrics.net.held_bytes.add(held);
        }
    }

    /// Ready once connections are no longer accepted.
    pub(crate) fn poll_stopping(&self, context: &Context<'_>) -> Poll<()> {
        if self.0.is_stopping.get() {
            return Poll::Ready(());
        }
        let mut listeners = self.0.listeners.borrow_mut();
        if !listeners.iter().any(|known| known.will_wake(context.waker())) {
            // Listeners are two or three tasks; each has one waker for all its life.
            listeners.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Takes no more requests, answers those taken, and closes what is left when the drain time is over.
    pub async fn stop(&self) {
        self.0.is_stopping.set(true);
        self.0.listeners.take().into_iter().for_each(Waker::wake);
        let begun = self.0.io.now();
        for connection in self.snapshot() {
            connection.decide(CloseReason::ShuttingDown);
            connection.pace.borrow_mut().drain(begun);
            connection.outbox.end_input();
            connection.outbox.end_waiting();
        }
        while !self.0.open.borrow().is_empty() {
            self.0.io.sleep(STOP_INTERVAL).await;
            if self.0.io.now() - begun >= self.0.limits.pace.drain {
                for connection in self.snapshot() {
                    connection.close(CloseReason::ShuttingDown);
                }
            }
        }
    }

    fn close_late(&self) {
        let now = self.0.io.now();
        let contention = |is: bool| if is { Contention::OthersWait } else { Contention::None };
        let awaited = [&self.0.budget, &self.0.budget_large].into_iter();
        let used = awaited.filter(|budget| budget.is_contended()).map(Budget::used).min();
        let replies = contention(self.0.share.queued_bytes() > self.0.limits.reply_bytes_max / 2);
        let open = self.snapshot();
        for connection in &open {
            // Of memory that is used up somebody holds an equal part or more, however many share it.
            let held = connection.outbox.request_bytes();
            let holds_much = |used| held > 0 && held.saturating_mul(open.len()) >= used;
            let pressure = Pressure {
                requests: contention(used.is_some()),
                held: contention(used.is_some_and(holds_much)),
                replies,
            };
            let verdict = connection.pace.borrow().verdict(now, &self.0.limits.pace, pressure);
            if let Some(reason) = verdict {
                connection.close(reason);
            }
        }
    }

    /// The open connections; what is done to one may remove it.
    fn snapshot(&self) -> Vec<Rc<Connection<N>>> {
        self.0.open.borrow().values().cloned().collect()
    }
}

/// Counts a connection among those of the node, and closes it if there are too many.
async fn count_in<N: Net>(
    connections: Connections<N>,
    shard: Shard<N>,
    connection: Rc<Connection<N>>,
) {
    let address = connection.peer.ip().to_canonical();
    let Connection { peer, id, .. } = &*connection;
    match shard.enter(address, connections.0.limits.crowd).await {
        // One that has ended meanwhile counts no more.
        Ok(entry) if connections.0.open.borrow().contains_key(id) => {
            *connection.entry.borrow_mut() = entry;
        }
        Ok(_) => {}
        Err(crowded) => {
            let too_many = match crowded {
                Crowded::Node => "the node has as many as it takes",
                Crowded::Address => "there are as many from this address as may be",
            };
            connections.gate().warn(|| {
                tracing::warn!(%peer, connection = id, too_many, "connection refused");
            });
            connection.close(CloseReason::TooManyConnections);
        }
    }
}

impl<N: Net> Connection<N> {
    /// Decides why the connection ends, unless that is decided already.
    pub(crate) fn decide(&self, reason: CloseReason) {
        if self.reason.get().is_none() {
            self.reason.set(Some(reason));
        }
    }

    /// Ends the connection at once: nothing more is read or sent.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.decide(reason);
        self.outbox.abort();
        self.stream.shutdown();
    }
}
