//! Whether the wall clock may be believed. Retention by time deletes for ever, so a clock that jumps must not
//! drive it (rule 21 of the storage rules), whether it jumps while the broker runs or between two runs.

use std::time::Duration;

use kolk_io::time::{Monotonic, WallClock};

/// Wall and monotonic clock may drift apart by so much.
const DISAGREEMENT_MAX: i128 = 3_600 * 1_000_000_000;
/// A clock that is not where the last run left it has to run evenly for so long at most. Nearly always the machine was off; were the
/// wait as long as after a jump that was seen, a machine that is off every night would never delete anything.
const START_DISTRUST_MAX: Duration = Duration::from_hours(1);

/// What time it is, as far as a start knows without its wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownTime {
    /// The data directory is new: there is nothing that a wrong clock could delete.
    First,
    /// The last run believed this.
    At(WallClock),
    /// The last run has not left it, or it is not readable.
    Lost,
}

/// Compares how far both clocks have come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockGuard {
    /// Wall clock minus monotonic clock, in nanoseconds, when they last agreed.
    trusted: i128,
    /// The same at the last tick.
    last: i128,
    /// Since when the clocks have kept the distance `last`, while that is not the trusted one.
    stable_since: Option<Monotonic>,
    /// For how long it has to be kept.
    wait: Duration,
    /// The same after a jump that was seen.
    distrust: Duration,
}

/// Whether the two clocks tell the same story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Agree,
    Differ,
}

impl ClockGuard {
    /// A guard from the start of a run on. A machine that was off for more than an hour can't be told from a clock that jumped: both
    /// wait, an hour at most.
    pub(crate) fn new(
        now: Monotonic,
        wall: WallClock,
        known: KnownTime,
        distrust: Duration,
    ) -> Self {
        let last = distance(now, wall);
        let trusted = match known {
            KnownTime::First => last,
            KnownTime::At(known) => distance(now, known),
            KnownTime::Lost => NEVER,
        };
        let jumped = (last - trusted).abs() > DISAGREEMENT_MAX;
        if jumped {
            tracing::warn!(
                "the wall clock is not where the last run left it, no retention by time for now"
            );
        }
        let wait = distrust.min(START_DISTRUST_MAX);
        Self { trusted, last, stable_since: jumped.then_some(now), wait, distrust }
    }

    /// Takes a reading of both clocks. After a jump of the wall clock they differ until it jumps back, or has
    /// run evenly for the time of distrust: then somebody had set it right.
    pub(crate) fn tick(&mut self, now: Monotonic, wall: WallClock) -> Trust {
        let distance = distance(now, wall);
        let jumped = (distance - self.last).abs() > DISAGREEMENT_MAX;
        self.last = distance;
        if (distance - self.trusted).abs() <= DISAGREEMENT_MAX {
            if self.stable_since.take().is_some() {
                tracing::info!("wall and monotonic clock agree again, retention by time goes on");
            }
            // Slow drift is followed.
            self.trusted = distance;
            return Trust::Agree;
        }
        if jumped || self.stable_since.is_none() {
            tracing::warn!(
                "the wall clock jumped by more than an hour, no retention by time for now"
            );
            self.stable_since = Some(now);
            self.wait = self.distrust;
        }
        match self.stable_since {
            Some(since) if now - since >= self.wait => {
                tracing::warn!(
                    "the wall clock has run evenly since its jump, retention by time goes on"
                );
                self.trusted = distance;
                self.stable_since = None;
                Trust::Agree
            }
            _ => Trust::Differ,
        }
    }

    /// What time it is by the monotonic clock and the distance that was believed last; `None` if none was.
    pub(crate) fn believed(&self, now: Monotonic) -> Option<WallClock> {
        let ns = self.trusted.checked_add(i128::from(now.as_ns()))?;
        u64::try_from(ns).ok().map(WallClock::new)
    }
}

/// A distance that no two clocks have.
const NEVER: i128 = i128::MIN / 4;

fn distance(now: Monotonic, wall: WallClock) -> i128 {
    i128::from(wall.as_ns()) - i128::from(now.as_ns())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600 * 1_000_000_000;

    /// Ticks at (monotonic, wall) hours after a start at (0, 100); the time of distrust is 24 hours.
    fn check(ticks: &[(u64, u64, Trust)]) {
        check_after(KnownTime::First, ticks);
    }

    /// The same, where the run begins with what the last one has left.
    fn check_after(known: KnownTime, ticks: &[(u64, u64, Trust)]) {
        let at = |now, wall| (Monotonic::new(now * HOUR), WallClock::new(wall * HOUR));
        let (now, wall) = at(0, 100);
        let mut guard = ClockGuard::new(now, wall, known, Duration::from_hours(24));
        for (now, wall, trust) in ticks {
            let (now, wall) = at(*now, *wall);
            assert_eq!(guard.tick(now, wall), *trust, "at {now:?}, {wall:?}");
        }
    }

    #[test]
    fn clocks_that_run_together_agree() {
        check(&[(1, 101, Trust::Agree), (50, 150, Trust::Agree), (5000, 5100, Trust::Agree)]);
    }

    #[test]
    fn slow_drift_is_followed() {
        let drift: Vec<_> = (1..50).map(|h| (h * 10, 100 + h * 11, Trust::Agree)).collect();
        check(&drift);
    }

    #[test]
    fn a_jump_stops_the_trust_until_it_is_taken_back() {
        check(&[
            (1, 101, Trust::Agree),
            (2, 90_000, Trust::Differ),
            (3, 90_001, Trust::Differ),
            (4, 104, Trust::Agree),
        ]);
    }

    #[test]
    fn a_jump_backwards_is_a_jump() {
        check(&[(1, 50, Trust::Differ), (2, 102, Trust::Agree)]);
    }

    #[test]
    fn a_clock_that_was_set_right_is_believed_after_a_day() {
        check(&[
            (1, 90_000, Trust::Differ),
            (20, 90_019, Trust::Differ),
            (25, 90_024, Trust::Agree),
            (26, 90_025, Trust::Agree),
        ]);
    }

    #[test]
    fn a_second_jump_starts_the_day_again() {
        check(&[
            (1, 90_000, Trust::Differ),
            (20, 190_000, Trust::Differ),
            (26, 190_006, Trust::Differ),
            (44, 190_024, Trust::Agree),
        ]);
    }

    #[test]
    fn a_clock_that_goes_on_from_the_last_run_is_believed_at_once() {
        check_after(KnownTime::At(WallClock::new(99 * HOUR)), &[(1, 101, Trust::Agree)]);
    }

    #[test]
    fn a_jump_between_two_runs_is_a_jump() {
        for known in [2, 98, 102, 90_000] {
            let ticks = [(0, 100, Trust::Differ), (1, 101, Trust::Agree), (2, 102, Trust::Agree)];
            check_after(KnownTime::At(WallClock::new(known * HOUR)), &ticks);
        }
        let known = KnownTime::At(WallClock::new(40 * HOUR));
        check_after(known, &[(0, 100, Trust::Differ), (2, 42, Trust::Agree)]);
    }

    #[test]
    fn a_clock_of_which_nothing_is_known_is_believed_after_an_hour() {
        check_after(KnownTime::Lost, &[(0, 100, Trust::Differ), (1, 101, Trust::Agree)]);
    }

    #[test]
    fn a_jump_while_a_start_is_doubted_takes_the_day_of_every_jump() {
        let ticks = [
            (0, 100, Trust::Differ),
            (1, 90_000, Trust::Differ),
            (24, 90_023, Trust::Differ),
            (25, 90_024, Trust::Agree),
        ];
        check_after(KnownTime::Lost, &ticks);
    }

    #[test]
    fn what_is_believed_goes_on_by_the_monotonic_clock_while_the_wall_clock_is_wrong() {
        let at = |hour| Monotonic::new(hour * HOUR);
        let day = Duration::from_hours(24);
        let mut guard = ClockGuard::new(at(0), WallClock::new(100 * HOUR), KnownTime::First, day);
        assert_eq!(guard.tick(at(1), WallClock::new(9_000 * HOUR)), Trust::Differ);
        assert_eq!(guard.believed(at(2)), Some(WallClock::new(102 * HOUR)));
        let lost = ClockGuard::new(at(0), WallClock::new(100 * HOUR), KnownTime::Lost, day);
        assert_eq!(lost.believed(at(2)), None);
    }
}
