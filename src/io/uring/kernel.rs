//! Plain system calls of an executor that need no ring.

pub(super) mod clock;
pub(super) mod eventfd;
pub(super) mod names;
