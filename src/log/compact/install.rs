//! Putting a compacted segment in the place of those it was made of. The checkpoint that names the swap is the decision: before
//! it the log is the one before, after it a start finishes what a crash has interrupted.

use kolk_io::door::Io;
use kolk_io::error::IoError;
use kolk_model::offset::Offset;

use super::output::{Finished, discard};
use super::plan::Source;
use crate::error::LogError;
use crate::log::{Log, Segment, SegmentVersion};
use crate::recovery::swap::put_in_place;
use kolk_layout::segment::compacted::{CHECKPOINT_NAME, CompactionPoint, Swap};
use kolk_layout::segment::scan::Offsets;

impl<I: Io> Log<I> {
    /// Carries the swap out, in memory and on disk.
    pub(super) async fn install(
        &self,
        group: &[Source],
        finished: Finished<I::File>,
    ) -> Result<(), LogError> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
        let bytes = finished.bytes;
        let swap = Swap { base: first.base, next_offset: last.next_offset, bytes };
        if let Err(error) = self.begin_swap(group) {
            discard(self, swap.base).await;
            return Err(error);
        }
        let result = self.swap(group, &swap, finished).await;
        self.inner.state.borrow_mut().swapping = false;
        *self.inner.swapped.borrow_mut() = None;
        self.inner.shard.index_loaded(self.id(), swap.base);
        self.inner.moved.notify();
        result
    }

    /// Keeps retention away, if it has not taken a segment of the group already.
    fn begin_swap(&self, group: &[Source]) -> Result<(), LogError> {
        let mut state = self.inner.state.borrow_mut();
        self.readable_state(&state)?;
        let here = |source: &Source| state.segments.iter().any(|s| s.base == source.base);
        if let Some(gone) = group.iter().find(|source| !here(source)) {
            return Err(self.out_of_range(&state, gone.base));
        }
        state.swapping = true;
        Ok(())
    }

    async fn swap(
        &self,
        group: &[Source],
        swap: &Swap,
        finished: Finished<I::File>,
    ) -> Result<(), LogError> {
        let before = self.inner.state.borrow().compacted;
        let decided = CompactionPoint {
            rising_below: before.rising_below.max(swap.next_offset),
            swap: Some(*swap),
            ..before
        };
        if let Err(error) = self.note_point(decided).await {
            // Without room the former checkpoint stands; after any other error nobody knows which one does.
            if error.is_no_space() {
                discard(self, swap.base).await;
            } else {
                self.fence(self.device(swap.base, &error));
            }
            return Err(error.into());
        }
        let (file, index) = (finished.file.clone(), std::rc::Rc::clone(&finished.index));
        let version = self.replace(group, swap, finished);
        let bases = group.iter().map(|source| source.base).collect();
        let shard = &self.inner.shard;
        let turn = self.index_turn().await;
        let placed = put_in_place(&shard.io, &self.dir(), swap, bases).await;
        drop(turn);
        if let Err(error) = placed {
            // What stands on disk is known only after a start.
            self.fence(self.device(swap.base, &error));
            return Err(error.into());
        }
        shard.open_files.put(self.id(), (swap.base, version), file);
        let done = CompactionPoint { swap: None, ..decided };
        if let Err(error) = self.save_index((swap.base, version), &index).await {
            tracing::warn!(log = %self.id(), %error, "index not saved, it is made again when it is needed");
        }
        // Where this fails memory goes on naming the swap, as the disk may.
        Ok(self.note_point(done).await?)
    }

    /// Notes that the last swap is done where the disk could not take that: while it names the swap, a start takes whatever
    /// file bears its name for it.
    pub(super) async fn note_last_swap_done(&self) -> Result<(), IoError> {
        let point = self.inner.state.borrow().compacted;
        match point.swap {
            Some(_) => self.note_point(CompactionPoint { swap: None, ..point }).await,
            None => Ok(()),
        }
    }

    /// Makes `point` durable, then what memory knows.
    pub(super) async fn note_point(&self, point: CompactionPoint) -> Result<(), IoError> {
        self.write_beside(CHECKPOINT_NAME, &point.encode()).await?;
        self.inner.state.borrow_mut().compacted = point;
        Ok(())
    }

    /// In memory the new segment stands at once; until it has its name, its file is reached through `swapped`.
    fn replace(
        &self,
        group: &[Source],
        swap: &Swap,
        finished: Finished<I::File>,
    ) -> SegmentVersion {
        let shard = &self.inner.shard;
        let mut state = self.inner.state.borrow_mut();
        let within = |base: Offset| swap.base <= base && base < swap.next_offset;
        let at = state.segments.iter().position(|s| s.base == swap.base).unwrap_or(0);
        let before = state.segments.get(at).map_or(SegmentVersion::FIRST, |s| s.version);
        let version = before.next();
        let mut freed = 0;
        state.segments.retain_mut(|segment| {
            if within(segment.base) {
                freed += segment.tail.forget_all();
            }
            !within(segment.base)
        });
        let max_timestamp = finished.index.max_timestamp();
        let segment = Segment {
            end: finished.bytes,
            next_offset: swap.next_offset,
            index: Some(finished.index),
            max_timestamp,
            offsets: Offsets::Rising,
            version,
            ..Segment::empty(swap.base)
        };
        state.segments.insert(at, segment);
        *self.inner.swapped.borrow_mut() = Some(((swap.base, version), finished.file));
        drop(state);
        shard.memory_given_back(freed);
        for source in group {
            shard.open_files.close(self.id(), source.base);
        }
        shard.reads.forget_log(self.id());
        shard.metrics.log.compaction_segments_replaced.add_len(group.len());
        version
    }
}
