//! Opens a shard's doors and closes them: what the root calls.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use kolk_io::door::{Net, Stream};
use kolk_io::error::IoError;
use kolk_io::net::BoundSocket;
use kolk_model::limits::FRAME_BYTES_MAX;
use kolk_shard::request::CrowdLimits;
use kolk_shard::shard::Shard;
use thiserror::Error;

use crate::http::resources::{ReadAll, Readiness, Readings, Resources};
use crate::http::wire::HttpWire;
use crate::kafka::door::Door;
use crate::kafka::view::{DoorKind, KafkaIdentity};
use crate::kafka::wire::KafkaWire;
use crate::native::calls::{CallLists, Calls};
use crate::native::identity::Identity;
use crate::native::reply_writer::ReplyWriter;
use crate::native::wire::NativeWire;
use crate::settings::ServeSettings;
use kolk_connection::accept::accept;
use kolk_connection::connections::{ConnectionLimits, Connections};
use kolk_connection::outbox::OutboxLimits;
use kolk_connection::pace::PaceLimits;

/// Slowest average rate of a frame, in bytes a second, once its stall time is over.
const FRAME_BYTES_PER_SECOND_MIN: u64 = 16 << 10;

/// Patience with half a frame while others wait for memory.
const FRAME_STALL_CONTENDED: Duration = Duration::from_secs(2);

/// Patience with a client that reads none of its replies while such replies hold much of the memory.
const WRITE_STALL_CONTENDED: Duration = Duration::from_secs(30);

/// The same with one whose requests hold memory that others wait for: they can send nothing meanwhile.
const WRITE_STALL_HOLDING: Duration = Duration::from_secs(5);

/// Slowest average rates, in bytes a second, at which a client reads what was handed to its socket at once, beyond
/// those times. Some clients read only as fast as their application takes records, and are slow without ill will:
/// while there is memory they are left alone.
const WRITE_BYTES_PER_SECOND_MIN: u64 = 1 << 10;
const WRITE_BYTES_PER_SECOND_MIN_CONTENDED: u64 = 16 << 10;

/// Connections of the HTTP door: scrapers and probes.
const HTTP_CONNECTIONS_MAX: u32 = 128;

/// Patience with HTTP clients: for a whole request, for reading the reply, between requests.
const HTTP_STALL: Duration = Duration::from_secs(10);
const HTTP_IDLE: Duration = Duration::from_secs(60);
const HTTP_REPLY_BYTES_MAX: usize = 16 << 20;

/// The sockets of one shard, bound and not yet listening.
#[derive(Debug)]
pub struct ShardDoors {
    /// The node's common native door; every shard has the same socket and accepts from it.
    pub common: BoundSocket,
    /// The shard's own native door.
    pub own: BoundSocket,
    /// The node's Kafka door, if it is open; every shard has the same socket.
    pub kafka_common: Option<BoundSocket>,
    /// The shard's own Kafka door, if it is open.
    pub kafka_own: Option<BoundSocket>,
    /// The HTTP door, on shard 0 alone.
    pub http: Option<BoundSocket>,
}

/// Why a shard's doors can't be opened. The operator's matter: ports, addresses or limits.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The kernel refused to listen.
    #[error("{address} can't be listened on: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        error: IoError,
    },
}

/// A shard's open doors. Lives on that shard's core.
pub struct Serving<N: Net> {
    clients: Connections<N>,
    http: Option<(Connections<N>, Rc<Resources>)>,
}

impl<N: Net> Serving<N> {
    /// Opens the doors of `shard`: from here on connections are accepted.
    ///
    /// The common door is one socket for all shards. Each accepts from it with its own ring, and the kernel
    /// wakes one of those that wait, in turn: connections spread evenly, a shard that is busy takes none,
    /// no descriptor is handed from core to core, and a second broker on the port is refused, which
    /// SO_REUSEPORT would let in.
    ///
    /// # Errors
    /// [`ServeError::Listen`].
    pub fn open(
        shard: &Shard<N>,
        settings: &ServeSettings,
        identity: Identity,
        kafka_identity: KafkaIdentity,
        doors: ShardDoors,
    ) -> Result<Self, ServeError> {
        let ShardDoors { common, own, kafka_common, kafka_own, http } = doors;
        let io = shard.io();
        let identity = Rc::new(identity);
        let calls = Rc::new(Calls {
            shard: shard.clone(),
            identity: Rc::clone(&identity),
            writer: ReplyWriter::new(FRAME_BYTES_MAX),
            frame_bytes_max: settings.frame_bytes_max,
            lists: CallLists::default(),
        });
        // Connections of both wires count together, and share what they may hold.
        let clients = Connections::counted(shard, client_limits(settings));
        for socket in [common, own] {
            let bound = socket.local_address();
            let listener = listen(io, socket)?;
            let (calls, identity) = (Rc::clone(&calls), Rc::clone(&identity));
            let frame_bytes_max = settings.frame_bytes_max;
            let make_wire = move |stream: &N::Stream, peer: SocketAddr| {
                let local = stream.local_address().map_or(bound.ip(), |address| address.ip());
                let host = identity.host(local).into();
                NativeWire::new(Rc::clone(&calls), host, peer, frame_bytes_max)
            };
            io.spawn(accept(clients.clone(), listener, make_wire));
        }
        let kafka_identity = Rc::new(kafka_identity);
        for (kind, socket) in [(DoorKind::Node, kafka_common), (DoorKind::Shard, kafka_own)] {
            let Some(socket) = socket else { continue };
            let door = Door::new(shard.clone(), Rc::clone(&kafka_identity), kind, settings);
            open_kafka(&clients, Rc::new(door), socket)?;
        }
        io.spawn(clients.clone().sweep());
        let http = http.map(|socket| open_http(shard, socket)).transpose()?;
        Ok(Self { clients, http })
    }

    /// Says whether the broker takes requests, for `/ready`.
    pub fn set_readiness(&self, readiness: Readiness) {
        if let Some((_, resources)) = &self.http {
            resources.readiness.set(readiness);
        }
    }

    /// Closes the doors, answers the requests taken in, and ends every connection. Takes at most the drain
    /// time twice: HTTP goes last, so that `/ready` can say why.
    pub async fn close(self) {
        self.set_readiness(Readiness::Stopping);
        self.clients.stop().await;
        if let Some((connections, _)) = self.http {
            connections.stop().await;
        }
    }
}

fn listen<N: Net>(io: &N, socket: BoundSocket) -> Result<N::Listener, ServeError> {
    let address = socket.local_address();
    io.listen(socket).map_err(|error| ServeError::Listen { address, error })
}

/// Lets clients in through one Kafka door of a shard.
fn open_kafka<N: Net>(
    clients: &Connections<N>,
    door: Rc<Door<N>>,
    socket: BoundSocket,
) -> Result<(), ServeError> {
    let bound = socket.local_address();
    let listener = listen(clients.io(), socket)?;
    let make_wire = move |stream: &N::Stream, peer: SocketAddr| {
        let local = stream.local_address().unwrap_or(bound);
        KafkaWire::new(Rc::clone(&door), local, peer)
    };
    clients.io().spawn(accept(clients.clone(), listener, make_wire));
    Ok(())
}

fn client_limits(settings: &ServeSettings) -> ConnectionLimits {
    ConnectionLimits {
        crowd: CrowdLimits {
            clients_max: settings.connections_max,
            same_address_max: settings.connections_per_address_max,
        },
        pace: PaceLimits {
            frame_stall: settings.frame_stall,
            frame_stall_contended: FRAME_STALL_CONTENDED.min(settings.frame_stall),
            frame_bytes_per_second_min: FRAME_BYTES_PER_SECOND_MIN,
            write_stall: settings.write_stall,
            write_stall_contended: WRITE_STALL_CONTENDED.min(settings.write_stall),
            write_stall_holding: WRITE_STALL_HOLDING.min(settings.write_stall),
            write_bytes_per_second_min: WRITE_BYTES_PER_SECOND_MIN,
            write_bytes_per_second_min_contended: WRITE_BYTES_PER_SECOND_MIN_CONTENDED,
            idle: settings.connection_idle,
            drain: settings.drain,
        },
        outbox: OutboxLimits {
            requests_max: settings.connection_requests_max,
            request_bytes_max: settings.connection_request_bytes_max,
            reply_bytes_max: settings.connection_reply_bytes_max,
        },
        request_bytes_max: settings.shard_request_bytes_max,
        reply_bytes_max: settings.shard_reply_bytes_max,
    }
}

fn open_http<N: Net>(
    shard: &Shard<N>,
    socket: BoundSocket,
) -> Result<(Connections<N>, Rc<Resources>), ServeError> {
    let (io, metrics) = (shard.io(), shard.metrics());
    let limits = ConnectionLimits {
        crowd: CrowdLimits {
            clients_max: HTTP_CONNECTIONS_MAX,
            same_address_max: HTTP_CONNECTIONS_MAX,
        },
        pace: PaceLimits {
            frame_stall: HTTP_STALL,
            frame_stall_contended: HTTP_STALL,
            frame_bytes_per_second_min: FRAME_BYTES_PER_SECOND_MIN,
            write_stall: HTTP_STALL,
            write_stall_contended: HTTP_STALL,
            write_stall_holding: HTTP_STALL,
            write_bytes_per_second_min: WRITE_BYTES_PER_SECOND_MIN_CONTENDED,
            write_bytes_per_second_min_contended: WRITE_BYTES_PER_SECOND_MIN_CONTENDED,
            idle: HTTP_IDLE,
            drain: HTTP_STALL / 10,
        },
        outbox: OutboxLimits {
            requests_max: 16,
            request_bytes_max: 64 << 10,
            reply_bytes_max: HTTP_REPLY_BYTES_MAX,
        },
        request_bytes_max: 1 << 20,
        reply_bytes_max: HTTP_REPLY_BYTES_MAX,
    };
    let read_all = read_all(shard);
    let resources = Rc::new(Resources { read_all, readiness: Readiness::default().into() });
    let connections = Connections::new(io.clone(), Rc::clone(metrics), limits);
    let listener = listen(io, socket)?;
    let make_wire = {
        let (io, metrics, resources) = (io.clone(), Rc::clone(metrics), Rc::clone(&resources));
        move |_: &N::Stream, _: SocketAddr| HttpWire {
            io: io.clone(),
            metrics: Rc::clone(&metrics),
            resources: Rc::clone(&resources),
        }
    };
    io.spawn(accept(connections.clone(), listener, make_wire));
    io.spawn(connections.clone().sweep());
    Ok((connections, resources))
}

fn read_all<N: Net>(shard: &Shard<N>) -> ReadAll {
    let shard = shard.clone();
    Box::new(move || {
        let (stats, metrics) = (shard.describe_stats(), Rc::clone(shard.metrics()));
        Box::pin(async move {
            match stats.await {
                Ok(stats) => Readings { shards: stats.snapshots, partitions: stats.partitions },
                // The broker stops: this shard's own counters are still there.
                Err(_) => Readings { shards: vec![metrics.snapshot()], partitions: Vec::new() },
            }
        })
    })
}

#[cfg(test)]
mod tests;
