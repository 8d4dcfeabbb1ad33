//! What becomes of one batch. Pure: the map of newest offsets and the clock are given.

use bytes::Bytes;

use crate::batch::BatchView;
use crate::batch::compacted::key_map::KeyMap;
use crate::batch::compacted::{Fate, hollow, rebuild};
use crate::batch::records::Records;
use crate::compression::{Compression, decompress};
use crate::limits;
use crate::offset::Offset;
use crate::time::TimestampMs;

/// What a pass decides by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The newest offsets.
    pub map: &'a KeyMap,
    /// The map knows every key's newest record below this offset.
    pub map_end: Offset,
    /// The wall clock.
    pub now: TimestampMs,
    /// How long a tombstone stays after the pass that saw it first.
    pub delete_retention_ms: u64,
    /// Base offsets of batches whose place must stay, sorted.
    pub keep: &'a [Offset],
}

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays as it is.
    Same,
    /// It becomes this one.
    Other(Bytes),
    /// It goes; this one holds its place where that must stay.
    Gone(Bytes),
}

/// What the verdicts of a pass add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that go, tombstones included.
    pub records_removed: u64,
    /// Of those, records without a key, which no compacted topic takes in.
    pub keyless: u64,
    /// Tombstones whose time is over.
    pub tombstones_removed: u64,
    /// Batches whose records can't be read: they stay as they are.
    pub unreadable: u64,
}

impl Tally {
    /// Adds another one.
    pub const fn add(&mut self, other: &Self) {
        self.records_removed += other.records_removed;
        self.keyless += other.keyless;
        self.tombstones_removed += other.tombstones_removed;
        self.unreadable += other.unreadable;
    }
}

/// The records of a batch, unpacked; `None` if they can't be.
#[must_use]
pub fn unpack(view: &BatchView<'_>) -> Option<Bytes> {
    decompress(view, limits::BATCH_DECOMPRESSED_BYTES_MAX).ok()
}

impl Rules<'_> {
    /// Decides about a batch.
    #[must_use]
    pub fn judge(&self, view: &BatchView<'_>, tally: &mut Tally) -> Verdict {
        if view.attributes().is_control() {
            return Verdict::Same;
        }
        if view.record_count() == 0 {
            let same = Bytes::copy_from_slice(view.as_bytes());
            return if self.keeps(view) { Verdict::Same } else { Verdict::Gone(same) };
        }
        let unpacked = match view.compression() {
            Compression::None => None,
            _ => match unpack(view) {
                Some(plain) => Some(plain),
                None => return unreadable(tally),
            },
        };
        let plain = unpacked.as_deref().unwrap_or_else(|| view.records_bytes());
        let mut seen = Seen::default();
        let mut removed = Tally::default();
        for record in Records::of_plain(view, plain) {
            let Ok(record) = record else { return unreadable(tally) };
            let fate = self.fate(view, record.key, (record.offset, record.value), &mut removed);
            seen.note(fate, record.value.is_none() && record.offset < self.map_end);
        }
        let horizon = (seen.tombstones_kept && view.delete_horizon().is_none())
            .then(|| self.now.saturating_forward(self.delete_retention_ms));
        let verdict = if seen.kept == 0 {
            Verdict::Gone(hollow(view))
        } else if seen.kept == seen.fates.len() && horizon.is_none() {
            return Verdict::Same;
        } else {
            match rebuild(view, plain, &seen.fates, horizon) {
                Ok(batch) => Verdict::Other(batch),
                Err(_) => return unreadable(tally),
            }
        };
        tally.add(&removed);
        match verdict {
            Verdict::Gone(place) if self.keeps(view) => Verdict::Other(place),
            verdict => verdict,
        }
    }

    fn keeps(&self, view: &BatchView<'_>) -> bool {
        self.keep.binary_search(&view.base_offset()).is_ok()
    }

    fn fate(
        &self,
        view: &BatchView<'_>,
        key: Option<&[u8]>,
        (offset, value): (Offset, Option<&[u8]>),
        removed: &mut Tally,
    ) -> Fate {
        let Some(key) = key else {
            removed.keyless += 1;
            removed.records_removed += 1;
            return Fate::Drop;
        };
        if self.map.newest(key).is_some_and(|newest| newest > offset) {
            removed.records_removed += 1;
            return Fate::Drop;
        }
        // Above the map's end an older value of the key may still be there: without its tombstone it would come back.
        let over = view.delete_horizon().is_some_and(|horizon| self.now >= horizon);
        if value.is_none() && over && offset < self.map_end {
            removed.tombstones_removed += 1;
            removed.records_removed += 1;
            return Fate::Drop;
        }
        Fate::Keep
    }
}

/// The fates of a batch's records, in order.
#[derive(Default)]
struct Seen {
    fates: Vec<Fate>,
    kept: usize,
    tombstones_kept: bool,
}

impl Seen {
    fn note(&mut self, fate: Fate, tombstone: bool) {
        self.fates.push(fate);
        if fate == Fate::Keep {
            self.kept += 1;
            self.tombstones_kept |= tombstone;
        }
    }
}

fn unreadable(tally: &mut Tally) -> Verdict {
    tally.unreadable += 1;
    Verdict::Same
}
