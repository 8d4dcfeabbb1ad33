//! One group of the shard journal as bytes: header, record directory, payload, padding to a page. Pure, so that recovery,
//! `kolk inspect` and the fuzz twins read groups through the very same code. `schemas/disk/journal.md` draws the table.

use bytes::Bytes;
use kolk_model::checksum::{crc32c, crc32c_append};
use kolk_model::ids::{ShardId, TopicPartition};
use kolk_model::offset::{FilePosition, Offset};

use crate::field::{Fields, PAGE_BYTES, PutFields, Short, bytes, bytes32, index, page_ceil};

/// First four bytes of a group.
pub const GROUP_MAGIC: u32 = u32::from_le_bytes(*b"KLKG");
/// Version of the group format that this code writes, and the newest that it reads.
pub const GROUP_VERSION: u16 = 1;
/// Bytes of the fixed header.
pub const GROUP_HEADER_BYTES: usize = 72;
/// Bytes of one directory entry.
pub const RECORD_ENTRY_BYTES: usize = 80;
/// The most records that one group may hold.
pub const GROUP_RECORDS_MAX: u32 = 65_536;

const _: () = assert!(GROUP_HEADER_BYTES.is_multiple_of(8) && RECORD_ENTRY_BYTES.is_multiple_of(8));

/// What binds a group to one run of one shard. The seed is random per generation and stands in `meta/CURRENT`, so that no
/// record a client sends can look like a group, and no group of an earlier use of the file can follow on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalIdentity {
    /// The run.
    pub generation: u64,
    /// Whose journal of that run.
    pub shard: ShardId,
    /// Random, mixed into every header checksum.
    pub seed: u32,
}

/// What a record of the journal says about one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// The log exists, empty, with its first segment.
    Create,
    /// The payload stands at `from..to` of the segment.
    Redo,
    /// The pages `from..to` were written to the segment and synced before this record.
    Extent,
    /// The segment before was sealed; `segment` is the active one and empty.
    Roll,
    /// Records below `next_offset` are given up; segments below may be gone.
    LogStart,
}

impl RecordKind {
    const fn code(self) -> u8 {
        match self {
            Self::Create => 1,
            Self::Redo => 2,
            Self::Extent => 3,
            Self::Roll => 4,
            Self::LogStart => 5,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Create),
            2 => Some(Self::Redo),
            3 => Some(Self::Extent),
            4 => Some(Self::Roll),
            5 => Some(Self::LogStart),
            _ => None,
        }
    }
}

/// One directory entry: which log, what, where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The log it belongs to.
    pub log: TopicPartition,
    /// What it says.
    pub kind: RecordKind,
    /// Base offset of the segment.
    pub segment: Offset,
    /// First byte in the segment that the record speaks of.
    pub from: FilePosition,
    /// First byte after those.
    pub to: FilePosition,
    /// Where the last whole batch at or below `to` ends.
    pub end: FilePosition,
    /// Offset after the last record of that batch; for [`RecordKind::LogStart`] the log start offset.
    pub next_offset: Offset,
}

/// The fixed part of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    /// Counts groups of this shard in this generation, from 1.
    pub sequence: u64,
    /// The last sequence known to be synced when this one was written.
    pub durable_sequence: u64,
    /// The first sequence that replay needs: everything below stands in a snapshot.
    pub low_water: u64,
    /// Checksum of the group before.
    pub previous_checksum: u32,
    /// Checksum of this header (and through it of directory and payloads).
    pub checksum: u32,
    /// Length of the whole group on disk, a multiple of the page.
    pub total_bytes: u64,
    record_count: u32,
    directory_checksum: u32,
    payload_bytes: u32,
}

/// Why bytes are not a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// No header of this run's journal stands here: zeros, a recycled file's old group, or rot. The scan decides which.
    #[error("no group header of this journal")]
    NotAGroup,
    /// The header is ours but of a newer format.
    #[error("group version {found}, newest known {GROUP_VERSION}")]
    VersionNewer {
        /// Version found.
        found: u16,
    },
    /// The header is whole, its directory is not: which logs it spoke of is unknown.
    #[error("record directory damaged")]
    DirectoryDamaged,
}

impl From<Short> for GroupError {
    fn from(_: Short) -> Self {
        Self::NotAGroup
    }
}

/// A record with its payload, or the news that the payload is damaged.
#[derive(Clone, Debug)]
pub struct RecordBytes {
    /// The directory entry.
    pub record: Record,
    /// Its bytes; `None` where they do not match their checksum.
    pub payload: Option<Bytes>,
}

/// Collects the directory of one group. The payload stays where it is until the group's length is known, so that it is copied
/// once, straight into the buffer that goes to disk.
#[derive(Debug, Default)]
pub struct GroupBuilder {
    directory: Vec<u8>,
    /// The head of the last group: its memory serves the next one.
    head: Vec<u8>,
    payload_bytes: usize,
    count: u32,
}

/// The numbers of a group that its place in the journal decides.
#[derive(Clone, Copy, Debug)]
pub struct GroupPlace {
    /// This group's number.
    pub sequence: u64,
    /// Last synced sequence.
    pub durable_sequence: u64,
    /// First sequence still needed.
    pub low_water: u64,
    /// Checksum of the group before.
    pub previous_checksum: u32,
}

impl GroupBuilder {
    /// Adds a record whose payload has `payload_bytes` and the CRC-32C `payload_checksum`. Payloads follow the head in the order
    /// of these calls.
    pub fn push(&mut self, record: &Record, payload_bytes: usize, payload_checksum: u32) {
        self.directory.put_topic_partition(record.log);
        self.directory.put_u8(record.kind.code());
        self.directory.put(&[0; 3]);
        self.directory.put_u64(record.segment.get());
        self.directory.put_u64(record.from.get());
        self.directory.put_u64(record.to.get());
        self.directory.put_u64(record.end.get());
        self.directory.put_u64(record.next_offset.get());
        self.directory.put_u32(bytes32(self.payload_bytes));
        self.directory.put_u32(bytes32(payload_bytes));
        self.directory.put_u32(payload_checksum);
        self.directory.put_u32(0);
        self.payload_bytes += payload_bytes;
        self.count += 1;
    }

    /// True if no record was added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Records added.
    #[must_use]
    pub const fn record_count(&self) -> u32 {
        self.count
    }

    /// Payload bytes announced.
    #[must_use]
    pub const fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        self.directory.clear();
        self.payload_bytes = 0;
        self.count = 0;
    }

    /// Length of the group on disk, padding included.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        page_ceil(bytes(GROUP_HEADER_BYTES + self.directory.len() + self.payload_bytes))
    }

    /// Header and directory for `place`, which the payloads follow; and the group's checksum, which the next group carries.
    #[must_use]
    pub fn head(&mut self, identity: JournalIdentity, place: GroupPlace) -> (&[u8], u32) {
        let total_bytes = self.total_bytes();
        let head = &mut self.head;
        head.clear();
        head.reserve(GROUP_HEADER_BYTES + self.directory.len());
        head.put_u32(GROUP_MAGIC);
        head.put_u16(GROUP_VERSION);
        head.put_u16(identity.shard.get());
        head.put_u64(identity.generation);
        head.put_u64(place.sequence);
        head.put_u64(place.durable_sequence);
        head.put_u64(place.low_water);
        head.put_u32(place.previous_checksum);
        head.put_u32(self.count);
        head.put_u32(bytes32(self.directory.len()));
        head.put_u32(bytes32(self.payload_bytes));
        head.put_u32(bytes32(index(total_bytes)));
        head.put_u32(crc32c(&self.directory));
        head.put_u32(0);
        let checksum = header_checksum(identity, head);
        head.put_u32(checksum);
        assert_eq!(head.len(), GROUP_HEADER_BYTES, "the header has one length");
        head.put(&self.directory);
        (head, checksum)
    }
}

fn header_checksum(identity: JournalIdentity, head: &[u8]) -> u32 {
    let seed = crc32c(&identity.seed.to_le_bytes());
    let seed = crc32c_append(seed, &identity.generation.to_le_bytes());
    crc32c_append(crc32c_append(seed, &identity.shard.get().to_le_bytes()), head)
}

/// Reads the header that starts `page`.
///
/// # Errors
/// [`GroupError::NotAGroup`] for anything that is not a whole header of this journal, [`GroupError::VersionNewer`].
pub fn parse_header(identity: JournalIdentity, page: &[u8]) -> Result<GroupHeader, GroupError> {
    let head = page.get(..GROUP_HEADER_BYTES - 4).ok_or(GroupError::NotAGroup)?;
    let mut fields = Fields::new(page);
    let (magic, version, shard) = (fields.u32()?, fields.u16()?, fields.u16()?);
    let (generation, sequence) = (fields.u64()?, fields.u64()?);
    let (durable_sequence, low_water) = (fields.u64()?, fields.u64()?);
    let (previous_checksum, record_count) = (fields.u32()?, fields.u32()?);
    let (directory_bytes, payload_bytes) = (fields.u32()?, fields.u32()?);
    let (total_bytes, directory_checksum) = (u64::from(fields.u32()?), fields.u32()?);
    let _reserved = fields.u32()?;
    let checksum = fields.u32()?;
    let ours = magic == GROUP_MAGIC
        && shard == identity.shard.get()
        && generation == identity.generation
        && checksum == header_checksum(identity, head);
    if !ours {
        return Err(GroupError::NotAGroup);
    }
    if version > GROUP_VERSION {
        return Err(GroupError::VersionNewer { found: version });
    }
    let content = bytes(GROUP_HEADER_BYTES) + u64::from(directory_bytes) + u64::from(payload_bytes);
    let consistent = record_count <= GROUP_RECORDS_MAX
        && u64::from(directory_bytes) == u64::from(record_count) * bytes(RECORD_ENTRY_BYTES)
        && total_bytes == page_ceil(content)
        && total_bytes.is_multiple_of(PAGE_BYTES)
        && durable_sequence < sequence
        && low_water <= sequence;
    if !consistent {
        return Err(GroupError::NotAGroup);
    }
    Ok(GroupHeader {
        sequence,
        durable_sequence,
        low_water,
        previous_checksum,
        checksum,
        total_bytes,
        record_count,
        directory_checksum,
        payload_bytes,
    })
}

/// Reads the records of a group whose header was parsed; `group` starts at the header and is refcounted, payloads are slices
/// of it.
///
/// # Errors
/// [`GroupError::DirectoryDamaged`] where the directory does not match its checksum or contradicts the header.
pub fn parse_records(header: &GroupHeader, group: &Bytes) -> Result<Vec<RecordBytes>, GroupError> {
    let damaged = |_| GroupError::DirectoryDamaged;
    let directory_bytes = index(u64::from(header.record_count)) * RECORD_ENTRY_BYTES;
    let payload_at = GROUP_HEADER_BYTES + directory_bytes;
    let directory =
        group.get(GROUP_HEADER_BYTES..payload_at).ok_or(GroupError::DirectoryDamaged)?;
    if crc32c(directory) != header.directory_checksum {
        return Err(GroupError::DirectoryDamaged);
    }
    let payload_end = payload_at + index(u64::from(header.payload_bytes));
    let mut fields = Fields::new(directory);
    let mut records = Vec::new();
    while fields.left() > 0 {
        let (record, at, len, checksum) = parse_entry(&mut fields).map_err(damaged)??;
        let from = payload_at + index(u64::from(at));
        let to = from + index(u64::from(len));
        let whole = to <= payload_end
            && group.get(from..to).is_some_and(|payload| crc32c(payload) == checksum);
        let payload = whole.then(|| group.slice(from..to));
        records.push(RecordBytes { record, payload });
    }
    Ok(records)
}

type Entry = (Record, u32, u32, u32);

fn parse_entry(fields: &mut Fields<'_>) -> Result<Result<Entry, GroupError>, Short> {
    let log = fields.topic_partition()?;
    let kind = fields.u8()?;
    fields.take(3)?;
    let (segment, from, to) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let (end, next_offset) = (fields.u64()?, fields.u64()?);
    let (at, len, checksum, _reserved) =
        (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
    let Some(kind) = RecordKind::from_code(kind) else {
        return Ok(Err(GroupError::DirectoryDamaged));
    };
    let record = Record {
        log,
        kind,
        segment: Offset::new(segment),
        from: FilePosition::new(from),
        to: FilePosition::new(to),
        end: FilePosition::new(end),
        next_offset: Offset::new(next_offset),
    };
    let sound =
        from <= to && end <= to && (kind != RecordKind::Redo || u64::from(len) == to - from);
    Ok(if sound { Ok((record, at, len, checksum)) } else { Err(GroupError::DirectoryDamaged) })
}
