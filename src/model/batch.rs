//! The record batch as bytes: a borrowed view, its checksum, and the few fields that a broker rewrites.
//! Apart because the log, both wires and the client read the same bytes and must agree on them.
//!
//! Kafka's record batch, format version 2, all integers big-endian
//! (<https://kafka.apache.org/documentation/#recordbatch>):
//!
//! | byte | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | base offset: that of the first record |
//! | 8 | 4 | length of what follows this field |
//! | 12 | 4 | partition leader epoch, -1 = not set |
//! | 16 | 1 | magic = 2 |
//! | 17 | 4 | CRC-32C of everything from byte 21 |
//! | 21 | 2 | attributes: bits 0–2 compression, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon |
//! | 23 | 4 | last offset delta: last record's offset − base offset |
//! | 27 | 8 | base timestamp: the first record's, in ms; with bit 6 when the batch's tombstones may go (KIP-534) |
//! | 35 | 8 | largest timestamp, in ms |
//! | 43 | 8 | producer id, -1 = none |
//! | 51 | 2 | producer epoch |
//! | 53 | 4 | base sequence |
//! | 57 | 4 | number of records; 0 where compaction kept nothing but the batch's place |
//! | 61 | … | the records, compressed as one piece if the attributes say so |

pub mod builder;
pub mod compacted;
pub mod records;

mod varint;
mod verify;

pub use verify::Glance;

#[cfg(test)]
mod fuzz;

use crate::checksum::crc32c;
use crate::compression::Compression;
use crate::ids::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence};
use crate::offset::Offset;
use crate::time::{TimestampMs, TimestampType};

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 61;

/// Bytes at the start that the CRC does not cover: base offset, length, leader epoch, magic. A broker
/// stamps them without touching the rest.
pub const HEAD_BYTES: usize = 17;

/// The only format version accepted.
pub const MAGIC: u8 = 2;

/// Bytes of base offset and length field, which the length does not count.
pub const LENGTH_PREFIX_BYTES: usize = 12;
/// Where the CRC's cover begins.
pub(crate) const CRC_FROM: usize = 21;
/// The smallest record: length, attributes, two deltas, no key, no value, no header.
pub(crate) const RECORD_BYTES_MIN: usize = 7;

/// Where each field of the header begins.
pub(crate) mod at {
    pub(crate) const BASE_OFFSET: usize = 0;
    pub(crate) const LENGTH: usize = 8;
    pub(crate) const LEADER_EPOCH: usize = 12;
    pub(crate) const MAGIC: usize = 16;
    pub(crate) const CRC: usize = 17;
    pub(crate) const ATTRIBUTES: usize = 21;
    pub(crate) const LAST_OFFSET_DELTA: usize = 23;
    pub(crate) const BASE_TIMESTAMP: usize = 27;
    pub(crate) const MAX_TIMESTAMP: usize = 35;
    pub(crate) const PRODUCER_ID: usize = 43;
    pub(crate) const PRODUCER_EPOCH: usize = 51;
    pub(crate) const BASE_SEQUENCE: usize = 53;
    pub(crate) const RECORD_COUNT: usize = 57;
}

const _: () = assert!(at::RECORD_COUNT + 4 == HEADER_BYTES && at::CRC == HEAD_BYTES);

const COMPRESSION_BITS: u16 = 0b111;
const LOG_APPEND_TIME_BIT: u16 = 1 << 3;
const TRANSACTIONAL_BIT: u16 = 1 << 4;
const CONTROL_BIT: u16 = 1 << 5;
const DELETE_HORIZON_BIT: u16 = 1 << 6;

/// Why bytes are not an acceptable record batch. Always the sender's fault (or bit rot); sending the same
/// bytes again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("record batch is cut short: {needed} bytes needed, {available} there")]
    Truncated {
        /// Bytes that the batch has, or at least has.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// The length field is smaller than a header.
    #[error("record batch announces {length} bytes, less than its header")]
    LengthTooSmall {
        /// What the length field says.
        length: i32,
    },
    /// Another format version.
    #[error("record batch has format version {magic}, only 2 is accepted")]
    Magic {
        /// The version found.
        magic: u8,
    },
    /// A compression id that does not exist.
    #[error("record batch has unknown compression {id}")]
    UnknownCompression {
        /// The id found.
        id: u8,
    },
    /// The checksum does not match.
    #[error("record batch has crc {found:#010x}, its bytes give {expected:#010x}")]
    Crc {
        /// What the header says.
        found: u32,
        /// What the bytes give.
        expected: u32,
    },
    /// Number of records and last offset delta contradict each other or the batch's length.
    #[error(
        "record batch says it has {count} records and last offset delta {last_offset_delta}, which can't be in {records_bytes} bytes"
    )]
    Count {
        /// The number of records in the header.
        count: i32,
        /// The last offset delta in the header.
        last_offset_delta: i32,
        /// Bytes after the header.
        records_bytes: usize,
    },
    /// A base offset below 0 or so large that the last offset overflows.
    #[error("record batch has base offset {base_offset}")]
    BaseOffset {
        /// The base offset in the header.
        base_offset: i64,
    },
    /// Producer id, epoch and sequence are not all there or all absent.
    #[error("record batch has producer id {id}, epoch {epoch}, sequence {sequence}")]
    Producer {
        /// The producer id in the header.
        id: i64,
        /// The producer epoch in the header.
        epoch: i16,
        /// The base sequence in the header.
        sequence: i32,
    },
    /// A record breaks the format.
    #[error("record {index} of the batch: {fault}")]
    Record {
        /// Which record, counted from 0.
        index: u32,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// The records do not decompress.
    #[error("record batch does not decompress as {codec}")]
    Decompress {
        /// The codec that the header names.
        codec: Compression,
    },
    /// The records inflate beyond what is accepted.
    #[error("record batch inflates to more than {bytes_max} bytes")]
    DecompressedTooLarge {
        /// The cap.
        bytes_max: usize,
    },
    /// The records are compressed where plain ones are needed: decompress them first.
    #[error("record batch is compressed with {codec}")]
    Compressed {
        /// The codec that the header names.
        codec: Compression,
    },
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// The batch ends within it.
    #[error("the batch ends within it")]
    Truncated,
    /// A variable-length integer is longer than its type allows.
    #[error("a variable-length integer has too many bytes")]
    Varint,
    /// Its length is negative, or its parts do not add up to it.
    #[error("its parts do not add up to its length")]
    Length,
    /// Its offset delta is not its place in the batch.
    #[error("its offset delta is {found}")]
    OffsetDelta {
        /// The delta found.
        found: i32,
    },
    /// A header count or header key length is negative.
    #[error("a header is malformed")]
    Header,
    /// Bytes follow the last record.
    #[error("bytes follow the last record")]
    Trailing,
}

/// One record batch in borrowed bytes, its structure already checked. `Copy`: two pointers.
#[derive(Clone, Copy)]
pub struct BatchView<'a> {
    header: &'a [u8; HEADER_BYTES],
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// Reads the batch at the start of `bytes` and gives it with its whole length in bytes. Checks the
    /// header only: neither the CRC nor the records are touched, so it costs the same for every batch.
    ///
    /// A batch may hold fewer records than its offsets span (compaction removes some);
    /// [`BatchView::verify_records`] is stricter.
    ///
    /// # Errors
    /// [`BatchError::Truncated`] when more bytes are needed; every other error is final.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), BatchError> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(cut_within_header(bytes));
        };
        let length = i32::from_be_bytes(field(header, at::LENGTH));
        let whole = usize::try_from(length).unwrap_or(0) + LENGTH_PREFIX_BYTES;
        if whole < HEADER_BYTES {
            return Err(BatchError::LengthTooSmall { length });
        }
        let [magic] = field(header, at::MAGIC);
        if magic != MAGIC {
            return Err(BatchError::Magic { magic });
        }
        let Some(own) = bytes.get(..whole) else {
            return Err(BatchError::Truncated { needed: whole, available: bytes.len() });
        };
        let view = Self { header, bytes: own };
        view.check_header()?;
        Ok((view, whole))
    }

    #[inline]
    fn check_header(&self) -> Result<(), BatchError> {
        let bits = self.attribute_bits();
        let id = bits & COMPRESSION_BITS;
        if id > Compression::ID_MAX {
            return Err(BatchError::UnknownCompression { id: id.to_be_bytes()[1] });
        }
        let count = i32::from_be_bytes(field(self.header, at::RECORD_COUNT));
        let last_offset_delta = i32::from_be_bytes(field(self.header, at::LAST_OFFSET_DELTA));
        let records_bytes = self.bytes.len() - HEADER_BYTES;
        let fit =
            id != 0 || usize::try_from(count).is_ok_and(|c| c <= records_bytes / RECORD_BYTES_MIN);
        // Compaction leaves empty batches behind; a producer's is refused by the walk over its records.
        let empty = count == 0 && id == 0 && records_bytes == 0;
        if (count < 1 && !empty) || last_offset_delta < (count - 1).max(0) || !fit {
            return Err(BatchError::Count { count, last_offset_delta, records_bytes });
        }
        let base_offset = i64::from_be_bytes(field(self.header, at::BASE_OFFSET));
        if base_offset < 0 || base_offset > i64::MAX - i64::from(last_offset_delta) - 1 {
            return Err(BatchError::BaseOffset { base_offset });
        }
        let (id, epoch, sequence) = self.producer_fields();
        let whole = id >= 0 && epoch >= 0 && (sequence >= 0 || bits & CONTROL_BIT != 0);
        // librdkafka writes sequence 0 beside producer id -1, so only the id counts then.
        if id != -1 && !whole {
            return Err(BatchError::Producer { id, epoch, sequence });
        }
        Ok(())
    }

    fn producer_fields(&self) -> (i64, i16, i32) {
        (
            i64::from_be_bytes(field(self.header, at::PRODUCER_ID)),
            i16::from_be_bytes(field(self.header, at::PRODUCER_EPOCH)),
            i32::from_be_bytes(field(self.header, at::BASE_SEQUENCE)),
        )
    }

    fn attribute_bits(&self) -> u16 {
        u16::from_be_bytes(field(self.header, at::ATTRIBUTES))
    }

    /// Compares the CRC-32C in the header with that of the bytes. Reads the whole batch once.
    ///
    /// # Errors
    /// [`BatchError::Crc`] when they differ.
    #[inline]
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let expected = crc32c(self.bytes.get(CRC_FROM..).unwrap_or_default());
        let found = self.crc();
        if found == expected { Ok(()) } else { Err(BatchError::Crc { found, expected }) }
    }

    /// The offset of the first record.
    #[inline]
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        Offset::new(u64::from_be_bytes(field(self.header, at::BASE_OFFSET)))
    }

    /// How far the last offset lies behind the first.
    #[inline]
    #[must_use]
    pub fn last_offset_delta(&self) -> u32 {
        u32::from_be_bytes(field(self.header, at::LAST_OFFSET_DELTA))
    }

    /// The offset after the last one.
    #[inline]
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.base_offset() + u64::from(self.last_offset_delta()) + 1
    }

    /// The number of records; 0 only in what compaction leaves.
    #[inline]
    #[must_use]
    pub fn record_count(&self) -> u32 {
        u32::from_be_bytes(field(self.header, at::RECORD_COUNT))
    }

    /// The leader epoch; `None` in a batch that no broker has stamped yet.
    #[inline]
    #[must_use]
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        LeaderEpoch::from_wire(i32::from_be_bytes(field(self.header, at::LEADER_EPOCH)))
    }

    /// Compression, timestamp type and the two flags.
    #[inline]
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        Attributes(self.attribute_bits())
    }

    /// How the records are compressed.
    #[inline]
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.attributes().compression()
    }

    /// The timestamp that the records' deltas are relative to.
    #[inline]
    #[must_use]
    pub fn base_timestamp(&self) -> TimestampMs {
        TimestampMs::new(i64::from_be_bytes(field(self.header, at::BASE_TIMESTAMP)))
    }

    /// From when on the batch's tombstones may go; `None` until compaction has set it.
    #[inline]
    #[must_use]
    pub fn delete_horizon(&self) -> Option<TimestampMs> {
        (self.attribute_bits() & DELETE_HORIZON_BIT != 0).then(|| self.base_timestamp())
    }

    /// The largest timestamp of the batch; with `LogAppendTime` that of every record.
    #[inline]
    #[must_use]
    pub fn max_timestamp(&self) -> TimestampMs {
        TimestampMs::new(i64::from_be_bytes(field(self.header, at::MAX_TIMESTAMP)))
    }

    /// The idempotent producer that made the batch.
    #[inline]
    #[must_use]
    pub fn producer_id(&self) -> Option<ProducerId> {
        ProducerId::from_wire(self.producer_fields().0)
    }

    /// The producer's epoch; there when the producer id is.
    #[inline]
    #[must_use]
    pub fn producer_epoch(&self) -> Option<ProducerEpoch> {
        let (id, epoch, _) = self.producer_fields();
        ProducerId::from_wire(id).and(ProducerEpoch::from_wire(epoch))
    }

    /// The first record's sequence; there when the producer id is, except in control batches.
    #[inline]
    #[must_use]
    pub fn base_sequence(&self) -> Option<Sequence> {
        let (id, _, sequence) = self.producer_fields();
        ProducerId::from_wire(id).and(Sequence::from_wire(sequence))
    }

    /// The CRC-32C that the header states.
    #[inline]
    #[must_use]
    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(field(self.header, at::CRC))
    }

    /// The whole batch.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The 17 bytes that the CRC does not cover.
    #[inline]
    #[must_use]
    pub fn head(&self) -> [u8; HEAD_BYTES] {
        field(self.header, 0)
    }

    /// What follows the header: the records, compressed if the attributes say so.
    #[inline]
    #[must_use]
    pub fn records_bytes(&self) -> &'a [u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }
}

impl std::fmt::Debug for BatchView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchView")
            .field("base_offset", &self.base_offset())
            .field("record_count", &self.record_count())
            .field("bytes", &self.bytes.len())
            .field("compression", &self.compression())
            .finish_non_exhaustive()
    }
}

/// The flags of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes(u16);

impl Attributes {
    /// How the records are compressed.
    #[inline]
    #[must_use]
    pub const fn compression(self) -> Compression {
        // Ids above 4 were refused when the batch was parsed.
        match self.0 & COMPRESSION_BITS {
            1 => Compression::Gzip,
            2 => Compression::Snappy,
            3 => Compression::Lz4,
            4 => Compression::Zstd,
            _ => Compression::None,
        }
    }

    /// Who set the timestamps.
    #[inline]
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & LOG_APPEND_TIME_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[inline]
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.0 & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch is the broker's own: consumers skip its records.
    #[inline]
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 & CONTROL_BIT != 0
    }
}

/// Walks batches that lie back to back. Ends after the first error: what follows has no known start.
///
/// ```
/// # use kolk_model::{batch, batch_builder::BatchBuilder, compression::Compression, time::TimestampMs};
/// let mut builder = BatchBuilder::new();
/// builder.append(TimestampMs::new(0), None, Some(b"one"), &[])?;
/// let bytes = builder.build(Compression::None)?;
/// let two = [bytes.clone(), bytes].concat();
/// assert_eq!(batch::batches(&two).filter_map(Result::ok).count(), 2);
/// # Ok::<(), kolk_model::batch_builder::BuildError>(())
/// ```
#[must_use]
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches { rest: bytes }
}

/// The iterator that [`batches`] gives.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// The bytes that were not walked yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match BatchView::parse(self.rest) {
            Ok((view, whole)) => {
                self.rest = self.rest.get(whole..).unwrap_or_default();
                Some(Ok(view))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

/// The 17 head bytes of `batch` with this base offset and epoch: what a log writes in their place, so that
/// the batch itself need not be copied first.
#[inline]
#[must_use]
pub fn stamp_head(batch: &BatchView<'_>, base: Offset, epoch: LeaderEpoch) -> [u8; HEAD_BYTES] {
    let mut head = batch.head();
    put(&mut head, at::BASE_OFFSET, base.to_wire().to_be_bytes());
    put(&mut head, at::LEADER_EPOCH, epoch.to_wire().to_be_bytes());
    head
}

/// Makes the batch one of `LogAppendTime` with this time, and one that no compaction has seen, and gives it a matching CRC. Reads the whole
/// batch once. `batch` holds exactly one batch that was parsed before; anything shorter than a header is
/// left alone.
pub fn patch_append_time(batch: &mut [u8], time: TimestampMs) {
    if let Some(header) = batch.first_chunk_mut::<HEADER_BYTES>() {
        let bits = attribute_bits(header) & !DELETE_HORIZON_BIT;
        write_time(header, bits | LOG_APPEND_TIME_BIT, time);
        seal(batch);
    }
}

/// Makes the batch one of `CreateTime` whose newest record has this time, and gives it a matching CRC. The same
/// conditions as [`patch_append_time`].
pub fn patch_create_time(batch: &mut [u8], newest: TimestampMs) {
    if let Some(header) = batch.first_chunk_mut::<HEADER_BYTES>() {
        let bits = attribute_bits(header) & !(DELETE_HORIZON_BIT | LOG_APPEND_TIME_BIT);
        write_time(header, bits, newest);
        seal(batch);
    }
}

fn attribute_bits(header: &[u8; HEADER_BYTES]) -> u16 {
    u16::from_be_bytes(field(header, at::ATTRIBUTES))
}

fn write_time(header: &mut [u8; HEADER_BYTES], bits: u16, newest: TimestampMs) {
    put(header, at::ATTRIBUTES, bits.to_be_bytes());
    put(header, at::MAX_TIMESTAMP, newest.get().to_be_bytes());
}

/// Who made a batch: what an idempotent producer writes into its header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerStamp {
    /// The producer's id.
    pub id: ProducerId,
    /// The producer's epoch.
    pub epoch: ProducerEpoch,
    /// The sequence of the batch's first record.
    pub base_sequence: Sequence,
}

/// Replaces the batch's producer and gives it a matching CRC: for a producer that had to take another id
/// before it sends the batch again. The same conditions as [`patch_append_time`].
pub fn patch_producer(batch: &mut [u8], producer: ProducerStamp) {
    if let Some(header) = batch.first_chunk_mut::<HEADER_BYTES>() {
        write_producer(header, Some(producer));
        seal(batch);
    }
}

/// Writes the three producer fields; -1 each without a producer.
pub(crate) fn write_producer(header: &mut [u8; HEADER_BYTES], producer: Option<ProducerStamp>) {
    let (id, epoch, sequence) = producer.map_or((u64::MAX, u16::MAX, u32::MAX), |p| {
        (p.id.get(), p.epoch.get(), p.base_sequence.get())
    });
    put(header, at::PRODUCER_ID, id.to_be_bytes());
    put(header, at::PRODUCER_EPOCH, epoch.to_be_bytes());
    put(header, at::BASE_SEQUENCE, sequence.to_be_bytes());
}

/// Computes the CRC of a whole batch and writes it into the header. The same conditions as
/// [`patch_append_time`].
pub fn seal(batch: &mut [u8]) {
    if let Some(covered) = batch.get(CRC_FROM..) {
        let crc = crc32c(covered);
        put(batch, at::CRC, crc.to_be_bytes());
    }
}

/// The `N` bytes at `at`; zeros beyond the end, which no caller reaches.
#[inline]
fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    debug_assert!(at + N <= HEADER_BYTES, "field of {N} bytes at {at}");
    header.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

/// Overwrites the `N` bytes at `at`; nothing beyond the end, which no caller reaches.
#[inline]
pub(crate) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    debug_assert!(at + N <= bytes.len(), "field of {N} bytes at {at} of {}", bytes.len());
    if let Some(slot) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *slot = value;
    }
}

/// Fewer bytes than a header: says how many more are needed, or what is wrong already.
#[cold]
fn cut_within_header(bytes: &[u8]) -> BatchError {
    let length = bytes.get(at::LENGTH..).and_then(<[u8]>::first_chunk).copied();
    match length.map(i32::from_be_bytes) {
        Some(length) => match usize::try_from(length).map(|l| l + LENGTH_PREFIX_BYTES) {
            Ok(needed) if needed >= HEADER_BYTES => {
                BatchError::Truncated { needed, available: bytes.len() }
            }
            _ => BatchError::LengthTooSmall { length },
        },
        None => BatchError::Truncated { needed: HEADER_BYTES, available: bytes.len() },
    }
}

#[cfg(test)]
mod tests;
