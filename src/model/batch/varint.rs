//! Kafka's variable-length integers: zigzag, then seven bits a byte, lowest first (as protobuf's sint32
//! and sint64). Apart because records are read in three ways and written in one.

use crate::batch::RecordFault;

/// Where bytes come from: a slice, or a stream that is being inflated.
pub(crate) trait Source {
    /// What can go wrong; the format's faults are a part of it.
    type Error: From<RecordFault>;

    /// The next byte.
    fn byte(&mut self) -> Result<u8, Self::Error>;

    /// Passes over `count` bytes.
    fn skip(&mut self, count: u64) -> Result<(), Self::Error>;
}

/// Reads a 32-bit integer.
#[inline]
pub(crate) fn read_i32<S: Source>(source: &mut S) -> Result<i32, S::Error> {
    let first = u32::from(source.byte()?);
    if first < 0x80 {
        return Ok(unzigzag32(first));
    }
    let mut value = first & 0x7f;
    for shift in [7, 14, 21, 28] {
        let byte = u32::from(source.byte()?);
        value |= (byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(unzigzag32(value));
        }
    }
    Err(RecordFault::Varint.into())
}

/// Reads a 64-bit integer.
#[inline]
pub(crate) fn read_i64<S: Source>(source: &mut S) -> Result<i64, S::Error> {
    let mut value = 0_u64;
    for shift in [0, 7, 14, 21, 28, 35, 42, 49, 56, 63] {
        let byte = u64::from(source.byte()?);
        value |= (byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err(RecordFault::Varint.into())
}

fn unzigzag32(value: u32) -> i32 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// A slice that is read from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// The next `count` bytes.
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], RecordFault> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(RecordFault::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A length and as many bytes; a negative length is `None`.
    #[inline]
    pub(crate) fn take_nullable(&mut self) -> Result<Option<&'a [u8]>, RecordFault> {
        match usize::try_from(read_i32(self)?) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }
}

impl Source for Cursor<'_> {
    type Error = RecordFault;

    #[inline]
    fn byte(&mut self) -> Result<u8, RecordFault> {
        let (byte, rest) = self.rest.split_first().ok_or(RecordFault::Truncated)?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    fn skip(&mut self, count: u64) -> Result<(), RecordFault> {
        self.take(usize::try_from(count).unwrap_or(usize::MAX)).map(|_| ())
    }
}

/// A few integers on the stack, so that a record's small fields reach the buffer in one copy.
pub(crate) struct Scratch {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl Scratch {
    /// Room for a record's length, attributes, two deltas and key length at their longest.
    const CAPACITY: usize = 5 + 1 + 10 + 5 + 5;

    #[inline]
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; Self::CAPACITY], len: 0 }
    }

    #[inline]
    pub(crate) fn put_byte(&mut self, byte: u8) {
        debug_assert!(self.len < Self::CAPACITY, "scratch is full");
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    #[inline]
    pub(crate) fn put_i32(&mut self, value: i32) {
        self.put_unsigned(u64::from(zigzag32(value)));
    }

    #[inline]
    pub(crate) fn put_i64(&mut self, value: i64) {
        self.put_unsigned(zigzag64(value));
    }

    #[inline]
    fn put_unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put_byte(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.put_byte(value.to_le_bytes()[0]);
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Bytes that a 32-bit integer takes.
#[inline]
pub(crate) const fn size_i32(value: i32) -> usize {
    (38 - (zigzag32(value) | 1).leading_zeros() as usize) / 7
}

/// Bytes that a 64-bit integer takes.
#[inline]
pub(crate) const fn size_i64(value: i64) -> usize {
    (70 - (zigzag64(value) | 1).leading_zeros() as usize) / 7
}

const fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)).cast_unsigned()
}

const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(put: impl FnOnce(&mut Scratch)) -> Vec<u8> {
        let mut scratch = Scratch::new();
        put(&mut scratch);
        scratch.as_bytes().to_vec()
    }

    #[test]
    fn known_values_have_protobufs_bytes() {
        // https://protobuf.dev/programming-guides/encoding/#signed-ints
        for (value, bytes) in [
            (0, &[0_u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (-2, &[3]),
            (63, &[126]),
            (64, &[128, 1]),
            (-65, &[129, 1]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            assert_eq!(written(|s| s.put_i32(value)), bytes, "{value}");
            assert_eq!(read_i32(&mut Cursor { rest: bytes }), Ok(value));
            assert_eq!(size_i32(value), bytes.len(), "{value}");
        }
    }

    #[test]
    fn overlong_and_cut_integers_are_refused() {
        let overlong = [0x80; 11];
        assert_eq!(read_i32(&mut Cursor { rest: &overlong }), Err(RecordFault::Varint));
        assert_eq!(read_i64(&mut Cursor { rest: &overlong }), Err(RecordFault::Varint));
        assert_eq!(read_i32(&mut Cursor { rest: &[0x80] }), Err(RecordFault::Truncated));
        assert_eq!(read_i64(&mut Cursor { rest: &[] }), Err(RecordFault::Truncated));
    }

    proptest! {
        // A file of failures would land beside the crates, where only crates may be.
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn integers_read_back(small: i32, large: i64) {
            let bytes = written(|s| s.put_i32(small));
            prop_assert_eq!(bytes.len(), size_i32(small));
            prop_assert_eq!(read_i32(&mut Cursor { rest: &bytes }), Ok(small));
            let bytes = written(|s| s.put_i64(large));
            prop_assert_eq!(bytes.len(), size_i64(large));
            prop_assert_eq!(read_i64(&mut Cursor { rest: &bytes }), Ok(large));
        }
    }
}
