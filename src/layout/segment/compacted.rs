//! `compaction.checkpoint`: what compaction has done to a log's segments, and the one change that it may be in the middle of.
//! Pure bytes; written by rename. `schemas/disk/compaction-checkpoint.md` draws the table.

use kolk_model::checksum::crc32c;
use kolk_model::offset::Offset;

use crate::field::{Fields, PutFields, Short};
use crate::segment::scan::Offsets;

const CHECKPOINT_MAGIC: u32 = u32::from_le_bytes(*b"KLKO");
/// Version written, and the newest read.
pub const CHECKPOINT_VERSION: u16 = 1;
/// The file beside a log's segments.
pub const CHECKPOINT_NAME: &str = "compaction.checkpoint";
/// Largest file accepted, in bytes.
pub const CHECKPOINT_BYTES_MAX: usize = 4096;
/// How the name of a segment ends that is to take the place of others.
pub const SWAP_SUFFIX: &str = ".swap";

/// How far compaction of a log has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionPoint {
    /// Below it no key has a record that a later one below it supersedes.
    pub clean_below: Offset,
    /// Segments that start below may have gaps between their batches.
    pub rising_below: Offset,
    /// A change that was decided: a start carries it out where it was not finished.
    pub swap: Option<Swap>,
}

/// One compacted segment in the place of those it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Base offset of the first of them, and of what replaces them.
    pub base: Offset,
    /// Offset after the last of them.
    pub next_offset: Offset,
    /// Length of the new segment.
    pub bytes: u64,
}

/// Why the file can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Torn, truncated or rotten. It is written by rename, so this is never a crash's doing.
    #[error("compaction checkpoint is damaged")]
    Damaged,
    /// Written by a newer kolk.
    #[error("compaction checkpoint has version {found}, newest known {CHECKPOINT_VERSION}")]
    VersionNewer {
        /// Version found.
        found: u16,
    },
}

impl From<Short> for CheckpointError {
    fn from(_: Short) -> Self {
        Self::Damaged
    }
}

impl CompactionPoint {
    /// How the offsets of the segment that starts at `base` follow each other.
    #[must_use]
    pub fn offsets_of(&self, base: Offset) -> Offsets {
        if base < self.rising_below { Offsets::Rising } else { Offsets::Contiguous }
    }

    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let none = Swap { base: Offset::ZERO, next_offset: Offset::ZERO, bytes: 0 };
        let swap = self.swap.unwrap_or(none);
        let mut out = Vec::with_capacity(52);
        out.put_u32(CHECKPOINT_MAGIC);
        out.put_u16(CHECKPOINT_VERSION);
        out.put_u16(u16::from(self.swap.is_some()));
        out.put_u64(self.clean_below.get());
        out.put_u64(self.rising_below.get());
        out.put_u64(swap.base.get());
        out.put_u64(swap.next_offset.get());
        out.put_u64(swap.bytes);
        let checksum = crc32c(&out);
        out.put_u32(checksum);
        out
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn decode(file: &[u8]) -> Result<Self, CheckpointError> {
        let mut fields = Fields::new(file);
        let (magic, version, swaps) = (fields.u32()?, fields.u16()?, fields.u16()?);
        if magic != CHECKPOINT_MAGIC {
            return Err(CheckpointError::Damaged);
        }
        if version > CHECKPOINT_VERSION {
            return Err(CheckpointError::VersionNewer { found: version });
        }
        let (clean_below, rising_below) = (Offset::new(fields.u64()?), Offset::new(fields.u64()?));
        let (base, next_offset) = (Offset::new(fields.u64()?), Offset::new(fields.u64()?));
        let (bytes, checksum) = (fields.u64()?, fields.u32()?);
        let head = file.get(..file.len().saturating_sub(4)).ok_or(Short)?;
        let sound = fields.left() == 0 && crc32c(head) == checksum && swaps <= 1;
        let swap = (swaps == 1).then_some(Swap { base, next_offset, bytes });
        if !sound || swap.is_some_and(|swap| swap.base >= swap.next_offset) {
            return Err(CheckpointError::Damaged);
        }
        Ok(Self { clean_below, rising_below, swap })
    }
}

/// The name of a segment that is to take the place of those from `base` on.
#[must_use]
pub fn swap_name(base: Offset) -> String {
    format!("{:020}{SWAP_SUFFIX}", base.get())
}
