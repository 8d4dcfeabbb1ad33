//! The lock that keeps a second broker off a data directory. Held by an open descriptor, so that the kernel lets go of it
//! however the process ends.
#![allow(unsafe_code, reason = "flock is a system call")]
#![allow(clippy::disallowed_methods, reason = "the lock is taken before any executor runs")]

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{IoError, Op};

/// Why a data directory can't be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has it. Stop that one, or use another directory.
    #[error("{} is locked: another broker runs on this data directory", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file can't be made or opened.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// A locked data directory. Dropping it lets go.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock of `data`, making `data/meta/LOCK` where it is missing. Never waits.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(data: &Path) -> Result<Self, LockError> {
        let meta = data.join("meta");
        let failed = |path: &Path, error: &std::io::Error| {
            IoError::from_errno(Op::Lock, error.raw_os_error().unwrap_or(libc::EIO), path)
        };
        std::fs::create_dir_all(&meta).map_err(|error| failed(&meta, &error))?;
        let path = meta.join("LOCK");
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(libc::O_CLOEXEC)
            .open(&path);
        let file = opened.map_err(|error| failed(&path, &error))?;
        // SAFETY: the descriptor is open for as long as `file` lives.
        let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        if result == 0 {
            return Ok(Self { _file: file });
        }
        let error = std::io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EWOULDBLOCK) => Err(LockError::Held { path }),
            _ => Err(failed(&path, &error).into()),
        }
    }

    /// True if a process holds the lock of `data` now. Takes it for a moment if none does.
    #[must_use]
    pub fn is_held(data: &Path) -> bool {
        data.join("meta/LOCK").exists() && matches!(Self::take(data), Err(LockError::Held { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!DirLock::is_held(dir.path()));
        let first = DirLock::take(dir.path()).unwrap();
        assert!(matches!(DirLock::take(dir.path()), Err(LockError::Held { .. })));
        assert!(DirLock::is_held(dir.path()));
        drop(first);
        DirLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let error = DirLock::take(Path::new("/proc/none")).unwrap_err();
        assert!(error.to_string().contains("/proc/none/meta"), "{error}");
    }
}
