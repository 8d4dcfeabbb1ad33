//! Records out: assignment, position, fetching ahead. Apart from the producer because it has a life of its
//! own in the background.

pub mod group;

pub mod fetched;
pub mod settings;

mod fetcher;

use std::sync::Arc;

use kolk_model::ids::{PartitionId, TopicName};
use kolk_model::map::Map;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use self::fetched::{FetchedBatches, FetchedRecords};
use self::fetcher::{Ahead, Channels, Delivered, Event, Fetcher, Generation, Target};
use self::settings::ConsumerSettings;
use crate::cluster::Cluster;
use crate::error::ClientError;
use crate::producer::topic_name;

/// Where to begin with a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The oldest record there is.
    Beginning,
    /// The next record to come.
    End,
    /// This offset.
    Offset(Offset),
    /// The first record that is not older; the end, if none is.
    Time(TimestampMs),
}

/// Reads partitions that it is told to read. Fetches ahead in the background, one request in flight to
/// each owner; records of one partition come in order, those of several as they arrive.
///
/// ```no_run
/// use kolk_client::client::Client;
/// use kolk_client::consumer::Position;
/// use kolk_client::consumer::settings::ConsumerSettings;
///
/// # async fn example() -> Result<(), kolk_client::error::ClientError> {
/// let mut consumer = Client::new("localhost:9640")?.consumer(ConsumerSettings::default())?;
/// consumer.assign_topic("page-views", Position::Beginning).await?;
/// loop {
///     let fetched = consumer.next_records().await?;
///     for record in &fetched {
///         let record = record?;
///         println!("{}/{}: {:?}", fetched.partition(), record.offset, record.value);
///     }
/// }
/// # }
/// ```
pub struct Consumer {
    cluster: Arc<Cluster>,
    settings: ConsumerSettings,
    post: mpsc::UnboundedSender<Event>,
    arriving: mpsc::UnboundedReceiver<Delivered>,
    ahead: Arc<Ahead>,
    assigned: Map<Target, Assigned>,
    generation: Generation,
    task: AbortHandle,
}

struct Assigned {
    generation: Generation,
    /// The offset after what the caller has; `None` before the first.
    position: Option<Offset>,
    high_watermark: Option<Offset>,
}

impl Consumer {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        settings: ConsumerSettings,
    ) -> Result<Self, ClientError> {
        settings.check()?;
        let (post, events) = mpsc::unbounded_channel();
        // What waits here is bounded by `prefetch_bytes_max`, which the fetcher counts.
        let (out, arriving) = mpsc::unbounded_channel();
        let ahead = Arc::<Ahead>::default();
        let channels = Channels { events, post: post.clone(), out };
        let own = (Arc::clone(&cluster), settings.clone(), Arc::clone(&ahead));
        let fetcher = Fetcher::new(own.0, own.1, own.2, channels);
        let task = tokio::spawn(fetcher.run()).abort_handle();
        let assigned = Map::new();
        Ok(Self { cluster, settings, post, arriving, ahead, assigned, generation: 0, task })
    }

    /// Reads a partition from here on, beside those that are assigned already.
    ///
    /// # Errors
    /// The name can't be a topic's. That a topic or partition does not exist is told by
    /// [`Consumer::next_batches`].
    pub fn assign(
        &mut self,
        topic: &str,
        partition: PartitionId,
        position: Position,
    ) -> Result<(), ClientError> {
        let target = (topic_name(topic)?, partition);
        self.start(target, position);
        Ok(())
    }

    /// Reads every partition of a topic from here on, beside those that are assigned already. Gives their
    /// number; partitions that are added later are not read.
    ///
    /// # Errors
    /// The topic does not exist, or no broker can say so.
    pub async fn assign_topic(
        &mut self,
        topic: &str,
        position: Position,
    ) -> Result<u32, ClientError> {
        let name = topic_name(topic)?;
        let count = self.cluster.topic(&name).await?.partitions.len();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        for number in 0..count {
            self.start((name.clone(), PartitionId::new(number)), position);
        }
        Ok(count)
    }

    /// Reads an assigned partition from elsewhere. What was fetched before is dropped.
    ///
    /// # Errors
    /// [`ClientError::Closed`] if the partition is not assigned.
    pub fn seek(
        &mut self,
        topic: &str,
        partition: PartitionId,
        position: Position,
    ) -> Result<(), ClientError> {
        let target = (topic_name(topic)?, partition);
        if !self.assigned.contains_key(&target) {
            return Err(ClientError::Closed { what: "the partition is not assigned" });
        }
        self.start(target, position);
        Ok(())
    }

    /// Reads a partition no more. What was fetched is dropped.
    pub fn unassign(&mut self, topic: &str, partition: PartitionId) {
        if let Ok(name) = topic_name(topic) {
            let target = (name, partition);
            self.assigned.remove(&target);
            // Without a fetcher nothing is read anyway.
            let _stopped = self.post.send(Event::Drop(target));
        }
    }

    fn start(&mut self, target: Target, position: Position) {
        self.generation += 1;
        let generation = self.generation;
        let place = match position {
            Position::Offset(offset) => Some(offset),
            _ => None,
        };
        let fresh = Assigned { generation, position: place, high_watermark: None };
        self.assigned.insert(target.clone(), fresh);
        // A fetcher that stopped is reported by the next call.
        let _stopped = self.post.send(Event::Seek { target, position, generation });
    }

    /// Waits for the next batches of any partition, as they are stored and without a copy. May be dropped
    /// and called again without loss.
    ///
    /// # Errors
    /// Of one partition, which then waits for a seek while the others go on: it does not exist, the offset
    /// is out of range, the broker refused for good, a batch is damaged. [`ClientError::Closed`] if
    /// nothing is assigned.
    pub async fn next_batches(&mut self) -> Result<FetchedBatches, ClientError> {
        loop {
            if self.assigned.is_empty() {
                return Err(ClientError::Closed { what: "no partition is assigned" });
            }
            let Some(delivered) = self.arriving.recv().await else {
                return Err(ClientError::Closed { what: "the consumer was closed" });
            };
            if let Some(outcome) = self.accept(delivered) {
                return outcome;
            }
        }
    }

    /// Waits for the next records of any partition. May be dropped and called again without loss.
    ///
    /// # Errors
    /// As [`Consumer::next_batches`].
    pub async fn next_records(&mut self) -> Result<FetchedRecords, ClientError> {
        let cap = self.settings.decompressed_bytes_max;
        let fetched = self.next_batches().await?;
        let target = (fetched.topic.clone(), fetched.partition);
        fetched.records(cap).inspect_err(|_| self.halt(&target))
    }

    /// Reads a partition no further until it is sought: something of it is damaged.
    fn halt(&mut self, target: &Target) {
        self.generation += 1;
        if let Some(assigned) = self.assigned.get_mut(target) {
            // What is on its way is of an older generation now.
            assigned.generation = self.generation;
        }
        // Without a fetcher nothing is read anyway.
        let _stopped = self.post.send(Event::Drop(target.clone()));
    }

    /// What is delivered and still wanted.
    fn accept(&mut self, delivered: Delivered) -> Option<Result<FetchedBatches, ClientError>> {
        let Delivered { target, generation, outcome } = delivered;
        if let Ok(fetched) = &outcome {
            self.ahead.take(fetched.batches.len());
        }
        let assigned = self.assigned.get_mut(&target)?;
        if assigned.generation != generation {
            return None;
        }
        let fetched = match outcome {
            Ok(fetched) => fetched,
            Err(error) => return Some(Err(error)),
        };
        if self.settings.check_crcs
            && let Err(error) = fetched.verify()
        {
            self.halt(&target);
            return Some(Err(error));
        }
        assigned.position = Some(fetched.next_offset);
        assigned.high_watermark = fetched.high_watermark;
        Some(Ok(fetched))
    }

    /// The offset after what the caller got of a partition; `None` before the first, unless it was
    /// assigned by offset.
    #[must_use]
    pub fn position(&self, topic: &str, partition: PartitionId) -> Option<Offset> {
        self.state(topic, partition)?.position
    }

    /// A partition's high watermark when the broker last answered with records.
    #[must_use]
    pub fn high_watermark(&self, topic: &str, partition: PartitionId) -> Option<Offset> {
        self.state(topic, partition)?.high_watermark
    }

    fn state(&self, topic: &str, partition: PartitionId) -> Option<&Assigned> {
        self.assigned.get(&(TopicName::new(topic).ok()?, partition))
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let assigned: Vec<_> = self.assigned.keys().collect();
        f.debug_struct("Consumer").field("assigned", &assigned).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
