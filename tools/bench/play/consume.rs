//! One consumer's thread: reads its partitions from their beginning, checks every record, and takes its age.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kolk_driver::driver::Consumer;

use super::Ground;
use super::ledger::Ledger;
use super::tally::{Done, Tally, Window};
use crate::error::Outcome;

/// Longest wait of one poll, so that a thread sees that the play is over.
const POLL: Duration = Duration::from_millis(100);

/// What a group has read, and how much there is to read; its consumers share it.
#[derive(Debug)]
pub(crate) struct Progress {
    read: AtomicU64,
    /// `u64::MAX` until the producers are done.
    expected: AtomicU64,
    /// Without a record for so long after the last one was written, the rest is lost.
    silence: Duration,
}

impl Progress {
    pub(crate) const fn new(silence: Duration) -> Self {
        Self { read: AtomicU64::new(0), expected: AtomicU64::new(u64::MAX), silence }
    }

    /// Says how many records there are.
    pub(crate) fn expect(&self, records: u64) {
        self.expected.store(records, Ordering::Relaxed);
    }

    /// Ends the reading: a producer has failed.
    pub(crate) fn give_up(&self) {
        self.expect(0);
    }

    fn is_over(&self) -> bool {
        self.read.load(Ordering::Relaxed) >= self.expected.load(Ordering::Relaxed)
    }

    fn is_written(&self) -> bool {
        self.expected.load(Ordering::Relaxed) != u64::MAX
    }
}

/// Reads until the group has everything, or nothing comes any more.
pub(crate) fn run(
    ground: &Ground<'_>,
    window: &Window,
    consumer: &mut dyn Consumer,
    progress: &Progress,
    lanes: u32,
) -> Outcome<(Tally, Ledger)> {
    let (mut tally, mut ledger) = (Tally::new()?, Ledger::new(lanes));
    let mut last = ground.clock.now();
    while !progress.is_over() {
        let before = ledger.read();
        let mut failed = Ok(());
        consumer.poll(POLL, &mut |value| {
            let Some(stamp) = ledger.enter(value) else { return };
            let (intended, bytes) = (stamp.intended, value.len() as u64);
            let done = Done { intended, at: ground.clock.now(), bytes };
            if let Err(error) = tally.add(window, done) {
                failed = Err(error);
            }
        })?;
        failed?;
        let now = ground.clock.now();
        let read = ledger.read() - before;
        if read > 0 {
            progress.read.fetch_add(read, Ordering::Relaxed);
            last = now;
        } else if progress.is_written() && now.since(last) > progress.silence {
            break;
        }
    }
    Ok((tally, ledger))
}
