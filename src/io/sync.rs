//! The atomics, queues and wakers of which the lock-free code of this crate is made. Apart so that `tests/loom` can put others
//! in their place, which try every order of events: that code names nothing of the kind but through here.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use atomic_waker::AtomicWaker;
pub(crate) use crossbeam_queue::{ArrayQueue, SegQueue};
