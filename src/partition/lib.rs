//! One replica of one partition: its log, the producers it remembers, its high watermark, and whoever waits
//! for them. Apart from the shard because it knows neither cores nor connections: requests come in as
//! values, and who may be answered goes out as [`effect::Effect`]s.
//!
//! A module names only modules listed below it.

pub mod partition;
pub mod rebuild;

pub mod saving;

mod waiting;

mod intake;

mod turned_away;

pub mod effect;
pub mod error;
pub mod limits;
pub mod producer_snapshot;
pub mod producers;
