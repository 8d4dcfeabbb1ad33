//! The offsets that one group has committed.

use std::sync::Arc;

use kolk_model::map::Map;

use crate::group::answer::{Committed, FetchedOffset, FetchedOffsets};
use crate::group::record::OffsetValue;
use crate::group::request::OffsetsOfTopic;
use kolk_model::error::ErrorCode;

/// Offsets by topic and partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offsets {
    topics: Map<Arc<str>, Map<i32, OffsetValue>>,
}

impl Offsets {
    /// Keeps an offset; says whether there was none before.
    pub(super) fn set(&mut self, topic: &Arc<str>, partition: i32, value: OffsetValue) -> bool {
        if let Some(partitions) = self.topics.get_mut(topic) {
            return partitions.insert(partition, value).is_none();
        }
        self.topics.insert(Arc::clone(topic), Map::from([(partition, value)]));
        true
    }

    /// Forgets an offset; says whether there was one.
    pub(super) fn remove(&mut self, topic: &str, partition: i32) -> bool {
        let Some(partitions) = self.topics.get_mut(topic) else { return false };
        let removed = partitions.remove(&partition).is_some();
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
        removed
    }

    pub(super) fn has(&self, topic: &str, partition: i32) -> bool {
        self.topics.get(topic).is_some_and(|partitions| partitions.contains_key(&partition))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.topics.values().map(Map::len).sum()
    }

    /// Every offset, by topic and partition.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, &OffsetValue)> {
        self.topics.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, value)| (topic, *partition, value))
        })
    }

    /// The offsets of a topic, by partition.
    pub(super) fn of_topic(&self, topic: &str) -> impl Iterator<Item = (i32, &OffsetValue)> {
        let partitions = self.topics.get(topic).into_iter().flatten();
        partitions.map(|(partition, value)| (*partition, value))
    }

    /// What is asked for, or everything.
    pub(super) fn fetch(&self, asked: Option<Vec<OffsetsOfTopic>>) -> Vec<FetchedOffsets> {
        let Some(asked) = asked else {
            let all = self.topics.iter().map(|(topic, partitions)| FetchedOffsets {
                topic: Arc::clone(topic),
                partitions: partitions
                    .iter()
                    .map(|(id, value)| fetched(*id, Some(value)))
                    .collect(),
            });
            return all.collect();
        };
        let one = |topic: OffsetsOfTopic| {
            let stored = self.topics.get(&topic.topic);
            let offset = |id: &i32| fetched(*id, stored.and_then(|partitions| partitions.get(id)));
            let partitions = topic.partitions.iter().map(offset).collect();
            FetchedOffsets { topic: topic.topic, partitions }
        };
        asked.into_iter().map(one).collect()
    }
}

fn fetched(partition: i32, value: Option<&OffsetValue>) -> FetchedOffset {
    let committed = value.map(|value| Committed {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.clone(),
    });
    FetchedOffset { partition, committed, code: ErrorCode::None }
}
