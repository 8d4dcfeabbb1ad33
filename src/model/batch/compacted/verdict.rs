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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::stamp_head;
    use crate::batch_builder::BatchBuilder;
    use crate::ids::LeaderEpoch;

    /// Offsets 10, 11 … of these keys; `None` is a tombstone.
    fn batch(records: &[(&str, Option<&str>)]) -> Bytes {
        let mut builder = BatchBuilder::new();
        for (key, value) in records {
            let value = value.map(str::as_bytes);
            builder.append(TimestampMs::new(5), Some(key.as_bytes()), value, &[]).unwrap();
        }
        let mut bytes = builder.build(Compression::None).unwrap().to_vec();
        let head = {
            let view = BatchView::parse(&bytes).unwrap().0;
            stamp_head(&view, Offset::new(10), LeaderEpoch::new(0))
        };
        bytes[..head.len()].copy_from_slice(&head);
        bytes.into()
    }

    struct Case {
        map: KeyMap,
        map_end: u64,
        now: i64,
    }

    impl Case {
        fn new(newest: &[(&str, u64)], map_end: u64) -> Self {
            let mut map = KeyMap::new((3, 4), 1 << 16);
            for (key, offset) in newest {
                map.note(key.as_bytes(), Offset::new(*offset)).unwrap();
            }
            Self { map, map_end, now: 100 }
        }

        fn judge(&self, bytes: &Bytes) -> (Verdict, Tally) {
            let rules = Rules {
                map: &self.map,
                map_end: Offset::new(self.map_end),
                now: TimestampMs::new(self.now),
                delete_retention_ms: 50,
                keep: &[],
            };
            let mut tally = Tally::default();
            (rules.judge(&BatchView::parse(bytes).unwrap().0, &mut tally), tally)
        }
    }

    fn keys(verdict: &Verdict) -> Vec<(String, u64)> {
        let Verdict::Other(bytes) = verdict else { panic!("{verdict:?}") };
        let view = BatchView::parse(bytes).unwrap().0;
        let records = Records::of(&view).unwrap().map(Result::unwrap);
        let key = |key: Option<&[u8]>| String::from_utf8(key.unwrap().to_vec()).unwrap();
        records.map(|record| (key(record.key), record.offset.get())).collect()
    }

    #[test]
    fn superseded_records_go_and_the_others_stay() {
        let bytes = batch(&[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]);
        let (verdict, tally) = Case::new(&[("b", 11), ("a", 12)], 20).judge(&bytes);
        assert_eq!(keys(&verdict), [("b".to_owned(), 11), ("a".to_owned(), 12)]);
        assert_eq!(tally.records_removed, 1);
        let (verdict, _) = Case::new(&[("b", 15), ("a", 16)], 20).judge(&bytes);
        assert!(matches!(verdict, Verdict::Gone(_)));
        // What the map has not seen supersedes nothing.
        assert_eq!(Case::new(&[], 5).judge(&bytes), (Verdict::Same, Tally::default()));
    }

    #[test]
    fn a_tombstone_gets_its_time_and_goes_when_it_is_over() {
        let bytes = batch(&[("a", None), ("b", Some("1"))]);
        let mut case = Case::new(&[("a", 10), ("b", 11)], 20);
        let Verdict::Other(marked) = case.judge(&bytes).0 else { panic!("not marked") };
        let horizon = BatchView::parse(&marked).unwrap().0.delete_horizon();
        assert_eq!(horizon, Some(TimestampMs::new(150)));
        case.now = 149;
        assert_eq!(case.judge(&marked).0, Verdict::Same);
        case.now = 150;
        let (verdict, tally) = case.judge(&marked);
        assert_eq!(keys(&verdict), [("b".to_owned(), 11)]);
        assert_eq!((tally.records_removed, tally.tombstones_removed), (1, 1));
        // Above the map's end an older value may still be there, so it stays whatever its batch says.
        case.map_end = 10;
        assert_eq!(case.judge(&marked).0, Verdict::Same);
        assert_eq!(case.judge(&bytes).0, Verdict::Same, "and gets no time yet");
    }

    #[test]
    fn records_without_a_key_go_and_unreadable_batches_stay() {
        let mut builder = BatchBuilder::new();
        builder.append(TimestampMs::new(5), None, Some(b"x"), &[]).unwrap();
        let bytes = builder.build(Compression::None).unwrap();
        let case = Case::new(&[], 20);
        let (verdict, tally) = case.judge(&bytes);
        assert!(matches!(verdict, Verdict::Gone(_)));
        assert_eq!((tally.keyless, tally.records_removed), (1, 1));
        let mut builder = BatchBuilder::new();
        builder.append(TimestampMs::new(5), Some(b"a"), Some(&[1; 40]), &[]).unwrap();
        let mut broken = builder.build(Compression::Lz4).unwrap().to_vec();
        let last = broken.len() - 12;
        broken[last..].fill(0xff);
        let (verdict, tally) = case.judge(&broken.into());
        assert_eq!((verdict, tally.unreadable), (Verdict::Same, 1));
    }
}
