//! Why a partition refuses, as facts; and the wire code of each, in one place.

use std::fmt;

use kolk_io::error::IoError;
use kolk_log::error::{AppendRefused, Damage, LogError};
use kolk_model::batch::BatchError;
use kolk_model::error::ErrorCode;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::producers::ProducerRefusal;

/// Why a partition did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartitionError {
    /// The bytes are not acceptable record batches. The client's fault; sending them again does not help.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The request holds no batch. The client's fault.
    #[error("the request holds no record batch")]
    NoBatch,
    /// The request holds more batches for one partition than are taken at once. The client's fault.
    #[error("more than {batches_max} record batches for one partition")]
    TooManyBatches {
        /// How many are taken at once.
        batches_max: usize,
    },
    /// A batch is larger than the topic's `max.message.bytes`. The client's fault.
    #[error("record batch of {bytes} bytes: the topic takes {bytes_max}")]
    BatchTooLarge {
        /// Its bytes, header included.
        bytes: usize,
        /// The topic's `max.message.bytes`.
        bytes_max: u32,
    },
    /// A control batch: only brokers write those. The client's fault.
    #[error("control batches are written by brokers alone")]
    ControlBatch,
    /// Records that the topic's settings do not allow. The client's fault.
    #[error(transparent)]
    Records(Box<RefusedRecords>),
    /// A transactional batch: transactions are not offered. The client's fault.
    #[error("transactions are not offered by this broker")]
    Transactional,
    /// The batches together do not fit a segment. The client's fault.
    #[error("{bytes} bytes at once: a segment holds {segment_bytes_max}")]
    RequestTooLarge {
        /// Bytes asked for.
        bytes: u64,
        /// Largest segment.
        segment_bytes_max: u64,
    },
    /// The producer's sequence or epoch does not fit.
    #[error(transparent)]
    Producer(#[from] ProducerRefusal),
    /// A conditional append came second: another writer's records are where it wanted its own.
    #[error("the log ends at {end}, the append expected {expected}")]
    WrongNextOffset {
        /// What the request expected.
        expected: Offset,
        /// Where the log ends now.
        end: Offset,
    },
    /// More appends or fetches wait at the partition than may. A retry a little later helps.
    #[error("{waiting} requests wait at the partition already")]
    Overloaded {
        /// How many wait.
        waiting: usize,
    },
    /// The disk is full. A retry helps once there is room.
    #[error("no space left on the disk")]
    StorageFull,
    /// The partition is offline. A retry is useless until the disk is mended and the broker restarted.
    #[error("the partition is offline: {0}")]
    Damaged(Box<Damage>),
    /// The shard's journal failed: the shard only reads until the broker is restarted.
    #[error("the shard's journal failed; it only reads until the broker is restarted")]
    JournalFailed,
    /// The disk failed between the append and its acknowledgement: after a restart the records may be there or not.
    #[error("the disk failed before the append was safe: it may be there after a restart, or not")]
    OutcomeUnknown,
    /// The offset is outside the log. The client's fault, or its records are gone by retention.
    #[error("offset {asked} is outside {start} to {end}")]
    OffsetOutOfRange {
        /// Asked for.
        asked: Offset,
        /// Log start offset.
        start: Offset,
        /// Log end offset.
        end: Offset,
    },
    /// The partition was deleted, or is not here.
    #[error("there is no such partition")]
    NoSuchPartition,
    /// The broker stops.
    #[error("the broker is stopping")]
    ShuttingDown,
    /// The disk could not be read or written. Whether a retry helps is the error's own affair.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The storage engine refused in a way that has no variant of its own here.
    #[error(transparent)]
    Storage(Box<LogError>),
}

impl PartitionError {
    /// The code that both wires carry for it.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Batch(error) => batch_code(error),
            Self::NoBatch | Self::ControlBatch | Self::Transactional => ErrorCode::InvalidRecord,
            Self::Records(refused) => refused.code(),
            Self::TooManyBatches { .. } => ErrorCode::RecordListTooLarge,
            Self::BatchTooLarge { .. } | Self::RequestTooLarge { .. } => ErrorCode::MessageTooLarge,
            // A part of the batches is not stored: clients would take `DuplicateSequence` for the success of all.
            Self::Producer(
                ProducerRefusal::OutOfOrder { .. } | ProducerRefusal::PartlyDuplicate { .. },
            ) => ErrorCode::OutOfOrderSequence,
            Self::Producer(ProducerRefusal::StaleEpoch { .. }) => ErrorCode::InvalidProducerEpoch,
            Self::WrongNextOffset { .. } => ErrorCode::WrongNextOffset,
            Self::Overloaded { .. } => ErrorCode::Overloaded,
            Self::StorageFull => ErrorCode::StorageFull,
            Self::Damaged(_) => ErrorCode::PartitionDamaged,
            Self::JournalFailed => ErrorCode::JournalFailed,
            Self::OutcomeUnknown => ErrorCode::OutcomeUnknown,
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::NoSuchPartition => ErrorCode::UnknownTopicOrPartition,
            Self::ShuttingDown => ErrorCode::ShuttingDown,
            Self::Io(_) | Self::Storage(_) => ErrorCode::KafkaStorageError,
        }
    }

    /// Where the log ends, if the refusal is about that.
    #[must_use]
    pub const fn end_offset(&self) -> Option<Offset> {
        match self {
            Self::WrongNextOffset { end, .. } | Self::OffsetOutOfRange { end, .. } => Some(*end),
            _ => None,
        }
    }
}

/// Records of one batch that are not accepted; the whole batch is refused with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{count} records of the batch are refused, the first of them: {}", Shown(first))]
pub struct RefusedRecords {
    /// How many there are.
    pub count: u32,
    /// The first of them, at most [`REFUSED_RECORDS_MAX`].
    pub first: Vec<RefusedRecord>,
}

/// Records that a refusal names one by one.
pub const REFUSED_RECORDS_MAX: usize = 100;

/// One record that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Which of the batch, counted from 0.
    pub index: u32,
    /// Why.
    pub why: RecordRefusal,
}

/// Why a record is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordRefusal {
    /// Compaction would not know what it replaces.
    #[error("a compacted topic takes no record without a key")]
    Keyless,
    /// The timestamp is outside `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`.
    #[error("timestamp {found} is outside {earliest} to {latest}")]
    Timestamp {
        /// The record's.
        found: TimestampMs,
        /// The earliest accepted.
        earliest: TimestampMs,
        /// The latest accepted.
        latest: TimestampMs,
    },
}

impl RefusedRecords {
    pub(crate) fn push(&mut self, record: RefusedRecord) {
        self.count += 1;
        if self.first.len() < REFUSED_RECORDS_MAX {
            self.first.push(record);
        }
    }

    /// As in Kafka: one wrong timestamp makes it an error of timestamps.
    fn code(&self) -> ErrorCode {
        let timestamp =
            |record: &RefusedRecord| matches!(record.why, RecordRefusal::Timestamp { .. });
        if self.first.iter().any(timestamp) {
            ErrorCode::InvalidTimestamp
        } else {
            ErrorCode::InvalidRecord
        }
    }
}

struct Shown<'a>(&'a [RefusedRecord]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, record) in self.0.iter().take(3).enumerate() {
            let comma = if number == 0 { "" } else { "; " };
            write!(f, "{comma}record {}: {}", record.index, record.why)?;
        }
        Ok(())
    }
}

/// A wrong checksum may be the network's doing, so sending again helps; everything else is the sender's.
const fn batch_code(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::Crc { .. } => ErrorCode::CorruptMessage,
        BatchError::UnknownCompression { .. } => ErrorCode::UnsupportedCompressionType,
        BatchError::Magic { .. } => ErrorCode::UnsupportedForMessageFormat,
        BatchError::DecompressedTooLarge { .. } => ErrorCode::DecompressedTooLarge,
        // The rest says how the bytes break the format; the enum may grow.
        _ => ErrorCode::InvalidRecord,
    }
}

impl From<LogError> for PartitionError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io(error) => Self::Io(error),
            LogError::Offline { damage, .. } => Self::Damaged(Box::new(damage)),
            LogError::OffsetOutOfRange { asked, start, end } => {
                Self::OffsetOutOfRange { asked, start, end }
            }
            LogError::JournalFailed => Self::JournalFailed,
            LogError::NoSuchLog { .. } => Self::NoSuchPartition,
            other => Self::Storage(Box::new(other)),
        }
    }
}

/// What a refused append tells the client; `None` for [`AppendRefused::Busy`], which is waited out.
pub(crate) fn of_append(refused: AppendRefused) -> Option<PartitionError> {
    match refused {
        AppendRefused::Busy => None,
        AppendRefused::StorageFull => Some(PartitionError::StorageFull),
        AppendRefused::Offline(damage) => Some(PartitionError::Damaged(Box::new(damage))),
        AppendRefused::TooLarge { bytes, segment_bytes_max } => {
            Some(PartitionError::RequestTooLarge { bytes, segment_bytes_max })
        }
        AppendRefused::Closed => Some(PartitionError::ShuttingDown),
        // Journal failures, and what the engine may add: nothing is taken until a restart.
        _ => Some(PartitionError::JournalFailed),
    }
}
