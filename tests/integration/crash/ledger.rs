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

/// Acknowledgements of all lanes, and what each partition held when it was last looked at.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Offset of each acknowledged number; `None` where the reply waited for nothing and so
    /// promised nothing.
    acked: BTreeMap<Lane, BTreeMap<u64, u64>>,
    /// Records a reader has seen, by (topic, partition): they may not change any more.
    seen: BTreeMap<(u32, u32), Vec<Stamp>>,
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

    /// Judges what a partition gives back from offset 0 on; on success that is from now on what
    /// it has to give back.
    pub(crate) fn judge(
        &mut self,
        topic: u32,
        partition: u32,
        records: &[(u64, Stamp)],
    ) -> Result<(), String> {
        let place = |offset: usize| format!("topic {topic} partition {partition} offset {offset}");
        let mut last: BTreeMap<Lane, u64> = BTreeMap::new();
        for (index, (offset, stamp)) in records.iter().enumerate() {
            if usize::try_from(*offset) != Ok(index) {
                return Err(format!("{}: offset {offset} came", place(index)));
            }
            if (stamp.lane.topic, stamp.lane.partition) != (topic, partition) {
                return Err(format!("{}: a stranger's record {stamp}", place(index)));
            }
            if let Some(before) = last.insert(stamp.lane, stamp.number)
                && before >= stamp.number
            {
                return Err(format!("{}: {stamp} came after number {before}", place(index)));
            }
        }
        let seen = self.seen.entry((topic, partition)).or_default();
        for (index, stamp) in seen.iter().enumerate() {
            match records.get(index) {
                Some((_, found)) if found == stamp => {}
                Some((_, found)) => {
                    return Err(format!("{}: was {stamp}, now {found}", place(index)));
                }
                None => return Err(format!("{}: {stamp} was read once, now gone", place(index))),
            }
        }
        let lanes = self
            .acked
            .iter()
            .filter(|(lane, _)| (lane.topic, lane.partition) == (topic, partition));
        for (lane, numbers) in lanes {
            for (number, offset) in numbers {
                let wanted = Stamp { lane: *lane, number: *number };
                let index = usize::try_from(*offset).expect("64-bit");
                match records.get(index) {
                    Some((_, found)) if *found == wanted => {}
                    found => {
                        let found = found.map(|(_, stamp)| stamp.to_string());
                        return Err(format!(
                            "{}: acknowledged {wanted}, found {found:?}",
                            place(index)
                        ));
                    }
                }
            }
        }
        *seen = records.iter().map(|(_, stamp)| *stamp).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(producer: u32, number: u64) -> Stamp {
        Stamp { lane: Lane { topic: 0, partition: 0, producer }, number }
    }

    /// Records at offsets 0, 1, … with these numbers of producer 0.
    fn records(numbers: &[u64]) -> Vec<(u64, Stamp)> {
        (0..).zip(numbers.iter().map(|number| stamp(0, *number))).collect()
    }

    fn ledger(acked: &[(u64, u64)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (number, offset) in acked {
            ledger.acknowledged(stamp(0, *number), *offset);
        }
        ledger
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
            assert_eq!(ledger(&[(0, 0), (1, 1)]).judge(0, 0, &records(found)), Ok(()));
        }
    }

    #[test]
    fn lost_doubled_reordered_and_moved_records_are_found() {
        for found in [&[0][..], &[0, 0, 1], &[1, 0], &[0, 2, 1]] {
            let judged = ledger(&[(0, 0), (1, 1)]).judge(0, 0, &records(found));
            assert!(judged.is_err(), "{found:?} passed");
        }
    }

    #[test]
    fn what_was_read_once_stays_at_its_offset() {
        let mut ledger = ledger(&[(0, 0)]);
        assert_eq!(ledger.judge(0, 0, &records(&[0, 1, 2])), Ok(()));
        assert!(ledger.judge(0, 0, &records(&[0, 1])).is_err(), "a read record is gone");
        assert!(ledger.judge(0, 0, &records(&[0, 1, 3])).is_err(), "an offset was used again");
        assert_eq!(ledger.judge(0, 0, &records(&[0, 1, 2, 9])), Ok(()));
    }
}
