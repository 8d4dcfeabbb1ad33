//! Ending the life of a log in this process: closed for good, or brought to rest for a clean stop. And who may create files in
//! its directory until then: one that came after a delete has listed it would keep it alive.

use std::cell::Cell;
use std::rc::Rc;

use kolk_io::door::Io;
use kolk_io::error::IoError;
use kolk_io::time::Monotonic;

use crate::log::{Log, Phase};
use crate::shard_log::ShardLog;
use crate::signal::Signal;

/// Bytes of the active segment from which its index is worth a file: less is scanned at a start with one read, and a stop with
/// many small logs is spared two syncs for each.
const FINISH_INDEX_BYTES_MIN: u64 = 64 << 10;

/// Logs finished side by side.
const FINISH_AT_ONCE_MAX: usize = 64;

/// How many tasks may create files in a log's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirUsers {
    /// So many, and more may come.
    Count(u32),
    /// So many; the log is being deleted and nobody may begin.
    Leaving(u32),
}

/// While it lives its holder may create files in the log's directory.
pub(crate) struct DirUse<I: Io> {
    log: Log<I>,
}

impl<I: Io> Drop for DirUse<I> {
    fn drop(&mut self) {
        let users = match self.log.inner.dir_users.get() {
            DirUsers::Count(users) => DirUsers::Count(users - 1),
            DirUsers::Leaving(users) => DirUsers::Leaving(users - 1),
        };
        self.log.inner.dir_users.set(users);
        self.log.inner.moved.notify();
    }
}

impl<I: Io> Log<I> {
    /// Takes no appends any more, refuses reads, and leaves the journal's queue.
    pub(crate) fn close(&self) {
        {
            let state = &mut *self.inner.state.borrow_mut();
            state.phase = Phase::Closed;
            self.wants_no_room(state);
        }
        self.inner.moved.notify();
    }

    /// Waits until no write of the log is under way.
    pub(crate) async fn quiet(&self) {
        self.inner
            .moved
            .until(|| {
                let state = self.inner.state.borrow();
                (state.writer.writes == 0 && !state.writer.syncing && !state.writer.allocating)
                    .then_some(())
            })
            .await;
    }

    /// Writes the last page and the index, so that at rest the segment is exactly its batches. What fails here is safe in the
    /// snapshot all the same.
    async fn finish(&self) {
        let (nothing, unindexed) = {
            let mut state = self.inner.state.borrow_mut();
            if state.phase != Phase::Open {
                return;
            }
            state.phase = Phase::Rolling;
            let end = state.active().end;
            (state.at_rest == Some(end), end.saturating_sub(state.index_saved))
        };
        if nothing {
            return;
        }
        // A checkpoint may have begun to write pages since the log came to rest; from now on nobody begins.
        self.quiet().await;
        if self.inner.state.borrow().phase != Phase::Rolling {
            return;
        }
        if let Err(error) = self.finish_active().await {
            tracing::warn!(log = %self.id(), %error, "last page stays in the snapshot alone");
            return;
        }
        if unindexed < FINISH_INDEX_BYTES_MIN {
            return;
        }
        if let Err(error) = self.save_active_index().await {
            tracing::warn!(log = %self.id(), %error, "index not saved, the next start scans");
        }
    }
}

impl<I: Io> Log<I> {
    /// Leave to create files in the directory; `None` once the log is being deleted.
    pub(crate) fn use_dir(&self) -> Option<DirUse<I>> {
        match self.inner.dir_users.get() {
            DirUsers::Count(users) => {
                self.inner.dir_users.set(DirUsers::Count(users + 1));
                Some(DirUse { log: self.clone() })
            }
            DirUsers::Leaving(_) => None,
        }
    }

    /// Lets nobody in any more and waits until the last user has left.
    pub(crate) async fn leave_dir(&self) {
        if let DirUsers::Count(users) = self.inner.dir_users.get() {
            self.inner.dir_users.set(DirUsers::Leaving(users));
        }
        let left = || (self.inner.dir_users.get() == DirUsers::Leaving(0)).then_some(());
        self.inner.moved.until(left).await;
    }

    /// Replaces a small file beside the segments, as [`Io::write_file_atomic`]; nothing happens to a log that is being deleted.
    ///
    /// # Errors
    /// The disk's.
    pub async fn write_beside(&self, name: &str, bytes: &[u8]) -> Result<(), IoError> {
        let Some(_in_use) = self.use_dir() else { return Ok(()) };
        self.inner.shard.io.write_file_atomic(&self.dir().join(name), bytes).await
    }
}

impl<I: Io> ShardLog<I> {
    /// Finishes the logs side by side until `deadline`.
    pub(crate) async fn finish_logs(&self, deadline: Monotonic) {
        let io = &self.io();
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
