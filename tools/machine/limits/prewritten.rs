//! A file whose blocks have all been written: a write into unwritten extents costs a journal commit of the filesystem.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{MachineError, Outcome};

/// Bytes written at a time; the file is as many of them as fit.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// The file, open past the page cache; deleted when dropped.
pub(super) struct Prewritten {
    path: PathBuf,
    pub(super) file: File,
    pub(super) bytes: u64,
}

impl Prewritten {
    /// Makes it below a folder that is on the disk to be measured.
    pub(super) fn create(folder: &Path, name: &str, bytes: u64) -> Outcome<Self> {
        let path = folder.join(format!("limits-{name}-{}", std::process::id()));
        let opened = prewrite(&path, bytes).and_then(|()| direct(&path));
        match opened {
            Ok(file) => Ok(Self { path, file, bytes }),
            Err(error) => {
                // It is not there if it could not be made.
                drop(std::fs::remove_file(&path));
                Err(MachineError::file(&path, error))
            }
        }
    }

    pub(super) fn failed(&self, error: std::io::Error) -> MachineError {
        MachineError::file(&self.path, error)
    }
}

impl Drop for Prewritten {
    fn drop(&mut self) {
        // Only room on the disk is lost if this fails.
        drop(std::fs::remove_file(&self.path));
    }
}

fn prewrite(path: &Path, bytes: u64) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let chunk = vec![7; CHUNK_BYTES];
    for _ in 0..bytes / CHUNK_BYTES as u64 {
        file.write_all(&chunk)?;
    }
    file.sync_all()
}

fn direct(path: &Path) -> std::io::Result<File> {
    let flags = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}
