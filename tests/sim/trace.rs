//! What happened, as seen from outside of the broker: hashed, so that a replay can be compared, and its end kept for people.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;

use crate::chance::mix;

/// Lines kept for the message of a failure.
const LINES_MAX: usize = 60;

/// What is told of a run while it goes on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telling {
    /// Every event.
    pub(crate) events: bool,
    /// The disk's operations on files whose path contains this, at the end of each life.
    pub(crate) files: Option<String>,
}

/// The events of one run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: Cell<u64>,
    events: Cell<u64>,
    lines: RefCell<VecDeque<String>>,
    loud: bool,
}

impl Trace {
    /// A trace that also prints its events where `loud`.
    pub(crate) fn new(loud: bool) -> Self {
        Self { loud, ..Self::default() }
    }

    /// Takes an event down.
    pub(crate) fn note(&self, event: fmt::Arguments<'_>) {
        let line = event.to_string();
        for byte in line.bytes() {
            self.hash.set(
                (self.hash.get() ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(1),
            );
        }
        self.events.set(self.events.get() + 1);
        if self.loud {
            println!("    {line}");
        }
        let mut lines = self.lines.borrow_mut();
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Mixes in what the machine itself saw: every step of its scheduler and disk.
    pub(crate) fn fingerprint(&self, machine: u64) {
        self.hash.set(mix(self.hash.get() ^ machine));
    }

    /// The hash of everything so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.get()
    }

    /// How many events there were.
    pub(crate) fn count(&self) -> u64 {
        self.events.get()
    }

    /// The last events, oldest first.
    pub(crate) fn last(&self) -> Vec<String> {
        self.lines.borrow().iter().cloned().collect()
    }
}
