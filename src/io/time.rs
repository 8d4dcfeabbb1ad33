//! The two clocks as types, so that a wall-clock reading never ends up in an interval.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A reading of the monotonic clock, in nanoseconds since an arbitrary start.
///
/// Readings of one process (or one simulation) compare with each other; they mean nothing outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(u64);

impl Monotonic {
    /// Wraps a reading in nanoseconds.
    #[must_use]
    pub const fn new(ns: u64) -> Self {
        Self(ns)
    }

    /// Returns the reading in nanoseconds.
    #[must_use]
    pub const fn as_ns(self) -> u64 {
        self.0
    }
}

impl Sub for Monotonic {
    type Output = Duration;

    /// Returns the time that passed from `earlier` to `self`; zero when `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    /// Returns the reading `duration` later, at most the end of the clock (584 years).
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(ns_of(duration)))
    }
}

/// A reading of the wall clock, in nanoseconds since 1970-01-01 UTC.
///
/// It may jump both ways: no interval is ever measured with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallClock(u64);

impl WallClock {
    /// Wraps nanoseconds since the epoch.
    #[must_use]
    pub const fn new(ns: u64) -> Self {
        Self(ns)
    }

    /// Returns nanoseconds since the epoch.
    #[must_use]
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// Returns whole milliseconds since the epoch, as Kafka's timestamps count.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        // 2^64 ns are 1.8 × 10^13 ms: always inside an i64.
        (self.0 / 1_000_000).cast_signed()
    }
}

impl fmt::Display for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.as_ms())
    }
}

/// Returns a duration in whole nanoseconds, at most `u64::MAX`.
pub(crate) fn ns_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_a_duration_and_never_negative() {
        let early = Monotonic::new(1_000);
        let late = early + Duration::from_nanos(500);
        assert_eq!(late - early, Duration::from_nanos(500));
        assert_eq!(early - late, Duration::ZERO);
    }

    #[test]
    fn wall_clock_rounds_down_to_milliseconds() {
        assert_eq!(WallClock::new(1_999_999).as_ms(), 1);
        assert_eq!(WallClock::new(u64::MAX).as_ms(), 18_446_744_073_709);
    }
}
