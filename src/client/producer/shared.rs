//! What a producer's callers and its sender both hold. Apart so that neither needs the other.

use std::sync::{Arc, PoisonError, RwLock};

use kolk_model::ids::{PartitionId, TopicName, TopicPartition};
use kolk_model::map::Map;
use tokio::sync::{Notify, Semaphore};

use super::delivery::Failures;
use super::partitioner::{Sticky, partition_of_key};
use super::slot::{BatchShape, Parts, Slot};
use crate::cluster::TopicView;
use crate::error::ClientError;

#[allow(clippy::disallowed_types, reason = "callers of any thread tell one sender")]
type Mutex<T> = std::sync::Mutex<T>;

/// The meeting place of callers and sender.
#[derive(Debug)]
pub(super) struct Shared {
    shape: BatchShape,
    topics: RwLock<Map<TopicName, Arc<TopicSlots>>>,
    /// Slots that the sender has not heard of.
    told: Mutex<Vec<Arc<Slot>>>,
    pub(super) wake: Notify,
    /// Bytes that may still be buffered.
    pub(super) room: Arc<Semaphore>,
    pub(super) failures: Arc<Failures>,
}

/// A topic's slots.
#[derive(Debug)]
pub(super) struct TopicSlots {
    name: TopicName,
    view: TopicView,
    slots: Vec<Arc<Slot>>,
    sticky: Sticky,
}

impl TopicSlots {
    /// The slot for a record, by the rule of Kafka's clients: the partition asked for, else the key's, else
    /// the one that is being filled.
    pub(super) fn choose(
        &self,
        partition: Option<PartitionId>,
        parts: &Parts<'_>,
    ) -> Result<&Arc<Slot>, ClientError> {
        let count = self.slots.len();
        let chosen = match (partition, parts.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of_key(key, u32::try_from(count).unwrap_or(u32::MAX)),
            (None, None) => {
                let place = self.sticky.place(parts.bytes_max(), count);
                PartitionId::new(u32::try_from(place).unwrap_or(u32::MAX))
            }
        };
        let place = usize::try_from(chosen.get()).unwrap_or(usize::MAX);
        let unknown = || {
            let topic = self.name.clone();
            ClientError::PartitionUnknown { topic, partition: chosen, count }
        };
        self.slots.get(place).ok_or_else(unknown)
    }
}

impl Shared {
    pub(super) fn new(shape: BatchShape, buffer_bytes_max: usize) -> Self {
        Self {
            shape,
            topics: RwLock::default(),
            told: Mutex::default(),
            wake: Notify::new(),
            room: Arc::new(Semaphore::new(buffer_bytes_max)),
            failures: Arc::default(),
        }
    }

    /// A topic's slots, if it was used before.
    pub(super) fn topic(&self, name: &str) -> Option<Arc<TopicSlots>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Takes what is known of a topic: makes slots for partitions that are new. A topic of another id is
    /// another topic: it gets slots of its own.
    pub(super) fn learn(&self, name: &TopicName, view: &TopicView) -> Arc<TopicSlots> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let known = topics.get(name).filter(|known| known.view.id == view.id);
        if let Some(known) = known.filter(|known| known.slots.len() >= view.partitions.len()) {
            return Arc::clone(known);
        }
        let mut slots = known.map(|known| known.slots.clone()).unwrap_or_default();
        for place in slots.len()..view.partitions.len() {
            let partition = PartitionId::new(u32::try_from(place).unwrap_or(u32::MAX));
            let id = TopicPartition::new(view.id, partition);
            let failures = Arc::clone(&self.failures);
            slots.push(Arc::new(Slot::new(id, name.clone(), self.shape, failures)));
        }
        let sticky = Sticky::new(self.shape.bytes);
        let topic = Arc::new(TopicSlots { name: name.clone(), view: view.clone(), slots, sticky });
        topics.insert(name.clone(), Arc::clone(&topic));
        topic
    }

    /// Forgets a topic: the next record for it asks the brokers.
    pub(super) fn forget(&self, name: &TopicName) {
        self.topics.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// The topics in use.
    pub(super) fn names(&self) -> Vec<TopicName> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.keys().cloned().collect()
    }

    /// Closes every slot: nothing is taken any more.
    pub(super) fn close(&self, error: &ClientError) {
        self.room.close();
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        for slot in topics.values().flat_map(|topic| &topic.slots) {
            slot.close(error);
        }
    }

    /// Tells the sender of a slot; it looks when it wakes.
    pub(super) fn tell(&self, slot: &Arc<Slot>) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(slot));
    }

    /// What the sender was told since it last asked.
    pub(super) fn take_told(&self) -> Vec<Arc<Slot>> {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
