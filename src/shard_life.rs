//! The life of one shard on its executor: opened, told to listen, told to stop.

use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use kolk_io::channel::Receiver;
use kolk_io::door::Io;
use kolk_io::uring::uring_io::UringIo;
use kolk_metric::shard::ShardMetrics;
use kolk_serve::door::{ServeError, Serving, ShardDoors};
use kolk_serve::http::resources::Readiness;
use kolk_serve::kafka::view::KafkaIdentity;
use kolk_serve::native::identity::Identity;
use kolk_serve::settings::ServeSettings;
use kolk_shard::mesh::Seat;
use kolk_shard::settings::ShardSettings;
use kolk_shard::shard::{Shard, StopError};
use kolk_shard::start::{ShardPart, StartError};
use thiserror::Error;

/// How often the executor's punctuality is measured.
const LAG_INTERVAL: Duration = Duration::from_millis(100);

/// Everything a shard starts with; made by the starting thread, moved to the executor.
pub(crate) struct ShardSeed {
    pub(crate) part: ShardPart,
    pub(crate) seat: Seat,
    pub(crate) settings: ShardSettings,
    pub(crate) serve: ServeSettings,
    pub(crate) identity: Identity,
    pub(crate) kafka_identity: KafkaIdentity,
    pub(crate) doors: ShardDoors,
    pub(crate) orders: Receiver<Order>,
    pub(crate) reports: mpsc::Sender<Result<Report, ShardFailure>>,
}

/// What the starting thread tells a shard. The end of the channel means [`Order::Stop`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Every shard is open: accept connections.
    Listen,
    /// Answer what is in flight and come to rest.
    Stop,
}

/// What a shard tells the starting thread, once each, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// Its logs are open and it is connected with the other shards.
    Open,
    /// Its doors are open.
    Listening,
}

/// Why a shard did not come up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShardFailure {
    /// Its part of the data can't be opened.
    #[error(transparent)]
    Open(#[from] StartError),
    /// Its doors can't be opened.
    #[error(transparent)]
    Listen(#[from] ServeError),
}

/// Runs a shard until it is told to stop.
pub(crate) async fn run(io: UringIo, seed: ShardSeed) -> Result<(), StopError> {
    let ShardSeed { part, seat, settings, serve, orders, reports, .. } = seed;
    let (mut identity, kafka_identity, doors) = (seed.identity, seed.kafka_identity, seed.doors);
    let metrics = Rc::new(ShardMetrics::new(part.shard().get()));
    io.spawn(watch_reactor(io.clone(), Rc::clone(&metrics)));
    // A report nobody hears means that the start was given up: the orders' end says so next.
    let report = |report: Result<Report, ShardFailure>| reports.send(report).unwrap_or(());
    let shard = match Shard::open(io.clone(), part, settings, metrics).await {
        Ok(shard) => shard,
        Err(error) => {
            report(Err(error.into()));
            return Ok(());
        }
    };
    seat.connect(&shard);
    report(Ok(Report::Open));
    let mut serving = None;
    if orders.recv().await == Some(Order::Listen) {
        identity.started_ns = io.now().as_ns();
        match Serving::open(&shard, &serve, identity, kafka_identity, doors) {
            Ok(open) => {
                open.set_readiness(Readiness::Ready);
                serving = Some(open);
                report(Ok(Report::Listening));
            }
            Err(error) => report(Err(error.into())),
        }
        // Whatever comes now, or the end of the channel, is the stop.
        orders.recv().await;
    }
    let begun = io.now();
    if let Some(serving) = serving {
        serving.close().await;
    }
    // Closing has its own bound; half of the time is kept for the logs whatever it took.
    let limit = Duration::from_millis(shard.settings().stop_ms_max);
    shard.stop_within(limit.saturating_sub(io.now() - begun).max(limit / 2)).await
}

/// Measures how late timers run, and takes over what the ring counts.
async fn watch_reactor(io: UringIo, metrics: Rc<ShardMetrics>) {
    let mut enters = 0;
    loop {
        let due = io.now() + LAG_INTERVAL;
        io.sleep(LAG_INTERVAL).await;
        let late = io.now() - due;
        metrics.reactor.lag_ns.record_ns(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
        let counts = io.ring_counts();
        metrics.reactor.ring_submits.add(counts.enters - enters);
        metrics.reactor.ring_in_flight.set(counts.submissions.saturating_sub(counts.answers));
        enters = counts.enters;
    }
}
