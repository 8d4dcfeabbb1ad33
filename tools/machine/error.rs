//! Why the machine could not be measured.

use std::io;
use std::path::{Path, PathBuf};

use kolk_io::error::IoError;
use kolk_io::uring::shard::ShardError;

/// Errors of measuring the machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// A file could not be read or written: no room, or not allowed.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// The loopback gave no connection, or broke it.
    #[error("loopback: {0}")]
    Loopback(io::Error),
    /// The loop of a broker's shard, which a limit is measured with, did not start or was ended.
    #[error(transparent)]
    Runtime(#[from] ShardError),
    /// That loop could not use the loopback.
    #[error(transparent)]
    RuntimeIo(#[from] IoError),
    /// What the kernel or a caller says makes no sense.
    #[error("{0}")]
    Senseless(String),
}

impl MachineError {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}

/// What a measurement gives.
pub type Outcome<T> = Result<T, MachineError>;
