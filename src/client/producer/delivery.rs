//! The promise that a record will be acknowledged. Apart because it is shared by the caller who waits and
//! the sender who knows.
//!
//! All records of a batch share one allocation: a record's own part is its place in the batch.

use std::pin::Pin;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use kolk_model::ids::{PartitionId, TopicPartition};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::error::ClientError;

#[allow(clippy::disallowed_types, reason = "callers of any thread wait for one batch")]
type Mutex<T> = std::sync::Mutex<T>;

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: Offset,
    /// The timestamp it was sent with; a topic of `LogAppendTime` replaces it.
    pub timestamp: TimestampMs,
    /// When the broker appended it, in ns since 1970-01-01 UTC.
    pub append_time_ns: u64,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) base_offset: Offset,
    pub(crate) append_time_ns: u64,
}

/// The first failure of any batch of a producer since somebody asked.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<Option<ClientError>>);

impl Failures {
    fn note(&self, error: &ClientError) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.clone());
    }

    pub(crate) fn take(&self) -> Option<ClientError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A batch's outcome, once there is one.
#[derive(Debug)]
pub(crate) struct BatchCell {
    partition: PartitionId,
    failures: Arc<Failures>,
    outcome: OnceLock<Result<Written, ClientError>>,
    waiting: Mutex<Vec<Waker>>,
}

impl BatchCell {
    pub(crate) fn new(id: TopicPartition, failures: Arc<Failures>) -> Arc<Self> {
        let (outcome, waiting) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { partition: id.partition, failures, outcome, waiting })
    }

    /// Tells everybody who waits. Only the first outcome counts; a failure is noted before anybody can see it, so that who has
    /// waited for all batches finds it among the failures.
    pub(crate) fn complete(&self, outcome: Result<Written, ClientError>) {
        if let (Err(error), None) = (&outcome, self.outcome.get()) {
            self.failures.note(error);
        }
        if self.outcome.set(outcome).is_ok() {
            let waiting =
                std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            for waker in waiting {
                waker.wake();
            }
        }
    }

    /// The outcome, or a place among those who wait for it. `place` is the place from an earlier poll.
    fn poll(
        &self,
        context: &Context<'_>,
        place: &mut Option<usize>,
    ) -> Poll<&Result<Written, ClientError>> {
        if let Some(outcome) = self.outcome.get() {
            return Poll::Ready(outcome);
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have been completed just before the lock was taken.
        if let Some(outcome) = self.outcome.get() {
            return Poll::Ready(outcome);
        }
        match place.and_then(|place| waiting.get_mut(place)) {
            Some(waker) => waker.clone_from(context.waker()),
            None => {
                *place = Some(waiting.len());
                waiting.push(context.waker().clone());
            }
        }
        Poll::Pending
    }

    /// Waits for the outcome of the whole batch.
    pub(crate) async fn wait(self: Arc<Self>) -> Result<Written, ClientError> {
        let mut place = None;
        std::future::poll_fn(|context| self.poll(context, &mut place).map(Result::clone)).await
    }
}

/// A record that is in a batch. Resolves when the batch is acknowledged, or has failed for good. Dropping
/// it changes nothing: the record is sent all the same.
#[derive(Debug)]
#[must_use = "the record's fate is known only to who awaits this"]
pub struct Delivery {
    pub(crate) cell: Arc<BatchCell>,
    pub(crate) index: u32,
    pub(crate) timestamp: TimestampMs,
    pub(crate) place: Option<usize>,
}

impl Delivery {
    /// The partition that the record was put into.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.cell.partition
    }

    /// The record's place in its batch, from 0. The records of a batch are acknowledged, or fail, together.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ClientError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (index, timestamp) = (this.index, this.timestamp);
        let partition = this.cell.partition;
        this.cell.poll(context, &mut this.place).map(|outcome| match outcome {
            Ok(written) => Ok(RecordMetadata {
                partition,
                offset: written.base_offset + u64::from(index),
                timestamp,
                append_time_ns: written.append_time_ns,
            }),
            Err(error) => Err(error.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(cell: &Arc<BatchCell>, index: u32) -> Delivery {
        let timestamp = TimestampMs::new(5);
        Delivery { cell: Arc::clone(cell), index, timestamp, place: None }
    }

    #[tokio::test]
    async fn every_record_of_a_batch_learns_its_offset() {
        let cell = BatchCell::new(crate::fake::partition(3), Arc::default());
        let early = tokio::spawn(delivery(&cell, 1));
        tokio::task::yield_now().await;
        cell.complete(Ok(Written { base_offset: Offset::new(40), append_time_ns: 9 }));
        let late = delivery(&cell, 2).await.unwrap();
        assert_eq!(early.await.unwrap().unwrap().offset, Offset::new(41));
        assert_eq!(late.offset, Offset::new(42));
        assert_eq!((late.partition.get(), late.timestamp.get()), (3, 5));
        cell.complete(Err(ClientError::Closed { what: "too late" }));
        assert!(cell.wait().await.is_ok(), "the first outcome counts");
    }

    #[tokio::test]
    async fn a_delivery_that_is_polled_often_waits_once() {
        let failures = Arc::<Failures>::default();
        let cell = BatchCell::new(crate::fake::partition(0), Arc::clone(&failures));
        assert_eq!((delivery(&cell, 7).index(), delivery(&cell, 7).partition().get()), (7, 0));
        let mut waiting = Box::pin(delivery(&cell, 0));
        for _ in 0..10 {
            let polled = std::future::poll_fn(|c| Poll::Ready(waiting.as_mut().poll(c))).await;
            assert!(polled.is_pending());
        }
        assert_eq!(cell.waiting.lock().unwrap().len(), 1);
        cell.complete(Err(ClientError::Closed { what: "closed" }));
        assert!(matches!(waiting.await, Err(ClientError::Closed { .. })));
        assert!(matches!(failures.take(), Some(ClientError::Closed { .. })));
        cell.complete(Err(ClientError::Closed { what: "again" }));
        assert!(failures.take().is_none(), "an outcome that does not count is no failure");
    }
}
