//! Which lines are on their way, which were acknowledged, and which were not. Apart because records come back in batches, long
//! after their lines were read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kolk_client::error::ClientError;
use kolk_client::producer::delivery::Delivery;
use tokio::task::JoinSet;

/// Lines and what became of them.
#[derive(Default)]
pub(super) struct Ledger {
    /// Lines that the producer has taken; each is a record.
    lines: u64,
    acknowledged: u64,
    /// Of each partition the batch that was begun last.
    last: Vec<Option<Arc<Batch>>>,
    /// A task a batch, which waits for its acknowledgement.
    waiting: JoinSet<(Arc<Batch>, Result<(), ClientError>)>,
    failure: Option<Failure>,
}

/// The lines of a batch. Those of other partitions may lie between them.
#[derive(Debug)]
struct Batch {
    first: u64,
    last: AtomicU64,
    records: AtomicU64,
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
            if let Some(Some(batch)) = self.last.get(place) {
                batch.last.store(line, Ordering::Relaxed);
                batch.records.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let (last, records) = (AtomicU64::new(line), AtomicU64::new(1));
        let batch = Arc::new(Batch { first: line, last, records });
        if self.last.len() <= place {
            self.last.resize(place + 1, None);
        }
        if let Some(last) = self.last.get_mut(place) {
            *last = Some(Arc::clone(&batch));
        }
        self.waiting.spawn(async move { (batch, delivery.await.map(drop)) });
        while let Some(Ok((batch, outcome))) = self.waiting.try_join_next() {
            self.settle(&batch, outcome);
        }
    }

    /// The next line was not even taken.
    pub(super) fn refused(&mut self, error: ClientError) {
        let line = self.lines + 1;
        self.fail(Failure { first: line, last: line, records: 1, error });
    }

    /// Waits until a line has not got through; for ever if all do. May be dropped and called again.
    pub(super) async fn failed(&mut self) {
        while self.failure.is_none() {
            match self.waiting.join_next().await {
                Some(Ok((batch, outcome))) => self.settle(&batch, outcome),
                // These tasks neither panic nor are ended.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until every batch was acknowledged or has failed. May be dropped and called again.
    pub(super) async fn settled(&mut self) {
        while let Some(joined) = self.waiting.join_next().await {
            if let Ok((batch, outcome)) = joined {
                self.settle(&batch, outcome);
            }
        }
    }

    /// All of a batch's lines are counted in it by now: it left the producer after they came in, and that was told here at once.
    fn settle(&mut self, batch: &Batch, outcome: Result<(), ClientError>) {
        let records = batch.records.load(Ordering::Relaxed);
        match outcome {
            Ok(()) => self.acknowledged += records,
            Err(error) => {
                let last = batch.last.load(Ordering::Relaxed);
                self.fail(Failure { first: batch.first, last, records, error });
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
        ledger.refused(ClientError::Closed { what: "closed" });
        let (first, last, records) = (3, AtomicU64::new(9), AtomicU64::new(4));
        let batch = Batch { first, last, records };
        ledger.settle(&batch, Err(ClientError::Closed { what: "earlier" }));
        let batch = Batch { first: 1, last: AtomicU64::new(2), records: AtomicU64::new(2) };
        ledger.settle(&batch, Ok(()));
        let failure = ledger.failure().unwrap();
        assert_eq!(failure.to_string(), "4 of the lines 3 to 9");
        assert_eq!((failure.error.to_string().as_str(), ledger.acknowledged()), ("earlier", 2));
    }
}
