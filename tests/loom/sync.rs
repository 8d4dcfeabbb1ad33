//! Stands in for `src/io/sync.rs`: loom's atomics and wakers, and queues that promise no more than the real ones do. What they
//! count is an atomic of its own, so that a look at an empty queue orders nothing, as with the real ones.

use std::collections::VecDeque;
use std::task::Waker;

pub(crate) use loom::sync::Arc;
pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::Mutex;
use loom::sync::atomic::AtomicUsize;

/// Loom's waker under the names of the real one.
#[derive(Default)]
pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

impl AtomicWaker {
    pub(crate) fn register(&self, waker: &Waker) {
        self.0.register_by_ref(waker);
    }

    pub(crate) fn wake(&self) {
        self.0.wake();
    }
}

/// A queue without a bound.
pub(crate) struct SegQueue<T> {
    count: AtomicUsize,
    values: Mutex<VecDeque<T>>,
}

impl<T> SegQueue<T> {
    pub(crate) fn new() -> Self {
        Self { count: AtomicUsize::new(0), values: Mutex::new(VecDeque::new()) }
    }

    pub(crate) fn push(&self, value: T) {
        self.values.lock().expect("no panic holds it").push_back(value);
        self.count.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let value = self.values.lock().expect("no panic holds it").pop_front();
        self.count.fetch_sub(1, Ordering::AcqRel);
        value
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}

/// A queue with a bound; one thread pushes, another pops.
pub(crate) struct ArrayQueue<T> {
    capacity: usize,
    queue: SegQueue<T>,
}

impl<T> ArrayQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, queue: SegQueue::new() }
    }

    pub(crate) fn push(&self, value: T) -> Result<(), T> {
        if self.len() == self.capacity {
            return Err(value);
        }
        self.queue.push(value);
        Ok(())
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }
}
