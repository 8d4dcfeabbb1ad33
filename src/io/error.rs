//! What may go wrong at the edge of the process, as facts that a caller can act on.

use std::path::{Path, PathBuf};

/// A disk, directory or socket operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IoError {
    /// No such file or directory. The caller decides whether that is a fault.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// What was looked for.
        path: PathBuf,
    },
    /// The name is taken already ([`OpenMode::CreateNew`](crate::door::OpenMode), a directory).
    #[error("{} exists already", path.display())]
    AlreadyExists {
        /// What was to be created.
        path: PathBuf,
    },
    /// The file system, or the user's quota on it, is full. A retry helps once there is room.
    #[error("no space left: {op} {}", path.display())]
    NoSpace {
        /// The operation that found no room.
        op: Op,
        /// The file it was for.
        path: PathBuf,
    },
    /// The kernel wrote less than it was given. The rest was not tried again: what is on disk now
    /// is unknown, so the owner of the file must be fenced.
    #[error("short write to {}: {written} of {wanted} bytes", path.display())]
    ShortWrite {
        /// The file written to.
        path: PathBuf,
        /// Bytes given to the kernel.
        wanted: u64,
        /// Bytes it says it wrote.
        written: u64,
    },
    /// A metadata file is larger than its reader admits: it is not what it claims to be.
    #[error("{} has {bytes} bytes, at most {bytes_max} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The reader's limit.
        bytes_max: u64,
    },
    /// The path holds a zero byte or is longer than the kernel takes: a bug of the caller.
    #[error("{} is not a path the kernel takes", path.display())]
    BadPath {
        /// The path.
        path: PathBuf,
    },
    /// Any other refusal of the kernel. EIO (5) on a write or a sync means that data is lost:
    /// never retry it into success.
    #[error("{op} {}: {}", path.display(), std::io::Error::from_raw_os_error(*errno))]
    Os {
        /// The operation.
        op: Op,
        /// The kernel's error number, positive.
        errno: i32,
        /// The file, or for sockets the address.
        path: PathBuf,
    },
    /// The executor that owned the operation has ended. A retry is useless.
    #[error("the shard's executor has ended")]
    ExecutorGone,
}

/// The operation an error belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// Open or create a file.
    Open,
    /// Read from a position.
    Read,
    /// Write at a position.
    Write,
    /// Make a file's data durable (fdatasync).
    Sync,
    /// Make a directory's entries durable (fsync of a directory).
    SyncDir,
    /// Reserve blocks (fallocate).
    Allocate,
    /// Cut or extend a file (ftruncate).
    Truncate,
    /// Ask for a file's length or kind (statx).
    Stat,
    /// Close a descriptor.
    Close,
    /// List a directory.
    List,
    /// Create a directory.
    CreateDir,
    /// Rename a file.
    Rename,
    /// Remove a file or directory.
    Remove,
    /// Ask for a file system's free space.
    Space,
    /// Lock a file (flock).
    Lock,
    /// Create, bind or listen on a socket.
    Listen,
    /// Accept a connection.
    Accept,
    /// Connect to a peer.
    Connect,
    /// Receive from a socket.
    Receive,
    /// Send to a socket.
    Send,
    /// Set or get an option of a socket.
    SocketOption,
    /// Create or wait for a signal's descriptor.
    Signal,
}

impl Op {
    /// Tells whether it promises that something outlives a power cut.
    const fn makes_durable(self) -> bool {
        matches!(self, Self::Sync | Self::SyncDir)
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "fdatasync",
            Self::SyncDir => "fsync of directory",
            Self::Allocate => "fallocate",
            Self::Truncate => "ftruncate",
            Self::Stat => "stat",
            Self::Close => "close",
            Self::List => "list",
            Self::CreateDir => "mkdir",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Space => "statvfs",
            Self::Lock => "lock",
            Self::Listen => "listen on",
            Self::Accept => "accept on",
            Self::Connect => "connect to",
            Self::Receive => "receive from",
            Self::Send => "send to",
            Self::SocketOption => "set socket option of",
            Self::Signal => "signal descriptor",
        })
    }
}

impl IoError {
    /// Turns a positive error number into the variant that names it.
    #[must_use]
    pub fn from_errno(op: Op, errno: i32, path: &Path) -> Self {
        let path = path.to_path_buf();
        match errno {
            libc::ENOENT => Self::NotFound { path },
            libc::EEXIST => Self::AlreadyExists { path },
            libc::ENOSPC | libc::EDQUOT if !op.makes_durable() => Self::NoSpace { op, path },
            errno => Self::Os { op, errno, path },
        }
    }

    /// Returns the file or directory that it was for, or for sockets the address.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::NotFound { path }
            | Self::AlreadyExists { path }
            | Self::NoSpace { path, .. }
            | Self::ShortWrite { path, .. }
            | Self::TooLarge { path, .. }
            | Self::BadPath { path }
            | Self::Os { path, .. } => Some(path),
            Self::ExecutorGone => None,
        }
    }

    /// Tells whether the process or the machine has no descriptor left: nothing was done, nothing is wrong with the file, and a
    /// retry helps once some are free.
    #[must_use]
    pub const fn is_out_of_descriptors(&self) -> bool {
        matches!(self, Self::Os { errno: libc::EMFILE | libc::ENFILE, .. })
    }

    /// Tells whether a file or directory was absent.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Tells whether a name was taken already.
    #[must_use]
    pub const fn is_already_exists(&self) -> bool {
        matches!(self, Self::AlreadyExists { .. })
    }

    /// Tells whether the file system was full, and nothing else is wrong. A sync that fails for want of space is no such
    /// error: what it was to make durable may be lost, whatever room there is later.
    #[must_use]
    pub const fn is_no_space(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_number_becomes_the_variant_that_names_it() {
        let path = Path::new("/d/f");
        assert!(IoError::from_errno(Op::Open, libc::ENOENT, path).is_not_found());
        assert!(IoError::from_errno(Op::Open, libc::EEXIST, path).is_already_exists());
        assert!(IoError::from_errno(Op::Write, libc::ENOSPC, path).is_no_space());
        assert!(IoError::from_errno(Op::Write, libc::EDQUOT, path).is_no_space());
        assert!(!IoError::from_errno(Op::Sync, libc::ENOSPC, path).is_no_space());
        assert!(!IoError::from_errno(Op::SyncDir, libc::EDQUOT, path).is_no_space());
        let eio = IoError::from_errno(Op::Sync, libc::EIO, path);
        assert_eq!(eio.to_string(), "fdatasync /d/f: Input/output error (os error 5)");
    }
}
