//! Keeps compacted topics compacted: one log at a time, that with the largest share of bytes that were not compacted first.

use std::rc::Rc;
use std::time::Duration;

use kolk_io::door::Io;
use kolk_log::compact::CompactionOrder;
use kolk_log::error::LogError;
use kolk_log::log::Log;
use kolk_model::ids::TopicPartition;
use kolk_model::map::Set;
use kolk_model::time::TimestampMs;

use crate::state::clock::Trust;
use crate::state::{Phase, ShardState};

/// Runs as long as the shard. A task of its own: a pass over a large log takes minutes, and retention must not wait for it.
pub(crate) async fn run<I: Io>(state: Rc<ShardState<I>>) {
    let interval = Duration::from_millis(state.settings.compaction_ms.max(1));
    loop {
        state.io.sleep(interval).await;
        if state.phase.get() != Phase::Open {
            return;
        }
        round(&state).await;
    }
}

/// Compacts until no log is due; each at most once, so that one that fails does not keep the others waiting.
async fn round<I: Io>(state: &Rc<ShardState<I>>) {
    let mut seen = Set::new();
    // Tombstones go by the wall clock: one that jumped, since the last log too, must not take them early.
    while state.phase.get() == Phase::Open && state.clock_trust() == Trust::Agree {
        let Some((log, order)) = dirtiest(state, &seen).await else { return };
        seen.insert(log.id());
        compact(state, &log, order).await;
    }
}

/// The due log that has most to gain.
async fn dirtiest<I: Io>(
    state: &ShardState<I>,
    seen: &Set<TopicPartition>,
) -> Option<(Log<I>, CompactionOrder)> {
    let now = TimestampMs::new(state.io.wall_clock().as_ms());
    let mut best = None;
    for (id, hosted) in state.all_hosted() {
        let order = if seen.contains(&id) { None } else { hosted.borrow().compaction_order(now) };
        let Some(order) = order else { continue };
        let log = hosted.borrow().log().clone();
        match log.compaction_need(&order.rules, now, order.below).await {
            Ok(Some(need)) if need.is_due(&order.rules) => {
                let rank = (need.overdue, need.dirty_ppm());
                if best.as_ref().is_none_or(|(best, _, _)| *best < rank) {
                    best = Some((rank, log, order));
                }
            }
            Ok(_) | Err(LogError::NoSuchLog { .. } | LogError::Offline { .. }) => {}
            Err(error) => tracing::warn!(log = %id, %error, "not known what there is to compact"),
        }
        state.io.yield_now().await;
    }
    best.map(|(_, log, order)| (log, order))
}

/// Passes over one log until all its keys were seen.
async fn compact<I: Io>(state: &ShardState<I>, log: &Log<I>, mut order: CompactionOrder) {
    loop {
        let begun = state.io.now();
        match log.compact(&order).await {
            Ok(done) => {
                let took_ms = (state.io.now() - begun).as_millis();
                let (before, after) = (done.bytes_before, done.bytes_after);
                let (segments, records) = (done.segments, done.records_removed);
                tracing::info!(
                    log = %log.id(), upto = %done.clean_below, segments, before, after, records, took_ms,
                    "log compacted"
                );
                if !done.more {
                    return;
                }
            }
            // Closed, deleted, or retention took a segment of the plan away.
            Err(LogError::NoSuchLog { .. } | LogError::OffsetOutOfRange { .. }) => return,
            Err(error) => {
                tracing::warn!(log = %log.id(), %error, "compaction was given up and is tried again later");
                return;
            }
        }
        // What the producers need may have changed meanwhile.
        let Ok(hosted) = state.partition(log.id()) else { return };
        let next = hosted.borrow().compaction_order(order.now);
        match next {
            Some(next) if state.phase.get() == Phase::Open => order = next,
            _ => return,
        }
    }
}
