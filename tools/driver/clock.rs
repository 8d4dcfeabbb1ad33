//! The one clock of a run: ns since its begin, the same on every thread, and the arithmetic that figures need.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// Slack of the kernel's timers for threads that keep a schedule; the default is 50 µs.
const TIMER_SLACK_NS: u64 = 1_000;

/// So long before a moment a thread that has nothing else to do stops sleeping and watches the clock: a core of a virtual
/// machine that sleeps takes a tenth of a millisecond to run what a timer wakes, and that would count against a broker.
const WATCH_MAX: Duration = Duration::from_micros(200);

/// All producers of a rate together watch the clock for so much of a core.
const WATCHED: f64 = 0.1;

/// Below this a thread does not sleep: it would come back too late.
const SLEEP_MIN: Duration = Duration::from_micros(5);

const NS: f64 = 1e9;

/// ns since the begin of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// So many ns since the begin.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// ns since the begin.
    pub const fn ns(self) -> u64 {
        self.0
    }

    /// So much later.
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(ns_of(time)))
    }

    /// The time since `earlier`; none if that is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A clock that was started once; its copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begin: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self { begin: Instant::now() }
    }

    /// The time.
    pub fn now(self) -> Moment {
        Moment(ns_of(self.begin.elapsed()))
    }

    /// Sleeps until then, if that is not past.
    pub fn sleep_until(self, moment: Moment) {
        let left = moment.since(self.now());
        if !left.is_zero() {
            std::thread::sleep(left);
        }
    }
}

/// Sleeps until shortly before then and watches the clock for the rest; returns at once if that is past.
pub fn watch_until(due: Instant) {
    let left = due.saturating_duration_since(Instant::now());
    std::thread::sleep(left.saturating_sub(WATCH_MAX));
    while Instant::now() < due {
        std::hint::spin_loop();
    }
}

/// How long before a record is due its producer watches the clock instead of sleeping.
#[derive(Clone, Copy, Debug)]
pub struct Watch(Duration);

impl Watch {
    /// For producers that together send so many records a second: 200 µs, less from 500 a second on.
    pub fn new(rate: f64) -> Self {
        let share = Duration::from_nanos(whole(WATCHED * NS / rate.max(f64::MIN_POSITIVE)));
        Self(share.clamp(SLEEP_MIN, WATCH_MAX))
    }

    /// How much of the time `left` until then a producer sleeps. One that `waits` for acknowledgements sleeps until 5 µs before: they
    /// wake it up.
    pub fn sleep(self, left: Duration, waits: bool) -> Duration {
        left.saturating_sub(if waits { SLEEP_MIN } else { self.0 })
    }
}

/// Lets the calling thread wake within µs of what it asks for.
pub fn wake_precisely() {
    // A refusal costs precision, which the run shows as the schedule's lag.
    let _refused = rustix::thread::set_current_timer_slack(NonZeroU64::new(TIMER_SLACK_NS));
}

/// A time in ns.
pub fn ns_of(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A count for a rate or a ratio.
#[expect(clippy::cast_precision_loss, reason = "53 bits are precise enough for a figure")]
pub const fn float(count: u64) -> f64 {
    count as f64
}

/// The nearest count that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest integer of the range"
)]
pub const fn whole(figure: f64) -> u64 {
    figure.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_tells_its_copies_the_same_time_and_sleeps_until_a_moment() {
        let clock = Clock::start();
        let until = clock.now().after(Duration::from_millis(5));
        clock.sleep_until(until);
        let now = clock.now();
        assert!(now >= until, "{now:?} is before {until:?}");
        assert_eq!(until.since(now), Duration::ZERO);
        assert_eq!((whole(2.5e9), whole(-1.0)), (2_500_000_000, 0));
    }

    #[test]
    fn a_producer_sleeps_until_shortly_before_and_all_together_watch_a_tenth_of_a_core() {
        let left = Duration::from_micros(900);
        let slept = |rate: f64, waits| Watch::new(rate).sleep(left, waits).as_micros();
        assert_eq!([0.0, 500.0, 1_000.0, 1e9].map(|rate| slept(rate, false)), [700, 700, 800, 895]);
        assert_eq!([0.0, 500.0, 1e9].map(|rate| slept(rate, true)), [895; 3]);
        assert_eq!(Watch::new(1.0).sleep(Duration::from_micros(20), false), Duration::ZERO);
    }

    #[test]
    fn the_clock_is_watched_until_a_moment() {
        let due = Instant::now() + Duration::from_millis(2);
        watch_until(due);
        assert!(Instant::now() >= due, "too early");
    }
}
