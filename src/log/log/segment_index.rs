//! Bringing a segment's index into memory: from its file, completed or rebuilt by a scan of the segment, which checks every
//! batch on the way. And keeping the file up to date.

use std::rc::Rc;

use kolk_io::door::{File, Io};
use kolk_io::error::IoError;
use kolk_model::offset::{FilePosition, Offset};

use crate::error::{Damage, LogError};
use crate::log::cold::check;
use crate::log::tail::Tail;
use crate::log::{Log, LogState, Segment, SegmentVersion, index_name, log_dir};
use kolk_layout::field::{PAGE_BYTES, index, page_ceil, page_floor};
use kolk_layout::segment::index::{IndexError, Run, SegmentIndex};
use kolk_layout::segment::scan::{Offsets, Scan, ScanError, Scanned};

/// An index file is written anew when the segment has grown by this much: what a start after a crash has to scan at most.
const INDEX_SAVE_BYTES: u64 = 64 << 20;
/// Bytes read at a time by a scan.
const SCAN_BYTES: u64 = 1 << 20;
/// The largest index file accepted: entries of a 2 GiB segment with the smallest interval fit.
const INDEX_BYTES_MAX: usize = 1 << 30;

/// While it lives nobody else writes or removes index files of the log: two writers of one file would take each other's
/// temporary file away, and one that comes late would leave the index of a segment that was replaced.
pub(crate) struct IndexTurn<I: Io> {
    log: Log<I>,
}

impl<I: Io> Drop for IndexTurn<I> {
    fn drop(&mut self) {
        self.log.inner.index_turn.set(false);
        self.log.inner.moved.notify();
    }
}

impl<I: Io> Log<I> {
    /// Waits until the log's index files are nobody's.
    pub(crate) async fn index_turn(&self) -> IndexTurn<I> {
        let free = || (!self.inner.index_turn.replace(true)).then_some(());
        self.inner.moved.until(free).await;
        IndexTurn { log: self.clone() }
    }

    /// Writes an index file, except in the place of a newer kolk's or of one that speaks for more, and forgets nothing; nothing
    /// happens if the segment is not the one any more that it is of. For tasks of their own only: whoever drops it gives the turn away while the disk is at
    /// it.
    pub(crate) async fn save_index(
        &self,
        of: (Offset, SegmentVersion),
        index: &SegmentIndex,
    ) -> Result<(), IoError> {
        let turn = self.index_turn().await;
        self.save_index_in(&turn, of, index).await
    }

    /// As [`Self::save_index`], for whoever has the turn already.
    async fn save_index_in(
        &self,
        _turn: &IndexTurn<I>,
        of: (Offset, SegmentVersion),
        index: &SegmentIndex,
    ) -> Result<(), IoError> {
        if self.version_of(of.0) != Some(of.1) {
            return Ok(());
        }
        let left_alone = |segment: &mut Segment| {
            segment.index_foreign || index.covered() < segment.index_written
        };
        if self.with_segment(of, left_alone) == Some(true) {
            return Ok(());
        }
        self.write_beside(&index_name(of.0), &index.encode()).await?;
        self.with_segment(of, |segment| segment.index_written = index.covered());
        Ok(())
    }

    fn with_segment<T>(
        &self,
        of: (Offset, SegmentVersion),
        then: impl FnOnce(&mut Segment) -> T,
    ) -> Option<T> {
        let mut state = self.inner.state.borrow_mut();
        let at = state.segment_of(of.0)?;
        let segment = state.segments.get_mut(at)?;
        ((segment.base, segment.version) == of).then(|| then(segment))
    }

    /// Writes the active segment's index beside it.
    pub(crate) async fn save_active_index(&self) -> Result<(), IoError> {
        let (of, index) = self.active_index();
        match index {
            Some(index) => self.save_index(of, &index).await,
            None => Ok(()),
        }
    }

    /// Saves the index of the active segment, which is sealed, in the background: appends do not wait for two syncs more, and who
    /// finds no index makes it again.
    pub(crate) fn save_sealed_index(&self, turn: IndexTurn<I>) {
        let (of, Some(index)) = self.active_index() else { return };
        let log = self.clone();
        self.inner.shard.io.spawn(async move {
            if let Err(error) = log.save_index_in(&turn, of, &index).await {
                tracing::warn!(log = %log.id(), %error, "index not saved, it is made again when it is needed");
            }
        });
    }

    fn active_index(&self) -> ((Offset, SegmentVersion), Option<Rc<SegmentIndex>>) {
        let state = self.inner.state.borrow();
        let active = state.active();
        ((active.base, active.version), active.index.as_ref().map(Rc::clone))
    }

    /// Saves the active index in the background if the segment grew enough since the last time. The file may never speak for
    /// bytes that a crash could take away, so it ends at the last run that is synced.
    pub(crate) fn save_index_if_due(&self, state: &mut LogState) {
        let synced = state.writer.evictable();
        if state.index_saving || synced < state.index_saved + INDEX_SAVE_BYTES {
            return;
        }
        let Some(index) = state.active().index.as_ref().map(|index| index.upto(synced)) else {
            return;
        };
        state.index_saving = true;
        state.index_saved = synced;
        let log = self.clone();
        let of = (index.base(), state.active().version);
        self.inner.shard.io.spawn(async move {
            if let Err(error) = log.save_index(of, &index).await {
                tracing::warn!(log = %log.id(), %error, "index not saved, a start would scan more");
            }
            log.inner.state.borrow_mut().index_saving = false;
        });
    }

    /// The index of segment `at`, loaded if need be. Damage found on the way takes the log offline.
    ///
    /// # Errors
    /// [`LogError::Offline`], [`LogError::Io`].
    pub(crate) async fn index_of(&self, base: Offset) -> Result<Rc<SegmentIndex>, LogError> {
        let (loaded, wanted) = {
            let state = self.inner.state.borrow();
            let segment = state.segment_of(base).and_then(|at| state.segments.get(at));
            let Some(segment) = segment.filter(|segment| segment.base == base) else {
                return Err(self.out_of_range(&state, base));
            };
            let wanted = Wanted {
                base,
                version: segment.version,
                end: segment.end,
                next_offset: segment.next_offset,
                offsets: segment.offsets,
                interval_bytes: segment
                    .index_interval_bytes
                    .unwrap_or(state.config.index_interval_bytes),
            };
            (segment.index.as_ref().map(Rc::clone), wanted)
        };
        if let Some(index) = loaded {
            return Ok(index);
        }
        let (index, unsaved) = self.load_index(&wanted).await?;
        let index = Rc::new(index);
        if unsaved {
            self.save_loaded(&wanted, &index);
        }
        let mut state = self.inner.state.borrow_mut();
        let at = state.segment_of(base);
        let segment = at.and_then(|at| state.segments.get_mut(at));
        let same = |s: &&mut Segment| s.base == base && s.version == wanted.version;
        if let Some(segment) = segment.filter(same).filter(|s| s.index.is_none()) {
            segment.index = Some(Rc::clone(&index));
            segment.max_timestamp = index.max_timestamp();
            self.inner.shard.index_loaded(self.inner.id, base);
        }
        Ok(index)
    }

    /// Brings the active segment's index into memory, and the part on disk of the run in which memory begins: every run is whole
    /// in one of the two places.
    pub(crate) async fn load_active(&self, base: Offset) -> Result<(), LogError> {
        let index = self.index_of(base).await?;
        let start = self.inner.state.borrow().active().tail.start();
        // The last run may still grow, so it belongs into memory even where the disk has all of it.
        let last = index.runs().len().saturating_sub(1);
        let at = index.runs().partition_point(|run| run.end() <= start).min(last);
        let Some(run) = index.runs().get(at).copied() else { return Ok(()) };
        if run.position >= start {
            return self.check_held(base, &index, at);
        }
        let from = page_floor(run.position);
        let mut pages = Vec::new();
        if let Err(error) = self.read_pages(base, from, start, &mut pages).await {
            return Err(self.damaged(base, error.into()));
        }
        let mut state = self.inner.state.borrow_mut();
        let active = state.active_mut();
        let held = active.tail.copy(start, active.tail.end());
        let freed = active.tail.forget_all();
        active.tail = Tail::new(from);
        let mut taken = active.tail.append(&pages);
        taken += active.tail.append(&held);
        drop(state);
        let shard = &self.inner.shard;
        shard.memory_given_back(freed);
        shard.memory_taken(self.inner.id, base, taken);
        self.check_held(base, &index, at)
    }

    /// Checks the runs from `at` on, whose bytes are in memory: what the disk gave of them was not checked before.
    fn check_held(&self, base: Offset, index: &SegmentIndex, at: usize) -> Result<(), LogError> {
        let runs: Vec<Run> = index.runs().range(at..index.runs().len()).copied().collect();
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Ok(()) };
        let held = self.inner.state.borrow().active().tail.copy(first.position, last.end());
        match check((index, Offsets::Contiguous), &runs, &held.into()) {
            Ok(()) => Ok(()),
            Err((position, reason)) => {
                let damage = Damage::Corrupt { file: self.file_name(base), position, reason };
                self.fence(damage.clone());
                Err(LogError::Offline { id: self.id(), damage })
            }
        }
    }

    pub(crate) fn out_of_range(&self, state: &LogState, asked: Offset) -> LogError {
        LogError::OffsetOutOfRange {
            asked,
            start: state.log_start,
            end: state.active().next_offset,
        }
    }

    fn leave_index_alone(&self, base: Offset) {
        let mut state = self.inner.state.borrow_mut();
        let at = state.segment_of(base);
        if let Some(segment) = at.and_then(|at| state.segments.get_mut(at)) {
            segment.index_foreign |= segment.base == base;
        }
    }

    /// Saves the index of a sealed segment whose file lacked something. In the background: a reader neither waits for it nor
    /// fails with it, and may go away meanwhile.
    fn save_loaded(&self, wanted: &Wanted, index: &Rc<SegmentIndex>) {
        let (log, index) = (self.clone(), Rc::clone(index));
        let of = (wanted.base, wanted.version);
        self.inner.shard.io.spawn(async move {
            if let Err(error) = log.save_index(of, &index).await {
                tracing::warn!(log = %log.id(), %error, "index not saved, it is made again when it is needed");
            }
        });
    }

    /// The index of a segment, and whether its file should be written anew.
    async fn load_index(&self, wanted: &Wanted) -> Result<(SegmentIndex, bool), LogError> {
        let Wanted { base, end, next_offset: next, .. } = *wanted;
        let path = self.dir().join(index_name(base));
        let file = match self.inner.shard.io.read_file(&path, INDEX_BYTES_MAX).await {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(log = %self.id(), %error, "index can't be read, the segment is scanned");
                None
            }
        };
        let found = file.and_then(|file| match SegmentIndex::decode(base, &file) {
            Ok(index) if index.covered() <= end => Some(index),
            Err(error @ IndexError::VersionNewer { .. }) => {
                let file = format!("{}/{}", log_dir(self.id()), index_name(base));
                tracing::warn!(file, %error, "index is left alone, the segment is scanned");
                self.leave_index_alone(base);
                None
            }
            Ok(_) | Err(_) => {
                tracing::warn!(log = %self.id(), segment = %base, "index is damaged and is rebuilt");
                None
            }
        });
        let mut index = found.unwrap_or_else(|| SegmentIndex::new(base, wanted.interval_bytes));
        let covered_before = index.covered();
        let scanned = self.scan_into(&mut index, wanted).await;
        if self.version_of(base) != Some(wanted.version) {
            // Compaction or retention took the segment away: what was found says nothing.
            return Err(self.out_of_range(&self.inner.state.borrow(), base));
        }
        if let Err(error) = scanned {
            return Err(self.damaged(base, error));
        }
        if index.next_offset() != next {
            let reason = format!("ends at offset {}, expected {next}", index.next_offset());
            let position = FilePosition::new(end);
            let damage = Damage::Corrupt { file: self.file_name(base), position, reason };
            self.fence(damage.clone());
            return Err(LogError::Offline { id: self.id(), damage });
        }
        let active = {
            let mut state = self.inner.state.borrow_mut();
            let active = state.active().base == base;
            if active {
                state.index_saved = covered_before;
            }
            active
        };
        Ok((index, covered_before < end && !active))
    }

    /// Completes `index` with the batches up to `end`, which must be a batch boundary of the file.
    pub(crate) async fn scan_into(
        &self,
        index: &mut SegmentIndex,
        wanted: &Wanted,
    ) -> Result<(), ScanFailure> {
        let end = wanted.end;
        let epochs = self.epochs();
        let scan = Scan::new(index.covered(), index.next_offset());
        let mut scan = scan.with_offsets(wanted.offsets).with_epochs(&epochs);
        let base = index.base();
        let mut window: Vec<u8> = Vec::new();
        let mut position = index.covered();
        let mut wanted = SCAN_BYTES;
        while position < end {
            let (from, to) = (page_floor(position), page_ceil((position + wanted).min(end)));
            window.clear();
            self.read_pages(base, from, to, &mut window).await?;
            let limit = window.len().min(kolk_layout::field::index(end - from));
            let bytes =
                window.get(kolk_layout::field::index(position - from)..limit).unwrap_or_default();
            let scanned = scan.batches(bytes, |batch, next| index.push(batch, next))?;
            match scanned {
                Scanned::Consumed(0) if position + wanted >= end => {
                    return Err(ScanFailure::Batch(ScanError::Truncated {
                        position: FilePosition::new(position),
                    }));
                }
                // The batch is larger than the window.
                Scanned::Consumed(0) => wanted *= 2,
                Scanned::Consumed(bytes) => position += bytes,
            }
        }
        Ok(())
    }

    /// Reads whole pages of a segment behind `out`, from memory where they are and from disk elsewhere.
    async fn read_pages(
        &self,
        base: Offset,
        from: u64,
        to: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), IoError> {
        let held = {
            let state = self.inner.state.borrow();
            let segment = state.segment_of(base).and_then(|at| state.segments.get(at));
            let held = segment.filter(|segment| segment.tail.start() < segment.tail.end());
            held.map_or(to, |segment| segment.tail.start())
        };
        let disk_to = to.min(held.max(from));
        if from < disk_to {
            let file = self.open_segment(base).await?;
            let read = file.read_at(from, index(disk_to - from)).await?;
            out.extend_from_slice(&read);
        }
        let state = self.inner.state.borrow();
        let segment = state.segment_of(base).and_then(|at| state.segments.get(at));
        if let Some(segment) = segment {
            let (from, to) = (from.max(segment.tail.start()), to.min(segment.tail.end()));
            if from < to {
                segment.tail.visit(from, to, |piece| out.extend_from_slice(piece));
            }
        }
        Ok(())
    }

    fn damaged(&self, base: Offset, failure: ScanFailure) -> LogError {
        let damage = match failure {
            // Nothing is wrong with the segment: whoever comes later finds it.
            ScanFailure::Io(error) if error.is_out_of_descriptors() => return error.into(),
            ScanFailure::Io(error) if error.is_not_found() => Damage::Corrupt {
                file: self.file_name(base),
                position: FilePosition::ZERO,
                reason: "the segment is missing".to_owned(),
            },
            ScanFailure::Io(error) => self.device(base, &error),
            ScanFailure::Batch(error) => Damage::Corrupt {
                file: self.file_name(base),
                position: error.position(),
                reason: error.to_string(),
            },
        };
        self.fence(damage.clone());
        LogError::Offline { id: self.id(), damage }
    }
}

/// The segment whose index is loaded.
pub(crate) struct Wanted {
    base: Offset,
    version: SegmentVersion,
    end: u64,
    next_offset: Offset,
    offsets: Offsets,
    /// Where the index is made anew.
    interval_bytes: u32,
}

/// Why a segment could not be scanned to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanFailure {
    #[error(transparent)]
    Io(#[from] IoError),
    #[error(transparent)]
    Batch(#[from] ScanError),
}

const _: () = assert!(SCAN_BYTES.is_multiple_of(PAGE_BYTES));
