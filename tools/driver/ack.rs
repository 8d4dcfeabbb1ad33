//! Acknowledgements on their way from a client to its producer.

use std::sync::mpsc::{Receiver, Sender, channel};

use crate::clock::{Clock, Moment};

/// One record's fate.
#[derive(Debug)]
pub enum Fate {
    /// Acknowledged at `at`; it was due at `intended`.
    Acknowledged {
        /// When it was due.
        intended: Moment,
        /// When the client heard of it.
        at: Moment,
    },
    /// Not written, or nobody knows.
    Failed {
        /// The client's words.
        reason: String,
    },
}

/// Where a client reports fates.
#[derive(Clone, Debug)]
pub struct AckSink {
    clock: Clock,
    to: Sender<Fate>,
}

impl AckSink {
    /// A sink and what comes out of it. What waits inside is bounded by the records that the producer lets be on their way.
    pub fn new(clock: Clock) -> (Self, Receiver<Fate>) {
        let (to, fates) = channel();
        (Self { clock, to }, fates)
    }

    /// Reports an acknowledgement that came just now.
    pub fn acknowledged(&self, intended: Moment) {
        // Nobody listens any more when a run was broken off.
        let _gone = self.to.send(Fate::Acknowledged { intended, at: self.clock.now() });
    }

    /// Reports a failure.
    pub fn failed(&self, reason: impl ToString) {
        let _gone = self.to.send(Fate::Failed { reason: reason.to_string() });
    }
}
