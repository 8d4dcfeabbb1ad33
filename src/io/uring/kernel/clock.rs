//! The kernel's clocks and its random numbers, without a detour.
#![allow(unsafe_code, reason = "clock_gettime and getrandom write to memory of this frame")]

use crate::time::{Monotonic, WallClock};

/// Returns CLOCK_MONOTONIC: one clock for all executors of the machine.
pub(in crate::uring) fn now() -> Monotonic {
    Monotonic::new(read(libc::CLOCK_MONOTONIC))
}

/// Returns CLOCK_REALTIME.
pub(in crate::uring) fn wall_clock() -> WallClock {
    WallClock::new(read(libc::CLOCK_REALTIME))
}

/// Returns 64 bits of the kernel's random generator.
pub(in crate::uring) fn random_u64() -> u64 {
    let mut bytes = [0_u8; 8];
    // SAFETY: the buffer has the eight bytes that the call is told of.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // Up to 256 bytes never come short once the generator is seeded, which it is after boot.
    assert_eq!(got, 8, "getrandom gave {got} of 8 bytes");
    u64::from_ne_bytes(bytes)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec of this frame. The call can't fail for these two clocks.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_and_chance_answer_sensibly() {
        let (first, second) = (now(), now());
        assert!(second >= first);
        assert!(wall_clock().as_ms() > 1_700_000_000_000);
        assert_ne!(random_u64(), random_u64());
    }
}
