//! One replica of one partition.

pub mod producer_snapshot;
pub mod producers;
