//! Questions about partitions, wherever they are, and trimming them.

use std::rc::Rc;

use kolk_io::door::Io;
use kolk_metric::requests::Call;
use kolk_model::config::definition::ConfigKind;
use kolk_model::config::layers::Layers;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, ShardId, TopicId, TopicPartition};
use kolk_model::offset::Offset;

use crate::message::{Reply, Request};
use crate::owner::lookup;
use crate::request::{
    EpochEnd, ListedOffset, OffsetPlace, ProducerDescription, Refusal, Stats, TopicDescription,
};
use crate::shard::{Shard, apart, ask, wrong_reply};
use crate::state::{Busy, ShardState};

impl<I: Io> Shard<I> {
    /// What stands at a place of a partition.
    ///
    /// Answers with a [`Refusal`] when the partition is not there or offline.
    pub fn list_offset(
        &self,
        partition: TopicPartition,
        place: OffsetPlace,
    ) -> impl Future<Output = Result<ListedOffset, Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        async move {
            let owner = count(&state, Call::ListOffsets, partition)?;
            if owner == state.id {
                let _busy = Busy::new(&state);
                return lookup::list_offset(&state, partition, place).await;
            }
            match ask(&state, owner, Request::ListOffset { partition, place }).await? {
                Reply::Listed(listed) => listed,
                _ => Err(wrong_reply()),
            }
        }
    }

    /// Where the records of a leader epoch end in a partition; `None` for an epoch that is later than all of
    /// the log's.
    ///
    /// Answers with a [`Refusal`] when the partition is not there or offline.
    pub fn epoch_end(
        &self,
        partition: TopicPartition,
        epoch: LeaderEpoch,
    ) -> impl Future<Output = Result<Option<EpochEnd>, Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        async move {
            let owner = count(&state, Call::EpochEnd, partition)?;
            if owner == state.id {
                return lookup::epoch_end(&state, partition, epoch);
            }
            match ask(&state, owner, Request::EpochEnd { partition, epoch }).await? {
                Reply::EpochEnd(end) => end,
                _ => Err(wrong_reply()),
            }
        }
    }

    /// Forgets a partition's records before an offset (`None` = before the high watermark); gives the new log
    /// start offset, which is durable. Goes on when the future is dropped.
    ///
    /// Answers with a [`Refusal`]: `OffsetOutOfRange` above the high watermark.
    pub fn trim(
        &self,
        partition: TopicPartition,
        before: Option<Offset>,
    ) -> impl Future<Output = Result<Offset, Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        async move {
            let owner = count(&state, Call::Trim, partition)?;
            if owner == state.id {
                let busy = Busy::new(&state);
                let own = Rc::clone(&state);
                // Begun once, it ends: an append may wait for it, and nobody else knows the files that it removes.
                let trimmed = apart(&state.io, async move {
                    let trimmed = lookup::trim(&own, partition, before).await;
                    drop(busy);
                    trimmed
                });
                return trimmed.await;
            }
            match ask(&state, owner, Request::Trim { partition, before }).await? {
                Reply::Trimmed(trimmed) => trimmed,
                _ => Err(wrong_reply()),
            }
        }
    }

    /// The idempotent producers that a partition remembers, by id.
    ///
    /// Answers with a [`Refusal`] when the partition is not there, offline or still reading them.
    pub fn describe_producers(
        &self,
        partition: TopicPartition,
    ) -> impl Future<Output = Result<Vec<ProducerDescription>, Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        async move {
            let owner = count(&state, Call::Admin, partition)?;
            if owner == state.id {
                return lookup::producers(&state, partition);
            }
            match ask(&state, owner, Request::Producers { partition }).await? {
                Reply::Producers(producers) => producers,
                _ => Err(wrong_reply()),
            }
        }
    }

    /// A topic with its partitions as their owners see them.
    ///
    /// Answers with a [`Refusal`] when there is no such topic.
    pub fn describe_topic(
        &self,
        topic: TopicId,
    ) -> impl Future<Output = Result<TopicDescription, Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        async move {
            state.check_open()?;
            let found = state.metadata.borrow().topic(topic).cloned();
            let found = found.ok_or_else(|| {
                Refusal::new(
                    ErrorCode::UnknownTopicId,
                    format!("there is no topic with id {topic}"),
                )
            })?;
            let mut partitions = lookup::describe(&state, topic);
            let owners = state
                .others()
                .filter(|shard| state.placement.owned(&found, *shard).next().is_some());
            let asked: Vec<_> =
                owners.map(|shard| ask(&state, shard, Request::Describe { topic })).collect();
            for reply in asked {
                match reply.await? {
                    Reply::Described(described) => partitions.extend(described),
                    _ => return Err(wrong_reply()),
                }
            }
            partitions.sort_by_key(|state| state.partition);
            let brokers = Rc::clone(&state.metadata.borrow()).brokers().clone();
            let layers = Layers::topic(&found.overrides, &brokers);
            let settings = layers.describe_all(ConfigKind::Topic).collect();
            Ok(TopicDescription { id: topic, name: found.name.clone(), settings, partitions })
        }
    }

    /// What all shards count, and a row for each partition. Costs a message to each shard: for a scrape, not
    /// for a request.
    pub fn describe_stats(&self) -> impl Future<Output = Result<Stats, Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        async move {
            let own = lookup::stats(&state);
            let mut stats = Stats { snapshots: vec![own.snapshot], partitions: own.partitions };
            let asked: Vec<_> =
                state.others().map(|shard| ask(&state, shard, Request::Stats)).collect();
            for reply in asked {
                match reply.await? {
                    Reply::Stats(theirs) => {
                        stats.snapshots.push(theirs.snapshot);
                        stats.partitions.extend(theirs.partitions);
                    }
                    _ => return Err(wrong_reply()),
                }
            }
            stats.snapshots.sort_by_key(kolk_metric::shard::MetricsSnapshot::shard);
            stats.partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
            Ok(stats)
        }
    }
}

/// Counts a partition request as own or forwarded; gives the owner.
fn count<I: Io>(
    state: &ShardState<I>,
    call: Call,
    partition: TopicPartition,
) -> Result<ShardId, Refusal> {
    state.check_open()?;
    let owner = state.placement.owner(partition);
    let requests = &state.metrics.requests;
    if owner == state.id {
        requests.own.inc()
    } else {
        requests.call(call).forwarded.inc()
    }
    Ok(owner)
}
