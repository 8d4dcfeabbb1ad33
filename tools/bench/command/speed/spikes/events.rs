//! What the storage does now and then, second by second, by the broker's own counters.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::Outcome;
use crate::lab::broker::Broker;
use crate::lab::broker::metrics::Counters;

const ROLLS: &str = "kolk_log_rolls_total";
/// A checkpoint is what frees the journal's files, which then are used again.
const RECYCLES: &str = "kolk_journal_checkpoints_total";

/// What happened within a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Events {
    /// Segments that were full.
    pub(super) rolls: f64,
    /// Checkpoints, which free files of the journal.
    pub(super) recycles: f64,
}

/// Reads the counters at the end of each second since then, until the other end of the channel is gone.
pub(super) fn watch(
    broker: &Broker,
    since: Instant,
    is_over: &Receiver<()>,
) -> Outcome<Vec<Events>> {
    let mut before = count(&broker.counters()?)?;
    let mut seconds = Vec::new();
    for second in 1.. {
        let due = since + Duration::from_secs(second);
        let left = due.saturating_duration_since(Instant::now());
        if is_over.recv_timeout(left) != Err(RecvTimeoutError::Timeout) {
            break;
        }
        let now = count(&broker.counters()?)?;
        seconds.push(now.since(before));
        before = now;
    }
    Ok(seconds)
}

fn count(counters: &Counters) -> Outcome<Events> {
    Ok(Events { rolls: counters.sum(ROLLS, "")?, recycles: counters.sum(RECYCLES, "")? })
}

impl Events {
    fn since(self, earlier: Self) -> Self {
        Self { rolls: self.rolls - earlier.rolls, recycles: self.recycles - earlier.recycles }
    }
}
