//! Counters, gauges and histograms that one core owns.
//!
//! Every instrument is a plain cell: a shard counts without atomics, and only a
//! [`MetricsSnapshot`](shard::MetricsSnapshot) (plain values) leaves its core. There is no global registry: a shard
//! builds one [`ShardMetrics`](shard::ShardMetrics), hands `Rc` clones to those who count, and whoever
//! answers `/metrics` renders the snapshots of all shards with [`prometheus::render`].

pub mod prometheus;

pub mod shard;

pub mod copies;
pub mod journal;
pub mod log;
pub mod memory;
pub mod net;
pub mod reactor;
pub mod requests;

mod family;

pub mod instrument;
