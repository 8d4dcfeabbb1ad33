//! The catalogue: which topics exist, under which ids and names, with which settings, and which are gone
//! but not yet forgotten. The one owner is the controller; every shard holds a copy of what it announces.
//!
//! Topics are shared (`Arc`), so a copy of the catalogue costs one pointer a topic: the controller
//! applies a command to a copy and keeps it once it is on disk.

use std::sync::Arc;

use kolk_model::config::layers::BrokerOverrides;
use kolk_model::config::overrides::Overrides;
use kolk_model::ids::{ProducerId, TopicId, TopicName};
use kolk_model::limits::TOPIC_PARTITIONS_MAX;
use kolk_model::map::Map;
use kolk_model::topic_config::TopicConfig;

use crate::command::{
    CatalogueError, Command, Event, NewTopic, PARTITIONS_MAX, PRODUCER_ID_BLOCK_MAX, TOPICS_MAX,
};
use crate::topic::{ClusterId, Run, Tombstone, Topic};

pub mod codec;

mod settings;

#[cfg(test)]
mod tests;

/// Every topic of the node.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Catalogue {
    cluster: ClusterId,
    run: Run,
    /// Topics ever created: the part of a topic's id that makes it unique.
    created: u64,
    next_producer_id: u64,
    partitions: u64,
    topics: Map<TopicId, Arc<Topic>>,
    /// Ids by name, `.` and `_` taken as one character as in Kafka.
    names: Map<String, TopicId>,
    tombstones: Map<TopicId, Arc<Tombstone>>,
    brokers: Arc<BrokerOverrides>,
    /// Settings of groups by id; none of them is empty.
    groups: Map<Arc<str>, Arc<Overrides>>,
}

/// What the catalogue says of a topic id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopicStatus {
    /// The topic exists.
    Live,
    /// The topic was deleted.
    Deleted,
    /// The catalogue has never heard of it, or has forgotten it.
    Unknown,
}

impl Catalogue {
    /// An empty catalogue: no topic, run 0, producer ids from 0.
    #[must_use]
    pub fn new(cluster: ClusterId) -> Self {
        Self { cluster, ..Self::default() }
    }

    /// Carries a command out, wholly or not at all.
    ///
    /// # Errors
    /// Says why the command is refused; the catalogue is unchanged then.
    pub fn apply(&mut self, command: Command) -> Result<Vec<Event>, CatalogueError> {
        let event = match command {
            Command::BeginRun => self.begin_run(),
            Command::CreateTopic(new) => self.create_topic(new)?,
            Command::DeleteTopic { topic } => self.delete_topic(topic)?,
            Command::AlterConfig { topic, changes } => self.alter_config(topic, &changes)?,
            Command::AlterBroker { scope, changes } => self.alter_broker(scope, &changes)?,
            Command::AlterGroup { group, changes } => self.alter_group(&group, &changes)?,
            Command::AddPartitions { topic, partitions } => {
                self.add_partitions(topic, partitions)?
            }
            Command::AllocateProducerIds { count } => self.allocate_producer_ids(count)?,
        };
        Ok(vec![event])
    }

    /// The journals of the run before have been replayed and superseded, so nothing names a topic that
    /// was deleted by then.
    fn begin_run(&mut self) -> Event {
        self.run = self.run.next();
        self.tombstones.clear();
        Event::RunBegan { run: self.run }
    }

    fn create_topic(&mut self, new: NewTopic) -> Result<Event, CatalogueError> {
        let NewTopic { name, partitions, config: overrides, random, now } = new;
        if partitions == 0 || partitions > TOPIC_PARTITIONS_MAX {
            return Err(CatalogueError::PartitionCount { partitions });
        }
        let key = name_key(&name);
        if let Some(existing) = self.names.get(&key).and_then(|id| self.topics.get(id)) {
            let existing = existing.name.clone();
            return Err(if existing == name {
                CatalogueError::TopicExists { name }
            } else {
                CatalogueError::NameCollides { name, existing }
            });
        }
        self.check_room(self.topics.len() + 1, self.partitions + u64::from(partitions))?;
        let config = TopicConfig::resolve(&overrides, &self.brokers)?;
        self.created += 1;
        let id = mint_id(random, self.created);
        let (created_at, created_in) = (now, self.run);
        let topic = Topic { id, name, partitions, overrides, config, created_at, created_in };
        Ok(Event::TopicCreated { topic: self.insert(key, topic) })
    }

    fn delete_topic(&mut self, id: TopicId) -> Result<Event, CatalogueError> {
        let unknown = CatalogueError::UnknownTopic { topic: id };
        let topic = self.topics.remove(&id).ok_or(unknown)?;
        self.names.remove(&name_key(&topic.name));
        self.partitions -= u64::from(topic.partitions);
        let tombstone = Tombstone { id, name: topic.name.clone(), deleted_in: self.run };
        self.tombstones.insert(id, Arc::new(tombstone));
        Ok(Event::TopicDeleted { topic })
    }

    fn add_partitions(&mut self, id: TopicId, asked: u32) -> Result<Event, CatalogueError> {
        if asked > TOPIC_PARTITIONS_MAX {
            return Err(CatalogueError::PartitionCount { partitions: asked });
        }
        let topic = self.topic_mut(id)?;
        let before = topic.partitions;
        if asked <= before {
            let name = topic.name.clone();
            return Err(CatalogueError::PartitionsNotMore { name, existing: before, asked });
        }
        let partitions = self.partitions + u64::from(asked - before);
        self.check_room(self.topics.len(), partitions)?;
        self.partitions = partitions;
        let topic = self.topic_mut(id)?;
        *topic = Arc::new(Topic { partitions: asked, ..Topic::clone(topic) });
        Ok(Event::PartitionsAdded { topic: Arc::clone(topic), before })
    }

    fn allocate_producer_ids(&mut self, count: u32) -> Result<Event, CatalogueError> {
        if count == 0 || count > PRODUCER_ID_BLOCK_MAX {
            return Err(CatalogueError::ProducerIdCount { count });
        }
        let first = self.next_producer_id;
        let next = first + u64::from(count);
        if next > i64::MAX.cast_unsigned() {
            return Err(CatalogueError::ProducerIdsExhausted);
        }
        self.next_producer_id = next;
        Ok(Event::ProducerIdsAllocated { first: ProducerId::new(first), count })
    }

    fn check_room(&self, topics: usize, partitions: u64) -> Result<(), CatalogueError> {
        let room = topics <= TOPICS_MAX && partitions <= PARTITIONS_MAX;
        if room { Ok(()) } else { Err(CatalogueError::NodeFull { topics, partitions }) }
    }

    fn topic_mut(&mut self, id: TopicId) -> Result<&mut Arc<Topic>, CatalogueError> {
        self.topics.get_mut(&id).ok_or(CatalogueError::UnknownTopic { topic: id })
    }

    fn insert(&mut self, key: String, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        let earlier = self.topics.insert(topic.id, Arc::clone(&topic));
        assert!(earlier.is_none(), "topic id {} was given twice", topic.id);
        self.names.insert(key, topic.id);
        self.partitions += u64::from(topic.partitions);
        topic
    }

    /// Which cluster's topics these are.
    #[must_use]
    pub const fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The run that goes on: how often the node has started.
    #[must_use]
    pub const fn run(&self) -> Run {
        self.run
    }

    /// A topic by its id.
    #[must_use]
    pub fn topic(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    /// A topic by its exact name.
    #[must_use]
    pub fn topic_named(&self, name: &str) -> Option<&Arc<Topic>> {
        let id = self.names.get(&text_key(name))?;
        self.topics.get(id).filter(|topic| topic.name.as_str() == name)
    }

    /// Every topic, by id.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// What was set on brokers.
    #[must_use]
    pub const fn brokers(&self) -> &Arc<BrokerOverrides> {
        &self.brokers
    }

    /// Every group that has settings of its own, by id.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<Overrides>)> {
        self.groups.iter()
    }

    /// Every topic deleted in this run, by id.
    pub fn tombstones(&self) -> impl ExactSizeIterator<Item = &Arc<Tombstone>> {
        self.tombstones.values()
    }

    /// What is known of a topic id: what recovery asks before it replays a record.
    #[must_use]
    pub fn status(&self, id: TopicId) -> TopicStatus {
        if self.topics.contains_key(&id) {
            TopicStatus::Live
        } else if self.tombstones.contains_key(&id) {
            TopicStatus::Deleted
        } else {
            TopicStatus::Unknown
        }
    }

    /// How many partitions all topics have together.
    #[must_use]
    pub const fn partition_count(&self) -> u64 {
        self.partitions
    }
}

/// An id that no topic had before: a version 4 UUID in form, whose last 62 bits count the topics ever
/// created. The first bit is 0, so that its base64 text, which Kafka's tools take as an argument, does
/// not begin with a dash.
const fn mint_id(random: u64, serial: u64) -> TopicId {
    TopicId::from_random(random & !(1 << 63), serial << 2)
}

fn name_key(name: &TopicName) -> String {
    text_key(name.as_str())
}

fn text_key(name: &str) -> String {
    name.replace('.', "_")
}
