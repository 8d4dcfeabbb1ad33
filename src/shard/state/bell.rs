//! A place where tasks of one shard wait for something to change.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Wakes everybody who waits; each then looks at its own condition again.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    waiting: RefCell<Vec<Waker>>,
}

impl Bell {
    /// Wakes everybody who waits.
    pub(crate) fn ring(&self) {
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

    /// Waits until `ready` gives something; it is asked at once and after each ring.
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
