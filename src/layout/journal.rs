//! The files of a shard's redo journal: their names, their groups, the snapshots beside them, and the file that says which of
//! them are live.

use std::path::{Path, PathBuf};

use crate::journal::group::JournalIdentity;

pub mod current;
pub mod group;
pub mod held;
pub mod snapshot;

/// The directory of one shard's journal.
#[must_use]
pub fn journal_dir(data: &Path, identity: JournalIdentity) -> PathBuf {
    data.join(format!("journal/{}/{}", identity.generation, identity.shard))
}

/// The name of a journal file.
#[must_use]
pub fn journal_name(number: u16) -> String {
    format!("{number}.journal")
}

/// The names of the two snapshot slots.
pub const SNAPSHOT_NAMES: [&str; 2] = ["snapshot.a", "snapshot.b"];
