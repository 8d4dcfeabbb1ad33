//! When a partition's producers are saved: the state is taken at the log's end and handed out once the log
//! is durable up to there, so that a snapshot never speaks of records a power cut can take away.

use kolk_io::door::Io;
use kolk_io::time::Monotonic;
use kolk_log::log::Log;
use kolk_model::ids::LeaderEpoch;
use kolk_model::offset::Offset;

use crate::producer_snapshot::{SnapshotPoint, encode};
use crate::producers::Producers;

/// The file beside a log's segments.
pub const SNAPSHOT_NAME: &str = "producer.snapshot";

/// How far the producers were saved.
#[derive(Debug, Default)]
pub(crate) struct Saving {
    /// A file on disk speaks of the producers below this offset.
    saved: Offset,
    /// When the last one was saved; without one, when there was first something to save. Were a first one due at once, a broker with
    /// many partitions would make as many files, with two syncs each, in the seconds after the first records.
    aging_since: Option<Monotonic>,
    /// Taken, and not durable in the log yet.
    taken: Option<TakenSnapshot>,
    /// The file is a newer kolk's and must stay.
    foreign: bool,
}

/// A snapshot that may be written now, as [`SNAPSHOT_NAME`] beside the log's segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenSnapshot {
    /// The file's content.
    pub bytes: Vec<u8>,
    /// What it speaks of.
    pub offset: Offset,
}

/// When a snapshot is worth its two syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveWhen {
    /// When so many bytes were appended since the last one, or so many nanoseconds have passed and anything was.
    Due {
        /// Bytes of log that a start would have to read again.
        bytes_min: u64,
        /// Nanoseconds since the last one, or without one since records were first seen.
        age_ns_min: u64,
        /// The time.
        now: Monotonic,
    },
    /// When so many bytes were appended since the last one: the broker stops.
    Stopping {
        /// Bytes of log that a start would have to read again.
        bytes_min: u64,
    },
}

impl Saving {
    /// Takes the producers' state if that is due, and gives it once it is safe. Asks the log to become
    /// durable where it is not.
    pub(crate) fn take<I: Io>(
        &mut self,
        log: &Log<I>,
        producers: &Producers,
        when: SaveWhen,
    ) -> Option<TakenSnapshot> {
        if self.foreign {
            return None;
        }
        let end = log.log_end();
        if self.taken.is_none() && end > self.saved && self.is_due(log, when) {
            let epoch = epoch_before(log, end).unwrap_or_else(|| log.epoch());
            let point = SnapshotPoint { partition: log.id(), offset: end, epoch };
            let bytes = encode(&point, producers);
            self.taken = Some(TakenSnapshot { bytes, offset: end });
        }
        let taken = self.taken.take()?;
        if taken.offset > log.durable() {
            log.request_sync();
            self.taken = Some(taken);
            return None;
        }
        Some(taken)
    }

    /// A snapshot is on disk.
    pub(crate) fn note_saved(&mut self, offset: Offset, now: Monotonic) {
        self.saved = self.saved.max(offset);
        self.aging_since = Some(now);
    }

    /// The file on disk was written by a newer kolk: nothing is saved in its place.
    pub(crate) const fn leave_alone(&mut self) {
        self.foreign = true;
    }

    /// Bytes of log that no snapshot speaks of.
    fn bytes_new<I: Io>(&self, log: &Log<I>) -> u64 {
        log.bytes_between(self.saved.max(log.log_start()), log.log_end())
    }

    fn is_due<I: Io>(&mut self, log: &Log<I>, when: SaveWhen) -> bool {
        match when {
            SaveWhen::Stopping { bytes_min } => self.bytes_new(log) >= bytes_min,
            SaveWhen::Due { bytes_min, age_ns_min, now } => {
                let since = *self.aging_since.get_or_insert(now);
                let aged = now.as_ns().saturating_sub(since.as_ns()) >= age_ns_min;
                aged || self.bytes_new(log) >= bytes_min
            }
        }
    }
}

/// The leader epoch of the batch before `offset`; `None` if the log does not know it any more.
pub(crate) fn epoch_before<I: Io>(log: &Log<I>, offset: Offset) -> Option<LeaderEpoch> {
    log.epochs().iter().rev().find(|entry| entry.start < offset).map(|entry| entry.epoch)
}
