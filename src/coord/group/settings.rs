//! What of the broker's settings a coordinator heeds, by Kafka's names and with Kafka's defaults.

use std::str::FromStr;

use kolk_model::config::definition::ConfigError;
use kolk_model::config::layers::BrokerOverrides;

/// Settings of every group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`: a shorter wish is refused. Default: 6,000.
    pub session_timeout_ms_min: u32,
    /// `group.max.session.timeout.ms`: a longer wish is refused. Default: 1,800,000.
    pub session_timeout_ms_max: u32,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members after the first
    /// one. Default: 3,000.
    pub initial_rebalance_delay_ms: u32,
    /// `group.max.size`: members of a group. Beyond: refused with `GROUP_MAX_SIZE_REACHED`. Default: 2^31 − 1.
    pub group_size_max: u32,
    /// `offset.metadata.max.bytes`: bytes of the text beside an offset. Beyond: that offset is refused.
    /// Default: 4,096.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`, in ms: how long offsets of a group without members are kept.
    /// Default: 7 days.
    pub offsets_retention_ms: u64,
    /// `offsets.retention.check.interval.ms`: how often old offsets are looked for. Default: 600,000.
    pub offsets_retention_check_interval_ms: u64,
    /// How long a member that was never answered stays in a rebalance, in ms. Kafka's constant: 5 minutes.
    pub new_member_timeout_ms: u32,
    /// `group.consumer.max.size`: members of a consumer group. Beyond: refused with `GROUP_MAX_SIZE_REACHED`.
    /// Default: 2^31 − 1.
    pub consumer_group_size_max: u32,
    /// `group.consumer.session.timeout.ms`: how long members may be silent after a load, before they were heard
    /// of. Default: 45,000.
    pub consumer_session_timeout_ms: u32,
    /// `group.consumer.migration.policy`: which way a group with members may go from one protocol to the other.
    /// Default: both.
    pub migration: MigrationPolicy,
    /// Bytes of the members of one group, so that its record fits a batch. Beyond: joins are refused with
    /// `GROUP_MAX_SIZE_REACHED`, an assignment with `UNKNOWN_SERVER_ERROR`. Default: 8 MiB.
    pub group_bytes_max: usize,
    /// Bytes of the records that one request to store or forget offsets makes. Beyond: it is refused whole, with
    /// `INVALID_COMMIT_OFFSET_SIZE` or `INVALID_REQUEST`; fewer partitions at once help. Kafka's bound is a batch of the
    /// offsets topic, 1 MiB unless it was changed. Default: 4 MiB, some 40,000 partitions with usual names.
    pub commit_bytes_max: usize,
    /// Groups of one partition of the offsets topic. Beyond: another one is refused with
    /// `GROUP_MAX_SIZE_REACHED` (members) or `INVALID_COMMIT_OFFSET_SIZE` (offsets). Default: 100,000.
    pub groups_max: usize,
    /// Offsets in one partition of the offsets topic. Beyond: a new one is refused with
    /// `INVALID_COMMIT_OFFSET_SIZE`. Default: 4,000,000.
    pub offsets_max: usize,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            group_size_max: i32::MAX.cast_unsigned(),
            offset_metadata_bytes_max: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1000,
            offsets_retention_check_interval_ms: 600_000,
            new_member_timeout_ms: 5 * 60 * 1000,
            consumer_group_size_max: i32::MAX.cast_unsigned(),
            consumer_session_timeout_ms: 45_000,
            migration: MigrationPolicy::Bidirectional,
            group_bytes_max: 8 * 1024 * 1024,
            commit_bytes_max: 4 * 1024 * 1024,
            groups_max: 100_000,
            offsets_max: 4_000_000,
        }
    }
}

impl GroupSettings {
    /// What is in force on a broker that was started with these, and on which some were changed since.
    #[must_use]
    pub fn changed_by(self, brokers: &BrokerOverrides) -> Self {
        fn number<T: FromStr>(brokers: &BrokerOverrides, name: &str, start: T) -> T {
            brokers.get(name).and_then(|text| text.parse().ok()).unwrap_or(start)
        }
        let minutes = brokers.get("offsets.retention.minutes");
        let minutes = minutes.and_then(|text| text.parse::<u64>().ok());
        let policy = brokers.get("group.consumer.migration.policy");
        Self {
            session_timeout_ms_min: number(
                brokers,
                "group.min.session.timeout.ms",
                self.session_timeout_ms_min,
            ),
            session_timeout_ms_max: number(
                brokers,
                "group.max.session.timeout.ms",
                self.session_timeout_ms_max,
            ),
            initial_rebalance_delay_ms: number(
                brokers,
                "group.initial.rebalance.delay.ms",
                self.initial_rebalance_delay_ms,
            ),
            group_size_max: number(brokers, "group.max.size", self.group_size_max),
            offset_metadata_bytes_max: number(
                brokers,
                "offset.metadata.max.bytes",
                self.offset_metadata_bytes_max,
            ),
            offsets_retention_ms: minutes
                .map_or(self.offsets_retention_ms, |minutes| minutes.saturating_mul(MINUTE_MS)),
            offsets_retention_check_interval_ms: number(
                brokers,
                "offsets.retention.check.interval.ms",
                self.offsets_retention_check_interval_ms,
            ),
            consumer_group_size_max: number(
                brokers,
                "group.consumer.max.size",
                self.consumer_group_size_max,
            ),
            consumer_session_timeout_ms: number(
                brokers,
                "group.consumer.session.timeout.ms",
                self.consumer_session_timeout_ms,
            ),
            migration: policy.and_then(MigrationPolicy::from_name).unwrap_or(self.migration),
            ..self
        }
    }

    /// Whether any session timeout is possible.
    ///
    /// # Errors
    /// [`ConfigError::Order`] when the shortest is longer than the longest.
    pub const fn check(&self) -> Result<(), ConfigError> {
        if self.session_timeout_ms_min <= self.session_timeout_ms_max {
            return Ok(());
        }
        Err(ConfigError::Order {
            smaller: "group.min.session.timeout.ms",
            larger: "group.max.session.timeout.ms",
        })
    }
}

const MINUTE_MS: u64 = 60_000;

/// Which way a group with members may go from one protocol to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Neither.
    Disabled,
    /// From the classic to the consumer protocol alone.
    Upgrade,
    /// From the consumer to the classic protocol alone.
    Downgrade,
    /// Both.
    #[default]
    Bidirectional,
}

impl MigrationPolicy {
    /// Every policy.
    pub const ALL: [Self; 4] =
        [Self::Disabled, Self::Upgrade, Self::Downgrade, Self::Bidirectional];

    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Upgrade => "upgrade",
            Self::Downgrade => "downgrade",
            Self::Bidirectional => "bidirectional",
        }
    }

    /// The policy of a name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name().eq_ignore_ascii_case(name))
    }

    pub(super) const fn upgrades(self) -> bool {
        matches!(self, Self::Upgrade | Self::Bidirectional)
    }

    pub(super) const fn downgrades(self) -> bool {
        matches!(self, Self::Downgrade | Self::Bidirectional)
    }
}
