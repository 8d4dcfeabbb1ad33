//! Reading the idempotent producers of partitions after a start, beside everything else: fetches are served
//! at once, and only batches of such producers wait.

use std::rc::Rc;

use kolk_io::door::Io;
use kolk_model::ids::TopicPartition;
use kolk_model::time::TimestampMs;
use kolk_partition::rebuild::load_producers;

use crate::state::ShardState;

/// Partitions read side by side.
const TASKS: usize = 8;

/// Starts the tasks that read; they run as long as the shard.
pub(crate) fn start<I: Io>(state: &Rc<ShardState<I>>) {
    for _ in 0..TASKS {
        let own = Rc::clone(state);
        state.io.spawn(async move {
            loop {
                let next = || own.to_load.borrow_mut().pop_front();
                let id = own.to_load_bell.until(next).await;
                load(&own, id).await;
            }
        });
    }
}

/// Queues a partition.
pub(crate) fn want<I: Io>(state: &ShardState<I>, id: TopicPartition) {
    let mut to_load = state.to_load.borrow_mut();
    if !to_load.contains(&id) {
        to_load.push_back(id);
        state.to_load_bell.ring();
    }
}

async fn load<I: Io>(state: &ShardState<I>, id: TopicPartition) {
    let Ok(hosted) = state.partition(id) else { return };
    let (log, producers_max, end) = {
        let partition = hosted.borrow();
        if !partition.wants_producers() {
            return;
        }
        // Only batches without a producer are appended meanwhile.
        (partition.log().clone(), partition.limits().producers_max, partition.log().log_end())
    };
    let now = TimestampMs::new(state.wall_clock().as_ms());
    let loaded = load_producers(&state.io, &log, end, producers_max, now).await;
    if let Err(error) = &loaded {
        tracing::warn!(log = %id, %error, "producers not read, their appends are refused for now");
    }
    let mut effects = Vec::new();
    {
        let mut partition = hosted.borrow_mut();
        if !partition.wants_producers() {
            // Queued once more while this was reading, and another task was quicker: what it found has grown since.
            return;
        }
        let snapshot = loaded.as_ref().ok().and_then(|loaded| loaded.snapshot);
        if loaded.as_ref().is_ok_and(|loaded| loaded.foreign) {
            partition.leave_snapshot_alone();
        }
        let loaded = loaded.map(|loaded| loaded.producers);
        partition.producers_loaded(loaded, state.wall_clock(), &mut effects);
        if let Some(offset) = snapshot {
            partition.snapshot_saved(offset, state.io.now());
        }
    }
    state.deliver(&mut effects);
}
