//! Wakes tasks of one core when something they wait for may have changed. Apart because journal, logs and caches all wait.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A place to wait at. Single-core; the waiting task checks its own condition.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    waiting: RefCell<Vec<Waker>>,
}

impl Signal {
    /// Wakes everybody who waits.
    pub(crate) fn notify(&self) {
        if self.waiting.borrow().is_empty() {
            return;
        }
        let mut woken = std::mem::take(&mut *self.waiting.borrow_mut());
        for waker in woken.drain(..) {
            waker.wake();
        }
        // The next who wait get its memory; whoever a wake has let wait already keeps his own.
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            *waiting = woken;
        }
    }

    /// Waits until `ready` answers something; it is asked at once and after each [`Self::notify`]. Dropping is harmless.
    pub(crate) async fn until<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        poll_fn(|cx| match ready() {
            Some(value) => Poll::Ready(value),
            None => {
                let mut waiting = self.waiting.borrow_mut();
                if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    waiting.push(cx.waker().clone());
                }
                Poll::Pending
            }
        })
        .await
    }
}
