//! Whether the worst seconds of a run are those in which something happened, or whether as many of them would be by chance.

use kolk_driver::clock::float;
use serde::Serialize;

/// One of so many seconds counts as worst.
const WORST_ONE_OF: usize = 100;

/// Counts of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Coincidence {
    /// All that were measured from their begin to their end.
    seconds: u64,
    /// In which it happened.
    with: u64,
    /// With the longest times.
    worst: u64,
    /// Both.
    worst_with: u64,
}

impl Coincidence {
    /// Takes each second's longest time, zero outside of the measured part, and whether it happened then. The first and the
    /// last second of the measured part are left out: they may not be whole.
    pub(super) fn of(longest: &[u64], happened: &[bool]) -> Self {
        let measured = longest.iter().zip(happened).skip_while(|(longest, _)| **longest == 0);
        let mut measured: Vec<(u64, bool)> =
            measured.skip(1).map(|(longest, happened)| (*longest, *happened)).collect();
        while measured.pop_if(|(longest, _)| *longest == 0).is_some() {}
        measured.pop();
        let with = count(&measured);
        // The longest first; where two are alike, the earlier one.
        measured.sort_by_key(|(longest, _)| std::cmp::Reverse(*longest));
        let seconds = measured.len() as u64;
        measured.truncate(measured.len().div_ceil(WORST_ONE_OF));
        let worst = measured.len() as u64;
        Self { seconds, with, worst, worst_with: count(&measured) }
    }

    pub(super) fn sentence(&self, what: &str) -> String {
        let Self { seconds, with, worst, worst_with } = self;
        format!(
            "{what} was in {worst_with} of the worst {worst} seconds, in {with} of all {seconds}; \
             the chance of as many or more is {:.3}",
            self.chance()
        )
    }

    /// How probable it is that as many of the worst seconds or more are among those in which it happened, if it had nothing to
    /// do with it: the upper tail of the hypergeometric distribution.
    pub(super) fn chance(&self) -> f64 {
        let all = ln_choose(self.seconds, self.worst);
        let tail = (self.worst_with..=self.worst.min(self.with))
            .filter(|both| self.worst - both <= self.seconds - self.with)
            .map(|both| {
                let without = ln_choose(self.seconds - self.with, self.worst - both);
                (ln_choose(self.with, both) + without - all).exp()
            });
        tail.sum::<f64>().min(1.0)
    }
}

fn count(seconds: &[(u64, bool)]) -> u64 {
    seconds.iter().filter(|(_, happened)| *happened).count() as u64
}

/// The logarithm of the number of ways to take `k` of `n`.
fn ln_choose(n: u64, k: u64) -> f64 {
    (1..=k).map(|taken| (float(n - k + taken) / float(taken)).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_seconds_are_found_and_seconds_in_part_are_left_out() {
        // Two of the warm-up, 202 measured, of which the first and the last are not whole; three beyond.
        let mut longest = vec![0, 0];
        longest.extend(std::iter::repeat_n(10, 202));
        longest.extend([0, 0]);
        longest[2] = 1_000;
        longest[203] = 1_000;
        longest[50] = 500;
        longest[60] = 400;
        let mut happened = vec![false; 205];
        happened[204] = true;
        happened[2] = true;
        happened[50] = true;
        happened[70] = true;
        let coincidence = Coincidence::of(&longest, &happened);
        let expected = Coincidence { seconds: 200, with: 2, worst: 2, worst_with: 1 };
        assert_eq!(coincidence, expected);
        let nothing = Coincidence::of(&[0, 0], &[true, true]);
        assert_eq!((nothing.seconds, nothing.worst, nothing.chance()), (0, 0, 1.0));
    }

    #[test]
    fn the_chance_is_that_of_drawing_without_returning() {
        let chance = |seconds, with, worst, worst_with| {
            Coincidence { seconds, with, worst, worst_with }.chance()
        };
        let near = |one: f64, other: f64| assert!((one - other).abs() < 1e-9, "{one}, {other}");
        // 1 − C(8,2)/C(10,2), and 1/C(10,2).
        near(chance(10, 2, 2, 1), 1.0 - 28.0 / 45.0);
        near(chance(10, 2, 2, 2), 1.0 / 45.0);
        // Nothing needs to be explained: it never was, or always.
        near(chance(600, 0, 6, 0), 1.0);
        near(chance(600, 600, 6, 6), 1.0);
        assert!(chance(600, 12, 6, 6) < 1e-9);
    }
}
