//! A clean stop: no new requests, those in flight answered, the logs brought to rest.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::time::Monotonic;
use kolk_log::error::LogError;
use kolk_model::ids::ShardId;
use kolk_partition::saving::{SNAPSHOT_NAME, SaveWhen};

use crate::housekeeping::known_time;
use crate::message::Request;
use crate::metadata::CONTROLLER;
use crate::shard::Shard;
use crate::state::side_by_side::side_by_side;
use crate::state::{Phase, ShardState};

/// Bytes of log without a snapshot from which one is written: less is read at a start as fast, and a stop with many small logs is
/// spared two syncs for each.
const SAVE_BYTES_MIN: u64 = 64 << 10;
/// Snapshots written side by side: their syncs then share the file system's commits.
const TASKS: usize = 32;

/// A shard did not stop cleanly. Nothing acknowledged is lost: the next start recovers as after a crash.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// The logs could not be brought to rest. The disk's fault.
    #[error("shard {shard} did not come to rest: {error}")]
    Storage {
        /// Which shard.
        shard: ShardId,
        /// What its storage said.
        #[source]
        error: LogError,
    },
    /// The time was over, and something still had not ended: a disk that hangs, most likely.
    #[error("shard {shard} did not come to rest within {limit_ms} ms")]
    TooLong {
        /// Which shard.
        shard: ShardId,
        /// How long it was given.
        limit_ms: u128,
    },
}

impl<I: Io> Shard<I> {
    /// As [`Shard::stop_within`], with the time of the settings.
    pub fn stop(&self) -> impl Future<Output = Result<(), StopError>> + use<I> {
        self.stop_within(Duration::from_millis(self.state.settings.stop_ms_max))
    }

    /// Stops the shard: refuses new requests as `ShuttingDown`, ends waiting fetches, answers what is in
    /// flight, waits for the other shards to have done the same (so call it on all of them), and closes the
    /// logs. Each of the two waits is bounded by `stop_drain_ms_max`, everything together by `limit`. The shard
    /// answers nothing any more then.
    ///
    /// Resolves to a [`StopError`] when the logs could not be brought to rest.
    pub fn stop_within(
        &self,
        limit: Duration,
    ) -> impl Future<Output = Result<(), StopError>> + use<I> {
        let state = Rc::clone(&self.state);
        async move {
            let rested = within(&state.io, limit, come_to_rest(&state, limit)).await;
            for lanes in &state.lanes {
                lanes.requests.close();
                lanes.replies.close();
            }
            let shard = state.id;
            match rested {
                Some(rested) => rested.map_err(|error| StopError::Storage { shard, error }),
                None => Err(StopError::TooLong { shard, limit_ms: limit.as_millis() }),
            }
        }
    }

    /// Whether the shard takes requests of clients.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state.phase.get() == Phase::Open
    }
}

/// Everything of a stop, planned so that it ends before `limit` unless something hangs.
async fn come_to_rest<I: Io>(state: &Rc<ShardState<I>>, limit: Duration) -> Result<(), LogError> {
    let begun = state.io.now();
    let drain_max = Duration::from_millis(state.settings.stop_drain_ms_max);
    drain(state, drain_max.min(limit / 5)).await;
    state.phase.set(Phase::Stopped);
    let mut effects = Vec::new();
    for (_, hosted) in state.all_hosted() {
        hosted.borrow_mut().stop(&mut effects);
    }
    state.deliver(&mut effects);
    // The last quarter is for the snapshot and the producers.
    let write = (limit / 4 * 3).saturating_sub(state.io.now() - begun);
    state.storage.shutdown_within(write).await?;
    if state.id == CONTROLLER {
        known_time::save(state).await;
    }
    save_producers(state, begun + limit / 10 * 9).await;
    Ok(())
}

async fn drain<I: Io>(state: &Rc<ShardState<I>>, limit: Duration) {
    if state.phase.get() == Phase::Open {
        state.phase.set(Phase::Draining);
    }
    state.groups.ring_all();
    let mut effects = Vec::new();
    for (_, hosted) in state.all_hosted() {
        hosted.borrow_mut().wake_fetches(&mut effects);
    }
    state.deliver(&mut effects);
    let own = state.drained.until(|| (state.in_flight() == 0).then_some(()));
    if within(&state.io, limit, own).await.is_none() {
        let left = state.in_flight();
        tracing::warn!(shard = %state.id, left, "requests still in flight at the end of the wait");
    }
    state.tell_others(|| Request::Drained);
    let others = usize::from(state.placement.shards()) - 1;
    let all = || (state.shards_drained.borrow().len() >= others).then_some(());
    if within(&state.io, limit, state.drained.until(all)).await.is_none() {
        tracing::warn!(shard = %state.id, "another shard still has requests in flight");
    }
}

/// After the logs are at rest everything is durable, so that every snapshot may be written. One that is not costs the next start
/// some reading.
async fn save_producers<I: Io>(state: &Rc<ShardState<I>>, deadline: Monotonic) {
    let when = SaveWhen::Stopping { bytes_min: SAVE_BYTES_MIN };
    let snapshots: Vec<_> = state
        .all_hosted()
        .iter()
        .filter_map(|(_, hosted)| {
            let taken = hosted.borrow_mut().snapshot_to_write(when)?;
            Some((hosted.borrow().log().clone(), taken))
        })
        .collect();
    let (io, left) = (state.io.clone(), Rc::new(Cell::new(0_usize)));
    let unsaved = Rc::clone(&left);
    side_by_side(&state.io, snapshots, TASKS, move |(log, snapshot)| {
        let (io, left) = (io.clone(), Rc::clone(&left));
        async move {
            if io.now() > deadline {
                left.set(left.get() + 1);
            } else if let Err(error) = log.write_beside(SNAPSHOT_NAME, &snapshot.bytes).await {
                tracing::warn!(log = %log.id(), %error, "producers not saved, the next start reads the log");
            }
        }
    })
    .await;
    if unsaved.get() > 0 {
        let partitions = unsaved.get();
        tracing::warn!(
            partitions,
            "a stop has no more time, the next start reads their logs for producers"
        );
    }
}

/// Waits for a future, but not longer than `limit`.
async fn within<I: Io, T>(io: &I, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut over = pin!(io.sleep(limit));
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        over.as_mut().poll(cx).map(|()| None)
    })
    .await
}
