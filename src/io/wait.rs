//! Waiting inside one executor: the small pieces that both back-ends and their users share.
//!
//! All of it is single-threaded: a wake is a wake of a task of the same executor.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// One value that arrives later, for one waiter. Cloning gives another end of the same value.
pub struct Completion<T>(Rc<RefCell<Arrival<T>>>);

struct Arrival<T> {
    value: Option<T>,
    waiter: Option<Waker>,
}

impl<T> Completion<T> {
    /// Makes a completion without a value.
    #[must_use]
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(Arrival { value: None, waiter: None })))
    }

    /// Delivers the value and wakes the waiter. A second value replaces one that nobody took.
    pub fn complete(&self, value: T) {
        let (replaced, waiter) = {
            let mut arrival = self.0.borrow_mut();
            (arrival.value.replace(value), arrival.waiter.take())
        };
        drop(replaced);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

impl<T> Default for Completion<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Completion<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Future for Completion<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut arrival = self.0.borrow_mut();
        if let Some(value) = arrival.value.take() {
            return Poll::Ready(value);
        }
        match &arrival.waiter {
            Some(waiter) if waiter.will_wake(cx.waker()) => {}
            _ => arrival.waiter = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// A bell with one listener: rings that nobody waits for are remembered as one.
#[derive(Default)]
pub struct Bell {
    rung: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Bell {
    /// Makes a bell that has not rung.
    #[must_use]
    pub const fn new() -> Self {
        Self { rung: Cell::new(false), waiter: RefCell::new(None) }
    }

    /// Rings: the listener's wait, this one or the next, ends.
    pub fn ring(&self) {
        self.rung.set(true);
        let waiter = self.waiter.borrow_mut().take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    /// Waits until the bell has rung since the last wait ended.
    pub const fn wait(&self) -> BellWait<'_> {
        BellWait(self)
    }
}

/// The wait for a [`Bell`].
#[must_use = "a wait does nothing unless it is awaited"]
pub struct BellWait<'a>(&'a Bell);

impl Future for BellWait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.rung.replace(false) {
            return Poll::Ready(());
        }
        *self.0.waiter.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A future that is ready the second time: every other runnable task runs in between.
#[derive(Debug, Default)]
#[must_use = "a yield does nothing unless it is awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Io;
    use crate::sim::Sim;

    #[test]
    fn a_ring_before_the_wait_is_not_lost_and_counts_once() {
        Sim::new(1).run(|_| async {
            let bell = Bell::new();
            bell.ring();
            bell.ring();
            bell.wait().await;
            let mut again = Box::pin(bell.wait());
            let waker = Waker::noop();
            assert!(again.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        });
    }

    #[test]
    fn a_value_reaches_a_waiter_in_another_task() {
        let value = Sim::new(1).run(|io| async move {
            let completion = Completion::new();
            let sender = completion.clone();
            io.spawn(async move { sender.complete(7) });
            completion.await
        });
        assert_eq!(value, 7);
    }
}
