//! What can go wrong in the storage engine, as facts.

use kolk_io::error::IoError;
use kolk_model::ids::{ShardId, TopicId, TopicPartition};
use kolk_model::offset::{FilePosition, Offset};

/// Why a log went offline. It stays so until a restart (after which a damage is found again where it still is).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// Bytes below the log's end do not match their checksum: bit rot, or a write that went elsewhere. Retrying is useless.
    #[error("{file} at {position}: {reason}")]
    Corrupt {
        /// The file, relative to the data directory.
        file: String,
        /// First byte of the damaged batch or record.
        position: FilePosition,
        /// What did not match.
        reason: String,
    },
    /// The disk refused a write, a sync or a read of this log's segment. A failed sync is never tried again.
    #[error("{file}: {reason}")]
    Device {
        /// The file, relative to the data directory.
        file: String,
        /// The operating system's words.
        reason: String,
    },
}

/// Errors of the storage engine.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The disk's fault; whether a retry helps is the error's own affair.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The log is offline. A retry is useless until somebody mends the disk and restarts the broker.
    #[error("log {id} is offline: {damage}")]
    Offline {
        /// Which log.
        id: TopicPartition,
        /// Why.
        damage: Damage,
    },
    /// The caller asked for an offset that the log does not have.
    #[error("offset {asked} is outside {start}..={end}")]
    OffsetOutOfRange {
        /// Asked for.
        asked: Offset,
        /// Log start offset.
        start: Offset,
        /// Log end offset, or the bound given by the caller.
        end: Offset,
    },
    /// The shard's journal failed: nothing is written until a restart with recovery.
    #[error("the shard's journal failed; restart the broker to recover")]
    JournalFailed,
    /// The log was deleted, or never created.
    #[error("log {id} does not exist")]
    NoSuchLog {
        /// Which log.
        id: TopicPartition,
    },
    /// The log exists already. The caller's mistake.
    #[error("log {id} exists already")]
    LogExists {
        /// Which log.
        id: TopicPartition,
    },
    /// More logs than the journal can carry a tail page for. Raise `journal.bytes`.
    #[error(
        "{logs} logs need a journal of {needed_bytes} bytes a shard, configured are {journal_bytes}"
    )]
    JournalTooSmall {
        /// Logs after the request.
        logs: u64,
        /// Bytes they need.
        needed_bytes: u64,
        /// Bytes configured.
        journal_bytes: u64,
    },
    /// The files of a log's directory contradict the journal: refused rather than overwritten.
    #[error(
        "{path} holds bytes of a log that the journal does not know; move the directory away to go on"
    )]
    Unexpected {
        /// The path, relative to the data directory.
        path: String,
    },
    /// Recovery stopped. Nothing was changed.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
}

/// Why recovery refuses to go on. Nothing that was acknowledged is dropped in silence.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// `meta/CURRENT` is damaged or newer.
    #[error("{reason}")]
    Current {
        /// What is wrong with it.
        reason: String,
    },
    /// A file named by `meta/CURRENT` is missing.
    #[error(
        "journal file {path} is named by meta/CURRENT and missing; restore it, or start with --accept-loss"
    )]
    FileMissing {
        /// The file, relative to the data directory.
        path: String,
    },
    /// Neither snapshot slot of a shard can be read.
    #[error("no readable snapshot in journal of shard {shard}: {reason}")]
    SnapshotMissing {
        /// The shard of the earlier run.
        shard: ShardId,
        /// What was wrong with the better slot.
        reason: String,
    },
    /// Groups between the surviving snapshot and the first surviving group are gone.
    #[error(
        "journal of shard {shard}: groups {from}..={to} are missing; restore the file, or start with --accept-loss"
    )]
    Gap {
        /// The shard of the earlier run.
        shard: ShardId,
        /// First sequence missing.
        from: u64,
        /// Last sequence missing.
        to: u64,
    },
    /// A record names a topic that the catalogue has never heard of.
    #[error(
        "the journal holds records of topic {topic}, which the catalogue does not know; restore meta/catalogue"
    )]
    TopicUnknown {
        /// The topic.
        topic: TopicId,
    },
    /// Written by a newer kolk; nothing was touched.
    #[error("{what} was written by a newer kolk")]
    Newer {
        /// What.
        what: String,
    },
}

/// Why an append was not taken. Nothing was written and no offset was given out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendRefused {
    /// The log prepares room (next segment, allocation, journal or memory). `LogEvent::Unblocked` follows: try again then,
    /// in the same order.
    #[error("the log prepares room")]
    Busy,
    /// The disk is full. A retry helps once there is room.
    #[error("no space left for the log's next bytes")]
    StorageFull,
    /// The log is offline.
    #[error("the log is offline: {0}")]
    Offline(Damage),
    /// The shard's journal failed.
    #[error("the shard's journal failed")]
    JournalFailed,
    /// The batches together are larger than a segment may be. The client's mistake.
    #[error("{bytes} bytes do not fit a segment of {segment_bytes_max}")]
    TooLarge {
        /// Bytes asked for.
        bytes: u64,
        /// Largest segment.
        segment_bytes_max: u64,
    },
    /// The broker stops.
    #[error("the log is closed")]
    Closed,
}
