//! What other threads hand to an executor, and whether it must be rung awake for it. Apart from the tasks because these few
//! lines are what a lost wake would come from: `tests/loom` runs them through every order of events.

use crate::sync::{AtomicBool, Ordering, SegQueue};

/// A queue into an executor that may sleep. Whoever changes `asleep` exchanges it, so that all changes stand in one row: who comes
/// second has seen what the first did before. A plain store among them would cut the row, and need a fence on both sides.
pub(crate) struct Incoming<T> {
    queue: SegQueue<T>,
    asleep: AtomicBool,
}

impl<T> Incoming<T> {
    pub(crate) fn new() -> Self {
        Self { queue: SegQueue::new(), asleep: AtomicBool::new(false) }
    }

    /// Hands something over, from any thread. `true`: the executor sleeps and the caller has to ring it awake; nobody else will.
    #[must_use]
    pub(crate) fn push(&self, value: T) -> bool {
        self.queue.push(value);
        // Either we see it asleep, or it sees what we pushed.
        self.asleep.swap(false, Ordering::AcqRel)
    }

    /// Announces that the executor is about to sleep. `false`: something came in, it must not.
    #[must_use]
    pub(crate) fn fall_asleep(&self) -> bool {
        // Either the other side sees us asleep, or we see what it pushed.
        self.asleep.swap(true, Ordering::AcqRel);
        if self.queue.is_empty() {
            return true;
        }
        self.wake_up();
        false
    }

    /// Says that the executor is awake.
    pub(crate) fn wake_up(&self) {
        self.asleep.swap(false, Ordering::AcqRel);
    }

    /// Takes the next thing, on the executor.
    pub(crate) fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    /// Whether nothing has come in.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
