//! Produce, from a connection's side. On the own core: no task, no allocation beside what the log needs.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use kolk_io::door::Io;
use kolk_model::error::ErrorCode;
use kolk_partition::effect::Produced;

use crate::message::{Reply, Request};
use crate::owner::append::append;
use crate::request::{ProduceOp, Refusal};
use crate::shard::{Shard, wrong_reply};
use crate::state::budget::Share;
use crate::state::waiters::Waiting;

/// A produce request under way. Dropping it does not undo it: the records may be appended all the same.
#[derive(Debug)]
#[must_use = "the answer comes out of it"]
pub struct Producing {
    step: Step,
    share: Option<Share>,
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
        let Some(share) = state.budget.take(op.batches.len() as u64) else {
            return Producing::refused(over_budget());
        };
        let waiter = match state.waiters.open_local() {
            Ok(waiter) => waiter,
            Err(full) => return Producing::refused(full.into()),
        };
        let owner = state.placement.owner(op.partition);
        if owner == state.id {
            state.metrics.requests.own.inc();
            if let Some(result) = append(state, op, waiter) {
                state.waiters.close(waiter);
                return Producing { step: Step::Done(Some(result)), share: None };
            }
        } else {
            state.metrics.requests.forwarded.inc();
            state.ask(owner, waiter, Request::Produce(op));
        }
        let waiting = Waiting::new(&state.waiters, waiter);
        Producing { step: Step::Waits(waiting), share: Some(share) }
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
    const fn refused(refusal: Refusal) -> Self {
        Self { step: Step::Done(Some(Err(refusal))), share: None }
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
                self.share = None;
                match reply {
                    Some(Reply::Produced(result)) => result,
                    _ => Err(wrong_reply()),
                }
            }),
        }
    }
}
