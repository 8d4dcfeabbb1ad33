//! How a member of a group behaves. Apart because it is what users look up.

use std::time::Duration;

use super::assignor::Assignor;
use crate::consumer::Position;
use crate::consumer::settings::{ConsumerSettings, OutOfRange};
use crate::error::ClientError;

/// How a member of a group behaves. Names as in Kafka where Kafka has the setting.
///
/// ```
/// use kolk_client::consumer::Position;
/// use kolk_client::consumer::group::settings::GroupSettings;
///
/// let mut settings = GroupSettings::new("billing");
/// settings.start = Position::Beginning;
/// settings.auto_commit_interval = None;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupSettings {
    /// The group's id.
    pub group: String,
    /// The member's static id: with one, a restart within the session timeout keeps the assignment. Default: none.
    pub instance: Option<String>,
    /// How long the member may be silent before its partitions go to others. Default: 45 s. Range: what the broker
    /// allows, 6 s to 30 min as a rule.
    pub session_timeout: Duration,
    /// How often the member says that it lives. Default: 3 s. Range: below the session timeout.
    pub heartbeat_interval: Duration,
    /// How long the caller may be busy with records before it counts as hung, and how long a rebalance waits for it.
    /// Default: 5 min.
    pub max_poll_interval: Duration,
    /// Assignors that this member knows, best first; a group uses one that all its members know. Default: range,
    /// round robin.
    pub assignors: Vec<Assignor>,
    /// How often positions are committed by themselves; `None` = only by
    /// [`GroupConsumer::commit`](super::GroupConsumer::commit). Default: 5 s.
    pub auto_commit_interval: Option<Duration>,
    /// Where to begin with a partition for which the group has committed nothing. Default: the end.
    pub start: Position,
    /// How records are fetched. Its default here goes on at the end when a committed offset is not in the log.
    pub consumer: ConsumerSettings,
}

impl GroupSettings {
    /// The defaults for a member of this group.
    #[must_use]
    pub fn new(group: impl Into<String>) -> Self {
        let consumer =
            ConsumerSettings { out_of_range: OutOfRange::End, ..ConsumerSettings::default() };
        Self {
            group: group.into(),
            instance: None,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            assignors: vec![Assignor::Range, Assignor::RoundRobin],
            auto_commit_interval: Some(Duration::from_secs(5)),
            start: Position::End,
            consumer,
        }
    }

    pub(super) fn check(&self) -> Result<(), ClientError> {
        let refuse = |name, expected| Err(ClientError::Setting { name, expected });
        if self.group.is_empty() {
            return refuse("group", "a group's id is not empty");
        }
        if self.heartbeat_interval.is_zero() || self.heartbeat_interval >= self.session_timeout {
            return refuse("heartbeat_interval", "more than 0 and less than session_timeout");
        }
        if self.assignors.is_empty() {
            return refuse("assignors", "at least one is expected");
        }
        if self.auto_commit_interval.is_some_and(|interval| interval.is_zero()) {
            return refuse("auto_commit_interval", "more than 0 is expected");
        }
        self.consumer.check()
    }
}
