//! What drivers on tokio share: a runtime for a client's sockets, and futures that are mostly ready.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{DriverError, Outcome};

/// Threads for the sockets of all of a driver's producers.
const THREADS: usize = 1;

/// A runtime whose own threads do the work, for producers: their callers keep a schedule.
pub(super) fn background() -> Outcome<Runtime> {
    let built = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    built.map_err(DriverError::Runtime)
}

/// A runtime that works while its one caller waits, for consumers: one hand-over less.
pub(super) fn own() -> Outcome<Runtime> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(DriverError::Runtime)
}

/// Polls once, and enters the runtime only where that is not enough.
pub(super) fn at_once<F: Future>(handle: &Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    // A first poll may open sockets and timers.
    let entered = handle.enter();
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => {
            drop(entered);
            handle.block_on(future)
        }
    }
}
