//! Produce, from a connection's side. On the own core: no task, no allocation beside what the log needs.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use kolk_io::door::Io;
use kolk_metric::requests::Call;
use kolk_model::error::ErrorCode;
use kolk_model::ids::ShardId;
use kolk_partition::effect::Produced;
use kolk_partition::producers::ProducerBatch;

use crate::message::{Reply, Request};
use crate::owner::append;
use crate::request::{ProduceOp, Refusal};
use crate::shard::{Shard, wrong_reply};
use crate::state::ShardState;
use crate::state::budget::{Held, Share};
use crate::state::waiters::Waiting;

/// A produce request under way. Dropping it does not undo it: the records may be appended all the same.
#[derive(Debug)]
#[must_use = "the answer comes out of it"]
pub struct Producing {
    step: Step,
    held: Option<Held>,
}

#[derive(Debug)]
enum Step {
    /// Empty once it was taken.
    Done(Option<Result<Produced, Refusal>>),
    Waits(Waiting),
}

impl<I: Io> Shard<I> {
    /// Appends batches. Requests for one partition are appended in the order of these calls; the future only
    /// waits for the level asked.
    ///
    /// Answers with a [`Refusal`]: see [`PartitionError::code`](kolk_partition::error::PartitionError::code) for
    /// what a partition refuses; `Overloaded` beyond this shard's bounds; `ShuttingDown`.
    #[inline]
    pub fn produce(&self, op: ProduceOp) -> Producing {
        let state = &self.state;
        if let Err(refusal) = state.check_open() {
            return Producing::refused(refusal);
        }
        if state.groups.topic() == Some(op.partition.topic) {
            return Producing::refused(internal_topic());
        }
        let owner = state.placement.owner(op.partition);
        let Some(held) = hold(state, owner, op.batches.len() as u64) else {
            turn_away(state, owner, &op);
            return Producing::refused(over_budget());
        };
        let waiter = match state.waiters.open_local() {
            Ok(waiter) => waiter,
            Err(full) => {
                turn_away(state, owner, &op);
                return Producing::refused(full.into());
            }
        };
        if owner == state.id {
            state.metrics.requests.own.inc();
            if let Some(result) = append::append(state, op, waiter) {
                state.waiters.close(waiter);
                return Producing { step: Step::Done(Some(result)), held: None };
            }
        } else {
            state.metrics.requests.call(Call::Produce).forwarded.inc();
            state.ask(owner, waiter, Request::Produce(op));
        }
        let waiting = Waiting::new(&state.waiters, waiter);
        Producing { step: Step::Waits(waiting), held: Some(held) }
    }
}

/// Time without any answer after which a shard that owes some is taken for held up.
const SILENT_AFTER: Duration = Duration::from_secs(1);

/// Takes the bytes of a request from the budgets, if they have them.
#[inline]
fn hold<I: Io>(state: &ShardState<I>, owner: ShardId, bytes: u64) -> Option<Held> {
    let way = if owner == state.id { None } else { Some(hold_way(state, owner, bytes)?) };
    Some(Held { _all: state.budget.take(bytes)?, _way: way })
}

/// As [`hold`], of what may be on the way to another shard.
fn hold_way<I: Io>(state: &ShardState<I>, owner: ShardId, bytes: u64) -> Option<Share> {
    let lanes = state.lanes.get(usize::from(owner.get()))?;
    let now = state.io.now();
    if lanes.produce.used() == 0 {
        lanes.heard_at.set(now);
    }
    if now - lanes.heard_at.get() < SILENT_AFTER {
        return Some(lanes.produce.take_anyway(bytes));
    }
    lanes.produce.take(bytes)
}

/// Tells the partition that a batch for it was refused here for the moment, ahead of what is forwarded behind it. Another
/// shard answers to that, so that a bounded number is on the way there; beyond it is not told.
#[cold]
fn turn_away<I: Io>(state: &ShardState<I>, owner: ShardId, op: &ProduceOp) {
    let Some(batch) = ProducerBatch::first_of(&op.batches) else { return };
    if owner == state.id {
        return append::turn_away(state, op.partition, &batch);
    }
    let Some(lanes) = state.lanes.get(usize::from(owner.get())) else { return };
    if let Some(place) = lanes.turned_away.take(1)
        && let Ok(waiter) = state.waiters.open_local()
    {
        state.ask(owner, waiter, Request::TurnAway { partition: op.partition, batch });
        Waiting::new(&state.waiters, waiter).leave(Held { _all: place, _way: None });
    }
}

#[cold]
fn over_budget() -> Refusal {
    Refusal::new(ErrorCode::Overloaded, "too many bytes of produce requests are in flight")
}

#[cold]
fn internal_topic() -> Refusal {
    Refusal::new(ErrorCode::InvalidTopic, "only the broker writes to an internal topic")
}

impl Producing {
    /// One that was refused before it was begun.
    pub const fn refused(refusal: Refusal) -> Self {
        Self { step: Step::Done(Some(Err(refusal))), held: None }
    }

    /// Whether the answer is there already: polling will not wait.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.step, Step::Done(_))
    }
}

impl Future for Producing {
    type Output = Result<Produced, Refusal>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.step {
            Step::Done(result) => Poll::Ready(result.take().unwrap_or_else(|| Err(wrong_reply()))),
            Step::Waits(waiting) => Pin::new(waiting).poll(cx).map(|reply| {
                self.held = None;
                match reply {
                    Some(Reply::Produced(result)) => result,
                    _ => Err(wrong_reply()),
                }
            }),
        }
    }
}

impl Drop for Producing {
    fn drop(&mut self) {
        let done = Step::Done(None);
        // Its bytes are on the way, or wait at the partition, until they are answered. A client that comes back and
        // sends them again while a disk hangs must not double them.
        if let Some(held) = self.held.take()
            && let Step::Waits(waiting) = std::mem::replace(&mut self.step, done)
        {
            waiting.leave(held);
        }
    }
}
