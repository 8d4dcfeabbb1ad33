//! A kernel descriptor with the name it goes by in errors.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// An open descriptor; closed once, when the last user of it is gone.
///
/// Operations in the kernel count as users: a descriptor number is never free for reuse while a
/// submission that names it may still be on its way.
pub(in crate::uring) struct Descriptor {
    fd: OwnedFd,
    name: PathBuf,
}

impl Descriptor {
    pub(in crate::uring) const fn new(fd: OwnedFd, name: PathBuf) -> Self {
        Self { fd, name }
    }

    pub(in crate::uring) fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(in crate::uring) fn name(&self) -> &Path {
        &self.name
    }

    pub(in crate::uring) fn into_parts(self) -> (OwnedFd, PathBuf) {
        (self.fd, self.name)
    }
}
