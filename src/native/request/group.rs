//! What a client asks of consumer groups. Apart because a group's life is a conversation of its own.

use bytes::Bytes;
use kolk_model::ids::{LeaderEpoch, PartitionId, TopicName};
use kolk_model::offset::Offset;

/// A call about groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupCall {
    /// Which shard owns a group.
    Find(String),
    /// Becomes, or stays, a member.
    Join(JoinGroup),
    /// Gives or asks for the assignment.
    Sync(SyncGroup),
    /// Says that a member lives.
    Heartbeat(MemberOfGroup),
    /// Takes members out of a group.
    Leave(LeaveGroup),
    /// Stores how far a group has read.
    CommitOffsets(CommitOffsets),
    /// Asks how far a group has read.
    FetchOffsets(FetchOffsets),
    /// Which groups there are.
    List(ListGroups),
    /// What a group is made of.
    Describe(String),
    /// Deletes a group without members.
    Delete(String),
}

/// A member, as it names itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberOfGroup {
    /// The group.
    pub group: String,
    /// The member's id.
    pub member: String,
    /// Its static id, if it has one.
    pub instance: Option<String>,
    /// The generation it was told when it joined; `None` outside of one.
    pub generation: Option<u32>,
}

/// An assignor that a member knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupProtocol {
    /// Its name.
    pub name: String,
    /// What the member tells the leader for that case. Shares the frame's memory or not: small.
    pub metadata: Bytes,
}

/// Becomes, or stays, a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroup {
    /// The group.
    pub group: String,
    /// The member's id; empty = a member to be.
    pub member: String,
    /// Its static id, if it has one.
    pub instance: Option<String>,
    /// How long the member may be silent, in ms.
    pub session_timeout_ms: u32,
    /// How long a rebalance waits for the member, in ms.
    pub rebalance_timeout_ms: u32,
    /// What kind of group this is.
    pub protocol_type: String,
    /// What the member can do, best first.
    pub protocols: Vec<GroupProtocol>,
    /// Why, for the broker's log; may be empty.
    pub reason: String,
}

/// Gives (the leader) or asks for the assignment of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// Who asks.
    pub who: MemberOfGroup,
    /// What kind of group the member believes in; may be empty.
    pub protocol_type: String,
    /// Which assignor the member believes in; may be empty.
    pub protocol: String,
    /// From the leader: what each member gets.
    pub assignments: Vec<(String, Bytes)>,
}

/// Takes members out of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveGroup {
    /// The group.
    pub group: String,
    /// Who goes.
    pub members: Vec<LeavingMember>,
}

/// One that leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeavingMember {
    /// Its id; empty = the static member of that instance.
    pub member: String,
    /// Its static id, if it has one.
    pub instance: Option<String>,
    /// Why, for the broker's log; may be empty.
    pub reason: String,
}

/// Stores how far a group has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOffsets {
    /// Who commits; with an empty member id nobody of the group, which may have no members then.
    pub who: MemberOfGroup,
    /// The offsets.
    pub offsets: Vec<OffsetToCommit>,
}

/// One offset to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetToCommit {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// Where reading goes on.
    pub offset: Offset,
    /// The epoch of the last record that was read.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's words; may be empty.
    pub metadata: String,
}

/// Asks how far a group has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOffsets {
    /// The group.
    pub group: String,
    /// Which offsets; `None` = all that are stored.
    pub partitions: Option<Vec<(TopicName, PartitionId)>>,
}

/// Asks which groups there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListGroups {
    /// States by name, in any case; empty = all.
    pub states: Vec<String>,
    /// `classic` or `consumer`, in any case; empty = all.
    pub kinds: Vec<String>,
}
