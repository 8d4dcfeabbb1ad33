//! What a shard can be told. The root joins it with everything else.

use kolk_coord::group::settings::GroupSettings;
use kolk_log::settings::LogSettings;
use kolk_partition::limits::PartitionLimits;

/// Settings of one shard; the same for all shards of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardSettings {
    /// Bytes of produce requests that a shard's connections may have in flight. Default: 256 MiB. Beyond: refused as
    /// overloaded, unless the connection waits for room first. Restart.
    pub produce_bytes_max: u64,
    /// Requests that may wait for an answer on one shard, own and other shards' together; three quarters of them may be
    /// fetches. Default: 262,144. Beyond: refused as overloaded. Restart.
    pub waiters_max: usize,
    /// Messages between two shards in each direction; each carries many requests. Default: 64. Beyond: they queue on
    /// the sending shard, bounded by `waiters_max`. Restart.
    pub mesh_slots: usize,
    /// Partitions of a topic that is created without a number. Default: 1. Restart.
    pub partitions_default: u32,
    /// Milliseconds between two passes of housekeeping. Default: 5,000. Range: 100 – 3,600,000. Restart.
    pub housekeeping_ms: u64,
    /// Milliseconds between two looks for logs to compact (Kafka's `log.cleaner.backoff.ms`). Default: 15,000. Range: 100 –
    /// 3,600,000. Restart.
    pub compaction_ms: u64,
    /// Milliseconds after a producer's last append to a partition until it is forgotten there (Kafka's
    /// `producer.id.expiration.ms`). Default: 86,400,000. Restart.
    pub producer_expiration_ms: u64,
    /// Bytes of a log after which its producers are saved again. Default: 64 MiB. Restart.
    pub producer_save_bytes: u64,
    /// Milliseconds after which they are saved again, or after a log's first records for the first time, if anything was appended.
    /// Default: 300,000. Restart.
    pub producer_save_ms: u64,
    /// Milliseconds that a disagreement of wall and monotonic clock must last until retention by time believes the wall
    /// clock again; at a start an hour is enough. Default: 86,400,000. Restart.
    pub clock_distrust_ms: u64,
    /// Milliseconds that a clean stop waits for requests in flight, once for its own and once for
    /// those of other shards. Default: 2,000. Restart.
    pub stop_drain_ms_max: u64,
    /// Milliseconds that a clean stop may take in all, the closing of connections included. Default: 8,500. Beyond: the shard
    /// gives up, and the next start recovers as after a crash. Restart.
    pub stop_ms_max: u64,
    /// Partitions of the topic that keeps groups and their offsets, when it is created (Kafka's `offsets.topic.num.partitions`).
    /// Default: 50. Restart.
    pub offsets_topic_partitions: u32,
    /// What every group heeds.
    pub group: GroupSettings,
    /// The bounds of each partition.
    pub partition: PartitionLimits,
    /// The storage engine's settings.
    pub log: LogSettings,
}

impl Default for ShardSettings {
    fn default() -> Self {
        Self {
            produce_bytes_max: 256 << 20,
            waiters_max: 262_144,
            mesh_slots: 64,
            partitions_default: 1,
            housekeeping_ms: 5_000,
            compaction_ms: 15_000,
            producer_expiration_ms: 86_400_000,
            producer_save_bytes: 64 << 20,
            producer_save_ms: 300_000,
            clock_distrust_ms: 86_400_000,
            stop_drain_ms_max: 2_000,
            stop_ms_max: 8_500,
            offsets_topic_partitions: 50,
            group: GroupSettings::default(),
            partition: PartitionLimits::default(),
            log: LogSettings::default(),
        }
    }
}
