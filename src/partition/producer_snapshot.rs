//! The file `producer.snapshot`: a partition's producers as of an offset, so that a start reads the log
//! from there only. Drawn in `schemas/disk/producer-snapshot.md`. Apart because a format outlives its code.

use bytes::{Buf, BufMut};

use kolk_model::checksum::{crc32c, crc32c_append};
use kolk_model::ids::{
    LeaderEpoch, PartitionId, ProducerEpoch, ProducerId, Sequence, TopicId, TopicPartition,
};
use kolk_model::limits::PRODUCER_IN_FLIGHT_MAX;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::producers::{ProducerState, Producers, RememberedBatch};

/// The first eight bytes.
pub const MAGIC: [u8; 8] = *b"kolk-psn";
/// The version written, and the newest one read.
pub const VERSION: u32 = 1;

const CRC_FROM: usize = 12;
const CRC_BYTES: usize = 4;
const HEADER_BYTES: usize = 56;
const PRODUCER_BYTES_MAX: usize = 19 + 16 * PRODUCER_IN_FLIGHT_MAX;

/// What a snapshot speaks of, beside the producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPoint {
    /// Whose producers.
    pub partition: TopicPartition,
    /// Every batch below is contained, none above.
    pub offset: Offset,
    /// The leader epoch of the batch before `offset`: a log that holds another one there is not the log
    /// that was described.
    pub epoch: LeaderEpoch,
}

/// A snapshot read back.
#[derive(Clone, Debug)]
pub struct ProducerSnapshot {
    /// What it speaks of.
    pub point: SnapshotPoint,
    /// Each producer and its state, by id.
    pub states: Vec<(ProducerId, ProducerState)>,
}

/// Why bytes are not a producer snapshot. The state is then rebuilt from the log, so nothing is lost but time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Something else's bytes.
    #[error("it does not begin as a producer snapshot does")]
    NotASnapshot,
    /// Written by a newer kolk.
    #[error("it has format version {found}, this kolk reads up to {VERSION}")]
    Newer {
        /// The version found.
        found: u32,
    },
    /// The checksum does not match.
    #[error("its checksum is {found:#010x}, its bytes give {expected:#010x}")]
    Checksum {
        /// What the file says.
        found: u32,
        /// What its bytes give.
        expected: u32,
    },
    /// The checksum matches and the content does not.
    #[error("{what} is not possible")]
    Content {
        /// Which field.
        what: &'static str,
    },
}

/// Bytes that a snapshot of so many producers has at most: what a reader accepts.
#[must_use]
pub const fn bytes_max(producers: usize) -> usize {
    HEADER_BYTES + producers * PRODUCER_BYTES_MAX
}

/// The producers as the bytes of the file.
#[must_use]
pub fn encode(point: &SnapshotPoint, producers: &Producers) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes_max(producers.count()));
    out.put_slice(&MAGIC);
    out.put_u32_le(VERSION);
    out.put_u32_le(0);
    out.put_slice(point.partition.topic.as_bytes());
    out.put_u32_le(point.partition.partition.get());
    out.put_u64_le(point.offset.get());
    out.put_u32_le(point.epoch.get());
    // Bounded by the partition's limit, far below 2^32.
    out.put_u32_le(u32::try_from(producers.count()).unwrap_or(u32::MAX));
    out.put_u32_le(0);
    debug_assert_eq!(out.len(), HEADER_BYTES, "header of a producer snapshot");
    for (id, state) in producers.iter() {
        out.put_u64_le(id.get());
        out.put_u16_le(state.epoch.get());
        out.put_i64_le(state.appended_at.get());
        // At most five.
        out.put_u8(u8::try_from(state.batches().len()).unwrap_or(u8::MAX));
        for batch in state.batches() {
            out.put_u32_le(batch.first.get());
            out.put_u32_le(batch.sequences);
            out.put_u64_le(batch.base_offset.get());
        }
    }
    let crc = checksum(&out);
    if let Some(place) = out.get_mut(CRC_FROM..CRC_FROM + CRC_BYTES) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
    out
}

/// Reads the bytes of the file. Costs O(bytes); allocates nothing from a count it was told.
///
/// # Errors
/// When the bytes are not a snapshot that this version wrote whole.
pub fn decode(bytes: &[u8]) -> Result<ProducerSnapshot, SnapshotError> {
    let mut rest = bytes;
    let magic = rest.split_off(..MAGIC.len()).ok_or(SnapshotError::NotASnapshot)?;
    if magic != MAGIC {
        return Err(SnapshotError::NotASnapshot);
    }
    let version = rest.try_get_u32_le().map_err(|_| SnapshotError::NotASnapshot)?;
    if version > VERSION {
        return Err(SnapshotError::Newer { found: version });
    }
    let found = rest.try_get_u32_le().map_err(|_| SnapshotError::NotASnapshot)?;
    let expected = checksum(bytes);
    if found != expected {
        return Err(SnapshotError::Checksum { found, expected });
    }
    if version != VERSION {
        return Err(SnapshotError::Content { what: "version" });
    }
    read_body(&mut rest).map_err(|what| SnapshotError::Content { what })
}

/// The whole file's, with the checksum's own bytes left out.
fn checksum(bytes: &[u8]) -> u32 {
    let (head, tail) = bytes.split_at_checked(CRC_FROM).unwrap_or((bytes, &[]));
    crc32c_append(crc32c(head), tail.get(CRC_BYTES..).unwrap_or_default())
}

type Field<T> = Result<T, &'static str>;

fn read_body(rest: &mut &[u8]) -> Field<ProducerSnapshot> {
    let id = rest.split_off(..16).and_then(<[u8]>::first_chunk::<16>).ok_or("topic id")?;
    let partition = PartitionId::new(get_u32(rest, "partition")?);
    let point = SnapshotPoint {
        partition: TopicPartition::new(TopicId::new(*id), partition),
        offset: get_offset(rest)?,
        epoch: LeaderEpoch::new(get_u32(rest, "leader epoch")?),
    };
    let count = get_u32(rest, "number of producers")?;
    if get_u32(rest, "reserved field")? != 0 {
        return Err("reserved field");
    }
    let mut states: Vec<(ProducerId, ProducerState)> = Vec::new();
    for _ in 0..count {
        let id = ProducerId::new(rest.try_get_u64_le().map_err(|_| "producer id")?);
        if states.last().is_some_and(|(before, _)| *before >= id) {
            return Err("order of producer ids");
        }
        states.push((id, read_state(rest, point.offset)?));
    }
    if rest.is_empty() { Ok(ProducerSnapshot { point, states }) } else { Err("byte after the end") }
}

fn read_state(rest: &mut &[u8], end: Offset) -> Field<ProducerState> {
    let epoch = ProducerEpoch::new(rest.try_get_u16_le().map_err(|_| "producer epoch")?);
    let appended_at = TimestampMs::new(rest.try_get_i64_le().map_err(|_| "time")?);
    let count = rest.try_get_u8().map_err(|_| "number of batches")?;
    let mut batches = Vec::with_capacity(PRODUCER_IN_FLIGHT_MAX);
    for _ in 0..count {
        let first = Sequence::new(get_u32(rest, "sequence")?);
        let sequences = get_u32(rest, "number of sequences")?;
        let base_offset = get_offset(rest)?;
        let batch = RememberedBatch { first, sequences, base_offset };
        let possible = first <= Sequence::MAX && sequences > 0 && sequences <= 1 << 31;
        if !possible || batch.next_offset() > end || batches.len() == PRODUCER_IN_FLIGHT_MAX {
            return Err("batch of a producer");
        }
        batches.push(batch);
    }
    ProducerState::from_parts(epoch, appended_at, &batches).ok_or("number of batches")
}

fn get_u32(rest: &mut &[u8], what: &'static str) -> Field<u32> {
    rest.try_get_u32_le().map_err(|_| what)
}

fn get_offset(rest: &mut &[u8]) -> Field<Offset> {
    let offset = Offset::new(rest.try_get_u64_le().map_err(|_| "offset")?);
    if offset <= Offset::MAX { Ok(offset) } else { Err("offset") }
}

#[cfg(test)]
mod tests;
