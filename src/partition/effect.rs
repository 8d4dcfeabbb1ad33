//! What a partition tells the floor above: who may be answered. Apart because queues of several kinds
//! produce it.

use kolk_io::time::WallClock;
use kolk_model::offset::Offset;

use crate::error::PartitionError;

/// Names somebody who waits. The floor above chooses it; the partition only hands it back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WaiterId(u64);

impl WaiterId {
    /// Wraps a number.
    #[inline]
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Gives the number back.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// An append's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// The first record's offset.
    pub base_offset: Offset,
    /// The offset after the last record.
    pub next_offset: Offset,
    /// The log start offset.
    pub log_start: Offset,
    /// When the broker appended it; not stored. For a duplicate: when it was recognised.
    pub append_time: WallClock,
    /// Whether the batches were stored already, by an earlier attempt.
    pub duplicate: bool,
}

/// Something that waits no longer.
#[derive(Debug)]
pub enum Effect {
    /// An append is safe at the level it asked for, or never will be.
    Produced {
        /// Who waits.
        waiter: WaiterId,
        /// Its answer.
        result: Result<Produced, PartitionError>,
    },
    /// What a fetch waits for may be there: it must look again. It waits no longer at this partition.
    FetchReady {
        /// Who waits.
        waiter: WaiterId,
    },
}
