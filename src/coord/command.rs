//! What can be asked of the catalogue, what comes of it, and why it refuses.

use std::sync::Arc;

use kolk_model::config::definition::ConfigError;
use kolk_model::config::layers::BrokerOverrides;
use kolk_model::config::overrides::{ConfigChange, Overrides};
use kolk_model::ids::{ProducerId, TopicId, TopicName, TopicNameError};
use kolk_model::limits::{TOPIC_PARTITIONS_MAX, TOPIC_SETTINGS_MAX};
use kolk_model::time::TimestampMs;

use crate::topic::{Run, Topic};

/// A change of the catalogue. Everything that chance or a clock decides is inside, so that the same
/// commands give the same catalogue everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The node has started and replayed its journals: leader epochs rise, old tombstones go.
    BeginRun,
    /// Creates a topic.
    CreateTopic(NewTopic),
    /// Deletes a topic and leaves a tombstone.
    DeleteTopic {
        /// Which.
        topic: TopicId,
    },
    /// Changes settings of a topic.
    AlterConfig {
        /// Which.
        topic: TopicId,
        /// The changes, all or none of them; later ones win.
        changes: Vec<ConfigChange>,
    },
    /// Changes settings of brokers, with them the defaults of topics.
    AlterBroker {
        /// Of which.
        scope: BrokerScope,
        /// The changes, all or none of them; later ones win.
        changes: Vec<ConfigChange>,
    },
    /// Changes settings of a group, whether it exists or not.
    AlterGroup {
        /// Its id.
        group: String,
        /// The changes, all or none of them; later ones win.
        changes: Vec<ConfigChange>,
    },
    /// Raises the number of partitions of a topic.
    AddPartitions {
        /// Which.
        topic: TopicId,
        /// How many it has then.
        partitions: u32,
    },
    /// Takes producer ids that nobody else will get.
    AllocateProducerIds {
        /// How many, 1 to [`PRODUCER_ID_BLOCK_MAX`].
        count: u32,
    },
}

/// Which brokers' settings are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerScope {
    /// All.
    Cluster,
    /// This node's alone; they win.
    Node,
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions, 1 to [`TOPIC_PARTITIONS_MAX`].
    pub partitions: u32,
    /// The settings given to it.
    pub config: Overrides,
    /// Any number; spreads topics over shards.
    pub random: u64,
    /// The time by the controller's wall clock.
    pub now: TimestampMs,
}

/// What a command changed. Shared: an event goes to every shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A run has begun.
    RunBegan {
        /// Its number.
        run: Run,
    },
    /// A topic exists.
    TopicCreated {
        /// The topic.
        topic: Arc<Topic>,
    },
    /// A topic is gone.
    TopicDeleted {
        /// What it was.
        topic: Arc<Topic>,
    },
    /// A topic has other settings.
    ConfigAltered {
        /// The topic as it is now.
        topic: Arc<Topic>,
    },
    /// Brokers have other settings.
    BrokersAltered {
        /// All settings of brokers as they are now.
        brokers: Arc<BrokerOverrides>,
        /// The topics for which another value is in force now.
        topics: Vec<Arc<Topic>>,
    },
    /// A group has other settings.
    GroupAltered {
        /// Its id.
        group: Arc<str>,
        /// Its settings as they are now.
        settings: Arc<Overrides>,
    },
    /// A topic has more partitions.
    PartitionsAdded {
        /// The topic as it is now.
        topic: Arc<Topic>,
        /// How many partitions it had.
        before: u32,
    },
    /// Producer ids are taken.
    ProducerIdsAllocated {
        /// The first of them.
        first: ProducerId,
        /// How many.
        count: u32,
    },
}

/// Producer ids taken at once, at most.
pub const PRODUCER_ID_BLOCK_MAX: u32 = 1_000_000;

/// Topics a node may have. Beyond: creating another is refused.
pub const TOPICS_MAX: usize = 100_000;

/// Partitions a node may have over all topics. Beyond: creating more is refused.
pub const PARTITIONS_MAX: u64 = 1_000_000;

/// Groups that may have settings of their own. Beyond: refused.
pub const GROUPS_CONFIGURED_MAX: usize = 100_000;

/// Bytes of the id of a group that has settings.
pub const GROUP_ID_BYTES_MAX: usize = 4_096;

/// Why a command was refused. The catalogue is unchanged; the caller's fault unless noted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// The name is taken. A retry does not help.
    #[error("topic '{name}' exists already")]
    TopicExists {
        /// The name.
        name: TopicName,
    },
    /// The name differs from that of another topic in `.` and `_` only, which metrics can't tell apart;
    /// Kafka refuses it too.
    #[error("topic name '{name}' collides with '{existing}': '.' and '_' count as the same")]
    NameCollides {
        /// The name asked for.
        name: TopicName,
        /// The topic that has it.
        existing: TopicName,
    },
    /// No topic has this id (any more).
    #[error("there is no topic with id {topic}")]
    UnknownTopic {
        /// The id.
        topic: TopicId,
    },
    /// The number of partitions is 0 or beyond [`TOPIC_PARTITIONS_MAX`].
    #[error("{partitions} partitions are not possible: 1 to {TOPIC_PARTITIONS_MAX} are")]
    PartitionCount {
        /// The number asked for.
        partitions: u32,
    },
    /// The number of partitions would not grow.
    #[error("topic '{name}' has {existing} partitions, {asked} are not more")]
    PartitionsNotMore {
        /// The topic.
        name: TopicName,
        /// How many it has.
        existing: u32,
        /// How many were asked for.
        asked: u32,
    },
    /// The node has as many topics or partitions as it may have. Deleting some helps.
    #[error(
        "the node would have {topics} topics with {partitions} partitions: at most {TOPICS_MAX} and {PARTITIONS_MAX} are allowed"
    )]
    NodeFull {
        /// Topics it would have.
        topics: usize,
        /// Partitions it would have.
        partitions: u64,
    },
    /// A setting is not accepted.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// More changes in one command than are accepted.
    #[error("{count} changes of settings at once: at most {TOPIC_SETTINGS_MAX} are allowed")]
    TooManyChanges {
        /// How many there were.
        count: usize,
    },
    /// The id of a group is empty or too long.
    #[error("the id of a group has 1 to {GROUP_ID_BYTES_MAX} bytes, not {bytes}")]
    GroupId {
        /// How many it has.
        bytes: usize,
    },
    /// As many groups have settings as may.
    #[error("{GROUPS_CONFIGURED_MAX} groups have settings already")]
    TooManyGroups,
    /// A name breaks Kafka's rule.
    #[error(transparent)]
    Name(#[from] TopicNameError),
    /// The size of a block of producer ids is 0 or beyond [`PRODUCER_ID_BLOCK_MAX`].
    #[error("{count} producer ids at once are not possible: 1 to {PRODUCER_ID_BLOCK_MAX} are")]
    ProducerIdCount {
        /// How many were asked for.
        count: u32,
    },
    /// Every producer id is taken. Nobody's fault, and not reached in practice: there are 2^63.
    #[error("no producer id is left")]
    ProducerIdsExhausted,
}
