//! What the ring can't do: list a directory, ask a file system for its room.
#![allow(unsafe_code, reason = "statvfs writes to memory of this frame")]

use std::ffi::CString;
use std::future::Future;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::door::{DirEntry, Space};
use crate::error::{IoError, Op};

/// Runs a call that blocks in the executor's pool of two threads, off its core.
pub(super) fn in_pool<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    glommio::executor().spawn_blocking(call)
}

pub(crate) fn list(path: &Path) -> Result<Vec<DirEntry>, IoError> {
    let failed = |error: &std::io::Error| {
        IoError::from_errno(Op::List, error.raw_os_error().unwrap_or(libc::EIO), path)
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = match entry.metadata() {
            // Removed between the listing and the question.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            kind => kind.map_err(|error| failed(&error))?,
        };
        let bytes = if kind.is_dir() { 0 } else { kind.len() };
        entries.push(DirEntry { name, is_dir: kind.is_dir(), bytes });
    }
    entries.sort();
    Ok(entries)
}

pub(crate) fn space(path: &Path) -> Result<Space, IoError> {
    let bad_path = |_| IoError::BadPath { path: path.to_path_buf() };
    let name = CString::new(path.as_os_str().as_bytes()).map_err(bad_path)?;
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero; `found` is memory of this frame, large enough.
    if unsafe { libc::statvfs(name.as_ptr(), found.as_mut_ptr()) } != 0 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        return Err(IoError::from_errno(Op::Space, errno, path));
    }
    // SAFETY: the call has succeeded and filled it.
    let found = unsafe { found.assume_init() };
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Space { free_bytes: bytes(found.f_bavail), total_bytes: bytes(found.f_blocks) })
}
