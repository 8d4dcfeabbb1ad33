//! What a shard is asked and what it answers, as plain values that may cross to another core. Bytes are
//! lent (`Bytes`: an atomic reference count), never copied.

use std::time::Duration;

use bytes::Bytes;

use kolk_coord::command::CatalogueError;
use kolk_metric::prometheus::PartitionSeries;
use kolk_metric::shard::MetricsSnapshot;
use kolk_model::config::definition::ConfigError;
use kolk_model::config::layers::ConfigEntry;
use kolk_model::config::overrides::Overrides;
use kolk_model::durability::AckLevel;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{
    LeaderEpoch, PartitionId, ProducerEpoch, ProducerId, Sequence, ShardId, TopicId, TopicName,
    TopicPartition,
};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;
use kolk_partition::error::PartitionError;

pub use kolk_coord::command::BrokerScope;
pub use kolk_coord::topic::{ClusterId, Topic};
pub use kolk_model::config::overrides::ConfigChange;
pub use kolk_partition::effect::Produced;
pub use kolk_partition::error::{RecordRefusal, RefusedRecord};
pub use kolk_partition::partition::Watermarks;

pub mod group;

/// Why a request, or a part of it, was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// The code that both wires carry.
    pub code: ErrorCode,
    /// One sentence for people.
    pub detail: String,
    /// Where the log ends, if the refusal is about that.
    pub end_offset: Option<Offset>,
    /// The records it is about, if it is about some.
    pub records: Vec<RefusedRecord>,
}

impl Refusal {
    /// A refusal that says why.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), end_offset: None, records: Vec::new() }
    }

    /// The broker stops.
    pub(crate) fn shutting_down() -> Self {
        Self::new(ErrorCode::ShuttingDown, "the broker is stopping")
    }

    /// Nobody here has that partition.
    pub(crate) fn no_such_partition(partition: TopicPartition) -> Self {
        Self::new(ErrorCode::UnknownTopicOrPartition, format!("there is no partition {partition}"))
    }
}

impl From<PartitionError> for Refusal {
    fn from(error: PartitionError) -> Self {
        let (code, detail, end_offset) = (error.code(), error.to_string(), error.end_offset());
        let records = match error {
            PartitionError::Records(refused) => refused.first,
            _ => Vec::new(),
        };
        Self { code, detail, end_offset, records }
    }
}

impl From<CatalogueError> for Refusal {
    fn from(error: CatalogueError) -> Self {
        let code = match &error {
            CatalogueError::TopicExists { .. } => ErrorCode::TopicAlreadyExists,
            CatalogueError::NameCollides { .. } | CatalogueError::Name(_) => {
                ErrorCode::InvalidTopic
            }
            CatalogueError::UnknownTopic { .. } => ErrorCode::UnknownTopicOrPartition,
            CatalogueError::PartitionCount { .. } | CatalogueError::PartitionsNotMore { .. } => {
                ErrorCode::InvalidPartitions
            }
            CatalogueError::NodeFull { .. } | CatalogueError::TooManyGroups => {
                ErrorCode::PolicyViolation
            }
            CatalogueError::Config(ConfigError::ReadOnly { .. } | ConfigError::Twice { .. }) => {
                ErrorCode::InvalidRequest
            }
            CatalogueError::Config(_) => ErrorCode::InvalidConfig,
            CatalogueError::GroupId { .. } => ErrorCode::InvalidGroupId,
            // The rest is a request that no client of ours can make; the enum may grow.
            _ => ErrorCode::InvalidRequest,
        };
        Self::new(code, error.to_string())
    }
}

/// Appends record batches to one partition.
#[derive(Clone, Debug)]
pub struct ProduceOp {
    /// Which partition.
    pub partition: TopicPartition,
    /// Record batches, back to back.
    pub batches: Bytes,
    /// What the answer waits for.
    pub wait: AckLevel,
    /// The offset that the first record must get, else nothing is appended.
    pub expected_next_offset: Option<Offset>,
}

/// Reads several partitions at once.
#[derive(Clone, Debug)]
pub struct FetchOp {
    /// The partitions, in the order of the answer; what comes first is served first.
    pub slots: Vec<FetchSlot>,
    /// Answer when so many bytes are there, over all partitions.
    pub bytes_min: u64,
    /// Bytes of the whole answer. The first batch comes whole even if it is larger.
    pub bytes_max: u64,
    /// Answer with what is there after this time.
    pub wait_max: Duration,
}

/// One partition of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchSlot {
    /// Which partition.
    pub partition: TopicPartition,
    /// The first offset wanted.
    pub offset: Offset,
    /// Bytes wanted of this partition.
    pub bytes_max: u64,
}

/// The answer for one partition of a fetch.
#[derive(Clone, Debug)]
pub struct FetchedSlot {
    /// Joined, whole batches in offset order, the first of which may begin before the offset asked for. The
    /// log's own buffers, shared: one slice alone may end inside a batch.
    pub result: Result<Vec<Bytes>, Refusal>,
    /// Where the records lie; `None` if the partition is not there, or its shard has not answered in time.
    pub marks: Option<Watermarks>,
}

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetPlace {
    /// The log start offset.
    Beginning,
    /// The high watermark.
    End,
    /// The high watermark, once it has reached all that was appended before the question.
    Settled,
    /// The first record with the latest timestamp.
    MaxTimestamp,
    /// The first record that is not older.
    Timestamp(TimestampMs),
}

/// What stands at a place of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; `None` if no record is that new.
    pub offset: Option<Offset>,
    /// The record's timestamp, if it was found by time.
    pub timestamp: Option<TimestampMs>,
    /// The leader epoch of the record at that offset, or the current one at the end.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Where the records of a leader epoch end in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The latest epoch of the log that is not later than the one asked about.
    pub epoch: LeaderEpoch,
    /// The offset after its last record.
    pub end: Offset,
}

/// How many clients a node takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrowdLimits {
    /// In all.
    pub clients_max: u32,
    /// From one address.
    pub same_address_max: u32,
}

/// Why a client is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    /// The node has as many as it takes.
    Node,
    /// It has as many from this address as it takes.
    Address,
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopicOp {
    /// Its name.
    pub name: TopicName,
    /// How many partitions; `None` = the broker's default.
    pub partitions: Option<u32>,
    /// The settings given to it.
    pub config: Overrides,
    /// Whether it is meant.
    pub intent: Intent,
}

/// Whether a change is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Do it.
    Carry,
    /// Only say whether it would succeed.
    Validate,
}

/// A topic that was created, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; [`TopicId::ZERO`] if the request was only validated.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: u32,
}

/// Changes settings of a topic, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterTopicOp {
    /// Which topic.
    pub topic: TopicId,
    /// The changes; later ones win.
    pub changes: Vec<ConfigChange>,
    /// Whether it is meant.
    pub intent: Intent,
}

/// Changes settings of brokers, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterBrokerOp {
    /// Of which.
    pub scope: BrokerScope,
    /// The changes; later ones win.
    pub changes: Vec<ConfigChange>,
    /// Whether it is meant.
    pub intent: Intent,
}

/// Changes settings of a group, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterGroupOp {
    /// Its id.
    pub group: String,
    /// The changes; later ones win.
    pub changes: Vec<ConfigChange>,
    /// Whether it is meant.
    pub intent: Intent,
}

/// Raises the number of partitions of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddPartitionsOp {
    /// Which topic.
    pub topic: TopicId,
    /// How many it has then.
    pub partitions: u32,
    /// Whether it is meant.
    pub intent: Intent,
}

/// A partition as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// Its number.
    pub partition: PartitionId,
    /// The shard that owns it.
    pub shard: ShardId,
    /// Why it can't be used, if it can't.
    pub refusal: Option<Refusal>,
    /// Its leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// Where its records lie; `None` if it has no log.
    pub marks: Option<Watermarks>,
    /// Bytes of its batches.
    pub size_bytes: u64,
    /// Its segments.
    pub segments: usize,
}

/// A topic with its partitions, asked of their owners.
#[derive(Clone, Debug)]
pub struct TopicDescription {
    /// The topic.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// Its settings, with where each comes from.
    pub settings: Vec<ConfigEntry>,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionState>,
}

/// An idempotent producer as a partition remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerDescription {
    /// Its id.
    pub id: ProducerId,
    /// The newest epoch seen.
    pub epoch: ProducerEpoch,
    /// The sequence of its last record.
    pub last_sequence: Sequence,
    /// When its last batch was appended.
    pub appended_at: TimestampMs,
}

/// A producer's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssignedProducer {
    /// An id that nobody ever had.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

/// What all shards count.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// The readings of each shard, by shard.
    pub snapshots: Vec<MetricsSnapshot>,
    /// A row for each partition, by topic name and partition.
    pub partitions: Vec<PartitionSeries>,
}
