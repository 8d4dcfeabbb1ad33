//! Which lines are on their way, which were acknowledged, and which were not. Apart because records come back in batches, long
//! after their lines were read.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use kolk_client::error::ClientError;
use kolk_client::producer::delivery::Delivery;

/// Lines and what became of them.
#[derive(Default)]
pub(super) struct Ledger {
    /// Lines that the producer has taken; each is a record.
    lines: u64,
    acknowledged: u64,
    /// Of each partition the batches that are on their way, in their order.
    batches: Vec<VecDeque<Batch>>,
    /// The partitions that have some.
    busy: BTreeSet<usize>,
    failure: Option<Failure>,
}

/// The lines of a batch. Those of other partitions may lie between them.
#[derive(Debug)]
struct Batch {
    first: u64,
    last: u64,
    records: u64,
    /// Of its first record, and so of all.
    delivery: Delivery,
}

/// Lines that did not get through, the first of all.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    first: u64,
    last: u64,
    records: u64,
    /// Why.
    pub(super) error: ClientError,
}

impl Ledger {
    /// The next line is on its way.
    pub(super) fn sent(&mut self, delivery: Delivery) {
        self.lines += 1;
        let line = self.lines;
        let place = usize::try_from(delivery.partition().get()).unwrap_or(usize::MAX);
        if delivery.index() > 0 {
            if let Some(batch) = self.batches.get_mut(place).and_then(VecDeque::back_mut) {
                batch.last = line;
                batch.records += 1;
            }
            return;
        }
        // What is done is taken off as more is put on. Whoever waits for it looks anew.
        self.settle(place, &mut Context::from_waker(Waker::noop()));
        if self.batches.len() <= place {
            self.batches.resize_with(place + 1, VecDeque::new);
        }
        if let Some(batches) = self.batches.get_mut(place) {
            batches.push_back(Batch { first: line, last: line, records: 1, delivery });
            self.busy.insert(place);
        }
    }

    /// The next line was not even taken.
    pub(super) fn refused(&mut self, error: ClientError) {
        let line = self.lines + 1;
        self.fail(Failure { first: line, last: line, records: 1, error });
    }

    /// Waits until a line has not got through; for ever if all do. May be dropped and called again.
    pub(super) async fn failed(&mut self) {
        let failed = |context: &mut Context<'_>| {
            self.settle_all(context);
            if self.failure.is_some() { Poll::Ready(()) } else { Poll::Pending }
        };
        std::future::poll_fn(failed).await;
    }

    /// Waits until every batch was acknowledged or has failed. May be dropped and called again.
    pub(super) async fn settled(&mut self) {
        let settled = |context: &mut Context<'_>| {
            self.settle_all(context);
            if self.busy.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        };
        std::future::poll_fn(settled).await;
    }

    fn settle_all(&mut self, context: &mut Context<'_>) {
        let mut from = 0;
        while let Some(place) = self.busy.range(from..).next().copied() {
            self.settle(place, context);
            from = place + 1;
        }
    }

    /// Takes off the batches of a partition that are done, and asks to be woken when the next is.
    fn settle(&mut self, place: usize, context: &mut Context<'_>) {
        while let Some(batches) = self.batches.get_mut(place) {
            let Some(batch) = batches.front_mut() else {
                self.busy.remove(&place);
                return;
            };
            let Poll::Ready(outcome) = Pin::new(&mut batch.delivery).poll(context) else { return };
            let Batch { first, last, records, .. } = *batch;
            batches.pop_front();
            match outcome {
                Ok(_) => self.acknowledged += records,
                Err(error) => self.fail(Failure { first, last, records, error }),
            }
        }
    }

    fn fail(&mut self, failure: Failure) {
        if self.failure.as_ref().is_none_or(|known| failure.first < known.first) {
            self.failure = Some(failure);
        }
    }

    /// Lines that the producer has taken.
    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    /// How many of them were acknowledged.
    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The first line that did not get through.
    pub(super) const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { first, last, records, .. } = self;
        if first == last {
            write!(f, "line {first}")
        } else if last - first + 1 == *records {
            write!(f, "lines {first} to {last}")
        } else {
            write!(f, "{records} of the lines {first} to {last}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_failed_are_named_as_far_as_they_are_known() {
        let error = ClientError::Closed { what: "closed" };
        for (first, last, records, text) in
            [(7, 7, 1, "line 7"), (7, 9, 3, "lines 7 to 9"), (7, 30, 12, "12 of the lines 7 to 30")]
        {
            let failure = Failure { first, last, records, error: error.clone() };
            assert_eq!(failure.to_string(), text);
        }
    }

    #[test]
    fn the_first_line_that_failed_counts_whenever_that_is_known() {
        let mut ledger = Ledger { lines: 20, ..Ledger::default() };
        ledger.refused(ClientError::Closed { what: "late" });
        assert_eq!(ledger.failure().unwrap().to_string(), "line 21");
        let error = ClientError::Closed { what: "earlier" };
        ledger.fail(Failure { first: 3, last: 9, records: 4, error });
        let failure = ledger.failure().unwrap();
        assert_eq!(failure.to_string(), "4 of the lines 3 to 9");
        assert_eq!(failure.error.to_string(), "earlier");
        let error = ClientError::Closed { what: "between" };
        ledger.fail(Failure { first: 10, last: 10, records: 1, error });
        assert_eq!(ledger.failure().unwrap().error.to_string(), "earlier");
    }
}
