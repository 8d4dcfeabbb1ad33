//! The lock that keeps a second broker off a data directory. Held by an open descriptor, so that the kernel lets go of it
//! however the process ends. Every ring holds the descriptor too ([`crate::uring::shard::ShardSpec::hold`]): a killed process is
//! gone before the kernel has ended the writes that it had in flight, and until then nobody else may touch the directory.
#![allow(unsafe_code, reason = "flock is a system call")]
#![allow(clippy::disallowed_methods, reason = "the lock is taken before any executor runs")]

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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

/// How long the kernel is given to end what a killed process had in flight.
const DEAD_HOLDER_WAIT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A locked data directory. Dropping it, and every clone of what [`DirLock::held`] gave, lets go.
#[derive(Debug)]
pub struct DirLock {
    file: Arc<File>,
}

impl DirLock {
    /// Takes the lock of `data`, making `data/meta/LOCK` where it is missing. Refuses at once while the process that holds it
    /// lives; waits up to 30 s for the kernel to finish with one that is dead.
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
        let mut file = opened.map_err(|error| failed(&path, &error))?;
        let mut waited = Duration::ZERO;
        while let Err(error) = try_lock(&file) {
            if error.raw_os_error() != Some(libc::EWOULDBLOCK) {
                return Err(failed(&path, &error).into());
            }
            if waited >= DEAD_HOLDER_WAIT || holder_lives(&mut file) {
                return Err(LockError::Held { path });
            }
            std::thread::sleep(LOOK_AGAIN);
            waited += LOOK_AGAIN;
        }
        let noted = note_holder(&mut file);
        noted.map_err(|error| failed(&path, &error))?;
        Ok(Self { file: Arc::new(file) })
    }

    /// The locked descriptor, to be held by whoever may have writes in flight.
    #[must_use]
    pub fn held(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// True if a process holds the lock of `data` now. Takes it for a moment if none does.
    #[must_use]
    pub fn is_held(data: &Path) -> bool {
        data.join("meta/LOCK").exists() && matches!(Self::take(data), Err(LockError::Held { .. }))
    }
}

fn try_lock(file: &File) -> std::io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` lives.
    let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn note_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

/// True unless the file names a process that is gone, or is on its way out.
fn holder_lives(file: &mut File) -> bool {
    let mut text = String::new();
    if file.rewind().and_then(|()| file.read_to_string(&mut text)).is_err() {
        return true;
    }
    let Ok(id) = text.trim().parse::<u32>() else { return true };
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The state follows the name, which may itself hold parentheses.
    let state = status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
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
