//! How far the active segment of a log has come: a row of positions that only move forward, and the segment writes between
//! them. Pure state; the tasks that do the writing are in `segment_write`.
//!
//! ```text
//! 0 ── synced ── issued ── queued ── end       positions in the active segment
//!                 │         └ handed to the journal (as redo, or covered by an extent record)
//!                 └ pages below were given to a segment write, once
//! written, durable: ends of whole batches that are safe at the two levels
//! ```

use std::collections::VecDeque;

use kolk_model::offset::Offset;

use kolk_layout::field::page_floor;

/// The end of a whole batch: where, and the offset that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) position: u64,
    pub(crate) offset: Offset,
}

/// Why pages are written to the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExtentKind {
    /// Not journalled: the extent record that follows the sync is the ack.
    Direct,
    /// Journalled and durable already; written so that the journal can be recycled.
    Lazy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ExtentState {
    Writing,
    Written,
    Synced,
}

/// Whole pages on their way into the segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) kind: ExtentKind,
    pub(crate) state: ExtentState,
}

/// Positions and writes of the active segment.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) allocated: u64,
    pub(crate) allocate_step: u64,
    pub(crate) allocating: bool,
    pub(crate) issued: u64,
    pub(crate) synced: u64,
    pub(crate) queued: u64,
    pub(crate) queued_mark: Mark,
    pub(crate) written: Mark,
    pub(crate) durable: Mark,
    /// End of what completed groups hold: at or above `written`, above it where a direct write ended inside a batch.
    pub(crate) covered: u64,
    /// Ends of appends at or above `queued`, oldest first.
    pub(crate) boundaries: VecDeque<Mark>,
    pub(crate) extents: VecDeque<Extent>,
    /// Page writes that the disk is at. An extent whose write failed stays `Writing`: nothing may be built on it.
    pub(crate) writes: usize,
    pub(crate) syncing: bool,
    /// Somebody waits for stable storage at this or a lower position.
    pub(crate) sync_wanted: bool,
    /// The log stands in the journal's queue.
    pub(crate) dirty: bool,
}

/// First bytes allocated for a segment; doubled from there.
pub(crate) const ALLOCATE_BYTES_MIN: u64 = 64 << 10;

/// Pending bytes that start a direct write beside one that is under way. Every write costs a sync, and a sync of a file that has
/// grown costs as much as writing this much: what is less waits and then goes in one write.
const BESIDE_WRITE_BYTES_MIN: u64 = 1 << 20;
/// The same where only a sync is under way, which a write does not slow.
const BESIDE_SYNC_BYTES_MIN: u64 = 512 << 10;

impl Writer {
    /// Continues a segment whose pages below `flushed` are on disk and whose batches end, durably, at `end`.
    pub(crate) fn new(flushed: u64, end: Mark, allocated: u64) -> Self {
        assert!(flushed <= end.position && page_floor(flushed) == flushed, "flushed {flushed}");
        Self {
            allocated,
            allocate_step: ALLOCATE_BYTES_MIN,
            allocating: false,
            issued: flushed,
            synced: flushed,
            queued: end.position,
            queued_mark: end,
            written: end,
            durable: end,
            covered: end.position,
            boundaries: VecDeque::new(),
            extents: VecDeque::new(),
            writes: 0,
            syncing: false,
            sync_wanted: false,
            dirty: false,
        }
    }

    /// First position that neither the journal nor a write in flight has.
    pub(crate) fn claimed(&self) -> u64 {
        self.extents
            .iter()
            .rev()
            .find(|extent| extent.kind == ExtentKind::Direct)
            .map_or(self.queued, |extent| extent.to.max(self.queued))
    }

    /// Direct writes that the journal does not know yet.
    pub(crate) fn directs(&self) -> usize {
        self.extents.iter().filter(|extent| extent.kind == ExtentKind::Direct).count()
    }

    /// True if nothing is under way: all that was appended up to `end` is durable and no write is in flight.
    pub(crate) fn settled(&self, end: u64) -> bool {
        self.durable.position == end
            && self.queued == end
            && !self.syncing
            && !self.allocating
            && self.extents.iter().all(|extent| {
                extent.kind == ExtentKind::Lazy && extent.state == ExtentState::Written
            })
    }

    /// The pages below `end` that may go to the segment lazily: full, durable, allocated, not issued. `None` if there are none, or
    /// while direct writes are under way, which take those pages along. A start that found no room leaves pages that are not allocated.
    pub(crate) fn lazy_range(&self, end: u64) -> Option<(u64, u64)> {
        let to = page_floor(self.durable.position.min(end).min(self.allocated));
        (self.directs() == 0 && to > self.issued).then_some((self.issued, to))
    }

    /// True if at least `bytes_min` of pages are durable and not issued, and no lazy write is under way.
    pub(crate) fn has_lazy_piece(&self, bytes_min: u64) -> bool {
        let pages = page_floor(self.durable.position).saturating_sub(self.issued);
        pages >= bytes_min && !self.is_writing_lazily()
    }

    pub(crate) fn is_writing_lazily(&self) -> bool {
        self.extents
            .iter()
            .any(|extent| extent.kind == ExtentKind::Lazy && extent.state == ExtentState::Writing)
    }

    /// True if a sync has yet to reach what lazy writes have brought, or bring, of the pages below `end`.
    pub(crate) fn has_lazy_unsynced(&self, end: u64) -> bool {
        self.extents.iter().any(|extent| {
            extent.kind == ExtentKind::Lazy
                && extent.state != ExtentState::Synced
                && extent.from < end
        })
    }

    /// The pages that a direct write may take now, given the end of the log. Pages that hold journalled bytes wait until those
    /// are durable.
    pub(crate) fn direct_range(
        &self,
        end: u64,
        bytes_min: u64,
        writes_max: usize,
    ) -> Option<(u64, u64)> {
        let pending = end.saturating_sub(self.claimed());
        let to = page_floor(end);
        let ready = pending >= self.direct_bytes_min().max(bytes_min)
            && self.directs() < writes_max
            && !self.unresolved()
            && to > self.issued;
        ready.then_some((self.issued, to))
    }

    /// Pending bytes worth a direct write beside what is under way. A lazy write that is done waits for the next checkpoint and
    /// not for a sync that comes by itself: who waited for it would wait for ever.
    fn direct_bytes_min(&self) -> u64 {
        let waits = |extent: &Extent| match extent.state {
            ExtentState::Writing => BESIDE_WRITE_BYTES_MIN,
            ExtentState::Written if self.syncing || extent.kind == ExtentKind::Direct => {
                BESIDE_SYNC_BYTES_MIN
            }
            ExtentState::Written | ExtentState::Synced => 0,
        };
        self.extents.iter().map(waits).max().unwrap_or(0)
    }

    /// True if pages that were not issued hold journalled bytes that are not durable: no direct write may pass them.
    pub(crate) fn unresolved(&self) -> bool {
        self.queued_mark.position > self.durable.position && self.issued < self.queued
    }

    /// Enters a write of `from..to` that is about to be given to the disk.
    pub(crate) fn issue(&mut self, from: u64, to: u64, kind: ExtentKind) {
        assert_eq!(from, self.issued, "a page is issued once");
        assert!(page_floor(to) == to && to > from, "only whole pages: {from}..{to}");
        self.issued = to;
        self.extents.push_back(Extent { from, to, kind, state: ExtentState::Writing });
    }

    /// The write that ends at `to` has completed.
    pub(crate) fn write_done(&mut self, to: u64) {
        for extent in self.extents.iter_mut().filter(|extent| extent.to == to) {
            assert_eq!(extent.state, ExtentState::Writing, "a write completes once");
            extent.state = ExtentState::Written;
        }
        self.join_lazy();
    }

    /// Makes one of lazy extents that follow each other and wait for the next checkpoint's sync. Not while a sync runs, which
    /// reaches the end of one of them.
    fn join_lazy(&mut self) {
        if self.syncing {
            return;
        }
        let waits = |extent: &Extent| {
            extent.kind == ExtentKind::Lazy && extent.state == ExtentState::Written
        };
        while let [.., first, second] = self.extents.make_contiguous()
            && waits(first)
            && waits(second)
        {
            first.to = second.to;
            self.extents.pop_back();
        }
    }

    /// How far a sync that starts now reaches: the end of the contiguous row of completed writes.
    pub(crate) fn sync_target(&self) -> Option<u64> {
        let mut target = None;
        for extent in &self.extents {
            match extent.state {
                ExtentState::Writing => break,
                ExtentState::Written => target = Some(extent.to),
                ExtentState::Synced => {}
            }
        }
        target
    }

    /// True if a completed direct write waits for a sync.
    pub(crate) fn wants_sync(&self) -> bool {
        self.extents
            .iter()
            .take_while(|extent| extent.state != ExtentState::Writing)
            .any(|extent| extent.state == ExtentState::Written && extent.kind == ExtentKind::Direct)
    }

    /// A sync that reached `to` has completed. Lazy extents at the front have done their duty.
    pub(crate) fn sync_done(&mut self, to: u64) {
        for extent in self.extents.iter_mut().filter(|extent| extent.to <= to) {
            extent.state = ExtentState::Synced;
        }
        self.drop_lazy_front();
    }

    fn drop_lazy_front(&mut self) {
        while let Some(front) = self.extents.front() {
            if front.kind != ExtentKind::Lazy || front.state != ExtentState::Synced {
                break;
            }
            self.synced = front.to;
            self.extents.pop_front();
        }
    }

    /// Takes the synced direct extents off the front for the journal, merged: what an extent record says.
    pub(crate) fn take_synced(&mut self) -> Option<(u64, u64)> {
        let mut merged: Option<(u64, u64)> = None;
        while let Some(front) = self.extents.front().copied() {
            if front.state != ExtentState::Synced {
                break;
            }
            self.synced = front.to;
            self.extents.pop_front();
            if front.kind == ExtentKind::Direct {
                merged = Some((merged.map_or(front.from, |(from, _)| from), front.to));
            }
        }
        let (from, to) = merged?;
        self.queued = self.queued.max(to);
        while let Some(mark) = self.boundaries.front().copied().filter(|mark| mark.position <= to) {
            self.queued_mark = mark;
            self.boundaries.pop_front();
        }
        Some((from, to))
    }

    /// Takes all that is not with the journal yet, if it is small and nothing unresolved stands before it: what a redo record
    /// carries. `end` is the log's end.
    pub(crate) fn take_redo(&mut self, end: Mark, bytes_max: u64) -> Option<(u64, u64)> {
        let pending = end.position.saturating_sub(self.queued);
        if pending == 0 || pending >= bytes_max || self.directs() > 0 {
            return None;
        }
        let from = self.queued;
        self.queued = end.position;
        self.queued_mark = end;
        self.boundaries.clear();
        Some((from, end.position))
    }

    /// Bytes below may leave memory: in the segment, synced, and not part of a tail page that a snapshot must carry.
    pub(crate) fn evictable(&self) -> u64 {
        self.synced.min(page_floor(self.durable.position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn writer() -> Writer {
        Writer::new(0, Mark { position: 0, offset: Offset::new(0) }, 1 << 30)
    }

    #[test]
    fn a_lazy_write_that_no_sync_follows_holds_nothing_up() {
        let mut writer = writer();
        let end = Mark { position: PAGE + 10, offset: Offset::new(1) };
        (writer.queued, writer.queued_mark, writer.durable) = (end.position, end, end);
        writer.issue(0, PAGE, ExtentKind::Lazy);
        assert_eq!(writer.direct_range(80 << 10, 64 << 10, 4), None, "the disk is at it");
        writer.write_done(PAGE);
        assert_eq!(writer.direct_range(80 << 10, 64 << 10, 4), Some((PAGE, 80 << 10)));
        writer.syncing = true;
        assert_eq!(writer.direct_range(80 << 10, 64 << 10, 4), None, "beside a sync");
    }

    #[test]
    fn a_second_direct_write_waits_until_it_is_worth_a_sync() {
        let mut writer = writer();
        assert_eq!(
            writer.direct_range(64 << 10, 64 << 10, 4),
            Some((0, 64 << 10)),
            "the first goes at once"
        );
        writer.issue(0, 64 << 10, ExtentKind::Direct);
        let end = (64 << 10) + BESIDE_WRITE_BYTES_MIN;
        assert_eq!(writer.direct_range(end - PAGE, 64 << 10, 4), None, "too little beside a write");
        assert_eq!(writer.direct_range(end, 64 << 10, 4), Some((64 << 10, end)));
        writer.write_done(64 << 10);
        let beside_sync = (64 << 10) + BESIDE_SYNC_BYTES_MIN;
        assert_eq!(
            writer.direct_range(beside_sync - PAGE, 64 << 10, 4),
            None,
            "too little beside a sync"
        );
        assert_eq!(writer.direct_range(beside_sync, 64 << 10, 4), Some((64 << 10, beside_sync)));
        writer.sync_done(64 << 10);
        assert_eq!(
            writer.direct_range(128 << 10, 64 << 10, 4),
            Some((64 << 10, 128 << 10)),
            "nothing to wait for"
        );
    }

    #[test]
    fn lazy_writes_that_wait_for_the_next_sync_are_one() {
        let mut writer = writer();
        let end = Mark { position: 3 << 20, offset: Offset::new(3) };
        (writer.queued, writer.queued_mark, writer.durable) = (end.position, end, end);
        assert!(writer.has_lazy_piece(1 << 20));
        for mib in 1..=2 {
            let range = writer.lazy_range(writer.issued + (1 << 20)).unwrap();
            assert_eq!(range, ((mib - 1) << 20, mib << 20));
            writer.issue(range.0, range.1, ExtentKind::Lazy);
            assert!(!writer.has_lazy_piece(1 << 20), "one at a time");
            writer.write_done(range.1);
        }
        assert_eq!(writer.extents.len(), 1);
        assert_eq!(writer.sync_target(), Some(2 << 20));
        writer.syncing = true;
        writer.issue(2 << 20, 3 << 20, ExtentKind::Lazy);
        writer.write_done(3 << 20);
        assert_eq!(writer.extents.len(), 2, "the sync does not reach the second one");
        writer.syncing = false;
        writer.sync_done(2 << 20);
        assert_eq!((writer.synced, writer.extents.len()), (2 << 20, 1));
        assert!(!writer.has_lazy_unsynced(2 << 20));
        assert!(writer.has_lazy_unsynced(3 << 20));
        assert!(!writer.has_lazy_piece(1 << 20), "nothing is left to issue");
    }
}
