//! A consumer that shares the partitions of its topics with the other members of its group. Apart from the consumer
//! proper, which reads what it is told to, because the group is what tells it.

pub mod assignor;
pub mod settings;

mod member;

use std::sync::Arc;

use kolk_model::ids::{PartitionId, TopicName};
use kolk_model::map::{Map, Set};
use kolk_model::offset::Offset;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::member::places::Placed;
use self::member::{Attendance, Member, News, Order, Round};
use self::settings::GroupSettings;
use super::fetched::{FetchedBatches, FetchedRecords};
use super::fetcher::Target;
use super::{Consumer, Position};
use crate::cluster::Cluster;
use crate::cluster::coordinator::Coordinator;
use crate::error::ClientError;
use crate::producer::topic_name;

/// A member of a consumer group: reads the partitions that the group gives it, goes on where the group has
/// committed, and gives way when members come and go. Members may as well be clients of the Kafka wire that assign
/// by range or round robin.
///
/// A rebalance happens within [`GroupConsumer::next_records`]: calling it says that everything it gave before is
/// done with, so positions up to there are committed (unless `auto_commit_interval` is `None`) before partitions go
/// to another member. Every record is seen at least once. A member is in the group from the first call after
/// [`GroupConsumer::subscribe`] on; heartbeats go on in the background, for up to `max_poll_interval` while the caller
/// is busy.
///
/// ```no_run
/// use kolk_client::client::Client;
/// use kolk_client::consumer::Position;
/// use kolk_client::consumer::group::settings::GroupSettings;
///
/// # async fn example() -> Result<(), kolk_client::error::ClientError> {
/// let mut settings = GroupSettings::new("billing");
/// settings.start = Position::Beginning;
/// let mut consumer = Client::new("localhost:9640")?.group_consumer(settings)?;
/// consumer.subscribe(&["page-views"])?;
/// for _ in 0..1000 {
///     let fetched = consumer.next_records().await?;
///     for record in &fetched {
///         println!("{}/{}: {:?}", fetched.partition(), record?.offset, fetched.topic());
///     }
/// }
/// consumer.close().await
/// # }
/// ```
pub struct GroupConsumer {
    consumer: Consumer,
    settings: GroupSettings,
    attendance: Arc<Attendance>,
    orders: mpsc::UnboundedSender<Order>,
    news: mpsc::UnboundedReceiver<News>,
    topics: Vec<TopicName>,
    round: Round,
    has_joined: bool,
    /// Of this member's partitions those of which it is not known yet where they begin.
    unplaced: Set<Target>,
    /// What the group has of this member's partitions.
    committed: Map<Target, Offset>,
    commit_at: Option<Instant>,
}

impl GroupConsumer {
    pub(crate) fn new(
        cluster: &Arc<Cluster>,
        settings: GroupSettings,
    ) -> Result<Self, ClientError> {
        settings.check()?;
        let consumer = Consumer::new(Arc::clone(cluster), settings.consumer.clone())?;
        // A few at a time in either direction: each order follows a call, each news an order or a rebalance.
        let (orders, received) = mpsc::unbounded_channel();
        let (tell, news) = mpsc::unbounded_channel();
        let attendance = Arc::new(Attendance::new());
        let coordinator = Coordinator::new(Arc::clone(cluster), settings.group.clone());
        let member = Member::new(coordinator, settings.clone(), Arc::clone(&attendance), tell);
        // Ends when `orders` is dropped, after it has left the group.
        tokio::spawn(member.run(received));
        Ok(Self {
            consumer,
            settings,
            attendance,
            orders,
            news,
            topics: Vec::new(),
            round: 0,
            has_joined: false,
            unplaced: Set::new(),
            committed: Map::new(),
            commit_at: None,
        })
    }

    /// Takes part in reading these topics, and no others. A topic that does not exist yet is read once it does.
    /// Partitions read so far are given up.
    ///
    /// # Errors
    /// A name can't be a topic's, or there is none.
    pub fn subscribe(&mut self, topics: &[&str]) -> Result<(), ClientError> {
        let mut names =
            topics.iter().map(|topic| topic_name(topic)).collect::<Result<Vec<_>, _>>()?;
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Err(ClientError::Closed { what: "nothing is subscribed" });
        }
        let commit = self.unsaved_if_automatic();
        self.topics = names;
        self.join(commit);
        Ok(())
    }

    /// Waits for the next records of any partition that the group gives this member. May be dropped and called
    /// again without loss.
    ///
    /// # Errors
    /// As [`Consumer::next_records`], and what the group refuses for good: an id in use, timeouts out of range, no
    /// assignor that all members know. [`ClientError::Closed`] if nothing is subscribed.
    pub async fn next_records(&mut self) -> Result<FetchedRecords, ClientError> {
        let cap = self.settings.consumer.decompressed_bytes_max;
        let fetched = self.next_batches().await?;
        let target = (fetched.topic.clone(), fetched.partition);
        fetched.records(cap).inspect_err(|_| self.consumer.halt(&target))
    }

    /// As [`GroupConsumer::next_records`], with batches as they are stored and without a copy.
    ///
    /// # Errors
    /// As [`GroupConsumer::next_records`].
    pub async fn next_batches(&mut self) -> Result<FetchedBatches, ClientError> {
        if self.topics.is_empty() {
            return Err(ClientError::Closed { what: "nothing is subscribed" });
        }
        let _inside = self.attendance.enter();
        loop {
            let commit_at = self.commit_at.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                news = self.news.recv() => match news {
                    Some(news) => self.heed(news)?,
                    None => return Err(ClientError::Closed { what: "the consumer was closed" }),
                },
                () = tokio::time::sleep_until(commit_at), if self.commit_at.is_some() => {
                    self.commit_unsaved();
                }
                fetched = self.consumer.next_batches(), if !self.consumer.assigned.is_empty() => {
                    return fetched;
                }
            }
        }
    }

    /// Commits the positions after everything that was given out. The request is on its way when this returns; the
    /// future says what came of it and may be dropped.
    ///
    /// # Errors
    /// The group went on without this member: others read its partitions, and may read the records again. Or no
    /// broker answers.
    pub fn commit(&mut self) -> impl Future<Output = Result<(), ClientError>> + use<> {
        let offsets = self.unsaved();
        let (done, outcome) = oneshot::channel();
        let nothing = offsets.is_empty();
        if !nothing {
            // Without a member the future says so.
            let _stopped = self.orders.send(Order::Commit { offsets, done });
        }
        async move {
            if nothing {
                return Ok(());
            }
            let closed = ClientError::Closed { what: "the consumer was closed" };
            outcome.await.unwrap_or(Err(closed))
        }
    }

    /// Reads a partition that the group gave this member from elsewhere.
    ///
    /// # Errors
    /// [`ClientError::Closed`] if the member does not have the partition.
    pub fn seek(
        &mut self,
        topic: &str,
        partition: PartitionId,
        position: Position,
    ) -> Result<(), ClientError> {
        let target = (topic_name(topic)?, partition);
        if self.unplaced.remove(&target) {
            self.consumer.start(target, position);
            return Ok(());
        }
        self.consumer.seek(topic, partition, position)
    }

    /// Whether the group has taken this member and given it its partitions, of which there may be none.
    #[must_use]
    pub const fn has_joined(&self) -> bool {
        self.has_joined
    }

    /// The partitions that this member has at the moment, in order. One that can't be used now is among them; it is read
    /// once it can.
    #[must_use]
    pub fn assignment(&self) -> Vec<(TopicName, PartitionId)> {
        let assigned = self.consumer.assigned.keys().chain(&self.unplaced);
        let mut targets: Vec<_> = assigned.cloned().collect();
        targets.sort();
        targets
    }

    /// The offset after what the caller got of a partition, or where it goes on; `None` if the member does not
    /// have it.
    #[must_use]
    pub fn position(&self, topic: &str, partition: PartitionId) -> Option<Offset> {
        self.consumer.position(topic, partition)
    }

    /// Commits, unless that is left to the caller, and leaves the group, whose other members go on at once. A
    /// consumer that is dropped leaves, too, but commits nothing.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn close(self) -> Result<(), ClientError> {
        let commit = self.unsaved_if_automatic();
        let (done, outcome) = oneshot::channel();
        // Without a member there is nothing to leave.
        let _stopped = self.orders.send(Order::Leave { commit, done });
        outcome.await.unwrap_or(Ok(()))
    }

    /// What the member tells.
    fn heed(&mut self, news: News) -> Result<(), ClientError> {
        match news {
            News::Rebalance(round) if round == self.round => {
                let commit = self.unsaved_if_automatic();
                self.join(commit);
            }
            News::Lost(round) if round == self.round => self.join(Vec::new()),
            News::Assigned(round, placed, unplaced) if round == self.round => {
                self.clear();
                self.has_joined = true;
                self.unplaced = unplaced;
                for one in placed {
                    self.read(one);
                }
                let interval = self.settings.auto_commit_interval;
                self.commit_at = interval.map(|interval| Instant::now() + interval);
            }
            News::Placed(round, placed) if round == self.round => {
                for one in placed {
                    // The caller may have sought it meanwhile.
                    if self.unplaced.remove(&one.target) {
                        self.read(one);
                    }
                }
            }
            News::Committed(offsets) => {
                for (target, offset) in offsets {
                    if self.consumer.assigned.contains_key(&target) {
                        self.committed.insert(target, offset);
                    }
                }
            }
            News::Failed(round, error) if round == self.round => {
                self.clear();
                self.topics.clear();
                return Err(error);
            }
            // Of a join before the last one.
            News::Rebalance(_)
            | News::Lost(_)
            | News::Assigned(..)
            | News::Placed(..)
            | News::Failed(..) => {}
        }
        Ok(())
    }

    /// Reads a partition from where it goes on.
    fn read(&mut self, placed: Placed) {
        let Placed { target, offset, is_committed } = placed;
        if is_committed {
            self.committed.insert(target.clone(), offset);
        }
        self.consumer.start(target, Position::Offset(offset));
    }

    fn join(&mut self, commit: Vec<(Target, Offset)>) {
        self.clear();
        self.round += 1;
        let (round, topics) = (self.round, self.topics.clone());
        // A member that stopped is reported by the next call.
        let _stopped = self.orders.send(Order::Join { round, commit, topics });
    }

    /// Gives up every partition.
    fn clear(&mut self) {
        for (topic, partition) in self.assignment() {
            self.consumer.unassign(topic.as_str(), partition);
        }
        self.unplaced.clear();
        self.committed.clear();
        self.commit_at = None;
        self.has_joined = false;
    }

    fn commit_unsaved(&mut self) {
        let interval = self.settings.auto_commit_interval;
        self.commit_at = interval.map(|interval| Instant::now() + interval);
        drop(self.commit());
    }

    /// Positions that the group does not have yet.
    fn unsaved(&self) -> Vec<(Target, Offset)> {
        let assigned = self.consumer.assigned.iter();
        let position = |(target, assigned): (&Target, &super::Assigned)| {
            let position = assigned.position?;
            (self.committed.get(target) != Some(&position)).then(|| (target.clone(), position))
        };
        assigned.filter_map(position).collect()
    }

    fn unsaved_if_automatic(&self) -> Vec<(Target, Offset)> {
        match self.settings.auto_commit_interval {
            Some(_) => self.unsaved(),
            None => Vec::new(),
        }
    }
}

impl std::fmt::Debug for GroupConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupConsumer")
            .field("group", &self.settings.group)
            .field("assigned", &self.assignment())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
