//! Questions about own partitions, and trimming them.

use std::rc::Rc;

use kolk_io::door::Io;
use kolk_metric::prometheus::PartitionSeries;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, TopicId, TopicPartition};
use kolk_model::offset::Offset;
use kolk_partition::error::PartitionError;
use kolk_partition::partition::{Appending, Watermarks};

use crate::message::{Reply, ShardStats};
use crate::request::{
    EpochEnd, ListedOffset, OffsetPlace, PartitionState, ProducerDescription, Refusal,
};
use crate::state::waiters::Waiting;
use crate::state::{Hosted, ShardState};

/// What stands at a place of a partition.
pub(crate) async fn list_offset<I: Io>(
    state: &ShardState<I>,
    id: TopicPartition,
    place: OffsetPlace,
) -> Result<ListedOffset, Refusal> {
    let hosted = state.partition(id)?;
    if place == OffsetPlace::Settled {
        settle(state, &hosted).await?;
    }
    let (log, marks) = {
        let partition = hosted.borrow();
        // Refuses where the partition is gone or offline.
        partition.check_fetch(partition.watermarks().log_start)?;
        (partition.log().clone(), partition.watermarks())
    };
    let at = |offset: Offset| ListedOffset {
        offset: Some(offset),
        timestamp: None,
        leader_epoch: Some(epoch_at(&log.epochs(), (log.epoch(), log.log_end()), offset)),
    };
    match place {
        OffsetPlace::Beginning => Ok(at(marks.log_start)),
        OffsetPlace::End | OffsetPlace::Settled => Ok(at(marks.high_watermark)),
        OffsetPlace::Timestamp(_) | OffsetPlace::MaxTimestamp => {
            let time = match place {
                OffsetPlace::Timestamp(time) => Some(time),
                _ => log.max_timestamp().await.map_err(PartitionError::from)?,
            };
            let found = match time {
                Some(time) => log.offset_for_timestamp(time, marks.high_watermark).await,
                None => Ok(None),
            };
            Ok(found.map_err(PartitionError::from)?.map_or(
                ListedOffset { offset: None, timestamp: None, leader_epoch: None },
                |found| ListedOffset { timestamp: Some(found.timestamp), ..at(found.offset) },
            ))
        }
    }
}

/// Waits until what was appended so far is visible; what never will be is not waited for.
async fn settle<I: Io>(state: &ShardState<I>, hosted: &Hosted<I>) -> Result<(), Refusal> {
    let waiter = state.waiters.open_local()?;
    let now = state.wall_clock();
    let appending = hosted.borrow_mut().wait_visible(waiter, now);
    match appending {
        Appending::Done(_) => state.waiters.close(waiter),
        Appending::Waits => {
            Waiting::new(&state.waiters, waiter).await;
        }
    }
    Ok(())
}

/// Where the records of an epoch end. What the current epoch appends ends at the log's end.
pub(crate) fn epoch_end<I: Io>(
    state: &ShardState<I>,
    id: TopicPartition,
    asked: LeaderEpoch,
) -> Result<Option<EpochEnd>, Refusal> {
    let hosted = state.partition(id)?;
    let partition = hosted.borrow();
    let marks = partition.check_fetch(partition.watermarks().log_start)?;
    let log = partition.log();
    Ok(end_of(&log.epochs(), (log.epoch(), marks.log_end), asked))
}

fn end_of(
    epochs: &[kolk_layout::journal::snapshot::EpochStart],
    (current, log_end): (LeaderEpoch, Offset),
    asked: LeaderEpoch,
) -> Option<EpochEnd> {
    if asked >= current {
        return (asked == current).then_some(EpochEnd { epoch: current, end: log_end });
    }
    let later = epochs.partition_point(|entry| entry.epoch <= asked);
    let epoch = later.checked_sub(1).and_then(|at| epochs.get(at)).map_or(asked, |e| e.epoch);
    let end = epochs.get(later).map_or(log_end, |entry| entry.start);
    Some(EpochEnd { epoch, end })
}

/// The epoch that wrote an offset; from the log's end on the current one, which will.
fn epoch_at(
    epochs: &[kolk_layout::journal::snapshot::EpochStart],
    (current, log_end): (LeaderEpoch, Offset),
    offset: Offset,
) -> LeaderEpoch {
    let wrote = epochs.iter().rev().find(|entry| entry.start <= offset);
    wrote.filter(|_| offset < log_end).map_or(current, |entry| entry.epoch)
}

/// Forgets the records before an offset (`None` = the high watermark); gives the log start, which is durable.
pub(crate) async fn trim<I: Io>(
    state: &Rc<ShardState<I>>,
    id: TopicPartition,
    before: Option<Offset>,
) -> Result<Offset, Refusal> {
    let hosted = state.partition(id)?;
    let marks = {
        let partition = hosted.borrow();
        partition.check_fetch(partition.watermarks().log_start)?
    };
    let Watermarks { log_start, high_watermark, .. } = marks;
    let target = before.unwrap_or(high_watermark);
    if target > high_watermark {
        let (start, end) = (log_start, high_watermark);
        return Err(PartitionError::OffsetOutOfRange { asked: target, start, end }.into());
    }
    if target <= log_start {
        return Ok(log_start);
    }
    // A log start beyond what is on stable storage would be ahead of its records after a power cut.
    await_durable(state, id, target).await?;
    let log = hosted.borrow().log().clone();
    log.set_log_start(target).await.map_err(PartitionError::from)?;
    let mut effects = Vec::new();
    hosted.borrow_mut().wake_fetches(&mut effects);
    state.deliver(&mut effects);
    Ok(log.log_start())
}

async fn await_durable<I: Io>(
    state: &Rc<ShardState<I>>,
    id: TopicPartition,
    offset: Offset,
) -> Result<(), Refusal> {
    let hosted = state.partition(id)?;
    let waiter = state.waiters.open_local()?;
    let now = state.wall_clock();
    let appending = hosted.borrow_mut().wait_durable(waiter, offset, now);
    if let Appending::Done(result) = appending {
        state.waiters.close(waiter);
        return result.map(|_| ()).map_err(Refusal::from);
    }
    match Waiting::new(&state.waiters, waiter).await {
        Some(Reply::Produced(result)) => result.map(|_| ()),
        _ => Err(Refusal::new(ErrorCode::UnknownServerError, "an answer of another kind came")),
    }
}

/// The own partitions of a topic.
pub(crate) fn describe<I: Io>(state: &ShardState<I>, topic: TopicId) -> Vec<PartitionState> {
    let Some(topic) = state.metadata.borrow().topic(topic).cloned() else { return Vec::new() };
    let owned = state.placement.owned(&topic, state.id);
    owned
        .map(|id| match state.partition(id) {
            Ok(hosted) => {
                let partition = hosted.borrow();
                let damage = partition.log().damage();
                PartitionState {
                    partition: id.partition,
                    shard: state.id,
                    refusal: damage.map(|damage| PartitionError::Damaged(Box::new(damage)).into()),
                    leader_epoch: partition.log().epoch(),
                    marks: Some(partition.watermarks()),
                    size_bytes: partition.log().size_bytes(),
                    segments: partition.log().segment_count(),
                }
            }
            Err(refusal) => PartitionState {
                partition: id.partition,
                shard: state.id,
                refusal: Some(refusal),
                leader_epoch: state.metadata.borrow().leader_epoch(&topic, id.partition),
                marks: None,
                size_bytes: 0,
                segments: 0,
            },
        })
        .collect()
}

/// The idempotent producers of a partition.
pub(crate) fn producers<I: Io>(
    state: &ShardState<I>,
    id: TopicPartition,
) -> Result<Vec<ProducerDescription>, Refusal> {
    let hosted = state.partition(id)?;
    let partition = hosted.borrow();
    partition.check_fetch(partition.watermarks().log_start)?;
    let Some(producers) = partition.producers() else {
        let detail = format!("the producers of {id} are still being read");
        return Err(Refusal::new(ErrorCode::LeaderNotAvailable, detail));
    };
    let described = producers.iter().filter_map(|(id, state)| {
        let last = state.batches().last()?;
        Some(ProducerDescription {
            id,
            epoch: state.epoch,
            last_sequence: last.first.advance(last.sequences - 1),
            appended_at: state.appended_at,
        })
    });
    Ok(described.collect())
}

/// What this shard counts.
pub(crate) fn stats<I: Io>(state: &ShardState<I>) -> ShardStats {
    state.metrics.memory.produce_bytes.set(state.budget.used());
    let (metadata, hosted) = (state.metadata.borrow(), state.hosted.borrow());
    let rows = hosted.iter().map(|(id, hosted)| {
        let partition = hosted.borrow();
        let marks = partition.watermarks();
        let topic = metadata.topic(id.topic);
        PartitionSeries {
            topic: topic.map_or_else(|| id.topic.to_string(), |t| t.name.to_string()),
            partition: id.partition.get(),
            shard: state.id.get(),
            log_start_offset: marks.log_start.get(),
            log_end_offset: marks.log_end.get(),
            high_watermark: marks.high_watermark.get(),
            log_bytes: partition.log().size_bytes(),
            offline: u64::from(partition.log().damage().is_some()),
        }
    });
    let partitions = rows.collect();
    ShardStats { snapshot: state.metrics.snapshot(), partitions }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kolk_layout::journal::snapshot::EpochStart;

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let start =
            |epoch, start| EpochStart { epoch: LeaderEpoch::new(epoch), start: Offset::new(start) };
        let epochs = [start(2, 10), start(5, 30)];
        let current = (LeaderEpoch::new(7), Offset::new(40));
        let cases = [
            (1, Some((1, 10))),
            (2, Some((2, 30))),
            (3, Some((2, 30))),
            (5, Some((5, 40))),
            (6, Some((5, 40))),
            (7, Some((7, 40))),
            (8, None),
        ];
        for (asked, expected) in cases {
            let found = end_of(&epochs, current, LeaderEpoch::new(asked));
            let found = found.map(|found| (found.epoch.get(), found.end.get()));
            assert_eq!(found, expected, "epoch {asked}");
        }
    }

    #[test]
    fn an_offset_has_the_epoch_that_wrote_it_or_will() {
        let start =
            |epoch, start| EpochStart { epoch: LeaderEpoch::new(epoch), start: Offset::new(start) };
        let epochs = [start(2, 10), start(5, 30)];
        let current = (LeaderEpoch::new(7), Offset::new(40));
        for (offset, expected) in [(10, 2), (29, 2), (30, 5), (39, 5), (40, 7)] {
            let found = epoch_at(&epochs, current, Offset::new(offset));
            assert_eq!(found.get(), expected, "offset {offset}");
        }
        assert_eq!(epoch_at(&[], (LeaderEpoch::new(3), Offset::ZERO), Offset::ZERO).get(), 3);
    }
}
