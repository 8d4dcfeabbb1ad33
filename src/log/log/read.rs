//! Serving batches: which segment, which run, from memory or from disk. The result is slices of the log's own buffers.

use std::rc::Rc;

use bytes::Bytes;
use kolk_io::door::Io;
use kolk_model::batch::HEADER_BYTES;
use kolk_model::offset::Offset;

use crate::error::LogError;
use crate::log::{Log, LogState, Segment, SegmentVersion};
use kolk_layout::field::index;
use kolk_layout::segment::index::SegmentIndex;
use kolk_layout::segment::scan::Offsets;

/// What a walk over batches needs of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) next: Offset,
    pub(crate) bytes: u64,
}

impl Step {
    /// Reads them from the first bytes of a batch that was verified when it was written or read.
    pub(crate) fn of(header: &[u8; HEADER_BYTES]) -> Self {
        let [o0, o1, o2, o3, o4, o5, o6, o7, l0, l1, l2, l3, ..] = *header;
        let base = Offset::new(u64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]));
        let bytes = u64::from(u32::from_be_bytes([l0, l1, l2, l3])) + 12;
        let [.., d0, d1, d2, d3] = *header.first_chunk::<27>().unwrap_or(&[0; 27]);
        let delta = u32::from_be_bytes([d0, d1, d2, d3]);
        Self { next: base + u64::from(delta) + 1, bytes }
    }
}

/// One version of a segment on disk: its index and its file, which stay together whatever compaction does.
#[derive(Clone)]
pub(crate) struct Place<F> {
    pub(crate) segment: Offset,
    pub(crate) version: SegmentVersion,
    pub(crate) offsets: Offsets,
    pub(crate) index: Rc<SegmentIndex>,
    /// Runs of the index that stay as they are: all of a sealed segment, all but the last of the active one. That one may have
    /// grown since, and what the index says of it ends in its middle.
    pub(crate) closed_runs: usize,
    pub(crate) file: F,
}

impl<I: Io> Log<I> {
    /// Whole batches, from the one that holds `from` on, all of them below `end`: at most `bytes_max` bytes, but at least one
    /// batch. Empty if `from` is `end`. The bytes are the log's own buffers, shared; where they are a small part of one, a copy.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`], [`LogError::Offline`] (also when this very read finds the damage),
    /// [`LogError::Io`] where the disk could not be read.
    pub async fn read(
        &self,
        from: Offset,
        end: Offset,
        bytes_max: u64,
    ) -> Result<Vec<Bytes>, LogError> {
        if let Some(found) = self.read_in_memory(from, end, bytes_max)? {
            return Ok(found);
        }
        let place = loop {
            let base = self.check_range(from, end)?;
            if let Some(place) = self.place(base).await? {
                break place;
            }
        };
        let Some(run) = place.index.run_of_offset(from) else {
            let state = self.inner.state.borrow();
            return Err(self.out_of_range(&state, from));
        };
        // Loading the index may have taken a while, and the bytes may be in memory after all (a roll keeps them there).
        if let Some(found) = self.read_in_memory(from, end, bytes_max)? {
            return Ok(found);
        }
        self.read_cold((place, run), (from, end), bytes_max).await
    }

    /// A segment's index and file, of one version; `None` if it was replaced or removed meanwhile: look for another one then.
    pub(crate) async fn place(&self, base: Offset) -> Result<Option<Place<I::File>>, LogError> {
        let Some(version) = self.version_of(base) else { return Ok(None) };
        let index = match self.index_of(base).await {
            Err(_) if self.version_of(base) != Some(version) => return Ok(None),
            index => index?,
        };
        let file = match self.open_segment(base).await {
            Err(_) if self.version_of(base) != Some(version) => return Ok(None),
            Err(error) if error.is_not_found() => return Err(self.vanished(base)),
            file => file?,
        };
        let state = self.inner.state.borrow();
        let segment = state.segment_of(base).and_then(|at| state.segments.get(at));
        let same = segment.filter(|segment| segment.base == base && segment.version == version);
        let Some(segment) = same else { return Ok(None) };
        // It may have grown while the file was opened.
        let index = segment.index.as_ref().map_or(index, Rc::clone);
        if index.covered() != segment.end {
            return Ok(None);
        }
        let growing = usize::from(state.active().base == base);
        let closed_runs = index.runs().len().saturating_sub(growing);
        let offsets = segment.offsets;
        Ok(Some(Place { segment: base, version, offsets, index, closed_runs, file }))
    }

    /// As [`Log::read`], but only if the bytes are in memory; `None` if the disk is needed.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn read_in_memory(
        &self,
        from: Offset,
        end: Offset,
        bytes_max: u64,
    ) -> Result<Option<Vec<Bytes>>, LogError> {
        self.readable()?;
        self.check_range(from, end)?;
        if from == end {
            return Ok(Some(Vec::new()));
        }
        let state = self.inner.state.borrow();
        let Some(segment) = state.segment_of(from).and_then(|at| state.segments.get(at)) else {
            return Err(self.out_of_range(&state, from));
        };
        let Some(index) = segment.index.as_ref() else { return Ok(None) };
        let Some(run) = index.run_of_offset(from).and_then(|run| index.runs().get(run)) else {
            return Ok(None);
        };
        if run.position < segment.tail.start() {
            return Ok(None);
        }
        let Some(start) = find(segment, run.position, from) else { return Ok(None) };
        let stop = stop(segment, index, start, end, bytes_max);
        Ok(Some(segment.tail.slices_to_read(start, stop)))
    }

    /// How many bytes of batches lie between two offsets: exact where the bytes are in memory, elsewhere to the runs of the
    /// index, and never 0 if a record lies between.
    #[must_use]
    pub fn bytes_between(&self, from: Offset, to: Offset) -> u64 {
        let state = self.inner.state.borrow();
        let at = place_of(&state, from);
        let end = place_of(&state, to);
        if from >= to { 0 } else { end.saturating_sub(at).max(1) }
    }

    /// The base offset of the segment that holds `from`.
    fn check_range(&self, from: Offset, end: Offset) -> Result<Offset, LogError> {
        let state = self.inner.state.borrow();
        let out = || LogError::OffsetOutOfRange { asked: from, start: state.log_start, end };
        if from < state.log_start || from > end {
            return Err(out());
        }
        let segment = state.segment_of(from).and_then(|at| state.segments.get(at));
        segment.map(|segment| segment.base).ok_or_else(out)
    }
}

/// The position of the batch that holds `from`, walking from `position`.
fn find(segment: &Segment, mut position: u64, from: Offset) -> Option<u64> {
    loop {
        let step = Step::of(&segment.tail.array(position)?);
        if step.next > from {
            return Some(position);
        }
        position += step.bytes;
    }
}

/// Where a read from `start` ends: after at least one batch, before `bytes_max` and `end`.
fn stop(segment: &Segment, index: &SegmentIndex, start: u64, end: Offset, bytes_max: u64) -> u64 {
    let limit = start.saturating_add(bytes_max);
    let mut stop = start;
    // Whole runs first: a run begins where the one before ends, and its first offset is that one's last plus one.
    let first = index.runs().partition_point(|run| run.position <= start);
    for run in index.runs().range(first..index.runs().len()) {
        if run.position > limit || index.run_offset(run) > end {
            break;
        }
        stop = run.position;
    }
    while let Some(header) = segment.tail.array(stop) {
        let step = Step::of(&header);
        let first_batch = stop == start;
        if step.next > end || (stop + step.bytes > limit && !first_batch) {
            break;
        }
        stop += step.bytes;
    }
    stop
}

/// The position of an offset's batch counted from the log's first byte.
fn place_of(state: &LogState, offset: Offset) -> u64 {
    let mut before = 0;
    for segment in &state.segments {
        if offset >= segment.next_offset {
            before += segment.end;
            continue;
        }
        let run = segment.index.as_ref().and_then(|index| {
            index.run_of_offset(offset).and_then(|run| index.runs().get(run).copied())
        });
        let run = run.map_or(0, |run| run.position);
        let held = run >= segment.tail.start();
        return before + if held { find(segment, run, offset).unwrap_or(run) } else { run };
    }
    before
}

/// Bytes that a slice of batches has in all.
#[must_use]
pub(crate) fn total(slices: &[Bytes]) -> usize {
    slices.iter().map(Bytes::len).sum()
}

/// The whole batches of `window`, which starts at a batch: from the one that holds `from` on, below `end`, at most `bytes_max`
/// but at least one.
pub(crate) fn cut(window: &Bytes, from: Offset, end: Offset, bytes_max: u64) -> Bytes {
    let header = |at: u64| window.get(index(at)..)?.first_chunk::<HEADER_BYTES>();
    let mut start = 0;
    while let Some(step) = header(start).map(Step::of) {
        if step.next > from {
            break;
        }
        start += step.bytes;
    }
    let mut stop = start;
    while let Some(step) = header(stop).map(Step::of) {
        if step.next > end || (stop + step.bytes - start > bytes_max && stop > start) {
            break;
        }
        stop += step.bytes;
    }
    window.slice(index(start).min(window.len())..index(stop).min(window.len()))
}
