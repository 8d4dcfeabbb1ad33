//! Walking the batches of a segment and checking each: contiguous (after compaction rising) offsets, whole, CRC right, epochs that never fall. Pure.

use kolk_model::batch::{BatchError, BatchView};
use kolk_model::ids::LeaderEpoch;
use kolk_model::offset::{FilePosition, Offset};

use crate::field::{bytes, bytes32};
use crate::journal::snapshot::EpochStart;
use crate::segment::index::IndexedBatch;

/// What is wrong with a segment's bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The bytes at `position` are no batch, or its CRC does not match.
    #[error("{reason}")]
    Batch {
        /// Where the batch starts.
        position: FilePosition,
        /// What the batch view says.
        reason: BatchError,
    },
    /// The batch does not continue the one before.
    #[error("base offset {found}, expected {expected}")]
    Offset {
        /// Where the batch starts.
        position: FilePosition,
        /// What it says.
        found: Offset,
        /// The offset after the last record before it.
        expected: Offset,
    },
    /// The leader epoch fell.
    #[error("leader epoch {found:?} after {before}")]
    Epoch {
        /// Where the batch starts.
        position: FilePosition,
        /// What it says.
        found: Option<LeaderEpoch>,
        /// Epoch of the batch before.
        before: LeaderEpoch,
    },
    /// The leader epoch is not that in which the log took this offset.
    #[error("leader epoch {found:?}, the log took the offset in {expected}")]
    EpochElsewhere {
        /// Where the batch starts.
        position: FilePosition,
        /// What it says.
        found: Option<LeaderEpoch>,
        /// What journal and snapshot say.
        expected: LeaderEpoch,
    },
    /// The segment ends inside a batch.
    #[error("the segment ends inside a batch")]
    Truncated {
        /// Where the batch starts.
        position: FilePosition,
    },
}

impl ScanError {
    /// Where the damaged batch starts.
    #[must_use]
    pub const fn position(&self) -> FilePosition {
        match self {
            Self::Batch { position, .. }
            | Self::Offset { position, .. }
            | Self::Epoch { position, .. }
            | Self::EpochElsewhere { position, .. }
            | Self::Truncated { position } => *position,
        }
    }
}

/// How far a piece of a segment was scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// So many bytes were whole batches; the rest of the piece is the beginning of one.
    Consumed(u64),
}

/// How the offsets of a segment's batches follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offsets {
    /// Each batch begins where the one before ends.
    #[default]
    Contiguous,
    /// Compaction may have taken batches out between.
    Rising,
}

/// The state of a scan between two pieces.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    position: u64,
    next_offset: Offset,
    epoch: LeaderEpoch,
    offsets: Offsets,
    epochs: &'a [EpochStart],
}

impl<'a> Scan<'a> {
    /// Starts at a batch boundary where `next_offset` is expected.
    #[must_use]
    pub const fn new(position: u64, next_offset: Offset) -> Self {
        let offsets = Offsets::Contiguous;
        Self { position, next_offset, epoch: LeaderEpoch::new(0), offsets, epochs: &[] }
    }

    /// The same in a log that took its records in these epochs, oldest first. A batch's own checksum does not cover its epoch:
    /// where no index does either, this is what an epoch is checked against.
    #[must_use]
    pub const fn with_epochs(self, epochs: &'a [EpochStart]) -> Self {
        Self { epochs, ..self }
    }

    /// The same in a segment whose offsets follow each other so.
    #[must_use]
    pub const fn with_offsets(self, offsets: Offsets) -> Self {
        Self { offsets, ..self }
    }

    /// Offset after the last batch scanned.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// Position after the last batch scanned.
    #[must_use]
    pub const fn position(&self) -> FilePosition {
        FilePosition::new(self.position)
    }

    /// Scans the whole batches at the start of `piece`, which continues where the last call ended.
    ///
    /// # Errors
    /// [`ScanError`]; nothing after it can be trusted.
    pub fn batches(
        &mut self,
        piece: &[u8],
        mut seen: impl FnMut(&IndexedBatch<'_>, Offset),
    ) -> Result<Scanned, ScanError> {
        let mut rest = piece;
        let mut consumed = 0;
        while !rest.is_empty() {
            let position = FilePosition::new(self.position);
            let (batch, len) = match BatchView::parse(rest) {
                Ok(found) => found,
                Err(BatchError::Truncated { .. }) => break,
                Err(reason) => return Err(ScanError::Batch { position, reason }),
            };
            self.check(&batch)?;
            let next = batch.next_offset();
            let head = batch.head();
            let indexed = IndexedBatch {
                head: &head,
                bytes: bytes32(len),
                base_offset: batch.base_offset(),
                max_timestamp: batch.max_timestamp(),
            };
            seen(&indexed, next);
            self.next_offset = next;
            self.position += bytes(len);
            consumed += bytes(len);
            rest = rest.get(len..).unwrap_or_default();
        }
        Ok(Scanned::Consumed(consumed))
    }

    fn check(&mut self, batch: &BatchView<'_>) -> Result<(), ScanError> {
        let position = FilePosition::new(self.position);
        let follows = match self.offsets {
            Offsets::Contiguous => batch.base_offset() == self.next_offset,
            Offsets::Rising => batch.base_offset() >= self.next_offset,
        };
        if !follows {
            let (found, expected) = (batch.base_offset(), self.next_offset);
            return Err(ScanError::Offset { position, found, expected });
        }
        match batch.leader_epoch() {
            Some(epoch) if epoch >= self.epoch => self.epoch = epoch,
            found => return Err(ScanError::Epoch { position, found, before: self.epoch }),
        }
        let begun = self.epochs.partition_point(|epoch| epoch.start <= batch.base_offset());
        let taken_in = begun.checked_sub(1).and_then(|last| self.epochs.get(last));
        if let Some(expected) = taken_in.map(|taken_in| taken_in.epoch)
            && expected != self.epoch
        {
            let found = batch.leader_epoch();
            return Err(ScanError::EpochElsewhere { position, found, expected });
        }
        batch.verify_crc().map_err(|reason| ScanError::Batch { position, reason })
    }
}
