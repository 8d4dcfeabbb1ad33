//! What a shard does now and then for its partitions: retention, rolls by age, forgetting producers, saving
//! them, and trying again what could not be done before.

use std::rc::Rc;
use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::time::{Monotonic, WallClock};
use kolk_log::log::retention::Retention;
use kolk_model::ids::TopicPartition;
use kolk_model::time::TimestampMs;
use kolk_partition::saving::{SNAPSHOT_NAME, SaveWhen};

use crate::metadata::CONTROLLER;
use crate::owner::{apply, loading};
use crate::state::clock::Trust;
use crate::state::{Hosted, Phase, ShardState};

pub(crate) mod compaction;
pub(crate) mod known_time;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug)]
struct Tick {
    now: Monotonic,
    wall: WallClock,
    trust: Trust,
}

/// Runs as long as the shard.
pub(crate) async fn run<I: Io>(state: Rc<ShardState<I>>) {
    let interval = Duration::from_millis(state.settings.housekeeping_ms.max(1));
    loop {
        state.io.sleep(interval).await;
        if state.phase.get() != Phase::Open {
            return;
        }
        if state.id == CONTROLLER {
            known_time::save_if_due(&state).await;
        }
        let (now, wall) = (state.io.now(), state.io.wall_clock());
        let trust = state.clock_trust();
        pass(&state, Tick { now, wall, trust }).await;
    }
}

/// One pass over all partitions, one after the other: nothing here is urgent.
async fn pass<I: Io>(state: &Rc<ShardState<I>>, tick: Tick) {
    create_missing(state).await;
    for (id, hosted) in state.all_hosted() {
        if state.phase.get() != Phase::Open {
            return;
        }
        if hosted.borrow().wants_producers() {
            loading::want(state, id);
        }
        roll_if_old(&hosted, tick);
        retain(id, &hosted, tick).await;
        if tick.trust == Trust::Agree {
            let back = state.settings.producer_expiration_ms;
            let limit = TimestampMs::new(tick.wall.as_ms()).saturating_back(back);
            hosted.borrow_mut().expire_producers(limit);
        }
        save_producers(state, id, &hosted, tick).await;
        state.io.yield_now().await;
    }
}

/// Closes an active segment that is older than the topic allows, so that retention or compaction can reach its records.
fn roll_if_old<I: Io>(hosted: &Hosted<I>, tick: Tick) {
    let partition = hosted.borrow();
    let config = partition.config();
    let compacts = config.cleanup_policy.compacts();
    let lag_ms_max = if compacts { config.compaction_lag_ms_max } else { u64::MAX };
    let age_max = Duration::from_millis(config.segment_ms.min(lag_ms_max));
    let log = partition.log();
    if log.active_since().is_some_and(|since| tick.now - since >= age_max) {
        log.roll();
    }
}

async fn retain<I: Io>(id: TopicPartition, hosted: &Hosted<I>, tick: Tick) {
    let (log, retention) = {
        let partition = hosted.borrow();
        let config = partition.config();
        if partition.log().segment_count() < 2 {
            return;
        }
        let deletes = config.cleanup_policy.deletes();
        let before = config
            .retention_ms
            .filter(|_| deletes && tick.trust == Trust::Agree)
            .map(|ms| TimestampMs::new(tick.wall.as_ms()).saturating_back(ms));
        let bytes_max = config.retention_bytes.filter(|_| deletes);
        (partition.log().clone(), Retention { before, bytes_max })
    };
    if retention == Retention::default() && !log.has_segments_to_drop() {
        return;
    }
    let start = log.log_start();
    match log.apply_retention(retention).await {
        Ok(now) if now > start => {
            tracing::info!(log = %id, from = %start, to = %now, "retention raised the log start");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(log = %id, %error, "retention failed"),
    }
}

async fn save_producers<I: Io>(
    state: &ShardState<I>,
    id: TopicPartition,
    hosted: &Hosted<I>,
    tick: Tick,
) {
    let when = SaveWhen::Due {
        bytes_min: state.settings.producer_save_bytes,
        age_ns_min: state.settings.producer_save_ms.saturating_mul(1_000_000),
        now: tick.now,
    };
    let Some(taken) = hosted.borrow_mut().snapshot_to_write(when) else { return };
    let log = hosted.borrow().log().clone();
    match log.write_beside(SNAPSHOT_NAME, &taken.bytes).await {
        Ok(()) => hosted.borrow_mut().snapshot_saved(taken.offset, tick.now),
        Err(error) => tracing::warn!(log = %id, %error, "producers not saved"),
    }
}

/// Tries to create logs that could not be, for want of space most likely.
async fn create_missing<I: Io>(state: &Rc<ShardState<I>>) {
    let missing: Vec<TopicPartition> = state.missing.borrow().keys().copied().collect();
    for id in missing {
        let topic = state.metadata.borrow().topic(id.topic).cloned();
        let Some(topic) = topic else { continue };
        if apply::create_logs(state, &topic, vec![id]).await.is_ok() {
            tracing::info!(log = %id, "log created at last");
        }
    }
}
