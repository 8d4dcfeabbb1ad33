//! What a broker answers, as checked values. Apart from the requests because each side decodes one and
//! encodes the other.

mod decode;
mod encode;

pub mod group;

use bytes::Bytes;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{
    LeaderEpoch, NodeId, ProducerEpoch, ProducerId, ShardId, TopicId, TopicName,
};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

pub use self::decode::decode;
pub(crate) use self::encode::{Places, encode};
use self::group::GroupReply;
use crate::request::CorrelationId;

/// A reply and the number of its request.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyFrame {
    /// What the request said.
    pub correlation: CorrelationId,
    /// The answer.
    pub reply: Reply,
}

/// What a broker answers. Lists are in the order of the request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// The request as a whole is refused, whichever call it was.
    Refused(Refusal),
    /// To `Hello`.
    Hello(HelloReply),
    /// To `InitProducer`.
    InitProducer(AssignedProducer),
    /// To `Metadata`.
    Metadata(MetadataReply),
    /// To `CreateTopic`.
    CreateTopic(CreateTopicReply),
    /// To `DeleteTopic`.
    DeleteTopic,
    /// To `AlterTopic`.
    AlterTopic,
    /// To `AddPartitions`.
    AddPartitions,
    /// To `DescribeTopic`.
    DescribeTopic(DescribeTopicReply),
    /// To `Trim`.
    Trim(TrimReply),
    /// To `Produce`.
    Produce(ProduceReply),
    /// To `Fetch`.
    Fetch(FetchReply),
    /// To `ListOffsets`.
    ListOffsets(ListOffsetsReply),
    /// To `Stats`.
    Stats(StatsReply),
    /// To the calls about consumer groups.
    Group(GroupReply),
}

/// Why a request, or its part for one partition, was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// What clients act on. A number that this version does not know reads as `UnknownServerError`.
    pub code: ErrorCode,
    /// What people read; may be empty.
    pub detail: String,
}

impl Refusal {
    /// Joins code and text.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// A producer id that nobody had before, and its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssignedProducer {
    /// The id.
    pub id: ProducerId,
    /// The epoch.
    pub epoch: ProducerEpoch,
}

/// Opens a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelloReply {
    /// The version that both sides use from here on.
    pub protocol_version: u16,
    /// The features that both sides use from here on.
    pub features: u64,
    /// The broker's own version.
    pub broker_version: String,
    /// The cluster's id.
    pub cluster_id: String,
    /// The broker's node.
    pub node: NodeId,
    /// The shard that serves the connection.
    pub shard: ShardId,
    /// The largest frame that the broker accepts.
    pub frame_bytes_max: u32,
    /// There if one was asked for.
    pub producer: Option<AssignedProducer>,
}

/// Where topics are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataReply {
    /// The cluster's id.
    pub cluster_id: String,
    /// Place in `doors` of the controller's shard.
    pub controller_door: u16,
    /// The native door of every shard.
    pub doors: Vec<Door>,
    /// The topics asked for.
    pub topics: Vec<TopicMetadata>,
}

/// Where a shard takes native connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// The shard's node.
    pub node: NodeId,
    /// The shard.
    pub shard: ShardId,
    /// A host name or address as clients reach it.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// One topic of a [`MetadataReply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// The topic's name.
    pub name: TopicName,
    /// Where its partitions are, or why that is unknown.
    pub outcome: Result<TopicPlaces, ErrorCode>,
}

/// Where a topic's partitions are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPlaces {
    /// The topic's id.
    pub id: TopicId,
    /// The owner of each partition, by number.
    pub partitions: Vec<PartitionOwner>,
}

/// Who owns a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionOwner {
    /// Place in the reply's list of doors; after decoding it is sure that there is one.
    pub door: u16,
    /// The leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// `None` unless the partition can't be used at the moment.
    pub error: ErrorCode,
}

/// A topic was made, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateTopicReply {
    /// The topic's id; zeros if it was only validated.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: u32,
}

/// Everything about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicReply {
    /// The topic's name.
    pub name: TopicName,
    /// The topic's id.
    pub id: TopicId,
    /// Every setting.
    pub settings: Vec<SettingDescription>,
    /// Every partition, by number.
    pub partitions: Vec<PartitionDescription>,
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDescription {
    /// Kafka's name.
    pub name: String,
    /// The value.
    pub value: String,
    /// Whether that is the default.
    pub is_default: bool,
    /// Meaning and range.
    pub doc: String,
}

/// One partition of a [`DescribeTopicReply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// `None` unless the partition is offline; offsets are what is known then.
    pub error: ErrorCode,
    /// The owner.
    pub shard: ShardId,
    /// The leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// The first offset that is there.
    pub log_start: Option<Offset>,
    /// The offset that the next visible record will have.
    pub high_watermark: Option<Offset>,
    /// The offset that the next record will have.
    pub log_end: Option<Offset>,
    /// Bytes of its record batches.
    pub size_bytes: u64,
}

/// New log starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrimReply {
    /// The log start offset of each partition.
    pub partitions: Vec<Result<Offset, Refusal>>,
}

/// Where batches went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceReply {
    /// What became of each partition's batches.
    pub partitions: Vec<Result<Produced, ProduceRefusal>>,
}

/// A partition's batches are in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// The first record's offset.
    pub base_offset: Offset,
    /// The offset after the last record's.
    pub next_offset: Offset,
    /// The log start offset.
    pub log_start: Offset,
    /// When the broker appended them, in ns since 1970-01-01 UTC.
    pub append_time_ns: u64,
    /// Whether they were there already.
    pub duplicate: bool,
}

/// A partition's batches are not in its log, or nobody knows (`OutcomeUnknown`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct ProduceRefusal {
    /// What clients act on.
    pub code: ErrorCode,
    /// What people read; may be empty.
    pub detail: String,
    /// With `WrongNextOffset`: where the log ends.
    pub end_offset: Option<Offset>,
}

/// Record batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchReply {
    /// Each partition's part.
    pub partitions: Vec<FetchedPartition>,
}

/// One partition of a [`FetchReply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPartition {
    /// Whole record batches in slices that may cut anywhere between or within them; at most one slice
    /// after decoding. The first batch may begin before the offset asked for.
    pub batches: Result<Vec<Bytes>, Refusal>,
    /// Records below are visible.
    pub high_watermark: Option<Offset>,
    /// The first offset that is there.
    pub log_start: Option<Offset>,
    /// The offset that the next record will have.
    pub log_end: Option<Offset>,
}

/// Offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOffsetsReply {
    /// The answer for each partition.
    pub partitions: Vec<Result<ListedOffset, Refusal>>,
}

/// One answer of a [`ListOffsetsReply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; `None` if no record is that new.
    pub offset: Option<Offset>,
    /// The timestamp of the record that was found by time.
    pub timestamp: Option<TimestampMs>,
    /// The leader epoch of the record or of the partition.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// What the broker counts.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsReply {
    /// The broker's own version.
    pub broker_version: String,
    /// How long it has been up, in ms.
    pub uptime_ms: u64,
    /// How many shards it has.
    pub shards: u32,
    /// The figures.
    pub stats: Vec<Stat>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Stat {
    /// Its name, as in the metrics on the HTTP port.
    pub name: String,
    /// The shard; `None` = the whole broker.
    pub shard: Option<ShardId>,
    /// Its value.
    pub value: f64,
}

/// Why a frame is not a reply. The broker's fault: close the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The header is not a reply, or contradicts itself or the payload.
    #[error("a frame's header is not a reply: {fault}")]
    Malformed {
        /// What is wrong.
        fault: &'static str,
    },
    /// The header holds an answer that this version does not know.
    #[error("answer {number} is not known here")]
    UnknownAnswer {
        /// Its number in the schema.
        number: u8,
    },
}
