//! Appending to an own partition: synchronous, so that the order of calls is the order of offsets.

use kolk_io::door::Io;
use kolk_model::ids::TopicPartition;
use kolk_partition::effect::{Produced, WaiterId};
use kolk_partition::partition::{Append, Appending};
use kolk_partition::producers::ProducerBatch;

use crate::request::{ProduceOp, Refusal};
use crate::state::ShardState;

/// Appends to a partition of this shard. `None`: `waiter` is answered when it is safe.
#[inline]
pub(crate) fn append<I: Io>(
    state: &ShardState<I>,
    op: ProduceOp,
    waiter: WaiterId,
) -> Option<Result<Produced, Refusal>> {
    let hosted = match state.partition(op.partition) {
        Ok(hosted) => hosted,
        Err(refusal) => return Some(Err(refusal)),
    };
    let ProduceOp { batches, wait, expected_next_offset, .. } = op;
    let append = Append { waiter, batches, wait, expected_next_offset };
    let now = state.wall_clock();
    let appending = hosted.borrow_mut().append(append, now);
    match appending {
        Appending::Done(result) => Some(result.map_err(Refusal::from)),
        Appending::Waits => None,
    }
}

/// Keeps later batches of a producer from being stored before this one, which was refused for the moment before it
/// came to its partition.
#[cold]
pub(crate) fn turn_away<I: Io>(
    state: &ShardState<I>,
    partition: TopicPartition,
    batch: &ProducerBatch,
) {
    // Where there is no partition there is nothing to be stored too early.
    if let Ok(hosted) = state.partition(partition) {
        hosted.borrow_mut().turn_away(batch, state.wall_clock());
    }
}
