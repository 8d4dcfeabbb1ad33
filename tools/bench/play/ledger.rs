//! Whether what was read is what was acknowledged: every record whole, once, and in the order of its lane.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::record::{Read, Stamp};

/// Numbers of missing records that are remembered, to tell late ones from second copies.
const MISSING_MAX: usize = 1_000_000;

/// What one reader saw.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    lanes: Vec<LaneRead>,
    missing: BTreeSet<(u32, u64)>,
    verdict: Verdict,
}

/// How far a reader is in one lane.
#[derive(Clone, Copy, Debug, Default)]
struct LaneRead {
    /// The next number that it owes.
    next: u64,
    /// Records that came, whole and for the first time.
    read: u64,
}

/// What is to be said about a play's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Records that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Records that came, whole and for the first time.
    pub(crate) read: u64,
    /// Acknowledged and never read.
    pub(crate) lost: u64,
    /// Read again.
    pub(crate) duplicated: u64,
    /// Read after a later one of their lane.
    pub(crate) reordered: u64,
    /// With a checksum that does not fit, of a lane that nobody writes, or more of a lane than was acknowledged.
    pub(crate) corrupt: u64,
}

impl Verdict {
    /// Whether each record came whole, once and in order.
    pub(crate) const fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.reordered == 0 && self.corrupt == 0
    }

    /// Both together.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            read: self.read + other.read,
            lost: self.lost + other.lost,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
            corrupt: self.corrupt + other.corrupt,
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { acknowledged, read, lost, duplicated, reordered, corrupt } = self;
        write!(
            f,
            "{read} read of {acknowledged}: {lost} lost, {duplicated} twice, {reordered} out of order, {corrupt} corrupt"
        )
    }
}

impl Ledger {
    /// A ledger of so many lanes.
    pub(crate) fn new(lanes: u32) -> Self {
        let lanes = vec![LaneRead::default(); lanes as usize];
        Self { lanes, missing: BTreeSet::new(), verdict: Verdict::default() }
    }

    /// Enters a value; gives its stamp if it is whole.
    pub(crate) fn enter(&mut self, value: &[u8]) -> Option<Read> {
        let stamp = Stamp::read(value);
        let lane = stamp.and_then(|stamp| self.lanes.get_mut(stamp.lane as usize));
        let (Some(stamp), Some(lane)) = (stamp, lane) else {
            self.verdict.corrupt += 1;
            return None;
        };
        let own = stamp.sequence(lane.next);
        if own < lane.next {
            if self.missing.remove(&(stamp.lane, own)) {
                self.verdict.reordered += 1;
                self.verdict.read += 1;
                lane.read += 1;
            } else {
                self.verdict.duplicated += 1;
            }
            return Some(stamp);
        }
        for sequence in lane.next..own {
            if self.missing.len() >= MISSING_MAX {
                break;
            }
            self.missing.insert((stamp.lane, sequence));
        }
        *lane = LaneRead { next: own + 1, read: lane.read + 1 };
        self.verdict.read += 1;
        Some(stamp)
    }

    /// Records that came, whole and for the first time.
    pub(crate) const fn read(&self) -> u64 {
        self.verdict.read
    }

    /// Closes the ledgers of a group, whose readers share the lanes, against the numbers acknowledged in each lane.
    pub(crate) fn close(group: &[Self], acknowledged: &[u64]) -> Verdict {
        let mut sum = group.iter().fold(Verdict::default(), |sum, one| sum.and(one.verdict));
        sum.acknowledged = acknowledged.iter().sum();
        for (lane, acknowledged) in acknowledged.iter().enumerate() {
            let readers = group.iter().filter_map(|ledger| ledger.lanes.get(lane));
            let (sum_read, read) = readers.fold((0, 0), |(s, m), l| (s + l.read, m.max(l.read)));
            // A lane has one reader: what a second one saw of it came twice and makes up for nothing.
            let (twice, unknown) = (sum_read - read, read.saturating_sub(*acknowledged));
            sum.read -= twice + unknown;
            sum.duplicated += twice;
            sum.corrupt += unknown;
            sum.lost += acknowledged.saturating_sub(read);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kolk_driver::clock::Moment;

    fn value(lane: u32, sequence: u64) -> Vec<u8> {
        value_of(40, lane, sequence)
    }

    fn value_of(bytes: usize, lane: u32, sequence: u64) -> Vec<u8> {
        let mut value = vec![b'b'; bytes];
        Stamp { intended: Moment::from_ns(sequence), sequence, lane }.write(&mut value);
        value
    }

    /// Two lanes with three records each were acknowledged; `read` is what came.
    fn check(read: &[(u32, u64)], expected: Verdict) {
        for bytes in [40, 10] {
            let mut ledger = Ledger::new(2);
            for (lane, sequence) in read {
                ledger.enter(&value_of(bytes, *lane, *sequence));
            }
            let verdict = Ledger::close(&[ledger], &[3, 3]);
            assert_eq!(verdict, Verdict { acknowledged: 6, ..expected }, "{read:?} of {bytes}");
            assert_eq!(verdict.is_clean(), expected == Verdict { read: 6, ..Verdict::default() });
        }
    }

    #[test]
    fn each_record_once_and_in_the_order_of_its_lane_is_clean() {
        let clean = Verdict { read: 6, ..Verdict::default() };
        check(&[(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)], clean);
        check(&[(1, 0), (0, 0), (1, 1), (0, 1), (0, 2), (1, 2)], clean);
    }

    #[test]
    fn loss_is_seen_in_the_middle_and_at_the_end() {
        let lost = Verdict { read: 5, lost: 1, ..Verdict::default() };
        check(&[(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)], lost);
        check(&[(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)], lost);
        check(&[], Verdict { lost: 6, ..Verdict::default() });
    }

    #[test]
    fn a_second_copy_does_not_make_up_for_a_lost_record() {
        let both = Verdict { read: 5, lost: 1, duplicated: 1, ..Verdict::default() };
        check(&[(0, 0), (0, 0), (0, 1), (1, 0), (1, 1), (1, 2)], both);
    }

    #[test]
    fn records_out_of_order_are_seen() {
        let late = Verdict { read: 6, reordered: 1, ..Verdict::default() };
        check(&[(0, 0), (0, 2), (0, 1), (1, 0), (1, 1), (1, 2)], late);
    }

    #[test]
    fn corrupt_values_and_lanes_that_nobody_writes_are_seen() {
        let mut ledger = Ledger::new(1);
        let mut rotten = value(0, 0);
        rotten[30] ^= 1;
        assert_eq!((ledger.enter(&rotten), ledger.enter(&value(5, 0))), (None, None));
        assert_eq!(ledger.enter(b"too short"), None);
        let verdict = Ledger::close(&[ledger], &[1]);
        assert_eq!((verdict.corrupt, verdict.lost, verdict.is_clean()), (3, 1, false));
    }

    #[test]
    fn readers_of_a_group_share_the_lanes() {
        let (mut one, mut other) = (Ledger::new(2), Ledger::new(2));
        one.enter(&value(0, 0));
        other.enter(&value(1, 0));
        assert!(Ledger::close(&[one.clone(), other], &[1, 1]).is_clean());
        assert!(!Ledger::close(&[one], &[1, 1]).is_clean());
    }

    #[test]
    fn more_of_one_lane_hides_no_loss_in_another() {
        let (mut one, mut other) = (Ledger::new(2), Ledger::new(2));
        one.enter(&value(0, 0));
        other.enter(&value(0, 0));
        let lost = Verdict { acknowledged: 2, read: 1, lost: 1, ..Verdict::default() };
        let twice = Ledger::close(&[one.clone(), other], &[1, 1]);
        assert_eq!(twice, Verdict { duplicated: 1, ..lost });
        one.enter(&value(0, 1));
        assert_eq!(Ledger::close(&[one], &[1, 1]), Verdict { corrupt: 1, ..lost });
    }
}
