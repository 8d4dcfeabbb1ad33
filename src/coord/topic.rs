//! One topic as the catalogue knows it, what stays of it after its deletion, and the numbers beside them.

use std::fmt;

use kolk_model::config::overrides::Overrides;
use kolk_model::ids::{LeaderEpoch, TopicId, TopicName};
use kolk_model::time::TimestampMs;
use kolk_model::topic_config::TopicConfig;

/// A cluster's identity for ever, drawn when its first node starts for the first time. Shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ClusterId(u128);

impl ClusterId {
    /// Wraps a plain number.
    #[must_use]
    pub const fn new(value: u128) -> Self {
        Self(value)
    }

    /// Gives the plain number back.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A number for each start of the node, rising; 0 before the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Run(u64);

impl Run {
    /// Wraps a plain number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Gives the plain number back.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The run after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A topic that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its identity, never reused.
    pub id: TopicId,
    /// Its name, unique among the topics that exist.
    pub name: TopicName,
    /// How many partitions it has, numbered from 0; at least 1, never fewer than before.
    pub partitions: u32,
    /// The settings given to it.
    pub overrides: Overrides,
    /// The settings in force: those given to it over the brokers' over the defaults.
    pub config: TopicConfig,
    /// When it was created, by the controller's wall clock.
    pub created_at: TimestampMs,
    /// The run in which it was created.
    pub created_in: Run,
}

impl Topic {
    /// The leader epoch of its partitions in a run: 0 in the run that created it, one more at each start.
    #[must_use]
    pub fn leader_epoch(&self, run: Run) -> LeaderEpoch {
        let starts = run.get().saturating_sub(self.created_in.get());
        // The wire has 31 bits; two thousand million starts are not reached, and saturating never falls.
        LeaderEpoch::new(u32::try_from(starts).unwrap_or(u32::MAX).min(i32::MAX.cast_unsigned()))
    }
}

/// What stays of a deleted topic until no live journal can name its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The deleted topic.
    pub id: TopicId,
    /// The name it had.
    pub name: TopicName,
    /// The run in which it was deleted. The start of the next one replays the last journal that names it.
    pub deleted_in: Run,
}
