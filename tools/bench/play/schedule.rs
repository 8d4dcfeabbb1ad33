//! When each record is due. A schedule knows nothing of how long records take: that is what makes the loop open, so that a
//! broker which stalls is charged for everything that should have been sent meanwhile (Gil Tene's "coordinated omission").

use kolk_driver::chance::Chance;
use kolk_driver::clock::{Moment, Watch, float, whole};
use serde::{Deserialize, Serialize};

const NS: f64 = 1e9;

/// How records follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Arrivals {
    /// At equal distances.
    #[default]
    Even,
    /// Independently of each other, as many producers together are: a Poisson process.
    Poisson,
}

/// A time of a higher rate that comes again and again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Burst {
    /// From the begin of one to that of the next.
    pub(crate) every_seconds: f64,
    pub(crate) seconds: f64,
    /// The rate within it, in times of the rate outside.
    pub(crate) factor: f64,
}

/// The moments at which one producer's records are due.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// Records a second outside bursts.
    rate: f64,
    arrivals: Arrivals,
    burst: Option<Burst>,
    chance: Chance,
    /// ns.
    next: f64,
    pub(crate) watch: Watch,
}

impl Schedule {
    /// The schedule of producer `index` of `count` that share `rate`.
    pub(crate) fn new(
        rate: f64,
        (index, count): (u64, u64),
        (arrivals, burst): (Arrivals, Option<Burst>),
        seed: u64,
    ) -> Self {
        let share = rate / float(count.max(1));
        // Producers take turns, so that equal distances are equal over all of them too.
        let next = NS / rate.max(f64::MIN_POSITIVE) * float(index);
        let watch = Watch::new(rate);
        Self { rate: share, arrivals, burst, chance: Chance::new(seed ^ index), next, watch }
    }

    /// Moves the first record to this moment or later, without a backlog of earlier ones.
    pub(crate) fn begin(&mut self, from: Moment) {
        self.next += float(from.ns());
    }

    /// When the next record is due; it stays the next one until [`Schedule::advance`].
    pub(crate) const fn due(&self) -> Moment {
        Moment::from_ns(whole(self.next))
    }

    /// Goes on to the record after it.
    pub(crate) fn advance(&mut self) {
        let factor = self.burst.map_or(1.0, |burst| {
            let at = (self.next / NS).rem_euclid(burst.every_seconds);
            if at < burst.seconds { burst.factor } else { 1.0 }
        });
        let mean = NS / (self.rate * factor).max(f64::MIN_POSITIVE);
        self.next += match self.arrivals {
            Arrivals::Even => mean,
            Arrivals::Poisson => -(1.0 - self.chance.unit()).ln() * mean,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due_within(mut schedule: Schedule, from: f64, to: f64) -> Vec<u64> {
        let mut due = Vec::new();
        while schedule.due().ns() < whole(to * NS) {
            if schedule.due().ns() >= whole(from * NS) {
                due.push(schedule.due().ns());
            }
            schedule.advance();
        }
        due
    }

    #[test]
    fn equal_distances_are_equal_over_all_producers() {
        let of = |index| Schedule::new(1_000.0, (index, 4), (Arrivals::Even, None), 1);
        let mut all: Vec<u64> = (0..4).flat_map(|index| due_within(of(index), 0.0, 1.0)).collect();
        all.sort_unstable();
        assert_eq!(all.len(), 1_000);
        assert!(all.windows(2).all(|two| two[1] - two[0] == 1_000_000), "{all:?}");
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_its_spread() {
        let schedule = Schedule::new(10_000.0, (0, 1), (Arrivals::Poisson, None), 9);
        let due = due_within(schedule, 0.0, 10.0);
        assert!((98_000..102_000).contains(&due.len()), "{}", due.len());
        let longer = due.windows(2).filter(|two| two[1] - two[0] > 100_000).count();
        let part = float(longer as u64) / float(due.len() as u64);
        assert!((0.35..0.385).contains(&part), "1/e of the gaps are longer than the mean: {part}");
    }

    #[test]
    fn a_burst_multiplies_the_rate_while_it_lasts() {
        let burst = Some(Burst { every_seconds: 5.0, seconds: 1.0, factor: 4.0 });
        let schedule = Schedule::new(100.0, (0, 1), (Arrivals::Even, burst), 1);
        let count = |from, to| due_within(schedule.clone(), from, to).len();
        assert_eq!((count(0.0, 1.0), count(1.0, 5.0), count(5.0, 6.0)), (400, 400, 400));
    }
}
