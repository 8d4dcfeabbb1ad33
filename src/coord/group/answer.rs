//! What the coordinator answers, in values of our own.

use std::sync::Arc;

use bytes::Bytes;

use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, TopicId};
use kolk_model::offset::Offset;

use crate::group::ids::{Generation, GroupId, InstanceId, MemberId};

/// The answer to a request, of the variant of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupAnswer {
    /// To a join.
    Join(Result<Joined, JoinRefused>),
    /// To a sync.
    Sync(Result<Synced, ErrorCode>),
    /// To a heartbeat.
    Heartbeat(Result<(), ErrorCode>),
    /// To a leave: how each one fared, in the request's order.
    Leave(Result<Vec<Left>, ErrorCode>),
    /// To a commit: how each offset fared, in the request's order; [`ErrorCode::None`] = stored.
    CommitOffsets(Result<Vec<ErrorCode>, ErrorCode>),
    /// To a fetch of offsets.
    FetchOffsets(Result<Vec<FetchedOffsets>, ErrorCode>),
    /// To a deletion of offsets: by topic and partition in the request's order.
    DeleteOffsets(Result<Vec<Vec<ErrorCode>>, ErrorCode>),
    /// To a description. An unknown group is [`ErrorCode::GroupIdNotFound`].
    Describe(Result<DescribedGroup, ErrorCode>),
    /// To a deletion.
    Delete(Result<(), ErrorCode>),
    /// To a consumer's heartbeat.
    ConsumerHeartbeat(Result<Heard, HeartbeatRefused>),
    /// To a description of a consumer group. An unknown group is [`ErrorCode::GroupIdNotFound`].
    ConsumerDescribe(Result<DescribedConsumers, ErrorCode>),
}

/// What a consumer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its id.
    pub member: MemberId,
    /// Its epoch.
    pub epoch: i32,
    /// How soon to speak again, in ms.
    pub heartbeat_interval_ms: u32,
    /// What it may read, if that is news.
    pub assignment: Option<Vec<(TopicId, Vec<i32>)>>,
}

/// Why a consumer's heartbeat is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatRefused {
    /// The reason.
    pub code: ErrorCode,
    /// The reason for people.
    pub why: String,
}

impl HeartbeatRefused {
    /// A refusal that says why.
    #[must_use]
    pub fn new(code: ErrorCode, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

/// A consumer group as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumers {
    /// Its state.
    pub state: GroupState,
    /// Its epoch.
    pub epoch: i32,
    /// The epoch of its assignment.
    pub target_epoch: i32,
    /// The assignor in use.
    pub assignor: String,
    /// Its members, by id.
    pub members: Vec<DescribedConsumer>,
}

/// A consumer as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumer {
    /// Its id.
    pub member: MemberId,
    /// Its static id, if it has one.
    pub instance: Option<InstanceId>,
    /// Its rack.
    pub rack: Option<String>,
    /// Its epoch.
    pub epoch: i32,
    /// The client's name for itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// The topics that it names.
    pub topics: Vec<String>,
    /// Its regular expression.
    pub pattern: Option<String>,
    /// What it has.
    pub assigned: Vec<(TopicId, Vec<i32>)>,
    /// What it is to have.
    pub target: Vec<(TopicId, Vec<i32>)>,
    /// Which protocol it speaks.
    pub kind: GroupKind,
}

/// A member that joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its id.
    pub member: MemberId,
    /// The generation that begins.
    pub generation: Generation,
    /// The kind of the group.
    pub protocol_type: Option<String>,
    /// The protocol that all members know.
    pub protocol: Option<String>,
    /// The member that assigns.
    pub leader: MemberId,
    /// Whether a leader need not assign: the group has its assignment already.
    pub skip_assignment: bool,
    /// For the leader: who is in the group.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member: MemberId,
    /// Its static id, if it has one.
    pub instance: Option<InstanceId>,
    /// What it said for the protocol.
    pub metadata: Bytes,
}

/// Why somebody did not join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// The reason.
    pub code: ErrorCode,
    /// The id that goes with it: with [`ErrorCode::MemberIdRequired`] the one to join with.
    pub member: MemberId,
}

/// What a member gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The kind of the group.
    pub protocol_type: Option<String>,
    /// The protocol in use.
    pub protocol: Option<String>,
    /// Its assignment, opaque here.
    pub assignment: Bytes,
}

/// How one fared that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The id as it was given.
    pub member: MemberId,
    /// The static id as it was given.
    pub instance: Option<InstanceId>,
    /// [`ErrorCode::None`] if it is gone.
    pub code: ErrorCode,
}

/// Offsets of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffsets {
    /// The topic.
    pub topic: Arc<str>,
    /// Its partitions: in the request's order, or rising if all were asked for.
    pub partitions: Vec<FetchedOffset>,
}

/// One partition's offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    /// The partition, as the wire has it.
    pub partition: i32,
    /// What is stored, if anything is.
    pub committed: Option<Committed>,
    /// [`ErrorCode::None`], or why it is not told.
    pub code: ErrorCode,
}

/// A stored offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Where reading goes on.
    pub offset: Offset,
    /// The epoch of the last record that was read.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's words.
    pub metadata: String,
}

/// A classic group as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Its state.
    pub state: GroupState,
    /// Its kind; empty if it has had no member.
    pub protocol_type: String,
    /// The protocol in use; empty while there is none.
    pub protocol: String,
    /// Its members, by id.
    pub members: Vec<DescribedMember>,
}

/// A member as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member: MemberId,
    /// Its static id, if it has one.
    pub instance: Option<InstanceId>,
    /// The client's name for itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// What it said for the protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// What it got; empty unless the group is stable.
    pub assignment: Bytes,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its id.
    pub group: GroupId,
    /// Its kind; empty if it has had no member.
    pub protocol_type: String,
    /// Its state.
    pub state: GroupState,
    /// Which protocol its members speak.
    pub kind: GroupKind,
}

/// Where a group is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// No members.
    Empty,
    /// Waits for members to join (classic).
    PreparingRebalance,
    /// Waits for the leader's assignment (classic).
    CompletingRebalance,
    /// Everybody has an assignment.
    Stable,
    /// A new assignment is to be computed (consumer).
    Assigning,
    /// Members move to a new assignment (consumer).
    Reconciling,
    /// There is no such group.
    Dead,
}

impl GroupState {
    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Dead => "Dead",
        }
    }
}

/// Which protocol a group is run by, or a member speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// Join and sync; the leader assigns.
    Classic,
    /// Heartbeats alone; the coordinator assigns (KIP-848).
    Consumer,
}

impl GroupKind {
    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}
