//! Calls on names and directories that block; the executor's worker threads make them.
#![allow(unsafe_code, reason = "statvfs writes to memory of this frame")]
#![allow(clippy::disallowed_methods, reason = "this is Io's own way to the file system")]

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::door::{DirEntry, Space};
use crate::error::{IoError, Op};

pub(in crate::uring) fn list(path: &Path) -> Result<Vec<DirEntry>, IoError> {
    let failed = |error: std::io::Error| error_of(Op::List, &error, path);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = match entry.metadata() {
            // Removed between the listing and the question.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            kind => kind.map_err(failed)?,
        };
        let bytes = if kind.is_dir() { 0 } else { kind.len() };
        entries.push(DirEntry { name, is_dir: kind.is_dir(), bytes });
    }
    entries.sort();
    Ok(entries)
}

pub(in crate::uring) fn create_dir(path: &Path) -> Result<(), IoError> {
    std::fs::create_dir(path).map_err(|error| error_of(Op::CreateDir, &error, path))
}

pub(in crate::uring) fn rename(from: &Path, to: &Path) -> Result<(), IoError> {
    std::fs::rename(from, to).map_err(|error| error_of(Op::Rename, &error, from))
}

pub(in crate::uring) fn remove_file(path: &Path) -> Result<(), IoError> {
    std::fs::remove_file(path).map_err(|error| error_of(Op::Remove, &error, path))
}

pub(in crate::uring) fn remove_dir(path: &Path) -> Result<(), IoError> {
    std::fs::remove_dir(path).map_err(|error| error_of(Op::Remove, &error, path))
}

pub(in crate::uring) fn space(path: &Path) -> Result<Space, IoError> {
    let bad_path = |_| IoError::BadPath { path: path.to_path_buf() };
    let name = CString::new(path.as_os_str().as_bytes()).map_err(bad_path)?;
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero; `found` is memory of this frame, large enough.
    if unsafe { libc::statvfs(name.as_ptr(), found.as_mut_ptr()) } != 0 {
        return Err(error_of(Op::Space, &std::io::Error::last_os_error(), path));
    }
    // SAFETY: the call has succeeded and filled it.
    let found = unsafe { found.assume_init() };
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Space { free_bytes: bytes(found.f_bavail), total_bytes: bytes(found.f_blocks) })
}

fn error_of(op: Op, error: &std::io::Error, path: &Path) -> IoError {
    match error.raw_os_error() {
        Some(errno) => IoError::from_errno(op, errno, path),
        // The standard library refuses a path with a zero byte by itself.
        None => IoError::BadPath { path: path.to_path_buf() },
    }
}
