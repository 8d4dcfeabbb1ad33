//! Cached writes on the executor's own thread, for executors that spin: a worker of the ring's would need the core that the
//! executor keeps, or another one's wake-up, for a copy of some kilobytes. Decision 0006.
#![allow(unsafe_code, reason = "pwrite reads memory that the caller holds")]

use std::cell::Cell;
use std::time::Duration;

use super::kernel::clock;
use super::ring::Descriptor;
use crate::buf::AlignedSlice;
use crate::time::Monotonic;

/// A write that took longer than this has waited: for a disk, for the kernel's bound on dirty memory, or for the core.
const SLOW: Duration = Duration::from_millis(1);

/// How long the ring has the writes after a slow one.
const PAUSE: Duration = Duration::from_secs(1);

/// One executor's right to write at once.
#[derive(Default)]
pub(super) struct AtOnce {
    paused_until: Cell<Monotonic>,
}

impl AtOnce {
    /// Writes `page` and returns the kernel's answer, bytes or a negative error number; `None` if the ring has to write it.
    pub(super) fn write(
        &self,
        descriptor: &Descriptor,
        position: u64,
        page: &AlignedSlice,
    ) -> Option<i32> {
        let begin = clock::now();
        let position = libc::off_t::try_from(position).ok().filter(|_| self.may(begin))?;
        // SAFETY: the slice is borrowed until the call has returned.
        let written =
            unsafe { libc::pwrite(descriptor.raw(), page.as_ptr().cast(), page.len(), position) };
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        self.took(begin, clock::now());
        Some(if written < 0 { -errno } else { i32::try_from(written).unwrap_or(i32::MAX) })
    }

    fn may(&self, now: Monotonic) -> bool {
        now >= self.paused_until.get()
    }

    fn took(&self, begin: Monotonic, end: Monotonic) {
        if end - begin > SLOW {
            self.paused_until.set(end + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_write_gives_the_next_second_to_the_ring() {
        let at = |ms: u64| Monotonic::new(ms * 1_000_000);
        let at_once = AtOnce::default();
        assert!(at_once.may(at(0)));
        at_once.took(at(10), at(11));
        assert!(at_once.may(at(11)), "a millisecond is not slow");
        at_once.took(at(20), at(22));
        assert!(!at_once.may(at(22)) && !at_once.may(at(1021)));
        assert!(at_once.may(at(1022)));
    }
}
