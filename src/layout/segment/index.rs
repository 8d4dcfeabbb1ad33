//! The sparse index of one segment: offset and time to position, and a checksum over the head bytes that a batch's own CRC
//! does not cover. Pure; grown by appends, rebuilt by a scan, kept beside the segment. `schemas/disk/index.md`.

use kolk_model::batch::HEAD_BYTES;
use kolk_model::checksum::{crc32c, crc32c_append};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::field::{Fields, PutFields, Short, bytes, bytes32, index};
use crate::segment::runs::Runs;

const INDEX_MAGIC: u32 = u32::from_le_bytes(*b"KLKI");
/// Version written, and the newest read.
pub const INDEX_VERSION: u16 = 1;
const INDEX_HEADER_BYTES: usize = 48;
/// Bytes of one entry.
pub const INDEX_ENTRY_BYTES: usize = 32;

/// A run of whole batches, the unit that one entry speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Position of its first byte in the segment.
    pub position: u64,
    /// Its length in bytes.
    pub bytes: u32,
    /// First offset, counted from the segment's base offset.
    pub offset_delta: u32,
    /// Greatest timestamp of this run and every run before it.
    pub max_timestamp: TimestampMs,
    /// CRC-32C over the head bytes of its batches, one after another.
    pub heads_checksum: u32,
    /// How many batches it has.
    pub batch_count: u32,
}

impl Run {
    /// Position after its last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.position + u64::from(self.bytes)
    }
}

/// What the index learns of one batch.
#[derive(Clone, Copy, Debug)]
pub struct IndexedBatch<'a> {
    /// The batch's first bytes as they stand on disk.
    pub head: &'a [u8; HEAD_BYTES],
    /// Length of the whole batch.
    pub bytes: u32,
    /// Its first offset.
    pub base_offset: Offset,
    /// Its greatest timestamp.
    pub max_timestamp: TimestampMs,
}

/// The index of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentIndex {
    base: Offset,
    interval_bytes: u32,
    runs: Runs,
    next_offset: Offset,
}

/// Why an index file can't be used; the segment is scanned instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// Torn, rotten, or of another segment.
    #[error("index is damaged")]
    Damaged,
    /// Written by a newer kolk.
    #[error("index version {found}, newest known {INDEX_VERSION}")]
    VersionNewer {
        /// Version found.
        found: u16,
    },
}

impl From<Short> for IndexError {
    fn from(_: Short) -> Self {
        Self::Damaged
    }
}

impl SegmentIndex {
    /// An index of an empty segment that starts at `base`; a run closes once it has `interval_bytes`.
    #[must_use]
    pub const fn new(base: Offset, interval_bytes: u32) -> Self {
        Self { base, interval_bytes, runs: Runs::new(), next_offset: base }
    }

    /// Learns the next batch of the segment; `next_offset` is the one after its last record.
    pub fn push(&mut self, batch: &IndexedBatch<'_>, next_offset: Offset) {
        let position = self.covered();
        let interval = self.interval_bytes;
        let earlier = self.runs.last().map_or(TimestampMs::new(i64::MIN), |run| run.max_timestamp);
        let max_timestamp = earlier.max(batch.max_timestamp);
        match self.runs.last_mut().filter(|run| run.bytes < interval) {
            Some(run) => {
                run.bytes += batch.bytes;
                run.heads_checksum = crc32c_append(run.heads_checksum, batch.head);
                run.batch_count += 1;
                run.max_timestamp = max_timestamp;
            }
            None => self.runs.push(Run {
                position,
                bytes: batch.bytes,
                offset_delta: bytes32(index(batch.base_offset.count_since(self.base))),
                max_timestamp,
                heads_checksum: crc32c(batch.head),
                batch_count: 1,
            }),
        }
        self.next_offset = next_offset;
    }

    /// Position after the last batch learnt.
    #[must_use]
    pub fn covered(&self) -> u64 {
        self.runs.last().map_or(0, Run::end)
    }

    /// Offset after the last record learnt.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// The segment's base offset.
    #[must_use]
    pub const fn base(&self) -> Offset {
        self.base
    }

    /// Bytes from which a run is closed.
    #[must_use]
    pub const fn interval_bytes(&self) -> u32 {
        self.interval_bytes
    }

    /// All runs, in order.
    #[must_use]
    pub const fn runs(&self) -> &Runs {
        &self.runs
    }

    /// A copy that speaks only for the whole runs below `limit`, the last one left out: it may still grow.
    #[must_use]
    pub fn upto(&self, limit: u64) -> Self {
        let closed = self.runs.len().saturating_sub(1);
        let kept = self.runs.partition_point(|run| run.end() <= limit).min(closed);
        let next_offset = self.runs.get(kept).map_or(self.next_offset, |run| self.run_offset(run));
        let runs = self.runs.first(kept);
        Self { base: self.base, interval_bytes: self.interval_bytes, runs, next_offset }
    }

    /// Number of the run that holds `offset`, which must lie in the segment; `None` for an empty index or a smaller offset.
    #[must_use]
    pub fn run_of_offset(&self, offset: Offset) -> Option<usize> {
        let delta = offset.count_since(self.base);
        let after = self.runs.partition_point(|run| u64::from(run.offset_delta) <= delta);
        // Compaction may have taken the segment's first batches: what comes next is in its first run.
        let found = after.saturating_sub(1);
        (offset >= self.base && found < self.runs.len()).then_some(found)
    }

    /// Number of the first run with a record at or after `time`.
    #[must_use]
    pub fn run_of_time(&self, time: TimestampMs) -> Option<usize> {
        let at = self.runs.partition_point(|run| run.max_timestamp < time);
        (at < self.runs.len()).then_some(at)
    }

    /// First offset of a run.
    #[must_use]
    pub fn run_offset(&self, run: &Run) -> Offset {
        self.base + u64::from(run.offset_delta)
    }

    /// Greatest timestamp in the segment, `None` when empty.
    #[must_use]
    pub fn max_timestamp(&self) -> Option<TimestampMs> {
        self.runs.last().map(|run| run.max_timestamp)
    }

    /// The index file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut entries = Vec::with_capacity(self.runs.len() * INDEX_ENTRY_BYTES);
        for run in self.runs.iter() {
            entries.put_u64(run.position);
            entries.put_u32(run.bytes);
            entries.put_u32(run.offset_delta);
            entries.put_i64(run.max_timestamp.get());
            entries.put_u32(run.heads_checksum);
            entries.put_u32(run.batch_count);
        }
        let mut out = Vec::with_capacity(INDEX_HEADER_BYTES + entries.len());
        out.put_u32(INDEX_MAGIC);
        out.put_u16(INDEX_VERSION);
        out.put_u16(0);
        out.put_u64(self.base.get());
        out.put_u64(self.next_offset.get());
        out.put_u64(bytes(self.runs.len()));
        out.put_u32(self.interval_bytes);
        out.put_u32(crc32c(&entries));
        out.put_u32(0);
        let checksum = crc32c(&out);
        out.put_u32(checksum);
        assert_eq!(out.len(), INDEX_HEADER_BYTES, "the header has one length");
        out.put(&entries);
        out
    }

    /// Reads an index file.
    ///
    /// # Errors
    /// [`IndexError`]; the caller scans the segment and writes a fresh file.
    pub fn decode(base: Offset, file: &[u8]) -> Result<Self, IndexError> {
        let mut fields = Fields::new(file);
        let (magic, version, _reserved) = (fields.u32()?, fields.u16()?, fields.u16()?);
        let (found_base, next_offset, count) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (interval_bytes, entries_checksum) = (fields.u32()?, fields.u32()?);
        let (_reserved, checksum) = (fields.u32()?, fields.u32()?);
        let head = file.get(..INDEX_HEADER_BYTES - 4).ok_or(Short)?;
        if magic != INDEX_MAGIC || crc32c(head) != checksum || found_base != base.get() {
            return Err(IndexError::Damaged);
        }
        if version > INDEX_VERSION {
            return Err(IndexError::VersionNewer { found: version });
        }
        let entries = file.get(INDEX_HEADER_BYTES..).ok_or(Short)?;
        let whole = bytes(entries.len()) == count.saturating_mul(bytes(INDEX_ENTRY_BYTES));
        if !whole || crc32c(entries) != entries_checksum {
            return Err(IndexError::Damaged);
        }
        let mut runs = Runs::new();
        while fields.left() > 0 {
            let run = Run {
                position: fields.u64()?,
                bytes: fields.u32()?,
                offset_delta: fields.u32()?,
                max_timestamp: TimestampMs::new(fields.i64()?),
                heads_checksum: fields.u32()?,
                batch_count: fields.u32()?,
            };
            if run.position != runs.last().map_or(0, Run::end) || run.batch_count == 0 {
                return Err(IndexError::Damaged);
            }
            runs.push(run);
        }
        Ok(Self { base, interval_bytes, runs, next_offset: Offset::new(next_offset) })
    }
}
