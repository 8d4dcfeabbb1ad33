//! Ending one segment and beginning the next. Appends of this log wait meanwhile, so that every step stands alone: what was
//! appended becomes durable; the last page is written padded and the file is cut to its exact length, while the next segment's is
//! made; and only then that one takes over. The index is written when appends go on. STORAGE.md rules 4 and 15.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use kolk_io::door::{File, Io, OpenMode};
use kolk_io::error::IoError;
use kolk_model::offset::Offset;

use crate::error::LogError;
use crate::log::writer::Writer;
use crate::log::{Announce, Log, LogState, Phase, Segment, SegmentVersion, segment_name};
use crate::shard_log::room::Want;
use kolk_layout::field::page_floor;

impl<I: Io> Log<I> {
    /// Closes the log for appends and starts the roll; `Unblocked` follows.
    pub(crate) fn start_roll(&self, state: &mut LogState) {
        state.phase = Phase::Rolling;
        let log = self.clone();
        self.inner.shard.io.spawn(async move { log.roll_over().await });
    }

    async fn roll_over(self) {
        let Some(_in_use) = self.use_dir() else { return };
        let result = self.roll_steps().await;
        let failed = {
            let mut state = self.inner.state.borrow_mut();
            if state.phase == Phase::Rolling {
                state.phase = Phase::Open;
            }
            match result {
                Err(LogError::Io(error)) if error.is_no_space() => {
                    self.found_no_room(&mut state, Want::Roll);
                    None
                }
                Err(LogError::Io(error)) => Some(self.device(state.active().base, &error)),
                Err(_) | Ok(()) => None,
            }
        };
        if let Some(damage) = failed {
            self.fence(damage);
        }
        self.unblock();
    }

    /// The old segment is sealed while the next one is made: both end in syncs, and syncs that are under way together share
    /// commits of the file system's journal. A crash in between leaves a segment that no roll record names, which a start removes.
    async fn roll_steps(&self) -> Result<(), LogError> {
        self.settle().await?;
        let shard = &self.inner.shard;
        let base = self.log_end();
        let step = self.inner.state.borrow().writer.allocate_step;
        let old = self.inner.state.borrow().active().base;
        // Whoever fails tells at once: the other one may hang.
        let seal = self.with_descriptors(async || self.finish_active().await);
        let make = self.with_descriptors(async || self.create_segment(base, step).await);
        let seal = async { seal.await.inspect_err(|error| self.fence_unless_full(old, error)) };
        let make = async { make.await.inspect_err(|error| self.fence_unless_full(base, error)) };
        let file = match both(seal, make).await {
            (Ok(()), Ok(file)) => file,
            // What is no want of space fences the log, whichever of the two it met; a start removes the file.
            (Err(error), _) | (_, Err(error)) if !error.is_no_space() => return Err(error.into()),
            (Err(error), _) | (Ok(()), Err(error)) => {
                self.take_back_segment(base).await;
                return Err(error.into());
            }
        };
        // One index of a log is on its way at a time: a roll that comes too soon waits for that of the roll before.
        let turn = self.index_turn().await;
        self.save_sealed_index(turn);
        shard.open_files.put(self.inner.id, (base, SegmentVersion::FIRST), file);
        self.switch(step);
        shard.index_loaded(self.inner.id, old);
        shard.metrics.log.rolls.inc();
        Ok(())
    }

    fn fence_unless_full(&self, base: Offset, error: &IoError) {
        if !error.is_no_space() {
            self.fence(self.device(base, error));
        }
    }

    async fn create_segment(&self, base: Offset, allocated: u64) -> Result<I::File, IoError> {
        let (io, dir) = (&self.inner.shard.io, self.dir());
        let file = io.open(&dir.join(segment_name(base)), OpenMode::CreateOrOpen).await?;
        file.truncate(0).await?;
        file.allocate(0, allocated).await?;
        file.sync().await?;
        io.sync_dir(&dir).await?;
        Ok(file)
    }

    /// Takes the file of a segment that found no room away, for good: the log goes on behind its base in the segment that it
    /// has, and a start would find a segment in the middle of another one.
    async fn take_back_segment(&self, base: Offset) {
        let (io, dir) = (&self.inner.shard.io, self.dir());
        let gone = match io.remove_file_if_there(&dir.join(segment_name(base))).await {
            Ok(()) => self.with_descriptors(async || io.sync_dir(&dir).await).await,
            error => error,
        };
        if let Err(error) = gone {
            self.fence(self.device(base, &error));
        }
    }

    fn switch(&self, allocated: u64) {
        let mut state = self.inner.state.borrow_mut();
        let state = &mut *state;
        let (base, end) = (state.active().next_offset, state.active().mark());
        assert!(state.writer.settled(end.position), "only a settled log rolls");
        state.segments.push_back(Segment::empty(base));
        state.writer = Writer::new(0, state.active().mark(), allocated);
        state.writer.allocate_step = allocated;
        state.announce = Some(Announce::Roll);
        state.index_saved = 0;
        state.active_since = None;
        self.found_room(state, Want::Roll);
        self.mark_dirty(state);
    }

    /// Waits until all that was appended is durable and no write is under way.
    ///
    /// # Errors
    /// [`LogError::Offline`], [`LogError::JournalFailed`].
    pub(crate) async fn settle(&self) -> Result<(), LogError> {
        let settled = || {
            let mut state = self.inner.state.borrow_mut();
            let state = &mut *state;
            if self.inner.shard.journal.failed() {
                return Some(Err(LogError::JournalFailed));
            }
            if let Err(error) = self.readable_state(state) {
                return Some(Err(error));
            }
            if state.settled() {
                return Some(Ok(()));
            }
            if state.writer.queued == state.active().end {
                // Written but never synced, as a process-crash log may be: nothing else would ask.
                self.inner.shard.journal.request_sync();
            }
            state.writer.sync_wanted = true;
            self.start_direct(state);
            if !state.writer.syncing && state.writer.directs() > 0 {
                self.sync_now(state);
            }
            if state.active().end > state.writer.queued || !state.controls_settled() {
                self.mark_dirty(state);
            }
            None
        };
        self.inner.moved.until(settled).await
    }

    fn sync_now(&self, state: &mut LogState) {
        if state.writer.wants_sync() {
            self.start_sync(state);
        }
    }

    /// Writes the last pages padded, cuts the file to its exact length and syncs it (a changed length is part of what fdatasync
    /// makes durable). All bytes are durable in the journal, so
    /// a torn write here loses nothing.
    ///
    /// # Errors
    /// The disk's. With [`IoError::NoSpace`] the log goes on as before.
    pub(crate) async fn finish_active(&self) -> Result<(), IoError> {
        let (base, from, end, pages) = {
            let state = self.inner.state.borrow();
            let (from, end) = (state.writer.issued, state.active().end);
            let pages = if end > from { state.active().tail.pages(from, end) } else { Vec::new() };
            (state.active().base, from, end, pages)
        };
        let file = self.open_segment(base).await?;
        if !pages.is_empty() {
            file.write_at(from, &pages).await?;
        }
        file.truncate(end).await?;
        file.sync().await?;
        let mut state = self.inner.state.borrow_mut();
        state.writer.extents.clear();
        state.writer.issued = page_floor(end);
        state.writer.synced = page_floor(end);
        state.writer.allocated = page_floor(end);
        Ok(())
    }

    /// Refuses for an offline or closed log, given its state.
    pub(crate) fn readable_state(&self, state: &LogState) -> Result<(), LogError> {
        match &state.phase {
            Phase::Offline(damage) => {
                Err(LogError::Offline { id: self.inner.id, damage: damage.clone() })
            }
            Phase::Closed => Err(LogError::NoSuchLog { id: self.inner.id }),
            Phase::Open | Phase::Rolling => Ok(()),
        }
    }
}

/// Lets two futures go on side by side until both have ended.
async fn both<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut other) = (None, None);
    poll_fn(move |cx| {
        if one.is_none()
            && let Poll::Ready(output) = first.as_mut().poll(cx)
        {
            one = Some(output);
        }
        if other.is_none()
            && let Poll::Ready(output) = second.as_mut().poll(cx)
        {
            other = Some(output);
        }
        match (one.take(), other.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            ended => {
                (one, other) = ended;
                Poll::Pending
            }
        }
    })
    .await
}
