//! What the broker has acknowledged, kept outside of it, and the judgement of what it gives back:
//! every acknowledged record is there, at its offset, in order, once.

use std::collections::BTreeMap;
use std::fmt;

/// One producer's way into one partition: its records are numbered from 0 without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    /// Place in the list of topics.
    pub(crate) topic: u32,
    /// The partition's number.
    pub(crate) partition: u32,
    /// The producer's number in this test.
    pub(crate) producer: u32,
}

/// What stands in a record's value before its filling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Whose record it is.
    pub(crate) lane: Lane,
    /// Its number in the lane.
    pub(crate) number: u64,
}

impl Stamp {
    /// The value: readable, then filled to `bytes` with what follows from the number.
    pub(crate) fn value(self, bytes: usize) -> Vec<u8> {
        let mut value = self.to_string().into_bytes();
        let filling = self.filling();
        while value.len() < bytes {
            value.push(filling);
        }
        value
    }

    /// Reads a value back; `None` where even one byte of the filling is another.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let end = value.iter().position(|byte| *byte == b';')? + 1;
        let (head, filling) = value.split_at(end);
        let mut numbers = std::str::from_utf8(head).ok()?.strip_suffix(';')?.split('/');
        let mut small = || numbers.next()?.parse().ok();
        let lane = Lane { topic: small()?, partition: small()?, producer: small()? };
        let stamp = Self { lane, number: numbers.next()?.parse().ok()? };
        filling.iter().all(|byte| *byte == stamp.filling()).then_some(stamp)
    }

    /// The key where records have one: a few of each producer, again and again.
    pub(crate) fn key(self) -> String {
        /// Keys of one lane.
        const KEYS: u64 = 20;
        format!("{}/{}", self.lane.producer, self.number % KEYS)
    }

    fn filling(self) -> u8 {
        b'a' + u8::try_from(self.number % 26).expect("below 26")
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lane { topic, partition, producer } = self.lane;
        write!(f, "{topic}/{partition}/{producer}/{};", self.number)
    }
}

/// What a topic's cleanup policy may take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing.
    All,
    /// Records below the log start, as long as so many bytes of values stay.
    Newest {
        /// Below it retention had no reason to delete.
        value_bytes_min: u64,
    },
    /// A record whose key has a later one.
    NewestOfKey,
}

/// What a reader got of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Offsets and stamps, as they came.
    pub(crate) records: Vec<(u64, Stamp)>,
    /// Bytes of all values.
    pub(crate) value_bytes: u64,
}

/// Acknowledgements of all lanes, and what each partition held when it was last looked at.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Offset of each acknowledged number; `None` where the reply waited for nothing and so
    /// promised nothing.
    acked: BTreeMap<Lane, BTreeMap<u64, u64>>,
    /// Records a reader has seen, by (topic, partition): they may not change any more.
    seen: BTreeMap<(u32, u32), BTreeMap<u64, Stamp>>,
}

impl Ledger {
    /// Takes down that a record was acknowledged at an offset.
    pub(crate) fn acknowledged(&mut self, stamp: Stamp, offset: u64) {
        let before = self.acked.entry(stamp.lane).or_default().insert(stamp.number, offset);
        assert_eq!(before, None, "{stamp} was acknowledged twice");
    }

    /// How many records were acknowledged.
    pub(crate) fn count(&self) -> usize {
        self.acked.values().map(BTreeMap::len).sum()
    }

    /// Judges what a partition gives back from its beginning on; on success that is from now on what
    /// it has to give back.
    pub(crate) fn judge(
        &mut self,
        (topic, partition): (u32, u32),
        keep: Keep,
        found: &Found,
    ) -> Result<(), String> {
        let told = |fault: String| format!("topic {topic} partition {partition} {fault}");
        check_order((topic, partition), keep, &found.records).map_err(told)?;
        let kept = Kept::of(keep, found);
        let seen = self.seen.entry((topic, partition)).or_default();
        for (offset, stamp) in seen.iter() {
            kept.check(*offset, *stamp).map_err(|fault| told(format!("{fault}; it was read")))?;
        }
        let lanes = self
            .acked
            .iter()
            .filter(|(lane, _)| (lane.topic, lane.partition) == (topic, partition));
        for (lane, numbers) in lanes {
            for (number, offset) in numbers {
                let wanted = Stamp { lane: *lane, number: *number };
                kept.check(*offset, wanted)
                    .map_err(|fault| told(format!("{fault}; it was acknowledged")))?;
            }
        }
        *seen = found.records.iter().copied().collect();
        Ok(())
    }
}

/// Offsets follow each other as the policy lets them, and every lane's numbers rise.
fn check_order(
    (topic, partition): (u32, u32),
    keep: Keep,
    records: &[(u64, Stamp)],
) -> Result<(), String> {
    let mut last: BTreeMap<Lane, u64> = BTreeMap::new();
    let mut expected = match (keep, records.first()) {
        (Keep::Newest { .. }, Some((first, _))) => *first,
        _ => 0,
    };
    for (offset, stamp) in records {
        let follows = match keep {
            Keep::All | Keep::Newest { .. } => *offset == expected,
            Keep::NewestOfKey => *offset >= expected,
        };
        if !follows {
            return Err(format!("offset {offset} came, expected {expected}"));
        }
        expected = offset + 1;
        if (stamp.lane.topic, stamp.lane.partition) != (topic, partition) {
            return Err(format!("offset {offset}: a stranger's record {stamp}"));
        }
        if let Some(before) = last.insert(stamp.lane, stamp.number)
            && before >= stamp.number
        {
            return Err(format!("offset {offset}: {stamp} came after number {before}"));
        }
    }
    Ok(())
}

/// What was found, prepared for many questions.
struct Kept {
    keep: Keep,
    by_offset: BTreeMap<u64, Stamp>,
    /// Where the newest record of each key stands.
    newest: BTreeMap<String, u64>,
    /// Below it records may be gone.
    start: u64,
}

impl Kept {
    fn of(keep: Keep, found: &Found) -> Self {
        let by_offset: BTreeMap<u64, Stamp> = found.records.iter().copied().collect();
        let newest = match keep {
            Keep::NewestOfKey => by_offset.iter().map(|(at, stamp)| (stamp.key(), *at)).collect(),
            Keep::All | Keep::Newest { .. } => BTreeMap::new(),
        };
        let start = match keep {
            Keep::Newest { value_bytes_min } if found.value_bytes >= value_bytes_min => {
                by_offset.keys().next().copied().unwrap_or(0)
            }
            _ => 0,
        };
        Self { keep, by_offset, newest, start }
    }

    /// A record that was at an offset once is there, or rightly gone.
    fn check(&self, offset: u64, wanted: Stamp) -> Result<(), String> {
        match self.by_offset.get(&offset) {
            Some(found) if *found == wanted => Ok(()),
            Some(found) => Err(format!("offset {offset}: {found} in the place of {wanted}")),
            None if offset < self.start => Ok(()),
            None if self.keep == Keep::NewestOfKey
                && self.newest.get(&wanted.key()).is_some_and(|newest| *newest > offset) =>
            {
                Ok(())
            }
            None => Err(format!("offset {offset}: {wanted} is gone")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(producer: u32, number: u64) -> Stamp {
        Stamp { lane: Lane { topic: 0, partition: 0, producer }, number }
    }

    /// Records with these offsets and numbers of producer 0.
    fn found(records: &[(u64, u64)]) -> Found {
        let records = records.iter().map(|(offset, number)| (*offset, stamp(0, *number)));
        Found { records: records.collect(), value_bytes: 1_000 }
    }

    /// The same at offsets 0, 1, …
    fn numbers(numbers: &[u64]) -> Found {
        found(&(0..).zip(numbers.iter().copied()).collect::<Vec<_>>())
    }

    fn ledger(acked: &[(u64, u64)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (number, offset) in acked {
            ledger.acknowledged(stamp(0, *number), *offset);
        }
        ledger
    }

    fn check(acked: &[(u64, u64)], keep: Keep, found: &Found, passes: bool) {
        let judged = ledger(acked).judge((0, 0), keep, found);
        assert_eq!(judged.is_ok(), passes, "{acked:?} {keep:?} {found:?}: {judged:?}");
    }

    #[test]
    fn a_value_is_read_back_and_a_flipped_bit_is_not() {
        let wanted = stamp(3, 77);
        let mut value = wanted.value(100);
        assert_eq!((value.len(), Stamp::parse(&value)), (100, Some(wanted)));
        value[60] ^= 4;
        assert_eq!(Stamp::parse(&value), None);
    }

    #[test]
    fn unacknowledged_records_may_be_there_or_not() {
        for found in [&[0, 1][..], &[0, 1, 2], &[0, 1, 5]] {
            check(&[(0, 0), (1, 1)], Keep::All, &numbers(found), true);
        }
    }

    #[test]
    fn lost_doubled_reordered_and_moved_records_are_found() {
        for found in [&[0][..], &[0, 0, 1], &[1, 0], &[0, 2, 1]] {
            check(&[(0, 0), (1, 1)], Keep::All, &numbers(found), false);
        }
    }

    #[test]
    fn what_was_read_once_stays_at_its_offset() {
        let mut ledger = ledger(&[(0, 0)]);
        let mut judge = |records: &[u64]| ledger.judge((0, 0), Keep::All, &numbers(records));
        assert_eq!(judge(&[0, 1, 2]), Ok(()));
        assert!(judge(&[0, 1]).is_err(), "a read record is gone");
        assert!(judge(&[0, 1, 3]).is_err(), "an offset was used again");
        assert_eq!(judge(&[0, 1, 2, 9]), Ok(()));
    }

    #[test]
    fn retention_may_take_the_oldest_as_long_as_enough_stays() {
        let acked = [(0, 0), (1, 1), (2, 2)];
        let keep = |value_bytes_min| Keep::Newest { value_bytes_min };
        check(&acked, keep(900), &found(&[(1, 1), (2, 2)]), true);
        check(&acked, keep(1_100), &found(&[(1, 1), (2, 2)]), false);
        check(&acked, keep(900), &found(&[(0, 0), (2, 2)]), false);
        check(&acked, keep(900), &found(&[(0, 0), (1, 1)]), false);
    }

    #[test]
    fn compaction_may_take_a_record_whose_key_has_a_later_one() {
        // Numbers 1 and 21 have one key, 2 another.
        let acked = [(1, 1), (2, 2), (21, 3)];
        check(&acked, Keep::NewestOfKey, &found(&[(2, 2), (3, 21)]), true);
        check(&acked, Keep::NewestOfKey, &found(&[(1, 1), (2, 2)]), false);
        check(&acked, Keep::NewestOfKey, &found(&[(1, 1), (3, 21)]), false);
        check(&acked, Keep::NewestOfKey, &found(&[(2, 21), (3, 2)]), false);
    }
}
