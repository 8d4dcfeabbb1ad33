//! The signals that end a broker. Blocked in every thread, taken by one that waits for them.
#![allow(unsafe_code, reason = "signal masks are system calls on plain structures")]

use std::mem::MaybeUninit;

/// Which signal asked for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM: a service manager, or `kill`.
    Terminate,
    /// SIGINT: Ctrl-C.
    Interrupt,
}

/// SIGTERM and SIGINT, blocked.
#[derive(Debug)]
pub struct Signals {
    _private: (),
}

impl Signals {
    /// Blocks both in the calling thread. Threads started later inherit that, so this is called before any is.
    ///
    /// # Errors
    /// The kernel's.
    pub fn block() -> std::io::Result<Self> {
        let set = set();
        // SAFETY: `set` is an initialised signal set; the old mask is not asked for.
        let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
        if result == 0 {
            Ok(Self { _private: () })
        } else {
            Err(std::io::Error::from_raw_os_error(result))
        }
    }

    /// Waits, on the calling thread, until one of them arrives.
    #[must_use]
    pub fn wait(&self) -> Stop {
        let set = set();
        loop {
            let mut signal = 0;
            // SAFETY: both point to initialised values of this frame.
            let result = unsafe { libc::sigwait(&set, &mut signal) };
            match (result, signal) {
                (0, libc::SIGINT) => return Stop::Interrupt,
                (0, _) => return Stop::Terminate,
                _ => {}
            }
        }
    }
}

fn set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `set` has room for a signal set, which the call initialises.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the call above.
    let mut set = unsafe { set.assume_init() };
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: `set` is initialised and the signal exists.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_waits_to_be_taken() {
        let taken = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let signals = Signals::block().unwrap();
                // SAFETY: the call takes and touches nothing.
                let this = unsafe { libc::pthread_self() };
                // SAFETY: the signal goes to this very thread, which has it blocked.
                unsafe { libc::pthread_kill(this, libc::SIGTERM) };
                signals.wait()
            });
            thread.join().unwrap()
        });
        assert_eq!(taken, Stop::Terminate);
    }
}
