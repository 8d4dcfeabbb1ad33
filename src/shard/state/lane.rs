//! One direction of one pair of shards, on the sending side: what was said in this turn and not yet sent.
//! Bounded by the waiters of the sending shard, each of which has at most one value in a lane.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::iter::Chain;
use std::task::{Poll, Waker};
use std::{option, vec};

/// What is sent at once, in order. A value that is alone, as each is while a shard has little to do, needs no list.
#[derive(Debug)]
pub(crate) enum Parcel<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> IntoIterator for Parcel<T> {
    type Item = T;
    type IntoIter = Chain<option::IntoIter<T>, vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, many) = match self {
            Self::One(value) => (Some(value), Vec::new()),
            Self::Many(values) => (None, values),
        };
        one.into_iter().chain(many)
    }
}

/// Values to another shard, in order.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    values: RefCell<Vec<T>>,
    sender: RefCell<Option<Waker>>,
    closed: Cell<bool>,
}

impl<T> Lane<T> {
    pub(crate) const fn new() -> Self {
        Self {
            values: RefCell::new(Vec::new()),
            sender: RefCell::new(None),
            closed: Cell::new(false),
        }
    }

    /// Adds a value; the sending task takes it along when its turn comes, after everything else that is
    /// runnable now has run.
    pub(crate) fn push(&self, value: T) {
        self.values.borrow_mut().push(value);
        self.wake();
    }

    /// Ends the sending task once the lane is empty.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.wake();
    }

    fn wake(&self) {
        let sender = self.sender.borrow_mut().take();
        if let Some(sender) = sender {
            sender.wake();
        }
    }

    /// Waits for values and takes all of them; `None` once the lane is closed and empty. One task calls this.
    pub(crate) async fn take(&self) -> Option<Parcel<T>> {
        poll_fn(|cx| {
            let mut values = self.values.borrow_mut();
            if values.len() > 1 {
                return Poll::Ready(Some(Parcel::Many(std::mem::take(&mut values))));
            }
            if let Some(value) = values.pop() {
                return Poll::Ready(Some(Parcel::One(value)));
            }
            drop(values);
            if self.closed.get() {
                return Poll::Ready(None);
            }
            *self.sender.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}
