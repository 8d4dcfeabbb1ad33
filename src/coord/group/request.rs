//! What can be asked of a group, in values of our own. Every request but the list names one group.

use std::sync::Arc;

use bytes::Bytes;

use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, PartitionId, TopicId, TopicName};
use kolk_model::offset::Offset;

use crate::group::answer::{GroupAnswer, HeartbeatRefused, JoinRefused};
use crate::group::ids::{Generation, GroupId, InstanceId, MemberId};

/// A request about one group.
#[derive(Clone, Debug)]
pub enum GroupRequest {
    /// Becomes, or stays, a member of a classic group. Answered when the group has all its members.
    Join(JoinGroup),
    /// Gives (the leader) or asks for the assignment of a generation.
    Sync(SyncGroup),
    /// Says that a member lives.
    Heartbeat(Heartbeat),
    /// Takes members out of a group.
    Leave(LeaveGroup),
    /// Stores offsets.
    CommitOffsets(CommitOffsets),
    /// Reads stored offsets.
    FetchOffsets(FetchOffsets),
    /// Forgets stored offsets.
    DeleteOffsets(DeleteOffsets),
    /// Says what a classic group is made of.
    Describe(GroupId),
    /// Deletes an empty group with its offsets.
    Delete(GroupId),
    /// Becomes, stays, or ends to be a member of a group that the coordinator assigns for (KIP-848).
    ConsumerHeartbeat(ConsumerHeartbeat),
    /// Says what such a group is made of.
    ConsumerDescribe(GroupId),
}

impl GroupRequest {
    /// The group that the request is about.
    #[must_use]
    pub const fn group(&self) -> &GroupId {
        match self {
            Self::Join(request) => &request.group,
            Self::Sync(request) => &request.group,
            Self::Heartbeat(request) => &request.group,
            Self::Leave(request) => &request.group,
            Self::CommitOffsets(request) => &request.group,
            Self::FetchOffsets(request) => &request.group,
            Self::DeleteOffsets(request) => &request.group,
            Self::ConsumerHeartbeat(request) => &request.group,
            Self::Describe(group) | Self::Delete(group) | Self::ConsumerDescribe(group) => group,
        }
    }

    /// Which request it is.
    #[must_use]
    pub const fn kind(&self) -> RequestKind {
        match self {
            Self::Join(_) => RequestKind::Join,
            Self::Sync(_) => RequestKind::Sync,
            Self::Heartbeat(_) => RequestKind::Heartbeat,
            Self::Leave(_) => RequestKind::Leave,
            Self::CommitOffsets(_) => RequestKind::CommitOffsets,
            Self::FetchOffsets(_) => RequestKind::FetchOffsets,
            Self::DeleteOffsets(_) => RequestKind::DeleteOffsets,
            Self::Describe(_) => RequestKind::Describe,
            Self::Delete(_) => RequestKind::Delete,
            Self::ConsumerHeartbeat(_) => RequestKind::ConsumerHeartbeat,
            Self::ConsumerDescribe(_) => RequestKind::ConsumerDescribe,
        }
    }
}

/// Which request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// [`GroupRequest::Join`].
    Join,
    /// [`GroupRequest::Sync`].
    Sync,
    /// [`GroupRequest::Heartbeat`].
    Heartbeat,
    /// [`GroupRequest::Leave`].
    Leave,
    /// [`GroupRequest::CommitOffsets`].
    CommitOffsets,
    /// [`GroupRequest::FetchOffsets`].
    FetchOffsets,
    /// [`GroupRequest::DeleteOffsets`].
    DeleteOffsets,
    /// [`GroupRequest::Describe`].
    Describe,
    /// [`GroupRequest::Delete`].
    Delete,
    /// [`GroupRequest::ConsumerHeartbeat`].
    ConsumerHeartbeat,
    /// [`GroupRequest::ConsumerDescribe`].
    ConsumerDescribe,
}

impl RequestKind {
    /// The answer that refuses such a request.
    #[must_use]
    pub fn refuse(self, code: ErrorCode) -> GroupAnswer {
        match self {
            Self::Join => GroupAnswer::Join(Err(JoinRefused { code, member: MemberId::new("") })),
            Self::Sync => GroupAnswer::Sync(Err(code)),
            Self::Heartbeat => GroupAnswer::Heartbeat(Err(code)),
            Self::Leave => GroupAnswer::Leave(Err(code)),
            Self::CommitOffsets => GroupAnswer::CommitOffsets(Err(code)),
            Self::FetchOffsets => GroupAnswer::FetchOffsets(Err(code)),
            Self::DeleteOffsets => GroupAnswer::DeleteOffsets(Err(code)),
            Self::Describe => GroupAnswer::Describe(Err(code)),
            Self::Delete => GroupAnswer::Delete(Err(code)),
            Self::ConsumerHeartbeat => {
                GroupAnswer::ConsumerHeartbeat(Err(HeartbeatRefused::new(code, code.hint())))
            }
            Self::ConsumerDescribe => GroupAnswer::ConsumerDescribe(Err(code)),
        }
    }
}

/// Who speaks: shown when a group is described.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Client {
    /// The client's name for itself; also the beginning of a member id that it is given.
    pub id: String,
    /// Where it is, as Kafka shows it: `/` and the address.
    pub host: String,
}

/// What a member can do, and what it tells the leader for that case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// The name, of an assignor as a rule.
    pub name: String,
    /// The member's words to the leader, opaque here.
    pub metadata: Bytes,
}

/// See [`GroupRequest::Join`].
#[derive(Clone, Debug)]
pub struct JoinGroup {
    /// The group.
    pub group: GroupId,
    /// Who asks; empty = a member to be.
    pub member: MemberId,
    /// Its static id, if it has one.
    pub instance: Option<InstanceId>,
    /// The client.
    pub client: Client,
    /// How long the member may be silent, in ms.
    pub session_timeout_ms: u32,
    /// How long a rebalance waits for the member, in ms. The session timeout where the version has none (v0).
    pub rebalance_timeout_ms: u32,
    /// What kind of group this is, such as `consumer`.
    pub protocol_type: String,
    /// What the member can do, best first.
    pub protocols: Vec<Protocol>,
    /// Whether the version knows `MEMBER_ID_REQUIRED` (v4).
    pub knows_member_id_required: bool,
    /// Whether the version lets a leader skip the assignment (v9).
    pub knows_skip_assignment: bool,
    /// Why, in the client's words (v8); for the log.
    pub reason: Option<String>,
}

/// See [`GroupRequest::Sync`].
#[derive(Clone, Debug)]
pub struct SyncGroup {
    /// The group.
    pub group: GroupId,
    /// Who asks.
    pub member: MemberId,
    /// Its static id, if it has one.
    pub instance: Option<InstanceId>,
    /// The generation it was told when it joined; `None` for a number below 0.
    pub generation: Option<Generation>,
    /// What kind of group the member believes in (v5).
    pub protocol_type: Option<String>,
    /// Which protocol the member believes in (v5).
    pub protocol: Option<String>,
    /// From the leader: what each member gets.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// See [`GroupRequest::Heartbeat`].
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The group.
    pub group: GroupId,
    /// Who lives.
    pub member: MemberId,
    /// Its static id, if it has one.
    pub instance: Option<InstanceId>,
    /// The generation it is in; `None` for a number below 0.
    pub generation: Option<Generation>,
}

/// See [`GroupRequest::Leave`].
#[derive(Clone, Debug)]
pub struct LeaveGroup {
    /// The group.
    pub group: GroupId,
    /// Who goes.
    pub members: Vec<Leaving>,
}

/// One that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Its member id; empty = the static member of that instance, whoever it is.
    pub member: MemberId,
    /// Its static id, if it has one.
    pub instance: Option<InstanceId>,
    /// Why, in the client's words (v5); for the log.
    pub reason: Option<String>,
}

/// See [`GroupRequest::CommitOffsets`].
#[derive(Clone, Debug)]
pub struct CommitOffsets {
    /// The group.
    pub group: GroupId,
    /// Who commits; empty = nobody of the group (a tool, or a consumer that assigns itself).
    pub member: MemberId,
    /// Its static id, if it has one.
    pub instance: Option<InstanceId>,
    /// The generation (classic) or member epoch (consumer groups); negative = none.
    pub generation_or_epoch: i32,
    /// How long to keep the offsets, in ms (v2–4); `None` = as long as the broker says.
    pub retention_ms: Option<u64>,
    /// Whether the version knows `GROUP_ID_NOT_FOUND` and `STALE_MEMBER_EPOCH` (v9).
    pub knows_stale_epoch: bool,
    /// The offsets.
    pub offsets: Vec<OffsetToCommit>,
}

/// One offset to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetToCommit {
    /// The topic, which exists: the caller has looked it up.
    pub topic: TopicName,
    /// Its id. If it is gone by the time that the coordinator sees the request, or another one has its name, the offset is
    /// refused.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionId,
    /// Where reading goes on.
    pub offset: Offset,
    /// The epoch of the last record that was read.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's words, kept as they are; a null of the wire is the empty text.
    pub metadata: String,
}

/// See [`GroupRequest::FetchOffsets`].
#[derive(Clone, Debug)]
pub struct FetchOffsets {
    /// The group.
    pub group: GroupId,
    /// Who asks (v9); `None` = anybody.
    pub member: Option<MemberId>,
    /// The member epoch that goes with it (v9); negative = none.
    pub member_epoch: i32,
    /// Which offsets; `None` = all that are stored.
    pub topics: Option<Vec<OffsetsOfTopic>>,
    /// Whether offsets of open transactions are waited for.
    pub require_stable: bool,
}

/// Partitions of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetsOfTopic {
    /// The topic's name. Not checked: a name that can't be has no offsets.
    pub topic: Arc<str>,
    /// The partitions, as the wire has them.
    pub partitions: Vec<i32>,
}

/// See [`GroupRequest::DeleteOffsets`].
#[derive(Clone, Debug)]
pub struct DeleteOffsets {
    /// The group.
    pub group: GroupId,
    /// Which offsets.
    pub topics: Vec<OffsetsOfTopic>,
}

/// See [`GroupRequest::ConsumerHeartbeat`]. What is `None` has not changed since the last one.
#[derive(Clone, Debug)]
pub struct ConsumerHeartbeat {
    /// The group.
    pub group: GroupId,
    /// Who speaks, by an id that the client has chosen; empty = it wants one (v0).
    pub member: MemberId,
    /// 0 = joins, -1 = leaves, -2 = a static member leaves for a while; else the epoch that it was told.
    pub epoch: i32,
    /// Its static id, if it has one.
    pub instance: Option<InstanceId>,
    /// Its rack.
    pub rack: Option<String>,
    /// The client.
    pub client: Client,
    /// How long it may take to give partitions up, in ms.
    pub rebalance_timeout_ms: Option<u32>,
    /// The topics that it names.
    pub topics: Option<Vec<String>>,
    /// A regular expression for more topics; empty = none any more.
    pub pattern: Option<String>,
    /// The assignor that it wishes.
    pub assignor: Option<String>,
    /// The partitions that it has.
    pub owned: Option<Vec<(TopicId, Vec<i32>)>>,
    /// How long a member of the group may be silent, in ms (`consumer.session.timeout.ms` of the group).
    pub session_timeout_ms: u32,
    /// How often it is to speak, in ms (`consumer.heartbeat.interval.ms` of the group).
    pub heartbeat_interval_ms: u32,
}

/// Which groups to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// States by name, in any case; empty = all.
    pub states: Vec<String>,
    /// Types by name (`classic`, `consumer`), in any case; empty = all.
    pub types: Vec<String>,
}
