//! The wall clock of the machine: somebody sets it to another time while the right time goes on, and the monotonic clock with it.

use kolk_io::door::Io;
use kolk_io::sim::Sim;
use kolk_io::time::WallClock;

use crate::chance::Chance;
use crate::outside::Outside;
use crate::scenario::FaultKind;

/// What jumps are whole numbers of, so that two wrong times are as far apart as a jump: two hours.
const STEP_NS: i64 = 2 * 3_600 * 1_000_000_000;
/// Steps of thirty days.
const STEPS_MAX: u64 = 360;
/// Jumps in a life.
const JUMPS_MAX: u64 = 3;

/// Sets the clock before a life, perhaps, and draws the steps of that life at which it is set again, in order.
pub(crate) fn begin(outside: &Outside, sim: &Sim, chance: &mut Chance, steps: u64) -> Vec<u64> {
    let kind = |kind| outside.scenario.fault.iter().find(|fault| fault.kind == kind);
    let Some(fault) = kind(FaultKind::Clock) else { return Vec::new() };
    if chance.percent(fault.percent) {
        jump(outside, sim, chance);
    }
    let mut jumps = Vec::new();
    if chance.percent(fault.percent) {
        jumps = (0..chance.between(1, JUMPS_MAX)).map(|_| chance.below(steps)).collect();
        jumps.sort_unstable();
    }
    jumps
}

/// Sets the clock to a wrong time, or right again.
pub(crate) fn jump(outside: &Outside, sim: &Sim, chance: &mut Chance) {
    let steps = i64::try_from(chance.below(2 * STEPS_MAX + 1)).unwrap_or(0);
    let wrong = (steps - STEPS_MAX.cast_signed()) * STEP_NS;
    set(outside, sim, if chance.percent(30) { 0 } else { wrong });
}

/// Sets the clock so far ahead of the right time.
pub(crate) fn set(outside: &Outside, sim: &Sim, ahead_ns: i64) {
    let by_ns = ahead_ns - outside.clock_ahead_ns.replace(ahead_ns);
    let wall_ns = sim.io().wall_clock().as_ns().saturating_add_signed(by_ns);
    sim.set_wall_clock(WallClock::new(wall_ns));
    outside.trace.note(format_args!("the wall clock is {} h ahead", ahead_ns / 3_600_000_000_000));
}
