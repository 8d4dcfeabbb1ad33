//! The tasks that write a log's active segment: allocation ahead of the end, direct and lazy page writes, and the syncs that
//! make direct writes ready for the journal. Every task runs detached: a dropped caller cannot take a write back.

use std::time::Duration;

use kolk_io::door::{File, Io};
use kolk_io::error::IoError;
use kolk_model::offset::Offset;

use crate::error::Damage;
use crate::flaw::{self, Flaw};
use crate::journal::pace::PIECE_BYTES;
use crate::log::commit::Level;
use crate::log::writer::{ALLOCATE_BYTES_MIN, ExtentKind};
use crate::log::{Log, LogState, Phase, SegmentVersion};
use crate::settings::SyncPolicy;
use crate::shard_log::room::Want;

/// How long a write waits for a descriptor before it asks again.
const DESCRIPTOR_WAIT: Duration = Duration::from_millis(100);

impl<I: Io> Log<I> {
    /// Starts allocating so that pages up to `upto` may be written; `Unblocked` follows.
    pub(crate) fn allocate(&self, state: &mut LogState, upto: u64) {
        if state.writer.allocating {
            return;
        }
        state.writer.allocating = true;
        let step_max = self.inner.shard.settings.allocate_bytes_max.max(ALLOCATE_BYTES_MIN);
        let step = state.writer.allocate_step;
        state.writer.allocate_step = (step * 2).min(step_max);
        let from = state.writer.allocated;
        let target = (from + step).max(upto.next_multiple_of(ALLOCATE_BYTES_MIN));
        let base = state.active().base;
        let log = self.clone();
        self.inner.shard.io.spawn(async move {
            let result = log.allocate_file(base, from, target - from).await;
            log.allocated(base, (target, upto), result);
        });
    }

    async fn allocate_file(&self, base: Offset, from: u64, bytes: u64) -> Result<(), IoError> {
        let file = self.open_to_write(base).await?;
        file.allocate(from, bytes).await
    }

    /// An allocation up to `target` has ended; the append that asked for it needs `upto`.
    fn allocated(&self, base: Offset, (target, upto): (u64, u64), result: Result<(), IoError>) {
        let failed = {
            let mut state = self.inner.state.borrow_mut();
            state.writer.allocating = false;
            match result {
                Ok(()) => {
                    assert_eq!(base, state.active().base, "a log rolls only when settled");
                    state.writer.allocated = state.writer.allocated.max(target);
                    let upto = state.writer.allocated;
                    self.found_room(&mut state, Want::Growth { upto });
                    None
                }
                Err(error) if error.is_no_space() => {
                    state.writer.allocate_step = ALLOCATE_BYTES_MIN;
                    self.found_no_room(&mut state, Want::Growth { upto });
                    None
                }
                Err(error) => Some(error),
            }
        };
        if let Some(error) = failed {
            self.fence(self.device(base, &error));
        }
        self.unblock();
    }

    /// Allocates the next step while the present one is still half free, so that appends seldom wait.
    pub(crate) fn allocate_ahead(&self, state: &mut LogState) {
        let end = state.active().end;
        let allocated = state.writer.allocated;
        let segment_full = allocated >= state.config.segment_bytes;
        if allocated > 0 && !segment_full && end + state.writer.allocate_step / 4 > allocated {
            self.allocate(state, 0);
        }
    }

    /// Starts a direct write if enough is pending and nothing forbids it. An offline log writes no more; of a closed one the bytes
    /// may be gone from memory while its last group is still on its way.
    pub(crate) fn start_direct(&self, state: &mut LogState) {
        if matches!(state.phase, Phase::Offline(_) | Phase::Closed) {
            return;
        }
        let settings = &self.inner.shard.settings;
        let end = state.active().end;
        let range =
            state.writer.direct_range(end, settings.redo_bytes_max(), settings.direct_writes_max);
        let Some((from, to)) = range else {
            let pending = end.saturating_sub(state.writer.claimed());
            if pending >= settings.redo_bytes_max() && state.writer.unresolved() {
                // Too much for a redo record, and what stands before it may have been written without a sync.
                self.inner.shard.journal.request_sync();
            }
            return;
        };
        let metrics = &self.inner.shard.metrics.log;
        metrics.direct_writes.inc();
        metrics.direct_bytes.add(to - from);
        self.start_write(state, (from, to), ExtentKind::Direct, 0);
    }

    /// Starts a lazy write if enough pages are durable and nothing else of the shard is on its way to segments.
    pub(crate) fn start_lazy_if_due(&self, state: &mut LogState) {
        let bytes_min = self.inner.shard.settings.lazy_bytes_min();
        if state.phase != Phase::Open || !state.writer.has_lazy_piece(bytes_min) {
            return;
        }
        let Some((from, to)) = state.writer.lazy_range(state.writer.issued + PIECE_BYTES) else {
            return;
        };
        if self.inner.shard.journal.pace.take_alone(to - from) {
            self.start_lazy(state, (from, to), to - from);
        }
    }

    /// Starts writing pages that the segment does not have yet; gives `taken` bytes back to the pace when that has ended.
    pub(crate) fn start_lazy(&self, state: &mut LogState, range: (u64, u64), taken: u64) {
        self.start_write(state, range, ExtentKind::Lazy, taken);
    }

    fn start_write(
        &self,
        state: &mut LogState,
        (from, to): (u64, u64),
        kind: ExtentKind,
        taken: u64,
    ) {
        assert!(to <= state.writer.allocated, "{to} is not allocated, {}", state.writer.allocated);
        let start = if Flaw::PageIssuedTwice.is_in(&self.inner.shard.io) {
            flaw::page_before(&state.active().tail, from)
        } else {
            from
        };
        let pages = state.active().tail.pages(start, to);
        let base = state.active().base;
        state.writer.issue(from, to, kind);
        state.writer.writes += 1;
        let log = self.clone();
        self.inner.shard.io.spawn(async move {
            let result = match log.open_to_write(base).await {
                Ok(file) => file.write_at(start, &pages).await,
                Err(error) => Err(error),
            };
            log.inner.shard.journal.pace.give_back(taken);
            log.write_ended(base, to, result);
        });
    }

    fn write_ended(&self, base: Offset, to: u64, result: Result<(), IoError>) {
        self.inner.state.borrow_mut().writer.writes -= 1;
        match result {
            Ok(()) => {
                let mut state = self.inner.state.borrow_mut();
                state.writer.write_done(to);
                if state.config.sync == SyncPolicy::OnDemand
                    && Flaw::ExtentBeforeSegmentSync.is_in(&self.inner.shard.io)
                {
                    state.writer.sync_done(to);
                    self.mark_dirty(&mut state);
                }
                self.sync_if_wanted(&mut state);
                self.start_direct(&mut state);
            }
            Err(error) => self.fence(self.device(base, &error)),
        }
        self.inner.moved.notify();
    }

    fn sync_if_wanted(&self, state: &mut LogState) {
        if !state.writer.syncing && state.writer.wants_sync() {
            self.start_sync(state);
        }
    }

    /// Starts a sync of the active segment over the writes that have completed; returns false if there are none.
    pub(crate) fn start_sync(&self, state: &mut LogState) -> bool {
        let Some(target) = state.writer.sync_target() else { return false };
        state.writer.syncing = true;
        let base = state.active().base;
        let log = self.clone();
        self.inner.shard.io.spawn(async move {
            let result = match log.open_to_write(base).await {
                Ok(file) => file.sync().await,
                Err(error) => Err(error),
            };
            log.sync_ended(base, target, result);
        });
        true
    }

    fn sync_ended(&self, base: Offset, target: u64, result: Result<(), IoError>) {
        self.inner.shard.metrics.log.segment_fdatasyncs.inc();
        match result {
            Ok(()) => {
                if Flaw::AckBeforeExtentRecord.is_in(&self.inner.shard.io) {
                    self.acknowledge_synced(target);
                }
                let mut state = self.inner.state.borrow_mut();
                state.writer.syncing = false;
                state.writer.sync_done(target);
                self.sync_if_wanted(&mut state);
                self.start_direct(&mut state);
                self.mark_dirty(&mut state);
                self.save_index_if_due(&mut state);
            }
            Err(error) => {
                self.inner.state.borrow_mut().writer.syncing = false;
                self.fence(self.device(base, &error));
            }
        }
        self.inner.moved.notify();
    }

    /// The flaw of [`Flaw::AckBeforeExtentRecord`].
    fn acknowledge_synced(&self, target: u64) {
        let mark = {
            let state = self.inner.state.borrow();
            state.writer.boundaries.iter().rfind(|mark| mark.position <= target).copied()
        };
        if let Some(mark) = mark {
            self.committed(mark, Level::Durable, false);
        }
    }

    pub(crate) fn device(&self, base: Offset, error: &IoError) -> Damage {
        Damage::Device { file: self.file_name(base), reason: error.to_string() }
    }

    async fn open_to_write(&self, base: Offset) -> Result<I::File, IoError> {
        self.with_descriptors(async || self.open_segment(base).await).await
    }

    /// Tries again while all descriptors are taken, by connections for instance: nothing is wrong with the disk, and appends are
    /// busy meanwhile as long as it takes. Ends with the log. `attempt` may have begun nothing that a second one would not do
    /// again.
    pub(crate) async fn with_descriptors<T>(
        &self,
        attempt: impl AsyncFn() -> Result<T, IoError>,
    ) -> Result<T, IoError> {
        let mut told = false;
        loop {
            let error = match attempt().await {
                Err(error) if error.is_out_of_descriptors() && self.readable().is_ok() => error,
                ended => return ended,
            };
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(log = %self.id(), %error, "log waits for a descriptor");
            }
            self.inner.shard.open_files.close_all();
            self.inner.shard.io.sleep(DESCRIPTOR_WAIT).await;
        }
    }

    pub(crate) async fn open_segment(&self, base: Offset) -> Result<I::File, IoError> {
        let version = self.version_of(base).unwrap_or(SegmentVersion::FIRST);
        if let Some((_, file)) =
            self.inner.swapped.borrow().as_ref().filter(|(of, _)| *of == (base, version))
        {
            return Ok(file.clone());
        }
        self.inner.shard.open_files.open(&self.inner.shard, self.inner.id, (base, version)).await
    }
}
