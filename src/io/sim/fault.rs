//! Errors that a test puts into the simulated disk.

use std::path::Path;

use super::disk::Errno;
use crate::error::Op;

/// An error to come: which operations it meets, and what happens to them.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The operation it meets. A linked write and fdatasync is an [`Op::Write`] and an
    /// [`Op::Sync`].
    pub op: Op,
    /// Part of the paths it meets; empty meets every path.
    pub path_contains: String,
    /// Matching operations that pass before the first one it meets.
    pub skip: u64,
    /// Operations it meets before it is used up; `u64::MAX` for ever.
    pub times: u64,
    /// What happens.
    pub kind: FaultKind,
}

/// What happens to an operation that meets a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// It fails with this error number, EIO for example. A failed write may have written any part;
    /// a failed sync leaves what it covered in doubt for good.
    Errno(i32),
    /// It never ends, as on a disk that hangs. Nothing of it happens.
    Hang,
    /// A write ends after this many bytes, rounded down to sectors, and says so.
    ShortWrite {
        /// Bytes written.
        bytes: u64,
    },
    /// A write lands so many pages behind where it should, and says nothing.
    Misdirect {
        /// How far.
        pages: u64,
    },
    /// One bit of what is read or written is another, once, and nothing says so.
    FlipBit,
    /// A sync is answered as done and was not: what it covered is as safe as before, until the next one. A write is answered and
    /// lost.
    Lie,
}

impl FaultKind {
    /// The error number that an operation without bytes meets.
    pub(super) const fn errno(self) -> Option<Errno> {
        match self {
            Self::Errno(errno) => Some(errno),
            Self::Hang => Some(HANGS),
            Self::Lie => Some(LIES),
            Self::ShortWrite { .. } | Self::Misdirect { .. } | Self::FlipBit => None,
        }
    }
}

impl Fault {
    /// Returns a fault that meets the next `op` on a path that contains `path_contains`, once,
    /// with EIO.
    #[must_use]
    pub fn eio(op: Op, path_contains: &str) -> Self {
        let kind = FaultKind::Errno(libc::EIO);
        Self { op, path_contains: path_contains.to_owned(), skip: 0, times: 1, kind }
    }

    /// Returns the same fault of another kind.
    #[must_use]
    pub fn with_kind(self, kind: FaultKind) -> Self {
        Self { kind, ..self }
    }

    /// Returns the same fault after `skip` operations that pass.
    #[must_use]
    pub fn after(self, skip: u64) -> Self {
        Self { skip, ..self }
    }

    /// Returns the same fault for every matching operation from then on.
    #[must_use]
    pub fn for_ever(self) -> Self {
        Self { times: u64::MAX, ..self }
    }
}

/// Stands for an operation that never ends; no error number is negative.
pub(super) const HANGS: Errno = -1;
/// Stands for a sync that is answered and not done.
pub(super) const LIES: Errno = -2;

/// The faults that are in force.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns what an operation that starts now meets.
    pub(super) fn meet(&mut self, op: Op, path: &Path) -> Option<FaultKind> {
        let path = path.to_string_lossy();
        let found = self.0.iter_mut().find_map(|fault| {
            if fault.op != op || fault.times == 0 || !path.contains(&fault.path_contains) {
                return None;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                return None;
            }
            if fault.times != u64::MAX {
                fault.times -= 1;
            }
            Some(fault.kind)
        });
        self.0.retain(|fault| fault.times > 0);
        found
    }
}
