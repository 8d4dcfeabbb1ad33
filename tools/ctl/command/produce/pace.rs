//! Records at a steady rate. Pure: the caller brings the time.

use std::time::Duration;

/// Being ahead of time by less than this is not worth a sleep.
const AHEAD_MIN: Duration = Duration::from_millis(1);

/// A steady rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    per_second: u64,
}

impl Pace {
    /// So many records a second, at least 1.
    pub(crate) const fn new(per_second: u64) -> Self {
        Self { per_second: if per_second == 0 { 1 } else { per_second } }
    }

    /// How long to wait before record number `sent` (from 0) if `elapsed` has passed since the start.
    pub(crate) fn pause(self, sent: u64, elapsed: Duration) -> Option<Duration> {
        let due = u128::from(sent) * 1_000_000_000 / u128::from(self.per_second);
        let due = Duration::from_nanos(u64::try_from(due).unwrap_or(u64::MAX));
        due.checked_sub(elapsed).filter(|ahead| *ahead >= AHEAD_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_ahead_waits_and_who_is_behind_does_not() {
        let pace = Pace::new(100);
        let pause = |sent, ms| pace.pause(sent, Duration::from_millis(ms));
        assert_eq!(pause(0, 0), None);
        assert_eq!(pause(10, 40), Some(Duration::from_millis(60)));
        assert_eq!(pause(10, 200), None);
        let fast = Pace::new(10_000_000);
        assert_eq!(fast.pause(5_000, Duration::ZERO), None);
        assert!(fast.pause(20_000, Duration::ZERO).is_some());
    }
}
