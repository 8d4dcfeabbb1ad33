//! What travels over the mesh. Everything here is `Send`: values, and bytes by atomic reference count.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kolk_coord::command::{Command, Event};
use kolk_coord::group::answer::{GroupAnswer, ListedGroup};
use kolk_coord::group::request::{GroupRequest, ListFilter};
use kolk_metric::prometheus::PartitionSeries;
use kolk_metric::shard::MetricsSnapshot;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, ProducerId, TopicId, TopicPartition};
use kolk_model::offset::Offset;
use kolk_partition::effect::{Produced, WaiterId};
use kolk_partition::producers::ProducerBatch;

use crate::request::{
    CreateTopicOp, CreatedTopic, CrowdLimits, Crowded, EpochEnd, FetchSlot, FetchedSlot,
    ListedOffset, OffsetPlace, PartitionState, ProduceOp, ProducerDescription, Refusal,
};

/// A request with the name its sender waits under.
#[derive(Debug)]
pub(crate) struct Call {
    /// Who waits, on the sending shard.
    pub(crate) waiter: WaiterId,
    /// What is asked.
    pub(crate) request: Request,
}

/// A reply with the name its receiver waits under.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Who waits, on the receiving shard.
    pub(crate) waiter: WaiterId,
    /// What is answered.
    pub(crate) reply: Reply,
}

/// What one shard asks another. To each there is one reply, unless noted.
#[derive(Debug)]
pub(crate) enum Request {
    Produce(ProduceOp),
    /// A batch of an idempotent producer was refused on the way to its partition.
    TurnAway {
        partition: TopicPartition,
        batch: ProducerBatch,
    },
    Fetch(FetchPart),
    AwaitBytes(BytesAwaited),
    /// Ends the wait of a fetch or of awaited bytes early; has no reply of its own.
    Hurry,
    ListOffset {
        partition: TopicPartition,
        place: OffsetPlace,
    },
    /// Where the records of a leader epoch end.
    EpochEnd {
        partition: TopicPartition,
        epoch: LeaderEpoch,
    },
    /// The partitions of a topic that the receiver owns.
    Describe {
        topic: TopicId,
    },
    /// The idempotent producers of a partition.
    Producers {
        partition: TopicPartition,
    },
    Trim {
        partition: TopicPartition,
        /// `None` = the high watermark.
        before: Option<Offset>,
    },
    /// To the controller.
    Change(Change),
    /// To the controller: a block of producer ids.
    ProducerIds {
        count: u32,
    },
    /// From the controller: what has changed.
    Apply(Arc<Event>),
    /// From the controller: every shard has this topic.
    Arrived(TopicId),
    Stats,
    /// To the owner of the group's partition of the offsets topic.
    Group(Box<GroupRequest>),
    /// The groups that the receiver coordinates.
    ListGroups(ListFilter),
    /// To the one that counts clients.
    Enter {
        address: IpAddr,
        limits: CrowdLimits,
    },
    /// A client that was counted is gone; has no reply.
    Leave {
        address: IpAddr,
    },
    /// Something that every shard's metadata should say; has no reply.
    News(PartitionNews),
    /// The sender has no request in flight any more and will make none; has no reply.
    Drained,
}

/// What a client may change of the catalogue.
#[derive(Debug)]
pub(crate) enum Change {
    Create(CreateTopicOp),
    Other(Command),
    /// Only to say whether it would succeed.
    Validate(Command),
}

/// A fetch of partitions that one shard owns.
#[derive(Clone, Debug)]
pub(crate) struct FetchPart {
    pub(crate) slots: Vec<FetchSlot>,
    pub(crate) bytes_min: u64,
    pub(crate) bytes_max: u64,
    pub(crate) wait: Duration,
}

/// Waits until partitions that one shard owns have more to read.
#[derive(Clone, Debug)]
pub(crate) struct BytesAwaited {
    pub(crate) slots: Vec<FetchSlot>,
    /// As counted by [`FetchedPart::available`].
    pub(crate) bytes_min: u64,
    pub(crate) wait: Duration,
}

/// A part's answer.
#[derive(Debug)]
pub(crate) struct FetchedPart {
    /// In the order of the part's slots.
    pub(crate) slots: Vec<FetchedSlot>,
    /// Roughly how many visible bytes there are for the slots, each counted up to its own maximum.
    pub(crate) available: u64,
    /// Whether waiting for more makes no sense: a slot has an error, or all are full.
    pub(crate) settled: bool,
}

/// What every shard should know of a partition.
#[derive(Clone, Debug)]
pub(crate) struct PartitionNews {
    pub(crate) partition: TopicPartition,
    pub(crate) standing: Standing,
}

/// How a partition differs from what the catalogue says.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// It can't be used.
    Offline(Refusal),
    /// It can be used again.
    Online,
    /// Its leader epoch is not that of its topic.
    Epoch(LeaderEpoch),
}

/// What one shard answers another.
#[derive(Debug)]
pub(crate) enum Reply {
    Produced(Result<Produced, Refusal>),
    TurnedAway,
    Fetched(FetchedPart),
    /// Awaited bytes are there, or the wait is over.
    Awaited,
    Listed(Result<ListedOffset, Refusal>),
    EpochEnd(Result<Option<EpochEnd>, Refusal>),
    Described(Vec<PartitionState>),
    Producers(Result<Vec<ProducerDescription>, Refusal>),
    Trimmed(Result<Offset, Refusal>),
    Changed(Result<Changed, Refusal>),
    ProducerIds(Result<ProducerIdBlock, Refusal>),
    Applied(Result<(), Refusal>),
    Entered(Result<(), Crowded>),
    Stats(Box<ShardStats>),
    Group(Box<GroupAnswer>),
    Groups(Result<Vec<ListedGroup>, ErrorCode>),
}

/// What became of a change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Changed {
    Created(CreatedTopic),
    Done,
}

/// Producer ids that nobody else has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProducerIdBlock {
    pub(crate) first: ProducerId,
    pub(crate) count: u32,
}

/// What one shard counts.
#[derive(Debug)]
pub(crate) struct ShardStats {
    pub(crate) snapshot: MetricsSnapshot,
    pub(crate) partitions: Vec<PartitionSeries>,
}
