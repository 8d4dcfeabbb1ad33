//! The longest time of each second: where in a run the stalls were, which a histogram of the whole run does not tell.

use std::time::{Duration, Instant};

use kolk_driver::clock::ns_of;

/// A day; what is due later is left out.
const SECONDS_MAX: usize = 86_400;

/// The longest time of what was due within each second since a moment.
#[derive(Clone, Debug)]
pub struct Maxima {
    since: Instant,
    ns: Vec<u64>,
}

impl Maxima {
    /// None yet; seconds count from this moment.
    pub const fn new(since: Instant) -> Self {
        Self { since, ns: Vec::new() }
    }

    /// Something that was due then took so long. What was due before the first second counts there.
    pub fn record(&mut self, due: Instant, time: Duration) {
        let second = due.saturating_duration_since(self.since).as_secs();
        let second = usize::try_from(second).unwrap_or(SECONDS_MAX);
        if second >= self.ns.len() && second < SECONDS_MAX {
            self.ns.resize(second + 1, 0);
        }
        if let Some(longest) = self.ns.get_mut(second) {
            *longest = (*longest).max(ns_of(time));
        }
    }

    /// Takes those of another worker in, which count from the same moment.
    pub fn add(&mut self, other: &Self) {
        assert_eq!(self.since, other.since, "seconds of one run");
        if self.ns.len() < other.ns.len() {
            self.ns.resize(other.ns.len(), 0);
        }
        for (longest, others) in self.ns.iter_mut().zip(&other.ns) {
            *longest = (*longest).max(*others);
        }
    }

    /// In nanoseconds, second by second; zero where nothing was due.
    pub fn ns(&self) -> &[u64] {
        &self.ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_the_longest_time_of_all_workers() {
        let since = Instant::now();
        let at = |ms| since + Duration::from_millis(ms);
        let us = Duration::from_micros;
        let (mut one, mut other) = (Maxima::new(since), Maxima::new(since));
        one.record(at(999), us(5));
        one.record(at(0), us(3));
        one.record(at(1_000), us(7));
        other.record(at(3_500), us(1));
        other.record(at(1_500), us(9));
        one.add(&other);
        assert_eq!(one.ns(), [5_000, 9_000, 0, 1_000]);
        one.record(at(1_000 * 90_000), us(1));
        assert_eq!(one.ns().len(), 4, "a day is the bound");
    }
}
