//! What a client asks for, as checked values. Apart from the replies because each side decodes one and
//! encodes the other.

mod decode;
mod encode;

pub mod group;

use bytes::Bytes;
use kolk_model::durability::AckLevel;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicName, TopicPartition};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

pub use self::decode::{decode, decode_into};
pub(crate) use self::encode::encode;
use self::group::GroupCall;

/// Tells a connection's requests apart: chosen by the client, repeated in the reply.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct CorrelationId(u64);

impl CorrelationId {
    /// Wraps a plain number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Gives the plain number back.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A request and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFrame {
    /// What the reply must repeat.
    pub correlation: CorrelationId,
    /// What is asked for.
    pub request: Request,
}

/// What a client asks for. Payload shares the memory of the frame it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Must be a connection's first.
    Hello(Hello),
    /// Asks for a producer id.
    InitProducer,
    /// Where topics are.
    Metadata(MetadataQuery),
    /// Makes a topic.
    CreateTopic(CreateTopic),
    /// Deletes a topic with all its records.
    DeleteTopic(TopicName),
    /// Changes a topic's settings.
    AlterTopic(AlterTopic),
    /// Raises a topic's number of partitions.
    AddPartitions(AddPartitions),
    /// Everything about a topic.
    DescribeTopic(TopicName),
    /// Forgets old records.
    Trim(Trim),
    /// Appends record batches.
    Produce(Produce),
    /// Reads record batches.
    Fetch(Fetch),
    /// Finds offsets by place or time.
    ListOffsets(ListOffsets),
    /// What the broker counts.
    Stats,
    /// About consumer groups.
    Group(GroupCall),
}

impl Request {
    /// Which call it is.
    #[must_use]
    pub const fn kind(&self) -> CallKind {
        match self {
            Self::Hello(_) => CallKind::Hello,
            Self::InitProducer => CallKind::InitProducer,
            Self::Metadata(_) => CallKind::Metadata,
            Self::CreateTopic(_) => CallKind::CreateTopic,
            Self::DeleteTopic(_) => CallKind::DeleteTopic,
            Self::AlterTopic(_) => CallKind::AlterTopic,
            Self::AddPartitions(_) => CallKind::AddPartitions,
            Self::DescribeTopic(_) => CallKind::DescribeTopic,
            Self::Trim(_) => CallKind::Trim,
            Self::Produce(_) => CallKind::Produce,
            Self::Fetch(_) => CallKind::Fetch,
            Self::ListOffsets(_) => CallKind::ListOffsets,
            Self::Stats => CallKind::Stats,
            Self::Group(call) => match call {
                GroupCall::Find(_) => CallKind::FindGroup,
                GroupCall::Join(_) => CallKind::JoinGroup,
                GroupCall::Sync(_) => CallKind::SyncGroup,
                GroupCall::Heartbeat(_) => CallKind::GroupHeartbeat,
                GroupCall::Leave(_) => CallKind::LeaveGroup,
                GroupCall::CommitOffsets(_) => CallKind::CommitOffsets,
                GroupCall::FetchOffsets(_) => CallKind::FetchOffsets,
                GroupCall::List(_) => CallKind::ListGroups,
                GroupCall::Describe(_) => CallKind::DescribeGroup,
                GroupCall::Delete(_) => CallKind::DeleteGroup,
            },
        }
    }
}

/// A call without its arguments, for counters and logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "the variants are those of Request")]
#[non_exhaustive]
pub enum CallKind {
    Hello,
    InitProducer,
    Metadata,
    CreateTopic,
    DeleteTopic,
    AlterTopic,
    AddPartitions,
    DescribeTopic,
    Trim,
    Produce,
    Fetch,
    ListOffsets,
    Stats,
    FindGroup,
    JoinGroup,
    SyncGroup,
    GroupHeartbeat,
    LeaveGroup,
    CommitOffsets,
    FetchOffsets,
    ListGroups,
    DescribeGroup,
    DeleteGroup,
}

impl CallKind {
    /// Every call.
    pub const ALL: [Self; 23] = [
        Self::Hello,
        Self::InitProducer,
        Self::Metadata,
        Self::CreateTopic,
        Self::DeleteTopic,
        Self::AlterTopic,
        Self::AddPartitions,
        Self::DescribeTopic,
        Self::Trim,
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::Stats,
        Self::FindGroup,
        Self::JoinGroup,
        Self::SyncGroup,
        Self::GroupHeartbeat,
        Self::LeaveGroup,
        Self::CommitOffsets,
        Self::FetchOffsets,
        Self::ListGroups,
        Self::DescribeGroup,
        Self::DeleteGroup,
    ];

    /// The name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::InitProducer => "init_producer",
            Self::Metadata => "metadata",
            Self::CreateTopic => "create_topic",
            Self::DeleteTopic => "delete_topic",
            Self::AlterTopic => "alter_topic",
            Self::AddPartitions => "add_partitions",
            Self::DescribeTopic => "describe_topic",
            Self::Trim => "trim",
            Self::Produce => "produce",
            Self::Fetch => "fetch",
            Self::ListOffsets => "list_offsets",
            Self::Stats => "stats",
            Self::FindGroup => "find_group",
            Self::JoinGroup => "join_group",
            Self::SyncGroup => "sync_group",
            Self::GroupHeartbeat => "group_heartbeat",
            Self::LeaveGroup => "leave_group",
            Self::CommitOffsets => "commit_offsets",
            Self::FetchOffsets => "fetch_offsets",
            Self::ListGroups => "list_groups",
            Self::DescribeGroup => "describe_group",
            Self::DeleteGroup => "delete_group",
        }
    }
}

/// Opens a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The newest protocol version that the client speaks.
    pub protocol_version: u16,
    /// Optional features that the client understands, a bit each.
    pub features: u64,
    /// The client's name for itself; may be empty.
    pub client_id: String,
    /// Whether the reply shall assign a producer id.
    pub wants_producer_id: bool,
}

/// Asks where topics are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataQuery {
    /// The topics; `None` = all of them.
    pub topics: Option<Vec<TopicName>>,
}

/// A setting's name and value; neither is checked here.
pub type Setting = (String, String);

/// Makes a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions it shall have; `None` = the broker's default.
    pub partitions: Option<u32>,
    /// Settings that differ from the default.
    pub settings: Vec<Setting>,
    /// Whether to say only if it would succeed.
    pub validate_only: bool,
}

/// Changes a topic's settings, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterTopic {
    /// The topic's name.
    pub name: TopicName,
    /// Settings to change.
    pub set: Vec<Setting>,
    /// Names of settings that return to their default.
    pub reset: Vec<String>,
}

/// Raises a topic's number of partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitions {
    /// The topic's name.
    pub name: TopicName,
    /// How many there shall be.
    pub partitions: u32,
}

/// Forgets the records of some partitions before an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trim {
    /// The topic's name.
    pub name: TopicName,
    /// The partitions.
    pub partitions: Vec<TrimPartition>,
}

/// One partition of a [`Trim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrimPartition {
    /// The partition.
    pub partition: PartitionId,
    /// The first offset that stays; `None` = the high watermark.
    pub before: Option<Offset>,
}

/// Appends record batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produce {
    /// What the reply waits for.
    pub durability: AckLevel,
    /// The partitions, to be appended in this order; one may come more than once.
    pub partitions: Vec<ProducePartition>,
}

/// One partition of a [`Produce`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducePartition {
    /// The partition.
    pub id: TopicPartition,
    /// At least one record batch, back to back. After decoding it is sure that they are as long as they
    /// say; nothing else about them was checked.
    pub batches: Bytes,
    /// Refuse unless the log ends here.
    pub expected_next_offset: Option<Offset>,
}

/// Reads record batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// How long to wait for `bytes_min`, in ms.
    pub wait_ms_max: u32,
    /// Fewer bytes than this are worth waiting for more.
    pub bytes_min: u32,
    /// Bytes of the whole reply's payload.
    pub bytes_max: u32,
    /// The partitions, in the order in which they may use up `bytes_max`.
    pub partitions: Vec<FetchPartition>,
}

/// One partition of a [`Fetch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    /// The partition.
    pub id: TopicPartition,
    /// The first offset wanted.
    pub offset: Offset,
    /// Bytes of this partition's part of the payload.
    pub bytes_max: u32,
}

/// Finds offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOffsets {
    /// One question for each partition.
    pub queries: Vec<OffsetQuery>,
}

/// One question of a [`ListOffsets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetQuery {
    /// The partition.
    pub id: TopicPartition,
    /// Which offset.
    pub place: OffsetPlace,
}

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetPlace {
    /// The log start offset.
    Beginning,
    /// The high watermark.
    End,
    /// That of the first record that is not older.
    At(TimestampMs),
}

/// Why a frame is not an acceptable request. The client's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The header is not a request at all. Which request it was is unknown: close the connection.
    #[error("a frame's header is not a request: {fault}")]
    Malformed {
        /// What is wrong.
        fault: &'static str,
    },
    /// The header is whole but asks for something impossible: answer with
    /// [`crate::reply::Reply::Refused`] and go on.
    #[error("{code}: {detail}")]
    Refused {
        /// The request's number.
        correlation: CorrelationId,
        /// The code to answer with.
        code: ErrorCode,
        /// The text to answer with.
        detail: String,
    },
}
