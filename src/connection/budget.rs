//! A bounded amount of bytes shared by the connections of one shard. Apart from the connections so that
//! the order in which they get their turn is in one place: first come, first served, whatever the size.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The bytes that the connections of one shard may hold. Cloning gives the same budget.
#[derive(Clone)]
pub struct Budget(Rc<Shared>);

struct Shared {
    bytes_max: usize,
    free: Cell<usize>,
    /// Those who wait, oldest first. Bounded by the number of connections: each waits at most once.
    waiting: RefCell<VecDeque<Rc<Waiting>>>,
}

struct Waiting {
    bytes: usize,
    granted: Cell<bool>,
    waker: RefCell<Waker>,
}

/// Bytes taken from a [`Budget`]; dropping gives them back.
pub struct Charge {
    budget: Rc<Shared>,
    bytes: usize,
}

impl Budget {
    /// A budget of `bytes_max` bytes, all free.
    pub fn new(bytes_max: usize) -> Self {
        Self(Rc::new(Shared {
            bytes_max,
            free: Cell::new(bytes_max),
            waiting: RefCell::new(VecDeque::new()),
        }))
    }

    /// Waits until `bytes` bytes are free and nobody came earlier, then takes them. More than the whole
    /// budget is granted once all of it is free: a single frame must always get through.
    pub fn acquire(&self, bytes: usize) -> Acquire {
        Acquire { budget: Rc::clone(&self.0), bytes: bytes.min(self.0.bytes_max), waiting: None }
    }

    /// A charge of nothing, for replies to what was no request.
    pub fn no_charge(&self) -> Charge {
        Charge { budget: Rc::clone(&self.0), bytes: 0 }
    }

    /// Whether somebody waits for bytes.
    pub fn is_contended(&self) -> bool {
        !self.0.waiting.borrow().is_empty()
    }

    /// Bytes taken.
    pub fn used(&self) -> usize {
        self.0.bytes_max - self.0.free.get()
    }
}

impl Shared {
    fn give_back(&self, bytes: usize) {
        let free = self.free.get() + bytes;
        assert!(free <= self.bytes_max, "{free} bytes free of {}", self.bytes_max);
        self.free.set(free);
        self.grant();
    }

    /// Grants to the oldest waiting as long as the free bytes reach.
    fn grant(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(first) = waiting.front() {
            let Some(left) = self.free.get().checked_sub(first.bytes) else {
                return;
            };
            self.free.set(left);
            first.granted.set(true);
            first.waker.borrow().wake_by_ref();
            waiting.pop_front();
        }
    }
}

impl Charge {
    /// The bytes held.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives the bytes back already; returns them.
    pub(crate) fn release(&mut self) -> usize {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes > 0 {
            self.budget.give_back(bytes);
        }
        bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.release();
    }
}

/// The future of [`Budget::acquire`]. Dropping it gives up the place in the queue.
pub struct Acquire {
    budget: Rc<Shared>,
    bytes: usize,
    waiting: Option<Rc<Waiting>>,
}

impl Future for Acquire {
    type Output = Charge;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Charge> {
        let granted = match &self.waiting {
            Some(place) => {
                place.waker.borrow_mut().clone_from(context.waker());
                place.granted.get()
            }
            None => match self.budget.free.get().checked_sub(self.bytes) {
                Some(left) if self.budget.waiting.borrow().is_empty() => {
                    self.budget.free.set(left);
                    true
                }
                _ => false,
            },
        };
        if granted {
            self.waiting = None;
            return Poll::Ready(Charge { budget: Rc::clone(&self.budget), bytes: self.bytes });
        }
        if self.waiting.is_none() {
            let place = Rc::new(Waiting {
                bytes: self.bytes,
                granted: Cell::new(false),
                waker: RefCell::new(context.waker().clone()),
            });
            self.budget.waiting.borrow_mut().push_back(Rc::clone(&place));
            self.waiting = Some(place);
        }
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(place) = self.waiting.take() else {
            return;
        };
        if place.granted.get() {
            self.budget.give_back(self.bytes);
            return;
        }
        self.budget.waiting.borrow_mut().retain(|other| !Rc::ptr_eq(other, &place));
        // Those behind a large request that gave up may fit now.
        self.budget.grant();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::poll_once::{is_ready, poll_once};

    fn taken(budget: &Budget, bytes: usize) -> Charge {
        poll_once(&mut budget.acquire(bytes)).expect("there is room")
    }

    #[test]
    fn bytes_come_back_when_the_charge_is_dropped() {
        let budget = Budget::new(10);
        let first = taken(&budget, 6);
        assert_eq!(budget.used(), 6);
        assert_eq!(first.bytes(), 6);
        drop(first);
        assert_eq!(budget.used(), 0);
        drop(taken(&budget, 10));
    }

    #[test]
    fn a_small_request_does_not_overtake_a_large_one() {
        let budget = Budget::new(10);
        let first = taken(&budget, 6);
        let mut large = budget.acquire(8);
        let mut small = budget.acquire(1);
        assert!(!is_ready(&mut large));
        assert!(!is_ready(&mut small));
        assert!(budget.is_contended());
        drop(first);
        let large = poll_once(&mut large).expect("8 of 10 are free");
        assert!(poll_once(&mut small).is_some(), "9 of 10 are used");
        drop(large);
        assert!(!budget.is_contended());
    }

    #[test]
    fn giving_up_lets_those_behind_move_up() {
        let budget = Budget::new(10);
        let first = taken(&budget, 6);
        let mut large = budget.acquire(8);
        let mut small = budget.acquire(4);
        assert!(!is_ready(&mut large));
        assert!(!is_ready(&mut small));
        drop(large);
        let small = poll_once(&mut small).expect("nobody is before it");
        drop((first, small));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_grant_that_is_never_taken_comes_back() {
        let budget = Budget::new(10);
        let first = taken(&budget, 10);
        let mut second = budget.acquire(5);
        assert!(!is_ready(&mut second));
        drop(first);
        assert_eq!(budget.used(), 5);
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn more_than_the_whole_budget_is_granted_alone() {
        let budget = Budget::new(10);
        let first = taken(&budget, 1);
        let mut huge = budget.acquire(1_000);
        assert!(!is_ready(&mut huge));
        drop(first);
        assert_eq!(poll_once(&mut huge).expect("all of it is free").bytes(), 10);
    }
}
