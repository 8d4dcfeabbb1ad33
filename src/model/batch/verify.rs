//! The full check of a batch that a client sent: every record is walked, a compressed batch as a stream.
//! Apart from the view because it is the one thing that touches all records, and only at the edge.

use std::io::Read;

use crate::batch::varint::{Cursor, Source, read_i32, read_i64};
use crate::batch::{BatchError, BatchView, RecordFault};
use crate::compression::{self, Compression};

impl BatchView<'_> {
    /// Walks the records of a batch that a producer made: as many as the header says, offset deltas
    /// 0, 1, 2 …, all parts within the record's length, nothing after the last one. A compressed batch
    /// is inflated through a window of a few KiB and never held as a whole.
    ///
    /// Does not look at the CRC: see [`BatchView::verify_crc`].
    ///
    /// # Errors
    /// What is wrong, and with which record; [`BatchError::DecompressedTooLarge`] as soon as more than
    /// `decompressed_bytes_max` bytes come out.
    pub fn verify_records(&self, decompressed_bytes_max: usize) -> Result<(), BatchError> {
        let mut bytes_left = decompressed_bytes_max;
        self.verify_records_seeing(&mut bytes_left, |_| {})
    }

    /// As [`BatchView::verify_records`], and shows each record to `see` on the way; those before a fault too.
    /// `decompressed_bytes_left` is what may come out at most; it is lowered by what did, also when that was in vain.
    ///
    /// # Errors
    /// As [`BatchView::verify_records`].
    pub fn verify_records_seeing(
        &self,
        decompressed_bytes_left: &mut usize,
        see: impl FnMut(Glance),
    ) -> Result<(), BatchError> {
        let count = self.record_count();
        if self.last_offset_delta().checked_add(1) != Some(count) {
            return Err(BatchError::Count {
                count: count.cast_signed(),
                last_offset_delta: self.last_offset_delta().cast_signed(),
                records_bytes: self.records_bytes().len(),
            });
        }
        match self.compression() {
            Compression::None => verify_plain(self.records_bytes(), count, see),
            codec => {
                verify_packed(codec, self.records_bytes(), count, (decompressed_bytes_left, see))
            }
        }
    }
}

/// What a pass over records sees of one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glance {
    /// Which record of the batch, counted from 0.
    pub index: u32,
    /// Milliseconds between the batch's base timestamp and the record's.
    pub timestamp_delta: i64,
    /// Whether it has a key, be it an empty one.
    pub keyed: bool,
}

fn verify_plain(records: &[u8], count: u32, mut see: impl FnMut(Glance)) -> Result<(), BatchError> {
    let mut walk = Walk { source: Cursor { rest: records }, left: 0 };
    for index in 0..count {
        see(walk.record(index).map_err(|fault| BatchError::Record { index, fault })?);
    }
    if walk.source.rest.is_empty() {
        Ok(())
    } else {
        Err(BatchError::Record { index: count, fault: RecordFault::Trailing })
    }
}

fn verify_packed(
    codec: Compression,
    packed: &[u8],
    count: u32,
    (bytes_left, see): (&mut usize, impl FnMut(Glance)),
) -> Result<(), BatchError> {
    let bytes_max = *bytes_left;
    let Ok(reader) = compression::reader(codec, packed) else {
        return Err(BatchError::Decompress { codec });
    };
    verify_stream(reader, count, bytes_left, see).map_err(|(index, fault)| match fault {
        StreamFault::Record(fault) => BatchError::Record { index, fault },
        StreamFault::Codec => BatchError::Decompress { codec },
        StreamFault::TooLarge => BatchError::DecompressedTooLarge { bytes_max },
    })
}

/// Walks `count` records as they come out of `reader`; an error comes with the record's index. `bytes_left` is lowered
/// by what came out.
pub(crate) fn verify_stream<R: Read>(
    reader: R,
    count: u32,
    bytes_left: &mut usize,
    mut see: impl FnMut(Glance),
) -> Result<(), (u32, StreamFault)> {
    let mut walk = Walk { source: Stream::new(reader, bytes_left), left: 0 };
    for index in 0..count {
        see(walk.record(index).map_err(|fault| (index, fault))?);
    }
    match walk.source.fill() {
        Ok(0) => Ok(()),
        Ok(_) => Err((count, StreamFault::Record(RecordFault::Trailing))),
        Err(fault) => Err((count, fault)),
    }
}

/// One pass over records, which never goes beyond the record's own length.
struct Walk<S> {
    source: S,
    /// Bytes of the current record that were not passed yet.
    left: u64,
}

impl<S: Source> Source for Walk<S> {
    type Error = S::Error;

    #[inline]
    fn byte(&mut self) -> Result<u8, S::Error> {
        self.left = self.left.checked_sub(1).ok_or(RecordFault::Length)?;
        self.source.byte()
    }

    #[inline]
    fn skip(&mut self, count: u64) -> Result<(), S::Error> {
        self.left = self.left.checked_sub(count).ok_or(RecordFault::Length)?;
        self.source.skip(count)
    }
}

impl<S: Source> Walk<S> {
    #[inline]
    fn record(&mut self, index: u32) -> Result<Glance, S::Error> {
        let length = read_i32(&mut self.source)?;
        self.left = u64::try_from(length).map_err(|_| RecordFault::Length)?;
        let _attributes = self.byte()?;
        let timestamp_delta = read_i64(self)?;
        let found = read_i32(self)?;
        if found.cast_unsigned() != index {
            return Err(RecordFault::OffsetDelta { found }.into());
        }
        let keyed = self.nullable()?;
        self.nullable()?;
        let headers = read_i32(self)?;
        if headers < 0 {
            return Err(RecordFault::Header.into());
        }
        for _ in 0..headers {
            let key = u64::try_from(read_i32(self)?).map_err(|_| RecordFault::Header)?;
            self.skip(key)?;
            self.nullable()?;
        }
        if self.left == 0 {
            Ok(Glance { index, timestamp_delta, keyed })
        } else {
            Err(RecordFault::Length.into())
        }
    }

    /// Passes a length and as many bytes; a negative length has none, and the value is absent.
    #[inline]
    fn nullable(&mut self) -> Result<bool, S::Error> {
        match u64::try_from(read_i32(self)?) {
            Ok(length) => self.skip(length).map(|()| true),
            Err(_) => Ok(false),
        }
    }
}

/// What can go wrong while records are inflated.
#[derive(Debug)]
pub(crate) enum StreamFault {
    Record(RecordFault),
    Codec,
    TooLarge,
}

impl From<RecordFault> for StreamFault {
    fn from(fault: RecordFault) -> Self {
        Self::Record(fault)
    }
}

/// Bytes that are held of what comes out of a codec.
pub(crate) const WINDOW_BYTES: usize = 8 * 1024;

/// The counting sink: inflates into one small window, counts what came out and stops at the cap.
struct Stream<'a, R> {
    reader: R,
    window: [u8; WINDOW_BYTES],
    /// The part of `window` that was not passed yet.
    from: usize,
    to: usize,
    /// How many more bytes may come out.
    budget: &'a mut usize,
}

impl<'a, R: Read> Stream<'a, R> {
    fn new(reader: R, bytes_left: &'a mut usize) -> Self {
        Self { reader, window: [0; WINDOW_BYTES], from: 0, to: 0, budget: bytes_left }
    }

    /// Inflates more if the window is used up; gives the number of bytes in it, 0 at the end.
    fn fill(&mut self) -> Result<usize, StreamFault> {
        if self.from == self.to {
            let read = self.reader.read(&mut self.window).map_err(|_| StreamFault::Codec)?;
            let left = self.budget.checked_sub(read);
            *self.budget = left.unwrap_or(0);
            if left.is_none() {
                return Err(StreamFault::TooLarge);
            }
            (self.from, self.to) = (0, read);
        }
        Ok(self.to - self.from)
    }
}

impl<R: Read> Source for Stream<'_, R> {
    type Error = StreamFault;

    #[inline]
    fn byte(&mut self) -> Result<u8, StreamFault> {
        self.fill()?;
        let ready = self.window.get(self.from..self.to).unwrap_or_default();
        let byte = *ready.first().ok_or(RecordFault::Truncated)?;
        self.from += 1;
        Ok(byte)
    }

    fn skip(&mut self, count: u64) -> Result<(), StreamFault> {
        let mut left = count;
        while left > 0 {
            let ready = self.fill()?;
            if ready == 0 {
                return Err(RecordFault::Truncated.into());
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(ready);
            self.from += step;
            left -= step as u64;
        }
        Ok(())
    }
}
