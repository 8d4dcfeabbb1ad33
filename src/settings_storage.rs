//! The settings of shards and their storage.

use crate::setting::{Setting, count, size};

/// The settings, in the order in which they are shown.
pub(crate) static SETTINGS: &[Setting] = &[
    count!(
        "num.partitions",
        1..=100_000,
        "Partitions of a topic that is created without a number.",
        |config| config.shard.partitions_default
    ),
    count!(
        "log.retention.check.interval.ms",
        100..=3_600_000,
        "Milliseconds between two passes of housekeeping: retention, saved producers, segments by age.",
        |config| config.shard.housekeeping_ms
    ),
    count!(
        "producer.id.expiration.ms",
        1_000..=31_536_000_000,
        "Milliseconds after a producer's last append to a partition until it is forgotten there.",
        |config| config.shard.producer_expiration_ms
    ),
    size!(
        "batch_decompressed_bytes_max",
        65_536..=1_073_741_824,
        "Bytes that the records of one compressed batch may inflate to. Beyond: refused.",
        |config| config.shard.partition.batch_decompressed_bytes_max
    ),
    size!(
        "journal_file_bytes",
        1_048_576..=1_073_741_824,
        "Bytes of one journal file, a multiple of 4096.",
        |config| config.shard.log.journal_file_bytes
    ),
    count!(
        "journal_files",
        3..=1_024,
        "Journal files a shard may fill before it must have been checkpointed. Logs of a shard are limited to their bytes / 32768.",
        |config| config.shard.log.journal_files
    ),
    size!(
        "journal_group_bytes_max",
        65_536..=536_870_912,
        "Most payload bytes of one commit group, at most half a journal file.",
        |config| config.shard.log.group_bytes_max
    ),
    size!(
        "direct_append_bytes_min",
        8_192..=16_777_216,
        "Pending bytes of one log from which they go straight to the segment instead of the journal.",
        |config| config.shard.log.direct_append_bytes_min
    ),
    count!("direct_writes_max", 1..=64, "Direct writes of one log in flight.", |config| config
        .shard
        .log
        .direct_writes_max),
    size!(
        "read_bytes",
        65_536..=16_777_216,
        "Bytes read from disk at a time for a consumer that is behind.",
        |config| config.shard.log.read_bytes
    ),
    count!(
        "read_ahead",
        0..=64,
        "Reads kept in flight ahead of a consumer that reads a log in order.",
        |config| config.shard.log.read_ahead
    ),
    count!(
        "open_files_max",
        16..=1_048_576,
        "Segment files that a shard keeps open; others are opened when they are needed.",
        |config| config.shard.log.open_files_max
    ),
    size!(
        "allocate_bytes_max",
        65_536..=1_073_741_824,
        "Most bytes allocated on disk at once ahead of a log's end.",
        |config| config.shard.log.allocate_bytes_max
    ),
    count!(
        "shard_waiters_max",
        1_024..=16_777_216,
        "Requests that may wait for an answer on one shard. Beyond: refused as overloaded.",
        |config| config.shard.waiters_max
    ),
    count!(
        "mesh_slots",
        2..=65_536,
        "Messages in flight between two shards in each direction; each carries many requests.",
        |config| config.shard.mesh_slots
    ),
];
