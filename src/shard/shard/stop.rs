//! A clean stop: no new requests, those in flight answered, the logs brought to rest.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use kolk_io::door::Io;
use kolk_log::error::LogError;
use kolk_partition::saving::SaveWhen;

use crate::message::Request;
use crate::shard::Shard;
use crate::state::side_by_side::side_by_side;
use crate::state::{Phase, ShardState};

/// Snapshots written side by side: their syncs then share the file system's commits.
const TASKS: usize = 32;

/// The logs could not be brought to rest. Nothing acknowledged is lost: the next start recovers as after a crash.
#[derive(Clone, Debug, thiserror::Error)]
#[error("shard {shard} did not come to rest: {error}")]
pub struct StopError {
    /// Which shard.
    pub shard: kolk_model::ids::ShardId,
    /// What its storage said.
    #[source]
    pub error: LogError,
}

impl<I: Io> Shard<I> {
    /// Stops the shard: refuses new requests as `ShuttingDown`, ends waiting fetches, answers what is in
    /// flight, waits for the other shards to have done the same (so call it on all of them), and closes the
    /// logs. Each of the two waits is bounded by `stop_drain_ms_max`. The shard answers nothing any more then.
    ///
    /// Resolves to a [`StopError`] when the logs could not be brought to rest.
    pub fn stop(&self) -> impl Future<Output = Result<(), StopError>> + use<I> {
        let state = Rc::clone(&self.state);
        async move {
            drain(&state).await;
            state.phase.set(Phase::Stopped);
            let mut effects = Vec::new();
            for (_, hosted) in state.all_hosted() {
                hosted.borrow_mut().stop(&mut effects);
            }
            state.deliver(&mut effects);
            let rested = state.storage.shutdown().await;
            save_producers(&state).await;
            for lanes in &state.lanes {
                lanes.requests.close();
                lanes.replies.close();
            }
            let shard = state.id;
            rested.map_err(|error| StopError { shard, error })
        }
    }

    /// Whether the shard takes requests of clients.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state.phase.get() == Phase::Open
    }
}

async fn drain<I: Io>(state: &Rc<ShardState<I>>) {
    if state.phase.get() == Phase::Open {
        state.phase.set(Phase::Draining);
    }
    let mut effects = Vec::new();
    for (_, hosted) in state.all_hosted() {
        hosted.borrow_mut().wake_fetches(&mut effects);
    }
    state.deliver(&mut effects);
    let limit = Duration::from_millis(state.settings.stop_drain_ms_max);
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

/// After the logs are at rest everything is durable, so that every snapshot may be written.
async fn save_producers<I: Io>(state: &Rc<ShardState<I>>) {
    let snapshots: Vec<_> = state
        .all_hosted()
        .iter()
        .filter_map(|(_, hosted)| hosted.borrow_mut().snapshot_to_write(SaveWhen::Stopping))
        .collect();
    let io = state.io.clone();
    side_by_side(&state.io, snapshots, TASKS, move |snapshot| {
        let io = io.clone();
        async move {
            if let Err(error) = io.write_file_atomic(&snapshot.path, &snapshot.bytes).await {
                tracing::warn!(%error, "producers not saved, the next start reads the log");
            }
        }
    })
    .await;
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
