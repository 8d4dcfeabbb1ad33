//! `meta/CURRENT`: which generation of the journal is the live one. Pure bytes; written by rename.
//! `schemas/disk/current.md` draws the table.

use kolk_model::checksum::crc32c;
use kolk_model::ids::ShardId;

use crate::field::{Fields, PutFields, Short};
use crate::journal::group::JournalIdentity;

const CURRENT_MAGIC: u32 = u32::from_le_bytes(*b"KLKC");
/// Version written, and the newest read.
pub const CURRENT_VERSION: u16 = 1;
/// Largest file accepted, in bytes.
pub const CURRENT_BYTES_MAX: usize = 4096;

/// The content of `meta/CURRENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Current {
    /// The live generation, from 1.
    pub generation: u64,
    /// Random per generation, mixed into the journal's checksums.
    pub seed: u32,
    /// Shards of that run: `journal/<generation>/0 … shards-1` exist.
    pub shards: u16,
    /// Journal files of each shard: `0.journal … files-1.journal` exist.
    pub files: u16,
}

/// Why CURRENT can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CurrentError {
    /// Torn, truncated or rotten. It is written by rename, so this is never a crash's doing.
    #[error("meta/CURRENT is damaged")]
    Damaged,
    /// Written by a newer kolk.
    #[error("meta/CURRENT has version {found}, newest known {CURRENT_VERSION}")]
    VersionNewer {
        /// Version found.
        found: u16,
    },
}

impl From<Short> for CurrentError {
    fn from(_: Short) -> Self {
        Self::Damaged
    }
}

impl Current {
    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        out.put_u32(CURRENT_MAGIC);
        out.put_u16(CURRENT_VERSION);
        out.put_u16(self.shards);
        out.put_u64(self.generation);
        out.put_u32(self.seed);
        out.put_u16(self.files);
        out.put_u16(0);
        let checksum = crc32c(&out);
        out.put_u32(checksum);
        out
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`CurrentError`].
    pub fn decode(file: &[u8]) -> Result<Self, CurrentError> {
        let mut fields = Fields::new(file);
        let (magic, version, shards) = (fields.u32()?, fields.u16()?, fields.u16()?);
        if magic != CURRENT_MAGIC {
            return Err(CurrentError::Damaged);
        }
        if version > CURRENT_VERSION {
            return Err(CurrentError::VersionNewer { found: version });
        }
        let (generation, seed) = (fields.u64()?, fields.u32()?);
        let (files, _reserved, checksum) = (fields.u16()?, fields.u16()?, fields.u32()?);
        let head = file.get(..file.len().saturating_sub(4)).ok_or(Short)?;
        if fields.left() != 0 || crc32c(head) != checksum {
            return Err(CurrentError::Damaged);
        }
        Ok(Self { generation, seed, shards, files })
    }

    /// What binds the groups of one shard to this generation.
    #[must_use]
    pub const fn identity(&self, shard: ShardId) -> JournalIdentity {
        JournalIdentity { generation: self.generation, shard, seed: self.seed }
    }
}
