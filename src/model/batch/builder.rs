//! Makes record batches. Apart from the view because only producers write records; brokers do not.

use bytes::{BufMut, Bytes, BytesMut};

use crate::batch::records::Header;
use crate::batch::varint::{Scratch, size_i32, size_i64};
use crate::batch::{
    HEADER_BYTES, LENGTH_PREFIX_BYTES, MAGIC, ProducerStamp, at, put, seal, write_producer,
};
use crate::compression::{self, Compression};
use crate::time::TimestampMs;

/// Why a batch can't be made. The caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A batch holds at least one record.
    #[error("a record batch needs at least one record")]
    Empty,
    /// The format's lengths and counts are 31-bit numbers. The record was not added.
    #[error("a record of {record_bytes} bytes does not fit a batch of {batch_bytes} bytes")]
    TooLarge {
        /// Bytes of the record.
        record_bytes: usize,
        /// Bytes that the batch has already.
        batch_bytes: usize,
    },
    /// The codec refused to compress.
    #[error("the records could not be compressed with {codec}")]
    Compress {
        /// The codec.
        codec: Compression,
    },
}

/// Collects records into one growing buffer and turns it into a batch in place: an uncompressed batch is
/// written once and never copied.
///
/// ```
/// use kolk_model::batch::BatchView;
/// use kolk_model::batch_builder::BatchBuilder;
/// use kolk_model::compression::Compression;
/// use kolk_model::records::{Header, Records};
/// use kolk_model::time::TimestampMs;
///
/// let mut builder = BatchBuilder::with_capacity(64 * 1024);
/// let headers = [Header::new("source", b"web")];
/// builder.append(TimestampMs::new(1_700_000_000_000), Some(b"user-1"), Some(b"/home"), &headers)?;
/// let bytes = builder.build(Compression::None)?;
///
/// let (batch, _) = BatchView::parse(&bytes).unwrap();
/// let record = Records::of(&batch).unwrap().next().unwrap().unwrap();
/// assert_eq!(record.value, Some(&b"/home"[..]));
/// # Ok::<(), kolk_model::batch_builder::BuildError>(())
/// ```
#[derive(Debug)]
pub struct BatchBuilder {
    /// The header's place, then the records.
    bytes: BytesMut,
    summary: Summary,
}

/// What the header says about the records.
#[derive(Clone, Copy, Debug)]
struct Summary {
    count: i32,
    base_timestamp: TimestampMs,
    max_timestamp: TimestampMs,
    producer: Option<ProducerStamp>,
}

/// Bytes of a whole batch before compression, at most: half of what the 31-bit length field can say, so that
/// records that do not compress can't overflow it.
const BATCH_BYTES_MAX: usize = 0x3fff_ffff;

/// Most bytes that a record takes beside key, value and headers: its length, attributes, two deltas and
/// three more lengths.
const RECORD_OVERHEAD_MAX: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;

/// Most bytes that a header takes beside its key and value.
const HEADER_OVERHEAD_MAX: usize = 5 + 5;

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch whose buffer grows as needed.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(1024)
    }

    /// An empty batch with room for `bytes` in all before its buffer has to grow.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self::with_buffer(BytesMut::with_capacity(bytes.max(HEADER_BYTES)))
    }

    /// An empty batch in a buffer that was used before; what is in it is dropped. A finished batch's
    /// `Bytes` gives its buffer back with `try_into_mut` once nobody else holds it.
    #[must_use]
    pub fn with_buffer(mut buffer: BytesMut) -> Self {
        buffer.clear();
        buffer.put_bytes(0, HEADER_BYTES);
        let none = TimestampMs::NONE;
        let summary =
            Summary { count: 0, base_timestamp: none, max_timestamp: none, producer: None };
        Self { bytes: buffer, summary }
    }

    /// Adds a record. Its parts are copied.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`]; the batch is unchanged then.
    #[inline]
    pub fn append(
        &mut self,
        timestamp: TimestampMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), BuildError> {
        let Summary { count, .. } = self.summary;
        let base = if count == 0 { timestamp } else { self.summary.base_timestamp };
        let timestamp_delta = timestamp.get().wrapping_sub(base.get());
        let (key_length, value_length) = (wire_length(key), wire_length(value));
        let headers_bytes = if headers.is_empty() { 1 } else { headers_size(headers) };
        let body = 1
            + size_i64(timestamp_delta)
            + size_i32(count)
            + size_i32(key_length)
            + key.map_or(0, <[u8]>::len)
            + size_i32(value_length)
            + value.map_or(0, <[u8]>::len)
            + headers_bytes;
        // One bound for the whole batch proves that every part's length fits 31 bits.
        let fits = body < BATCH_BYTES_MAX && self.bytes.len() + body + 5 <= BATCH_BYTES_MAX;
        let Some(length) = i32::try_from(body).ok().filter(|_| fits) else {
            return Err(BuildError::TooLarge { record_bytes: body, batch_bytes: self.len() });
        };
        self.bytes.reserve(body + 5);
        let mut front = Scratch::new();
        front.put_i32(length);
        front.put_byte(0);
        front.put_i64(timestamp_delta);
        front.put_i32(count);
        front.put_i32(key_length);
        self.bytes.extend_from_slice(front.as_bytes());
        if let Some(key) = key {
            self.bytes.extend_from_slice(key);
        }
        self.put_i32(value_length);
        if let Some(value) = value {
            self.bytes.extend_from_slice(value);
        }
        self.put_headers(headers);
        let newest = if count == 0 { timestamp } else { self.summary.max_timestamp.max(timestamp) };
        self.summary.max_timestamp = newest;
        self.summary.base_timestamp = base;
        self.summary.count = count + 1;
        Ok(())
    }

    /// Says which idempotent producer makes the batch and the sequence of its first record.
    pub fn set_producer(&mut self, producer: ProducerStamp) {
        self.summary.producer = Some(producer);
    }

    /// Finishes the batch: base offset 0, no leader epoch, a matching CRC.
    ///
    /// # Errors
    /// [`BuildError::Empty`] without records; [`BuildError::Compress`] when the codec fails.
    pub fn build(self, compression: Compression) -> Result<Bytes, BuildError> {
        let mut batch = self.build_unsealed(compression)?;
        seal(&mut batch);
        Ok(batch.freeze())
    }

    /// Finishes all but the CRC, which is 0: for a producer that numbers the batch later, with
    /// [`crate::batch::patch_producer`], or just [`crate::batch::seal`]s it.
    ///
    /// # Errors
    /// As [`BatchBuilder::build`].
    pub fn build_unsealed(self, compression: Compression) -> Result<BytesMut, BuildError> {
        if self.summary.count == 0 {
            return Err(BuildError::Empty);
        }
        if compression == Compression::None {
            let mut batch = self.bytes;
            write_header(&mut batch, compression, self.summary);
            return Ok(batch);
        }
        let plain = self.bytes.get(HEADER_BYTES..).unwrap_or_default();
        let mut batch = Vec::with_capacity(HEADER_BYTES + plain.len() / 2);
        batch.resize(HEADER_BYTES, 0);
        if compression::compress(compression, plain, &mut batch).is_err() {
            return Err(BuildError::Compress { codec: compression });
        }
        write_header(&mut batch, compression, self.summary);
        // Nobody else holds these bytes, so they are not copied.
        Ok(BytesMut::from(Bytes::from(batch)))
    }

    /// Bytes of the batch as it stands, uncompressed, header included.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no record yet.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.summary.count == 0
    }

    /// The number of records.
    #[inline]
    #[must_use]
    pub const fn record_count(&self) -> u32 {
        self.summary.count.cast_unsigned()
    }

    /// Most bytes that a record of these parts takes in a batch: what a producer asks before it appends.
    #[must_use]
    pub fn record_bytes_max(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> usize {
        let headers: usize = headers.iter().map(header_bytes_max).sum();
        RECORD_OVERHEAD_MAX + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers
    }

    #[inline]
    fn put_i32(&mut self, value: i32) {
        let mut scratch = Scratch::new();
        scratch.put_i32(value);
        self.bytes.extend_from_slice(scratch.as_bytes());
    }

    #[inline]
    fn put_headers(&mut self, headers: &[Header<'_>]) {
        if headers.is_empty() {
            self.bytes.put_u8(0);
            return;
        }
        self.put_i32(wire_count(headers.len()));
        for header in headers {
            self.put_i32(wire_count(header.key.len()));
            self.bytes.extend_from_slice(header.key);
            self.put_i32(wire_length(header.value));
            self.bytes.extend_from_slice(header.value.unwrap_or_default());
        }
    }
}

fn header_bytes_max(header: &Header<'_>) -> usize {
    HEADER_OVERHEAD_MAX + header.key.len() + header.value.map_or(0, <[u8]>::len)
}

fn headers_size(headers: &[Header<'_>]) -> usize {
    let one = |header: &Header<'_>| {
        let key = size_i32(wire_count(header.key.len())) + header.key.len();
        key + size_i32(wire_length(header.value)) + header.value.map_or(0, <[u8]>::len)
    };
    size_i32(wire_count(headers.len())) + headers.iter().map(one).sum::<usize>()
}

/// The length as written; -1 = absent. What does not fit is refused by the bound on the whole batch.
#[inline]
fn wire_length(part: Option<&[u8]>) -> i32 {
    part.map_or(-1, |part| wire_count(part.len()))
}

#[inline]
fn wire_count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Writes the header over the first bytes of a batch whose records are in place.
fn write_header(batch: &mut [u8], compression: Compression, summary: Summary) {
    let length = wire_count(batch.len() - LENGTH_PREFIX_BYTES);
    if let Some(header) = batch.first_chunk_mut::<HEADER_BYTES>() {
        put(header, at::BASE_OFFSET, 0_u64.to_be_bytes());
        put(header, at::LENGTH, length.to_be_bytes());
        put(header, at::LEADER_EPOCH, (-1_i32).to_be_bytes());
        put(header, at::MAGIC, [MAGIC]);
        put(header, at::ATTRIBUTES, u16::from(compression.id()).to_be_bytes());
        put(header, at::LAST_OFFSET_DELTA, (summary.count - 1).to_be_bytes());
        put(header, at::BASE_TIMESTAMP, summary.base_timestamp.get().to_be_bytes());
        put(header, at::MAX_TIMESTAMP, summary.max_timestamp.get().to_be_bytes());
        write_producer(header, summary.producer);
        put(header, at::RECORD_COUNT, summary.count.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
