//! The journal snapshot as bytes: where every log of a shard ends, with the bytes that its segment does not hold yet.
//! Pure, for the same reason as the group. `schemas/disk/snapshot.md` draws the table.

use kolk_model::checksum::crc32c;
use kolk_model::ids::{LeaderEpoch, TopicPartition};
use kolk_model::offset::{FilePosition, Offset};

use crate::field::{Fields, PutFields, Short, bytes, bytes32, index, page_floor};
use crate::journal::group::JournalIdentity;

/// First four bytes of a snapshot slot.
pub const SNAPSHOT_MAGIC: u32 = u32::from_le_bytes(*b"KLKS");
/// Version written, and the newest read.
pub const SNAPSHOT_VERSION: u16 = 1;
/// Bytes before the first entry.
pub const SNAPSHOT_HEADER_BYTES: usize = 64;
/// The most leader epochs kept per log; older ones are merged into the oldest kept.
pub const EPOCHS_MAX: usize = 1024;

/// How the run that wrote the snapshot went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// Groups may follow.
    Running,
    /// The last act of a clean stop: no group follows.
    CleanStop,
}

/// One leader epoch and the first offset written in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Its first offset.
    pub start: Offset,
}

/// What a snapshot says of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSnapshot {
    /// The log.
    pub id: TopicPartition,
    /// The epoch of the run that wrote it.
    pub epoch: LeaderEpoch,
    /// First offset still readable.
    pub log_start: Offset,
    /// Base offset of the active segment.
    pub segment: Offset,
    /// Bytes below stand in the segment file, synced. A multiple of the page.
    pub flushed: FilePosition,
    /// End of the last batch in the active segment.
    pub end: FilePosition,
    /// End of what the journal has taken: at or above `end`, above it where a direct write ended inside a batch.
    pub covered: FilePosition,
    /// Offset after the last record.
    pub next_offset: Offset,
    /// Epochs with at least one record, oldest first.
    pub epochs: Vec<EpochStart>,
    /// Why the log is offline, where it is.
    pub damage: Option<String>,
    /// The bytes `flushed..covered`.
    pub tail: Vec<u8>,
}

/// A snapshot slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Every group up to this sequence is contained.
    pub sequence: u64,
    /// Checksum of that group; the next one carries it.
    pub checksum: u32,
    /// Whether groups may follow.
    pub kind: SnapshotKind,
    /// The kernel's boot id at the time, 0 if unknown: tells a crash of the process from one of the machine.
    pub boot: u64,
    /// All logs of the shard.
    pub logs: Vec<LogSnapshot>,
}

/// Why a slot can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Empty, torn or rotten; the other slot may serve.
    #[error("snapshot slot is empty or damaged")]
    Damaged,
    /// Written by a newer kolk.
    #[error("snapshot version {found}, newest known {SNAPSHOT_VERSION}")]
    VersionNewer {
        /// Version found.
        found: u16,
    },
}

impl From<Short> for SnapshotError {
    fn from(_: Short) -> Self {
        Self::Damaged
    }
}

impl Snapshot {
    /// The slot's bytes, unpadded.
    #[must_use]
    pub fn encode(&self, identity: JournalIdentity) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.logs.iter().map(|log| 128 + log.tail.len()).sum());
        for log in &self.logs {
            encode_log(&mut body, log);
        }
        let mut out = Vec::with_capacity(SNAPSHOT_HEADER_BYTES + body.len());
        out.put_u32(SNAPSHOT_MAGIC);
        out.put_u16(SNAPSHOT_VERSION);
        out.put_u16(identity.shard.get());
        out.put_u64(identity.generation);
        out.put_u64(self.sequence);
        out.put_u64(self.boot);
        out.put_u64(bytes(body.len()));
        out.put_u32(identity.seed);
        out.put_u32(self.checksum);
        out.put_u32(bytes32(self.logs.len()));
        out.put_u32(u32::from(self.kind == SnapshotKind::CleanStop));
        out.put_u32(crc32c(&body));
        let checksum = crc32c(&out);
        out.put_u32(checksum);
        assert_eq!(out.len(), SNAPSHOT_HEADER_BYTES, "the header has one length");
        out.put(&body);
        out
    }

    /// Reads a slot; bytes after the snapshot are padding.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn decode(identity: JournalIdentity, slot: &[u8]) -> Result<Self, SnapshotError> {
        let mut fields = Fields::new(slot);
        let (magic, version, shard) = (fields.u32()?, fields.u16()?, fields.u16()?);
        let (generation, sequence, boot) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let body_bytes = fields.u64()?;
        let (seed, group_checksum, count) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (kind, body_checksum) = (fields.u32()?, fields.u32()?);
        let checksum = fields.u32()?;
        let head = slot.get(..SNAPSHOT_HEADER_BYTES - 4).ok_or(Short)?;
        let ours = magic == SNAPSHOT_MAGIC
            && crc32c(head) == checksum
            && generation == identity.generation
            && seed == identity.seed
            && shard == identity.shard.get();
        if !ours {
            return Err(SnapshotError::Damaged);
        }
        if version > SNAPSHOT_VERSION {
            return Err(SnapshotError::VersionNewer { found: version });
        }
        let body = fields.take(index(body_bytes))?;
        if crc32c(body) != body_checksum {
            return Err(SnapshotError::Damaged);
        }
        let mut fields = Fields::new(body);
        let mut logs = Vec::new();
        for _ in 0..count {
            logs.push(decode_log(&mut fields)?);
        }
        let kind = if kind == 0 { SnapshotKind::Running } else { SnapshotKind::CleanStop };
        Ok(Self { sequence, checksum: group_checksum, kind, boot, logs })
    }
}

fn encode_log(out: &mut Vec<u8>, log: &LogSnapshot) {
    assert_eq!(
        bytes(log.tail.len()),
        log.covered.bytes_since(log.flushed),
        "the tail is what the segment lacks"
    );
    let damage = log.damage.as_deref().unwrap_or_default().as_bytes();
    out.put_topic_partition(log.id);
    out.put_u32(log.epoch.get());
    out.put_u64(log.log_start.get());
    out.put_u64(log.segment.get());
    out.put_u64(log.flushed.get());
    out.put_u64(log.end.get());
    out.put_u64(log.covered.get());
    out.put_u64(log.next_offset.get());
    out.put_u32(bytes32(log.epochs.len()));
    out.put_u32(bytes32(damage.len()));
    for epoch in &log.epochs {
        out.put_u32(epoch.epoch.get());
        out.put_u64(epoch.start.get());
    }
    out.put(damage);
    out.put(&log.tail);
}

fn decode_log(fields: &mut Fields<'_>) -> Result<LogSnapshot, SnapshotError> {
    let id = fields.topic_partition()?;
    let epoch = LeaderEpoch::new(fields.u32()?);
    let (log_start, segment) = (Offset::new(fields.u64()?), Offset::new(fields.u64()?));
    let (flushed, end) = (FilePosition::new(fields.u64()?), FilePosition::new(fields.u64()?));
    let covered = FilePosition::new(fields.u64()?);
    let next_offset = Offset::new(fields.u64()?);
    let (epoch_count, damage_bytes) = (fields.u32()?, fields.u32()?);
    let mut epochs = Vec::new();
    for _ in 0..epoch_count {
        let epoch = LeaderEpoch::new(fields.u32()?);
        epochs.push(EpochStart { epoch, start: Offset::new(fields.u64()?) });
    }
    let damage = fields.take(index(u64::from(damage_bytes)))?;
    let damage = (!damage.is_empty()).then(|| String::from_utf8_lossy(damage).into_owned());
    let sound = flushed <= end
        && end <= covered
        && page_floor(flushed.get()) == flushed.get()
        && log_start <= next_offset;
    if !sound {
        return Err(SnapshotError::Damaged);
    }
    let tail = fields.take(index(covered.bytes_since(flushed)))?.to_vec();
    Ok(LogSnapshot {
        id,
        epoch,
        log_start,
        segment,
        flushed,
        end,
        covered,
        next_offset,
        epochs,
        damage,
        tail,
    })
}
