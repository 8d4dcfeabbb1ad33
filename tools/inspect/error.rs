//! Why an inspection could not be carried out. Damage is no error: it is what the report is about.

use std::io;
use std::path::{Path, PathBuf};

/// Errors of the offline reader.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// Nothing is there. The caller's mistake.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The path asked for.
        path: PathBuf,
    },
    /// Something is there, and it is none of ours.
    #[error("{} is neither a data directory of kolk nor a file of one", path.display())]
    NotOurs {
        /// The path asked for.
        path: PathBuf,
    },
    /// The file can be read only beside the rest of its data directory.
    #[error("{} can't be checked alone: its checksums need meta/CURRENT of its data directory", path.display())]
    NeedsDirectory {
        /// The path asked for.
        path: PathBuf,
    },
    /// Written by a newer kolk: nothing can be said about it.
    #[error("{file}: {reason}; inspect it with the newer kolk")]
    Newer {
        /// The file.
        file: String,
        /// Which version it has.
        reason: String,
    },
    /// The operating system refused. Permissions mostly.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its words.
        source: io::Error,
    },
    /// What was found could not be written out.
    #[error("writing the result: {0}")]
    Output(#[from] io::Error),
}

impl InspectError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            Self::NotFound { path: path.to_owned() }
        } else {
            Self::Io { path: path.to_owned(), source }
        }
    }
}
