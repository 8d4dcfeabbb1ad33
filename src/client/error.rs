//! What can go wrong for a client. Apart because every part of the crate reports with it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kolk_model::batch::BatchError;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicName};
use kolk_model::offset::Offset;
use kolk_native::reply::Refusal;

/// Why a call failed. Cheap to clone: every record of a failed batch gets one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A broker address that can't be one. The caller's fault.
    #[error(
        "'{text}' is not a broker address: host:port is expected, several are joined by commas"
    )]
    Address {
        /// What was given.
        text: String,
    },
    /// A setting outside its range. The caller's fault.
    #[error("setting {name}: {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What would be accepted.
        expected: &'static str,
    },
    /// No broker could be reached. A retry helps once one is back.
    #[error("no broker is reachable at {tried}: {reason}")]
    Unreachable {
        /// The addresses that were tried.
        tried: String,
        /// Why the last of them failed.
        reason: Arc<str>,
    },
    /// A connection broke. What was in flight may or may not have been done.
    #[error("the connection to {address} broke: {reason}")]
    Disconnected {
        /// The broker's address.
        address: Arc<str>,
        /// How it broke.
        reason: Arc<str>,
    },
    /// The broker sent something that is not this protocol. A retry does not help.
    #[error("{address} does not speak the native protocol: {reason}")]
    Protocol {
        /// The broker's address.
        address: Arc<str>,
        /// What was wrong.
        reason: Arc<str>,
    },
    /// Whoever listens there does not greet as a broker does: it is the port of another protocol. A peer that only closed the
    /// connection may also be a broker that is stopping; then a retry helps once it is back.
    #[error("{address} does not answer as a broker's native port: {answer}")]
    NotNative {
        /// The address.
        address: Arc<str>,
        /// What it did instead.
        answer: Greeting,
    },
    /// No answer in time. What was asked for may or may not have been done.
    #[error("{what} took longer than {limit:?}")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The broker refused.
    #[error("{code}: {detail}")]
    Refused {
        /// Why, as a number.
        code: ErrorCode,
        /// Why, for people.
        detail: Arc<str>,
    },
    /// The topic does not exist. The native protocol never creates one by itself.
    #[error("topic '{topic}' does not exist")]
    TopicUnknown {
        /// The topic's name.
        topic: Arc<str>,
    },
    /// The topic has fewer partitions.
    #[error("topic '{topic}' has no partition {partition}, only {count}")]
    PartitionUnknown {
        /// The topic's name.
        topic: TopicName,
        /// The partition asked for.
        partition: PartitionId,
        /// How many there are.
        count: usize,
    },
    /// A conditional append came too late: another writer was there first. Nothing was written.
    #[error("the log of {topic}/{partition} ends at {end_offset:?}, not at {expected}")]
    WrongNextOffset {
        /// The topic's name.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
        /// Where the caller expected it to end.
        expected: Offset,
        /// Where it ends.
        end_offset: Option<Offset>,
    },
    /// The record can't be in a batch of the size that the producer was told. The caller's fault.
    #[error("a record of {bytes} bytes does not fit a request of {bytes_max} bytes")]
    RecordTooLarge {
        /// Bytes that the record needs.
        bytes: usize,
        /// Bytes that are accepted.
        bytes_max: usize,
    },
    /// A batch could not be built or read. Of a fetched batch: it is damaged.
    #[error("record batch of {topic}/{partition}: {fault}")]
    Batch {
        /// The topic's name.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
        /// What is wrong.
        fault: Arc<BatchError>,
    },
    /// The codec refused to compress.
    #[error("the records could not be made into a batch: {reason}")]
    Build {
        /// Why.
        reason: Arc<str>,
    },
    /// The offset asked for is not in the log any more, or not yet.
    #[error(
        "offset {offset} of {topic}/{partition} is not in the log, which goes from {log_start:?} to {log_end:?}"
    )]
    OffsetOutOfRange {
        /// The topic's name.
        topic: TopicName,
        /// The partition.
        partition: PartitionId,
        /// The offset asked for.
        offset: Offset,
        /// The first offset that is there.
        log_start: Option<Offset>,
        /// Where the log ends.
        log_end: Option<Offset>,
    },
    /// The producer or consumer was closed, or nothing is assigned to the consumer.
    #[error("{what}")]
    Closed {
        /// What is closed.
        what: &'static str,
    },
}

/// What came in place of a broker's greeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Greeting {
    /// Nothing: the connection was closed, as Kafka's protocol does it with what it does not know.
    Closed,
    /// An answer in HTTP.
    Http,
    /// An answer in some other protocol.
    Unknown,
}

impl fmt::Display for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "it closed the connection at hello",
            Self::Http => "it speaks HTTP",
            Self::Unknown => "it speaks another protocol",
        })
    }
}

impl ClientError {
    /// Whether the same call can succeed a little later without anybody changing anything.
    #[must_use]
    pub fn retriable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Disconnected { .. } | Self::TimedOut { .. } => true,
            Self::Refused { code, .. } => code.retriable(),
            Self::NotNative { answer, .. } => *answer == Greeting::Closed,
            _ => false,
        }
    }

    /// The broker's code, if a broker refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::TopicUnknown { .. } | Self::PartitionUnknown { .. } => {
                Some(ErrorCode::UnknownTopicOrPartition)
            }
            Self::WrongNextOffset { .. } => Some(ErrorCode::WrongNextOffset),
            Self::OffsetOutOfRange { .. } => Some(ErrorCode::OffsetOutOfRange),
            _ => None,
        }
    }

    pub(crate) fn refused(code: ErrorCode, detail: &str) -> Self {
        let detail = if detail.is_empty() { code.hint() } else { detail };
        Self::Refused { code, detail: Arc::from(detail) }
    }

    pub(crate) fn disconnected(address: &Arc<str>, error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => Arc::from("the broker closed it"),
            _ => Arc::from(error.to_string()),
        };
        Self::Disconnected { address: Arc::clone(address), reason }
    }

    pub(crate) fn protocol(address: &Arc<str>, reason: impl ToString) -> Self {
        Self::Protocol { address: Arc::clone(address), reason: Arc::from(reason.to_string()) }
    }
}

impl From<Refusal> for ClientError {
    fn from(refusal: Refusal) -> Self {
        Self::refused(refusal.code, &refusal.detail)
    }
}
