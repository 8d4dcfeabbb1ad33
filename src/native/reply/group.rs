//! What a broker answers about consumer groups. Apart because a group's life is a conversation of its own.

use bytes::Bytes;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, PartitionId, TopicName};
use kolk_model::offset::Offset;

use super::{Door, Refusal};

/// What a broker answers to a call about groups, of the call's variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupReply {
    /// The native door of the shard that owns the group.
    Find(Door),
    /// To a join.
    Join(Result<JoinedGroup, JoinRefusal>),
    /// To a sync.
    Sync(SyncedGroup),
    /// To a heartbeat.
    Heartbeat,
    /// How each one fared that left, in the order of the request; [`ErrorCode::None`] = gone.
    Leave(Vec<ErrorCode>),
    /// How each offset fared, in the order of the request; [`ErrorCode::None`] = stored.
    CommitOffsets(Vec<ErrorCode>),
    /// Committed offsets.
    FetchOffsets(Vec<CommittedOffset>),
    /// Groups, in no order.
    List(Vec<ListedGroup>),
    /// To a description.
    Describe(DescribedGroup),
    /// To a deletion.
    Delete,
}

/// A member that joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinedGroup {
    /// Its id.
    pub member: String,
    /// The generation that begins.
    pub generation: u32,
    /// The kind of the group; may be empty.
    pub protocol_type: String,
    /// The assignor that all members know; may be empty.
    pub protocol: String,
    /// The member that assigns.
    pub leader: String,
    /// Whether a leader need not assign: the group has its assignment already.
    pub skip_assignment: bool,
    /// For the leader: who is in the group.
    pub members: Vec<GroupMember>,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub member: String,
    /// Its static id, if it has one.
    pub instance: Option<String>,
    /// What it said for the assignor.
    pub metadata: Bytes,
}

/// Why somebody did not join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefusal {
    /// The reason.
    pub refusal: Refusal,
    /// With [`ErrorCode::MemberIdRequired`] the id to join with; else empty or the one that was given.
    pub member: String,
}

/// What a member gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncedGroup {
    /// The kind of the group; may be empty.
    pub protocol_type: String,
    /// The assignor in use; may be empty.
    pub protocol: String,
    /// The member's assignment, opaque here.
    pub assignment: Bytes,
}

/// A partition's committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// [`ErrorCode::None`], or why it is not told.
    pub error: ErrorCode,
    /// Where reading goes on; `None` = nothing is stored.
    pub offset: Option<Offset>,
    /// The epoch of the last record that was read.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's words; may be empty.
    pub metadata: String,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its id.
    pub group: String,
    /// `classic` or `consumer`.
    pub kind: String,
    /// Its state, by Kafka's name.
    pub state: String,
    /// What its members are; empty if it has had none.
    pub protocol_type: String,
}

/// A group as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedGroup {
    /// `classic` or `consumer`.
    pub kind: String,
    /// Its state, by Kafka's name.
    pub state: String,
    /// What its members are; empty if it has had none.
    pub protocol_type: String,
    /// The assignor in use; empty while there is none.
    pub protocol: String,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member: String,
    /// Its static id, if it has one.
    pub instance: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// What it said for the assignor; empty unless the group is stable.
    pub metadata: Bytes,
    /// What it got; empty unless the group is stable.
    pub assignment: Bytes,
}
