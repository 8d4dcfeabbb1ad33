//! A kernel descriptor with the name it goes by in errors.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// An open descriptor; closed once, when the last user of it is gone.
///
/// Operations in the kernel count as users: a descriptor number is never free for reuse while a
/// submission that names it may still be on its way.
pub(super) struct Descriptor {
    fd: OwnedFd,
    name: PathBuf,
}

impl Descriptor {
    pub(super) const fn new(fd: OwnedFd, name: PathBuf) -> Self {
        Self { fd, name }
    }

    pub(super) fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    pub(super) fn into_parts(self) -> (OwnedFd, PathBuf) {
        (self.fd, self.name)
    }
}
