//! Where a member begins with its partitions: where the group has committed, else where the settings say. Apart from
//! joining because it takes as long as the slowest owner: the member is in the group meanwhile and sends heartbeats, and
//! partitions that can't be used hold up no others. It may be dropped at any wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kolk_model::ids::{PartitionId, TopicName, TopicPartition};
use kolk_model::map::{Map, Set};
use kolk_model::offset::Offset;
use kolk_native::reply::group::GroupReply;
use kolk_native::request::group::{FetchOffsets, GroupCall};
use kolk_native::request::{OffsetPlace, OffsetQuery};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::super::fetcher::Target;
use super::{News, Round};
use crate::admin::ask_offsets;
use crate::backoff::Backoff;
use crate::cluster::coordinator::Coordinator;
use crate::cluster::{Cluster, unexpected};
use crate::consumer::Position;
use crate::error::ClientError;

/// How long the partitions whose places are known wait for the others, so that as a rule a member gets all at once.
const TOGETHER: Duration = Duration::from_secs(1);

/// A partition and where it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Placed {
    pub(in super::super) target: Target,
    pub(in super::super) offset: Offset,
    /// Whether the group has committed that.
    pub(in super::super) is_committed: bool,
}

/// What it takes to find places.
pub(super) struct Places {
    pub(super) coordinator: Arc<Coordinator>,
    pub(super) start: Position,
    pub(super) news: mpsc::UnboundedSender<News>,
    pub(super) round: Round,
}

impl Places {
    /// Tells the consumer where its partitions go on, and of those that can't be used now when they can. A place of the
    /// settings is made an offset here, so that it can be committed before the first record comes.
    ///
    /// # Errors
    /// What the coordinator refuses for good.
    pub(super) async fn find(self, targets: Vec<Target>) -> Result<(), ClientError> {
        let committed = self.committed(&targets).await?;
        let mut placed = Vec::new();
        let mut missing: BTreeMap<TopicName, Vec<PartitionId>> = BTreeMap::new();
        for target in targets {
            match (committed.get(&target).copied(), self.start) {
                (Some(offset), _) => placed.push(Placed { target, offset, is_committed: true }),
                (None, Position::Offset(offset)) => {
                    placed.push(Placed { target, offset, is_committed: false });
                }
                (None, _) => missing.entry(target.0).or_default().push(target.1),
            }
        }
        let mut unplaced: Set<Target> = Set::new();
        let (found, mut finding) = mpsc::unbounded_channel();
        // Ends when this is dropped.
        let mut tasks = JoinSet::new();
        for (topic, partitions) in missing {
            unplaced.extend(partitions.iter().map(|partition| (topic.clone(), *partition)));
            let search = Search {
                cluster: Arc::clone(&self.coordinator.cluster),
                topic,
                start: self.start,
                found: found.clone(),
            };
            tasks.spawn(search.run(partitions));
        }
        drop(found);
        let until = Instant::now() + TOGETHER;
        while !unplaced.is_empty()
            && let Ok(Some(more)) = tokio::time::timeout_at(until, finding.recv()).await
        {
            for one in more {
                unplaced.remove(&one.target);
                placed.push(one);
            }
        }
        self.tell(News::Assigned(self.round, placed, unplaced));
        while let Some(more) = finding.recv().await {
            self.tell(News::Placed(self.round, more));
        }
        Ok(())
    }

    /// What the group has committed of these. The coordinator is asked until it says so: without heartbeats it will not
    /// know this member any more, and then there is another round.
    async fn committed(&self, targets: &[Target]) -> Result<Map<Target, Offset>, ClientError> {
        if targets.is_empty() {
            return Ok(Map::new());
        }
        let group = self.coordinator.group.clone();
        let fetch = FetchOffsets { group, partitions: Some(targets.to_vec()) };
        let mut backoff = Backoff::new(self.coordinator.cluster.settings());
        let mut failures = 0;
        loop {
            match self.fetch(fetch.clone()).await {
                Err(error) if error.retriable() => {
                    tracing::debug!(%error, "committed offsets not fetched");
                    tokio::time::sleep(backoff.pause(failures)).await;
                    failures = failures.saturating_add(1);
                }
                outcome => return outcome,
            }
        }
    }

    async fn fetch(&self, fetch: FetchOffsets) -> Result<Map<Target, Offset>, ClientError> {
        let asked = self.coordinator.ask(GroupCall::FetchOffsets(fetch), Duration::ZERO).await?;
        let GroupReply::FetchOffsets(fetched) = asked else {
            return Err(unexpected("fetch offsets"));
        };
        let mut committed = Map::new();
        for one in fetched {
            if !one.error.is_ok() {
                return Err(ClientError::refused(one.error, ""));
            }
            if let Some(offset) = one.offset {
                committed.insert((one.topic, one.partition), offset);
            }
        }
        Ok(committed)
    }

    fn tell(&self, news: News) {
        // Without a consumer nobody wants to know.
        let _unwanted = self.news.send(news);
    }
}

/// Looks for the places of one topic's partitions.
struct Search {
    cluster: Arc<Cluster>,
    topic: TopicName,
    start: Position,
    found: mpsc::UnboundedSender<Vec<Placed>>,
}

impl Search {
    /// Asks until each has its place.
    async fn run(self, mut partitions: Vec<PartitionId>) {
        let mut backoff = Backoff::new(self.cluster.settings());
        let mut failures = 0;
        loop {
            let (missing, error) = self.ask(partitions).await;
            let Some(error) = error.filter(|_| !missing.is_empty()) else { return };
            if failures == 0 {
                let (topic, count) = (&self.topic, missing.len());
                tracing::warn!(%topic, count, %error, "partitions can't be read now, the others are");
            }
            self.cluster.forget(&self.topic);
            tokio::time::sleep(backoff.pause(failures)).await;
            failures = failures.saturating_add(1);
            partitions = missing;
        }
    }

    /// Asks every owner at once; gives those that have no place yet, and why one of them has none.
    async fn ask(&self, partitions: Vec<PartitionId>) -> (Vec<PartitionId>, Option<ClientError>) {
        let topic = match self.cluster.topic(&self.topic).await {
            Ok(topic) => topic,
            Err(error) => return (partitions, Some(error)),
        };
        let (mut missing, mut why) = (Vec::new(), None);
        let mut owners: Map<Arc<str>, Vec<PartitionId>> = Map::new();
        for partition in partitions {
            let number = usize::try_from(partition.get()).unwrap_or(usize::MAX);
            match topic.partitions.get(number) {
                Some(owner) if owner.error.is_ok() => {
                    owners.entry(Arc::clone(&owner.address)).or_default().push(partition);
                }
                owner => {
                    let count = topic.partitions.len();
                    let topic = self.topic.clone();
                    let unknown = ClientError::PartitionUnknown { topic, partition, count };
                    why = Some(owner.map_or(unknown, |o| ClientError::refused(o.error, "")));
                    missing.push(partition);
                }
            }
        }
        let mut asking = JoinSet::new();
        for (address, partitions) in owners {
            let (cluster, start, id) = (Arc::clone(&self.cluster), self.start, topic.id);
            asking.spawn(async move {
                let ids = partitions.iter().map(|partition| TopicPartition::new(id, *partition));
                let outcomes = begins(&cluster, &address, ids.collect(), start).await;
                (partitions, outcomes)
            });
        }
        while let Some(asked) = asking.join_next().await {
            // A task that panicked has told so; what it was to find stays unknown.
            let Ok((partitions, outcomes)) = asked else { continue };
            let mut placed = Vec::new();
            let outcomes = outcomes.unwrap_or_else(|error| vec![Err(error); partitions.len()]);
            for (partition, outcome) in partitions.into_iter().zip(outcomes) {
                match outcome {
                    Ok(offset) => {
                        let target = (self.topic.clone(), partition);
                        placed.push(Placed { target, offset, is_committed: false });
                    }
                    Err(error) => {
                        why = Some(error);
                        missing.push(partition);
                    }
                }
            }
            // Without a member nobody wants to know.
            let _unwanted = self.found.send(placed);
        }
        (missing, why)
    }
}

/// The offsets that a start is in partitions of one owner, in their order.
async fn begins(
    cluster: &Cluster,
    address: &Arc<str>,
    ids: Vec<TopicPartition>,
    start: Position,
) -> Result<Vec<Result<Offset, ClientError>>, ClientError> {
    let place = match start {
        Position::Beginning => OffsetPlace::Beginning,
        Position::End | Position::Offset(_) => OffsetPlace::End,
        Position::Time(time) => OffsetPlace::At(time),
    };
    let all = |place| ids.iter().map(|id| OffsetQuery { id: *id, place }).collect();
    let found = ask_offsets(cluster, address, all(place)).await?;
    if !found.iter().any(|one| matches!(one, Ok(listed) if listed.offset.is_none())) {
        let offset = |listed: kolk_native::reply::ListedOffset| listed.offset.unwrap_or_default();
        return Ok(found.into_iter().map(|one| one.map(offset)).collect());
    }
    // No record is that new: the next one will be.
    let ends = ask_offsets(cluster, address, all(OffsetPlace::End)).await?;
    let each = found.into_iter().zip(ends);
    Ok(each
        .map(|(found, end)| found?.offset.or(end?.offset).map_or(Ok(Offset::ZERO), Ok))
        .collect())
}
