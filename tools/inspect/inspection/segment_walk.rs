//! One pass over a segment's batches: each is checked, counted, compared with the index and shown to whoever
//! watches. Apart because single files and whole directories walk segments alike.

use std::io;

use kolk_layout::field::{bytes, index};
use kolk_layout::journal::snapshot::EpochStart;
use kolk_layout::segment::index::{IndexedBatch, SegmentIndex};
use kolk_layout::segment::scan::{Offsets, Scan, ScanError, Scanned};
use kolk_model::batch::BatchView;
use kolk_model::checksum::crc32c_append;
use kolk_model::offset::{FilePosition, Offset};

use crate::inspection::content::{Content, ReadFault};
use crate::watch::{FoundBatch, Watch};

/// Bytes read at a time; a larger batch is read as a whole.
const WINDOW_BYTES: u64 = 1 << 20;

/// Where a segment stands and how far it goes.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The topic's name.
    pub(crate) topic: &'a str,
    /// The partition's number.
    pub(crate) partition: u32,
    /// Its base offset.
    pub(crate) base: Offset,
    /// Position after its last batch.
    pub(crate) end: u64,
    /// Whether compaction may have left gaps in it.
    pub(crate) offsets: Offsets,
    /// The leader epochs of its log, as far as they are known.
    pub(crate) epochs: &'a [EpochStart],
}

/// What a pass found.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) batches: u64,
    pub(crate) records: u64,
    pub(crate) next_offset: Offset,
    pub(crate) max_timestamp: Option<i64>,
    /// What the index says that the segment does not.
    pub(crate) index_fault: Option<String>,
}

/// Why a pass ended early.
#[derive(Debug)]
pub(crate) enum WalkFault {
    /// The segment is damaged here.
    Segment(u64, String),
    /// A batch could not be shown.
    Output(io::Error),
}

impl From<ReadFault> for WalkFault {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Missing(position) => {
                Self::Segment(position, "the segment is shorter than its log".to_owned())
            }
            ReadFault::Disk(position, error) => {
                Self::Segment(position, format!("the disk can't read it: {error}"))
            }
        }
    }
}

impl From<ScanError> for WalkFault {
    fn from(error: ScanError) -> Self {
        Self::Segment(error.position().get(), error.to_string())
    }
}

/// Walks the batches below `place.end`.
pub(crate) fn walk(
    content: &Content<'_>,
    place: Place<'_>,
    index_file: Option<&SegmentIndex>,
    watch: &mut dyn Watch,
) -> Result<Walked, WalkFault> {
    let mut scan = Scan::new(0, place.base).with_offsets(place.offsets).with_epochs(place.epochs);
    let mut pass = Pass::new(place, index_file);
    let mut window = Vec::new();
    let mut wanted = WINDOW_BYTES;
    let mut position = 0;
    while position < place.end {
        let to = position.saturating_add(wanted).min(place.end);
        content.read(position, to, &mut window)?;
        let scanned = scan.batches(&window, |batch, next| {
            let at = index(pass.position - position);
            pass.batch(batch, next, window.get(at..).unwrap_or_default(), watch);
        });
        if let Some(fault) = pass.fault.take() {
            return Err(fault);
        }
        let Scanned::Consumed(consumed) = scanned?;
        if consumed == 0 && to == place.end {
            return Err(ScanError::Truncated { position: FilePosition::new(position) }.into());
        }
        watch.bytes_read(consumed);
        wanted = if consumed == 0 { wanted.saturating_mul(4) } else { WINDOW_BYTES };
        position += consumed;
    }
    Ok(pass.finish())
}

/// What a pass knows between two batches.
struct Pass<'a> {
    place: Place<'a>,
    position: u64,
    counted: Walked,
    /// The runs of the index that were not compared yet.
    runs: Runs<'a>,
    fault: Option<WalkFault>,
}

impl<'a> Pass<'a> {
    fn new(place: Place<'a>, index: Option<&'a SegmentIndex>) -> Self {
        let counted = Walked {
            batches: 0,
            records: 0,
            next_offset: place.base,
            max_timestamp: None,
            index_fault: None,
        };
        Self { place, position: 0, counted, runs: Runs::new(index), fault: None }
    }

    fn batch(
        &mut self,
        batch: &IndexedBatch<'_>,
        next: Offset,
        rest: &[u8],
        watch: &mut dyn Watch,
    ) {
        let position = self.position;
        self.position += u64::from(batch.bytes);
        if self.fault.is_some() {
            return;
        }
        let max = self.counted.max_timestamp.unwrap_or(i64::MIN).max(batch.max_timestamp.get());
        self.counted.max_timestamp = Some(max);
        self.counted.batches += 1;
        self.counted.next_offset = next;
        match self.runs.batch(batch, position, max) {
            Ok(()) => {}
            Err(RunFault::Heads(position)) => {
                let reason = "head bytes do not match the index's checksum over them";
                self.fault = Some(WalkFault::Segment(position, reason.to_owned()));
                return;
            }
            Err(RunFault::Index(reason)) => {
                self.counted.index_fault = Some(reason);
                self.runs = Runs::new(None);
            }
        }
        // The scan has just parsed it, so it parses.
        let Ok((view, _)) = BatchView::parse(rest) else { return };
        self.counted.records += u64::from(view.record_count());
        if watch.wants_batches() {
            let Place { topic, partition, base, .. } = self.place;
            let found = FoundBatch { topic, partition, segment: base.get(), position, view };
            self.fault = watch.batch(&found).err().map(WalkFault::Output);
        }
    }

    fn finish(mut self) -> Walked {
        if let Some(fault) = self.runs.unfinished(self.place.end) {
            self.counted.index_fault = Some(fault);
        }
        self.counted
    }
}

/// What does not fit between index and segment.
enum RunFault {
    /// The index is at fault.
    Index(String),
    /// The head bytes of the run at this position are.
    Heads(u64),
}

/// Compares an index with the batches it speaks of. Its checksums cover the head bytes of each batch, which the batch's
/// own do not.
struct Runs<'a> {
    index: Option<&'a SegmentIndex>,
    next: usize,
    heads_checksum: u32,
    batch_count: u32,
    /// Whether the run at hand begins at another offset than the index tells.
    offset_differs: bool,
}

impl<'a> Runs<'a> {
    const fn new(index: Option<&'a SegmentIndex>) -> Self {
        Self { index, next: 0, heads_checksum: 0, batch_count: 0, offset_differs: false }
    }

    fn batch(
        &mut self,
        batch: &IndexedBatch<'_>,
        position: u64,
        max_timestamp: i64,
    ) -> Result<(), RunFault> {
        let Some((index, run)) = self.index.and_then(|i| Some((i, i.runs().get(self.next)?)))
        else {
            return Ok(());
        };
        if position == run.position {
            self.heads_checksum = 0;
            self.batch_count = 0;
            self.offset_differs = index.run_offset(run) != batch.base_offset;
        }
        self.heads_checksum = crc32c_append(self.heads_checksum, batch.head);
        self.batch_count += 1;
        let end = position + u64::from(batch.bytes);
        if end > run.end() {
            return Err(contradicts(position, "another batch boundary"));
        }
        if end < run.end() {
            return Ok(());
        }
        self.next += 1;
        if self.batch_count != run.batch_count {
            return Err(contradicts(run.position, "another number of batches"));
        }
        if max_timestamp != run.max_timestamp.get() {
            return Err(contradicts(run.position, "another timestamp"));
        }
        if self.heads_checksum != run.heads_checksum {
            return Err(RunFault::Heads(run.position));
        }
        // Where compaction left gaps, nothing but the checksum over the heads tells whose the wrong offset is.
        if self.offset_differs {
            return Err(contradicts(run.position, "another offset"));
        }
        Ok(())
    }

    /// What is wrong with the index if the segment ends at `end`.
    fn unfinished(&self, end: u64) -> Option<String> {
        let index = self.index?;
        let beyond = index.covered() > end || self.next < index.runs().len();
        beyond.then(|| index_tells("bytes beyond the segment's end", end))
    }
}

fn contradicts(position: u64, what: &str) -> RunFault {
    RunFault::Index(index_tells(what, position))
}

fn index_tells(what: &str, position: u64) -> String {
    format!("the index tells of {what} at position {position}")
}

/// How far zeros reach from `from` on: the position of the first other byte, or `None` if there is none.
pub(crate) fn first_nonzero(content: &Content<'_>, from: u64) -> Result<Option<u64>, ReadFault> {
    let end = content.file_bytes();
    let mut window = Vec::new();
    let mut position = from;
    while position < end {
        let to = position.saturating_add(WINDOW_BYTES).min(end);
        content.read(position, to, &mut window)?;
        if let Some(at) = window.iter().position(|byte| *byte != 0) {
            return Ok(Some(position + bytes(at)));
        }
        position = to;
    }
    Ok(None)
}
