//! `journal/<generation>/held`: the logs that a start could not bring up, and the run whose journals still hold what their
//! segments lack. Pure bytes; written once, before `meta/CURRENT` names the generation. `schemas/disk/held.md` draws the table.

use kolk_model::checksum::crc32c;
use kolk_model::ids::TopicPartition;

use crate::field::{Fields, PutFields, Short, bytes32, index};
use crate::journal::current::Current;

const HELD_MAGIC: u32 = u32::from_le_bytes(*b"KLKH");
/// Version written, and the newest read.
pub const HELD_VERSION: u16 = 1;
/// Largest file accepted, in bytes: seven million logs.
pub const HELD_BYTES_MAX: usize = 256 << 20;
/// The name of the file, beside the journals of a generation's shards.
pub const HELD_NAME: &str = "held";

const HEADER_BYTES: usize = 12;
const ENTRY_BYTES: usize = 36;
const CHECKSUM_BYTES: usize = 4;

/// A log whose history stands in the journals of an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLog {
    /// The log.
    pub id: TopicPartition,
    /// That run, as `meta/CURRENT` said then.
    pub run: Current,
}

/// Why the file can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeldError {
    /// Truncated or rotten. It is written by rename, so this is never a crash's doing.
    #[error("the list of held logs is damaged")]
    Damaged,
    /// Written by a newer kolk.
    #[error("the list of held logs has version {found}, newest known {HELD_VERSION}")]
    VersionNewer {
        /// Version found.
        found: u16,
    },
}

impl From<Short> for HeldError {
    fn from(_: Short) -> Self {
        Self::Damaged
    }
}

/// The file's bytes.
#[must_use]
pub fn encode(logs: &[HeldLog]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + logs.len() * ENTRY_BYTES + CHECKSUM_BYTES);
    out.put_u32(HELD_MAGIC);
    out.put_u16(HELD_VERSION);
    out.put_u16(0);
    out.put_u32(bytes32(logs.len()));
    for HeldLog { id, run } in logs {
        out.put_topic_partition(*id);
        out.put_u64(run.generation);
        out.put_u32(run.seed);
        out.put_u16(run.shards);
        out.put_u16(run.files);
    }
    let checksum = crc32c(&out);
    out.put_u32(checksum);
    out
}

/// Reads the file.
///
/// # Errors
/// [`HeldError`].
pub fn decode(file: &[u8]) -> Result<Vec<HeldLog>, HeldError> {
    let mut fields = Fields::new(file);
    let (magic, version, _reserved) = (fields.u32()?, fields.u16()?, fields.u16()?);
    if magic != HELD_MAGIC {
        return Err(HeldError::Damaged);
    }
    if version > HELD_VERSION {
        return Err(HeldError::VersionNewer { found: version });
    }
    let count = fields.u32()?;
    let entries = index(u64::from(count)).checked_mul(ENTRY_BYTES);
    if entries.and_then(|bytes| bytes.checked_add(CHECKSUM_BYTES)) != Some(fields.left()) {
        return Err(HeldError::Damaged);
    }
    let mut logs = Vec::with_capacity(index(u64::from(count)));
    for _ in 0..count {
        let id = fields.topic_partition()?;
        let (generation, seed) = (fields.u64()?, fields.u32()?);
        let (shards, files) = (fields.u16()?, fields.u16()?);
        logs.push(HeldLog { id, run: Current { generation, seed, shards, files } });
    }
    let checksum = fields.u32()?;
    let head = file.get(..file.len().saturating_sub(CHECKSUM_BYTES)).ok_or(Short)?;
    if crc32c(head) != checksum {
        return Err(HeldError::Damaged);
    }
    Ok(logs)
}

const _: () = assert!(HEADER_BYTES + 7_000_000 * ENTRY_BYTES <= HELD_BYTES_MAX);
