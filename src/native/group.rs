//! Groups, as both sides speak of them. Apart from the other calls because requests and replies share most of
//! their parts.

use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, PartitionId, TopicId, TopicName};
use kolk_model::offset::Offset;

pub(crate) mod reply;
pub(crate) mod request;

/// Bytes of a group's, member's or other id. Beyond: `InvalidRequest`.
pub const GROUP_TEXT_BYTES_MAX: usize = 4_096;

/// A committed offset, or one to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// Where reading goes on.
    pub offset: Offset,
    /// The epoch of the last record that was read.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's words.
    pub metadata: String,
}

/// Stores offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOffsets {
    /// The group.
    pub group: String,
    /// The member that commits; empty = nobody of the group, which must have no members then.
    pub member: String,
    /// Its static id.
    pub instance: Option<String>,
    /// Its epoch; negative = none.
    pub epoch: i32,
    /// The offsets.
    pub offsets: Vec<GroupOffset>,
}

/// Reads every committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOffsets {
    /// The group.
    pub group: String,
    /// The member that asks; empty = anybody.
    pub member: String,
    /// Its epoch; negative = none.
    pub epoch: i32,
}

/// Partitions of a topic that a member has or is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPartitions {
    /// The topic.
    pub topic: TopicId,
    /// Its partitions.
    pub partitions: Vec<u32>,
}

/// Joins, keeps and leaves a group. What is `None` has not changed since the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupHeartbeat {
    /// The group.
    pub group: String,
    /// The member, by an id that the client has chosen.
    pub member: String,
    /// 0 = joins, -1 = leaves, -2 = a static member leaves for a while; else the epoch that it was told.
    pub epoch: i32,
    /// Its static id.
    pub instance: Option<String>,
    /// Its rack.
    pub rack: Option<String>,
    /// Milliseconds that it may take to give partitions up; at least 1.
    pub rebalance_timeout_ms: Option<u32>,
    /// The topics that it names.
    pub topics: Option<Vec<String>>,
    /// A regular expression for more topics; empty = none any more.
    pub pattern: Option<String>,
    /// The assignor that it wishes.
    pub assignor: Option<String>,
    /// The partitions that it has.
    pub owned: Option<Vec<OwnedPartitions>>,
}

/// What a member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupHeartbeatReply {
    /// The member.
    pub member: String,
    /// Its epoch.
    pub epoch: i32,
    /// How soon to speak again, in ms.
    pub heartbeat_interval_ms: u32,
    /// What it may read, if that is news.
    pub assignment: Option<Vec<OwnedPartitions>>,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// Its id.
    pub group: String,
    /// Its state, by Kafka's name.
    pub state: String,
    /// `classic` or `consumer`.
    pub kind: String,
    /// What its members are; empty if there never were any.
    pub protocol_type: String,
}

/// A group as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeGroupReply {
    /// Its state, by Kafka's name.
    pub state: String,
    /// `classic` or `consumer`.
    pub kind: String,
    /// What its members are.
    pub protocol_type: String,
    /// The assignor in use.
    pub protocol: String,
    /// Its members.
    pub members: Vec<GroupMember>,
    /// Everything committed.
    pub offsets: Vec<GroupOffset>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub member: String,
    /// Its static id.
    pub instance: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// Its epoch; -1 in classic groups.
    pub epoch: i32,
    /// What it reads, as far as the broker can tell: topics and partitions.
    pub reads: Vec<(String, Vec<u32>)>,
}

/// How each offset of a commit fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOffsetsReply {
    /// In the order of the request; [`ErrorCode::None`] = stored.
    pub codes: Vec<ErrorCode>,
}
