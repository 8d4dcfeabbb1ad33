//! The descriptor by which another thread, or the kernel, wakes an executor that sleeps.
#![allow(unsafe_code, reason = "eventfd has no safe wrapper in the standard library")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Makes an eventfd. It blocks on purpose: a read through a ring then waits in the kernel instead
/// of failing with EAGAIN.
pub(in crate::uring) fn make() -> std::io::Result<OwnedFd> {
    // SAFETY: a plain call without pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made above and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Adds one to the eventfd's counter: whoever reads it wakes up.
pub(in crate::uring) fn ring(eventfd: &OwnedFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: eight bytes of this frame are written to an open eventfd.
    let written = unsafe { libc::write(eventfd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    assert_eq!(written, 8, "an eventfd takes 8 bytes");
}
