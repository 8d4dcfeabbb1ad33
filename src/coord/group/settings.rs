//! What of the broker's settings a coordinator heeds, by Kafka's names and with Kafka's defaults.

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
    /// Bytes of the members of one group, so that its record fits a batch. Beyond: joins are refused with
    /// `GROUP_MAX_SIZE_REACHED`, an assignment with `UNKNOWN_SERVER_ERROR`. Default: 8 MiB.
    pub group_bytes_max: usize,
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
            group_bytes_max: 8 * 1024 * 1024,
            groups_max: 100_000,
            offsets_max: 4_000_000,
        }
    }
}
