//! What the simulated disk was asked to do, for tests that count.

use std::path::Path;

use crate::error::Op;

/// Most operations that are listed; counting goes on behind them.
const LISTED_MAX: usize = 1 << 20;

/// One operation, recorded when it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpEntry {
    /// The operation.
    pub op: Op,
    /// Its path.
    pub path: String,
    /// Where it began, for reads, writes and allocations; else 0.
    pub position: u64,
    /// Its bytes, likewise.
    pub bytes: u64,
}

/// Operations in the order in which they started.
#[derive(Debug, Default)]
pub(super) struct OpRecord {
    entries: Vec<OpEntry>,
}

impl OpRecord {
    pub(super) fn push(&mut self, op: Op, path: &Path, position: u64, bytes: u64) {
        if self.entries.len() < LISTED_MAX {
            let path = path.to_string_lossy().into_owned();
            self.entries.push(OpEntry { op, path, position, bytes });
        }
    }

    pub(super) fn entries(&self) -> Vec<OpEntry> {
        self.entries.clone()
    }

    pub(super) fn count(&self, op: Op, path_contains: &str) -> u64 {
        let found = |entry: &&OpEntry| entry.op == op && entry.path.contains(path_contains);
        self.entries.iter().filter(found).count() as u64
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}
