//! Which topics exist and who owns their partitions: every shard's own copy, brought up to date by the
//! controller. Apart because connections read it without asking anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kolk_coord::catalogue::Catalogue;
use kolk_coord::command::Event;
use kolk_coord::topic::{ClusterId, Run, Topic};
use kolk_model::config::definition::ConfigKind;
use kolk_model::config::group::GroupConfig;
use kolk_model::config::layers::BrokerOverrides;
use kolk_model::config::overrides::Overrides;
use kolk_model::ids::{LeaderEpoch, PartitionId, ShardId, TopicId, TopicName, TopicPartition};
use kolk_model::map::Map;

use crate::message::{PartitionNews, Standing};
use crate::request::Refusal;

/// The rule that says which shard owns a partition. The directories of topics do not depend on it, so the
/// number of shards may change between runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    shards: u16,
}

impl Placement {
    /// Places partitions on so many shards.
    ///
    /// # Panics
    /// When `shards` is 0: nobody could own anything.
    #[must_use]
    pub const fn new(shards: u16) -> Self {
        assert!(shards > 0, "a node has at least one shard");
        Self { shards }
    }

    /// How many shards there are.
    #[must_use]
    pub const fn shards(self) -> u16 {
        self.shards
    }

    /// The owner: (the first four bytes of the topic's id, little-endian, + partition) modulo shards.
    #[inline]
    #[must_use]
    pub fn owner(self, partition: TopicPartition) -> ShardId {
        let [a, b, c, d, ..] = partition.topic.get();
        let spread = u64::from(u32::from_le_bytes([a, b, c, d]));
        let number = (spread + u64::from(partition.partition.get())) % u64::from(self.shards);
        // Less than a u16.
        ShardId::new(u16::try_from(number).unwrap_or(0))
    }

    /// The partitions of a topic that `shard` owns, rising.
    pub fn owned(self, topic: &Topic, shard: ShardId) -> impl Iterator<Item = TopicPartition> {
        let id = topic.id;
        (0..topic.partitions)
            .map(move |number| TopicPartition::new(id, PartitionId::new(number)))
            .filter(move |partition| self.owner(*partition) == shard)
    }
}

/// A shard's copy of what the controller announced. A snapshot (`Rc`) stays as it was when it was taken.
#[derive(Clone, Debug)]
pub struct Metadata {
    cluster: ClusterId,
    run: Run,
    placement: Placement,
    topics: Map<TopicId, Arc<Topic>>,
    names: Map<TopicName, TopicId>,
    /// Topics that not every shard has taken in yet.
    coming: BTreeSet<TopicId>,
    offline: Map<TopicPartition, Refusal>,
    epochs: Map<TopicPartition, LeaderEpoch>,
    brokers: Arc<BrokerOverrides>,
    groups: Map<Arc<str>, Arc<Overrides>>,
}

impl Metadata {
    /// What the catalogue says at the start of a run.
    #[must_use]
    pub fn new(catalogue: &Catalogue, placement: Placement) -> Self {
        let topics: BTreeMap<_, _> = catalogue.topics().map(|t| (t.id, Arc::clone(t))).collect();
        let names = topics.values().map(|topic| (topic.name.clone(), topic.id)).collect();
        Self {
            cluster: catalogue.cluster(),
            run: catalogue.run(),
            placement,
            topics,
            names,
            coming: BTreeSet::new(),
            offline: Map::new(),
            epochs: Map::new(),
            brokers: Arc::clone(catalogue.brokers()),
            groups: catalogue.groups().map(|(id, s)| (Arc::clone(id), Arc::clone(s))).collect(),
        }
    }

    /// Takes an announced change in.
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::TopicCreated { topic } => {
                self.names.insert(topic.name.clone(), topic.id);
                self.topics.insert(topic.id, Arc::clone(topic));
                self.coming.insert(topic.id);
            }
            Event::ConfigAltered { topic } | Event::PartitionsAdded { topic, .. } => {
                self.topics.insert(topic.id, Arc::clone(topic));
            }
            Event::TopicDeleted { topic } => {
                self.topics.remove(&topic.id);
                self.names.remove(&topic.name);
                self.coming.remove(&topic.id);
                self.offline.retain(|partition, _| partition.topic != topic.id);
                self.epochs.retain(|partition, _| partition.topic != topic.id);
            }
            Event::BrokersAltered { brokers, topics } => {
                self.brokers = Arc::clone(brokers);
                for topic in topics {
                    self.topics.insert(topic.id, Arc::clone(topic));
                }
            }
            Event::GroupAltered { group, settings } if settings.is_empty() => {
                self.groups.remove(group);
            }
            Event::GroupAltered { group, settings } => {
                self.groups.insert(Arc::clone(group), Arc::clone(settings));
            }
            Event::RunBegan { run } => self.run = *run,
            Event::ProducerIdsAllocated { .. } => {}
        }
    }

    /// Every shard has the topic.
    pub(crate) fn arrived(&mut self, topic: TopicId) {
        self.coming.remove(&topic);
    }

    /// True if every shard has the topic. Clients hear of it only then: one that came from here to another shard too early
    /// would be told that there is no such topic.
    #[must_use]
    pub fn is_everywhere(&self, topic: TopicId) -> bool {
        !self.coming.contains(&topic)
    }

    /// Takes in what an owner said of a partition.
    pub(crate) fn note(&mut self, news: &PartitionNews) {
        match &news.standing {
            Standing::Offline(refusal) => {
                self.offline.insert(news.partition, refusal.clone());
            }
            Standing::Online => {
                self.offline.remove(&news.partition);
            }
            Standing::Epoch(epoch) => {
                self.epochs.insert(news.partition, *epoch);
            }
        }
    }

    /// The cluster.
    #[must_use]
    pub const fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Which shard owns what.
    #[must_use]
    pub const fn placement(&self) -> Placement {
        self.placement
    }

    /// The shard that carries out changes of topics.
    #[must_use]
    pub const fn controller(&self) -> ShardId {
        CONTROLLER
    }

    /// A topic by its id.
    #[must_use]
    pub fn topic(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    /// A topic by its name.
    #[must_use]
    pub fn topic_named(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(self.names.get(name)?)
    }

    /// Every topic, by id.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// Every topic, by name.
    pub fn topics_by_name(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.names.values().filter_map(|id| self.topics.get(id))
    }

    /// What was set on brokers.
    #[must_use]
    pub const fn brokers(&self) -> &Arc<BrokerOverrides> {
        &self.brokers
    }

    /// Every group that has settings of its own, by id; whether it exists is another matter.
    pub fn groups_configured(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<Overrides>)> {
        self.groups.iter()
    }

    /// What was set on a group.
    #[must_use]
    pub fn group_settings(&self, group: &str) -> Option<&Arc<Overrides>> {
        self.groups.get(group)
    }

    /// The settings in force of a group, whether it exists or not.
    #[must_use]
    pub fn group_config(&self, group: &str) -> GroupConfig {
        let nothing = Overrides::new(ConfigKind::Group);
        let own = self.groups.get(group).map_or(&nothing, AsRef::as_ref);
        GroupConfig::resolve(own, &self.brokers)
    }

    /// The shard that owns a partition, whether it exists or not.
    #[must_use]
    pub fn owner(&self, partition: TopicPartition) -> ShardId {
        self.placement.owner(partition)
    }

    /// The leader epoch of a partition of a topic that exists.
    #[must_use]
    pub fn leader_epoch(&self, topic: &Topic, partition: PartitionId) -> LeaderEpoch {
        let own = self.epochs.get(&TopicPartition::new(topic.id, partition));
        own.copied().unwrap_or_else(|| topic.leader_epoch(self.run))
    }

    /// Why a partition can't be used at the moment, if it can't.
    #[must_use]
    pub fn offline(&self, partition: TopicPartition) -> Option<&Refusal> {
        self.offline.get(&partition)
    }
}

/// Shard 0.
pub(crate) const CONTROLLER: ShardId = ShardId::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_go_round_the_shards_from_where_the_topics_id_says() {
        let topic = TopicId::new([5, 1, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
        let placement = Placement::new(4);
        // 0x0105 = 261 = 1 modulo 4.
        let owners: Vec<_> = (0..6)
            .map(|n| placement.owner(TopicPartition::new(topic, PartitionId::new(n))).get())
            .collect();
        assert_eq!(owners, [1, 2, 3, 0, 1, 2]);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let topic = TopicId::new([255; 16]);
        for shards in [1, 3, u16::MAX] {
            let partition = TopicPartition::new(topic, PartitionId::new(u32::MAX));
            assert!(Placement::new(shards).owner(partition).get() < shards);
        }
    }
}
