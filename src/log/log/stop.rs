//! Ending the life of a log in this process: closed for good, or brought to rest for a clean stop.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use kolk_io::door::Io;

use crate::log::writer::ExtentState;
use crate::log::{Log, Phase};
use crate::shard_log::ShardLog;
use crate::signal::Signal;

/// Logs finished side by side.
const FINISH_AT_ONCE_MAX: usize = 64;

impl<I: Io> Log<I> {
    /// Takes no appends any more, refuses reads, and leaves the journal's queue.
    pub(crate) fn close(&self) {
        self.inner.state.borrow_mut().phase = Phase::Closed;
        self.inner.moved.notify();
    }

    /// Waits until no write of the log is under way.
    pub(crate) async fn quiet(&self) {
        self.inner
            .moved
            .until(|| {
                let state = self.inner.state.borrow();
                let writing =
                    state.writer.extents.iter().any(|extent| extent.state == ExtentState::Writing);
                (!writing && !state.writer.syncing && !state.writer.allocating).then_some(())
            })
            .await;
    }

    /// Writes the last page and the index, so that at rest the segment is exactly its batches. What fails here is safe in the
    /// snapshot all the same.
    async fn finish(&self) {
        let nothing = {
            let mut state = self.inner.state.borrow_mut();
            if state.phase != Phase::Open {
                return;
            }
            state.phase = Phase::Rolling;
            state.at_rest == Some(state.active().end)
        };
        if nothing {
            return;
        }
        if let Err(error) = self.finish_active().await {
            tracing::warn!(log = %self.id(), %error, "last page stays in the snapshot alone");
            return;
        }
        if let Err(error) = self.save_active_index().await {
            tracing::warn!(log = %self.id(), %error, "index not saved, the next start scans");
        }
    }
}

impl<I: Io> ShardLog<I> {
    /// Finishes the logs side by side, for as long as a clean stop may take.
    pub(crate) async fn finish_logs(&self) {
        let io = &self.io();
        let deadline = io.now() + Duration::from_millis(self.settings().stop_write_ms_max);
        let under_way = Rc::new(Cell::new(0));
        let ended = Rc::new(Signal::default());
        for log in self.logs() {
            ended.until(|| (under_way.get() < FINISH_AT_ONCE_MAX).then_some(())).await;
            if io.now() > deadline {
                tracing::warn!(
                    "a clean stop has no more time, the rest of the last pages stays in the snapshot"
                );
                break;
            }
            under_way.set(under_way.get() + 1);
            let (under_way, ended) = (Rc::clone(&under_way), Rc::clone(&ended));
            io.spawn(async move {
                log.finish().await;
                under_way.set(under_way.get() - 1);
                ended.notify();
            });
        }
        ended.until(|| (under_way.get() == 0).then_some(())).await;
    }
}
