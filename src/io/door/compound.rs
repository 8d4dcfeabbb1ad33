//! Operations made of others, written once so that the simulator tests the very code that runs.

use std::path::{Path, PathBuf};

use super::{File, Io, OpenMode, PAGE_BYTES};
use crate::buf::AlignedBuf;
use crate::error::IoError;

/// Name ending of the temporary file of an atomic write; a crash may leave one behind.
const TEMPORARY_SUFFIX: &str = ".tmp";

pub(super) async fn create_dir_all<I: Io>(io: I, path: PathBuf) -> Result<(), IoError> {
    let mut missing: Vec<&Path> = Vec::new();
    for dir in path.ancestors().filter(|dir| !dir.as_os_str().is_empty()) {
        match io.create_dir(dir).await {
            Ok(()) => break,
            Err(error) if error.is_already_exists() => break,
            Err(error) if error.is_not_found() => missing.push(dir),
            Err(error) => return Err(error),
        }
    }
    for dir in missing.into_iter().rev() {
        match io.create_dir(dir).await {
            Err(error) if !error.is_already_exists() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

pub(super) async fn remove_dir_all<I: Io>(io: I, path: PathBuf) -> Result<(), IoError> {
    // Directories are removed in the reverse order of their discovery: children first.
    let mut found = vec![path];
    let mut next = 0;
    while let Some(dir) = found.get(next).cloned() {
        next += 1;
        let entries = match io.list_dir(&dir).await {
            Err(error) if error.is_not_found() => continue,
            entries => entries?,
        };
        for entry in entries {
            let child = dir.join(&entry.name);
            if entry.is_dir {
                found.push(child);
            } else {
                absent_is_fine(io.remove_file(&child).await)?;
            }
        }
    }
    for dir in found.into_iter().rev() {
        absent_is_fine(io.remove_dir(&dir).await)?;
    }
    Ok(())
}

pub(super) async fn remove_file_if_there<I: Io>(io: I, path: PathBuf) -> Result<(), IoError> {
    absent_is_fine(io.remove_file(&path).await)
}

pub(super) async fn read_file<I: Io>(
    io: I,
    path: PathBuf,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, IoError> {
    let file = match io.open(&path, OpenMode::ReadOnly).await {
        Err(error) if error.is_not_found() => return Ok(None),
        file => file?,
    };
    let bytes = file.len().await?;
    let Some(length) = usize::try_from(bytes).ok().filter(|length| *length <= bytes_max) else {
        return Err(IoError::TooLarge { path, bytes, bytes_max: bytes_max as u64 });
    };
    if length == 0 {
        file.close().await?;
        return Ok(Some(Vec::new()));
    }
    let read = file.read_at(0, length.next_multiple_of(PAGE_BYTES)).await?;
    file.close().await?;
    Ok(Some(read.to_vec()))
}

pub(super) async fn write_file_atomic<I: Io>(
    io: I,
    path: PathBuf,
    bytes: AlignedBuf,
) -> Result<(), IoError> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(IoError::BadPath { path });
    };
    let mut temporary = name.to_os_string();
    temporary.push(TEMPORARY_SUFFIX);
    let temporary = dir.join(temporary);
    // What a crash left under the temporary name is worth nothing.
    absent_is_fine(io.remove_file(&temporary).await)?;
    let file = io.open(&temporary, OpenMode::CreateNew).await?;
    let length = bytes.len() as u64;
    if length > 0 {
        // Direct writes are whole pages: the padding is cut off before the sync.
        file.write_at(0, &[bytes.into_slice()]).await?;
        file.truncate(length).await?;
    }
    file.sync().await?;
    file.close().await?;
    io.rename(&temporary, &path).await?;
    io.sync_dir(dir).await
}

fn absent_is_fine(result: Result<(), IoError>) -> Result<(), IoError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        result => result,
    }
}
