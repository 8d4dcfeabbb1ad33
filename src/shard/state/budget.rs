//! The bytes of produce requests that a shard's connections have in flight. Over the budget a request is
//! refused; a connection that asks for room first is made to wait instead, and so its socket.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Bytes in flight, and who waits for room. Waiting connections are bounded by the connections there are.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: u64,
    used: Cell<u64>,
    waiting: RefCell<VecDeque<Waker>>,
}

/// Bytes taken from the budget, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Rc<Budget>,
    bytes: u64,
}

/// What a produce request holds of the budgets until it is answered.
#[derive(Debug)]
pub(crate) struct Held {
    /// Of all that the shard's connections may have in flight.
    pub(crate) _all: Share,
    /// Of what may be on the way to one other shard.
    pub(crate) _way: Option<Share>,
}

impl Budget {
    pub(crate) const fn new(bytes_max: u64) -> Self {
        Self { bytes_max, used: Cell::new(0), waiting: RefCell::new(VecDeque::new()) }
    }

    /// Takes `bytes`; `None` when they are not there. A request larger than the whole budget is taken when
    /// nothing else is in flight.
    pub(crate) fn take(self: &Rc<Self>, bytes: u64) -> Option<Share> {
        if !self.has_room(bytes) {
            return None;
        }
        self.used.set(self.used.get() + bytes);
        Some(Share { budget: Rc::clone(self), bytes })
    }

    /// Takes `bytes`, whether they are there or not.
    pub(crate) fn take_anyway(self: &Rc<Self>, bytes: u64) -> Share {
        self.used.set(self.used.get() + bytes);
        Share { budget: Rc::clone(self), bytes }
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.used.get() == 0 || self.used.get() + bytes <= self.bytes_max
    }

    /// Waits until `bytes` could be taken. Nothing is taken: whoever comes first gets them.
    pub(crate) async fn room(&self, bytes: u64) {
        poll_fn(|cx| {
            if self.has_room(bytes) {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push_back(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Bytes in flight.
    pub(crate) const fn used(&self) -> u64 {
        self.used.get()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.set(self.budget.used.get() - self.bytes);
        // All: how much each wants is theirs to know, and those who still don't fit wait on.
        let woken = std::mem::take(&mut *self.budget.waiting.borrow_mut());
        for waker in woken {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    #[test]
    fn bytes_beyond_the_budget_are_refused_until_others_come_back() {
        let budget = Rc::new(Budget::new(100));
        let first = budget.take(60).unwrap();
        assert!(budget.take(41).is_none());
        let second = budget.take(40).unwrap();
        drop(first);
        assert_eq!(budget.used(), 40);
        assert!(budget.take(60).is_some());
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_request_larger_than_the_budget_passes_alone() {
        let budget = Rc::new(Budget::new(100));
        let alone = budget.take(500).unwrap();
        assert!(budget.take(1).is_none());
        drop(alone);
        assert!(budget.take(1).is_some());
    }

    #[test]
    fn who_waits_for_room_goes_on_when_there_is_some() {
        let budget = Rc::new(Budget::new(100));
        let share = budget.take(100).unwrap();
        let mut waits = pin!(budget.room(50));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(waits.as_mut().poll(&mut cx), Poll::Pending);
        drop(share);
        assert_eq!(waits.as_mut().poll(&mut cx), Poll::Ready(()));
    }
}
