//! The records inside a batch, read in place. Apart because only consumers, compaction and offline
//! inspection look at single records; a broker passes batches on as they are.
//!
//! One record, all lengths and deltas variable-length integers:
//! `length · attributes (1 byte, 0) · timestamp delta · offset delta · key length or -1 · key ·
//! value length or -1 · value · header count · (key length · key · value length or -1 · value)*`.

use crate::batch::varint::{Cursor, Source, read_i32, read_i64};
use crate::batch::{BatchError, BatchView, RecordFault};
use crate::compression::Compression;
use crate::offset::Offset;
use crate::time::{TimestampMs, TimestampType};

/// A record in borrowed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Its offset: the batch's base offset plus its delta.
    pub offset: Offset,
    /// Its timestamp; with `LogAppendTime` that of the batch.
    pub timestamp: TimestampMs,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its value; a record without is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers, in the producer's order; keys may repeat.
    pub headers: Headers<'a>,
}

/// A record's header in borrowed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name; UTF-8 by Kafka's rule, but not checked.
    pub key: &'a [u8],
    /// Its value, if it has one.
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// Joins a name and a value.
    #[must_use]
    pub const fn new(key: &'a str, value: &'a [u8]) -> Self {
        Self { key: key.as_bytes(), value: Some(value) }
    }
}

/// A record's headers, walked on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    left: u32,
    rest: &'a [u8],
}

impl Headers<'_> {
    /// How many are left.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.left as usize
    }

    /// Whether none is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut cursor = Cursor { rest: self.rest };
        // The record was walked once, so every header is whole.
        let header = read_header(&mut cursor).ok()?;
        self.rest = cursor.rest;
        Some(header)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.len()))
    }
}

/// Walks the records of one batch. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    cursor: Cursor<'a>,
    index: u32,
    count: u32,
    base_offset: Offset,
    base_timestamp: TimestampMs,
    append_time: Option<TimestampMs>,
}

impl<'a> Records<'a> {
    /// Walks the records of an uncompressed batch.
    ///
    /// # Errors
    /// [`BatchError::Compressed`] for any other: call [`crate::compression::decompress`], then
    /// [`Records::of_plain`].
    pub fn of(batch: &BatchView<'a>) -> Result<Self, BatchError> {
        match batch.compression() {
            Compression::None => Ok(Self::of_plain(batch, batch.records_bytes())),
            codec => Err(BatchError::Compressed { codec }),
        }
    }

    /// Walks `plain`, the decompressed records of `batch`.
    #[must_use]
    pub fn of_plain(batch: &BatchView<'_>, plain: &'a [u8]) -> Self {
        let append_time = match batch.attributes().timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(batch.max_timestamp()),
        };
        Self {
            cursor: Cursor { rest: plain },
            index: 0,
            count: batch.record_count(),
            base_offset: batch.base_offset(),
            base_timestamp: batch.base_timestamp(),
            append_time,
        }
    }

    /// The bytes that were not walked yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.cursor.rest
    }

    fn read(&mut self) -> Result<RecordView<'a>, RecordFault> {
        let length = usize::try_from(read_i32(&mut self.cursor)?);
        let record = self.cursor.take(length.map_err(|_| RecordFault::Length)?)?;
        let mut cursor = Cursor { rest: record };
        let cut = |fault| if fault == RecordFault::Truncated { RecordFault::Length } else { fault };
        self.read_body(&mut cursor).map_err(cut)
    }

    fn read_body(&self, cursor: &mut Cursor<'a>) -> Result<RecordView<'a>, RecordFault> {
        let _attributes = cursor.byte()?;
        let timestamp_delta = read_i64(cursor)?;
        let offset_delta = read_i32(cursor)?;
        let forward = u64::try_from(offset_delta)
            .map_err(|_| RecordFault::OffsetDelta { found: offset_delta })?;
        let key = cursor.take_nullable()?;
        let value = cursor.take_nullable()?;
        let headers = read_headers(cursor)?;
        let created = self.base_timestamp.get().wrapping_add(timestamp_delta);
        Ok(RecordView {
            offset: self.base_offset + forward,
            timestamp: self.append_time.unwrap_or(TimestampMs::new(created)),
            key,
            value,
            headers,
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.index == self.count {
            return None;
        }
        let index = self.index;
        match self.read() {
            Ok(record) => {
                self.index += 1;
                Some(Ok(record))
            }
            Err(fault) => {
                self.count = index;
                Some(Err(BatchError::Record { index, fault }))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, usize::try_from(self.count - self.index).ok())
    }
}

/// Walks the headers once, so that the iterator over them can't fail, and checks that they end the record.
fn read_headers<'a>(cursor: &mut Cursor<'a>) -> Result<Headers<'a>, RecordFault> {
    let count = u32::try_from(read_i32(cursor)?).map_err(|_| RecordFault::Header)?;
    let headers = Headers { left: count, rest: cursor.rest };
    for _ in 0..count {
        read_header(cursor)?;
    }
    if cursor.rest.is_empty() { Ok(headers) } else { Err(RecordFault::Length) }
}

fn read_header<'a>(cursor: &mut Cursor<'a>) -> Result<Header<'a>, RecordFault> {
    let key = cursor.take_nullable()?.ok_or(RecordFault::Header)?;
    Ok(Header { key, value: cursor.take_nullable()? })
}
