//! Reads values off a frame, within bounds. Apart because every byte of a peer passes here first.

use std::str;

use bytes::Bytes;

use super::{
    CAPACITY_MAX, DecodeError, ELEMENTS_MAX, Form, STRING_BYTES_MAX, TAGS_MAX, Text, Uuid,
};

/// Reads a frame from its first byte to its last. What it returns either is copied (`String`) or shares the
/// frame's memory (`Bytes`, [`Text`]). Bounds hold over everything that one reader reads: elements of arrays
/// ([`ELEMENTS_MAX`]), tags ([`TAGS_MAX`]), and no array is longer than the bytes that are left.
#[derive(Debug)]
pub struct Reader<'a> {
    frame: &'a Bytes,
    position: usize,
    /// Where the frame, or the tag that is being read, ends. Never beyond the frame.
    end: usize,
    form: Form,
    elements_left: usize,
    tags_left: usize,
}

/// What became of a tagged field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tag {
    /// It was read.
    Known,
    /// Nothing of it was read: it will be skipped.
    Unknown,
}

impl<'a> Reader<'a> {
    /// Begins at the first byte, in the classic form.
    #[must_use]
    pub fn new(frame: &'a Bytes) -> Self {
        Self {
            frame,
            position: 0,
            end: frame.len(),
            form: Form::Classic,
            elements_left: ELEMENTS_MAX,
            tags_left: TAGS_MAX,
        }
    }

    /// Sets how lengths are read from here on.
    pub fn set_form(&mut self, form: Form) {
        self.form = form;
    }

    /// Bytes that are left. Some may be left after a message: Kafka takes no offence at it either.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    fn take(&mut self, needed: usize) -> Result<&'a [u8], DecodeError> {
        let position = self.position;
        let taken = position
            .checked_add(needed)
            .filter(|end| *end <= self.end)
            .and_then(|end| self.frame.get(position..end));
        let truncated = DecodeError::Truncated { position, needed, remaining: self.remaining() };
        let taken = taken.ok_or(truncated)?;
        self.position += needed;
        Ok(taken)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let position = self.position;
        let taken = self.frame.get(position..self.end).and_then(|rest| rest.first_chunk::<N>());
        let truncated = DecodeError::Truncated { position, needed: N, remaining: self.remaining() };
        let taken = taken.ok_or(truncated)?;
        self.position += N;
        Ok(*taken)
    }

    /// A byte that is 0 for false.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], as for every number.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array_of().map(i8::from_be_bytes)
    }

    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array_of().map(i16::from_be_bytes)
    }

    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array_of().map(u16::from_be_bytes)
    }

    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array_of().map(i32::from_be_bytes)
    }

    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array_of().map(i64::from_be_bytes)
    }

    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array_of()
    }

    /// An unsigned number, 7 bits a byte, the lowest first.
    ///
    /// # Errors
    /// [`DecodeError::VarintTooLong`] beyond 32 bits, [`DecodeError::Truncated`].
    pub fn varint(&mut self) -> Result<u32, DecodeError> {
        let position = self.position;
        let mut value = 0_u32;
        for shift in (0..32).step_by(7) {
            let [byte] = self.array_of()?;
            let bits = u32::from(byte & 0x7f);
            // The fifth byte has room for four bits.
            if shift == 28 && bits > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong { position })
    }

    /// A length in the present form; `None` for null.
    fn length(
        &mut self,
        classic: fn(&mut Self) -> Result<i32, DecodeError>,
    ) -> Result<Option<usize>, DecodeError> {
        let position = self.position;
        let length = match self.form {
            Form::Compact => match self.varint()? {
                0 => return Ok(None),
                above => return Ok(Some(above as usize - 1)),
            },
            Form::Classic => classic(self)?,
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(DecodeError::NegativeLength { position, length }),
        }
    }

    fn short_length(&mut self) -> Result<i32, DecodeError> {
        self.i16().map(i32::from)
    }

    /// The bytes of a string, and where they begin; `None` for null.
    fn string_bytes(&mut self) -> Result<Option<(usize, &'a [u8])>, DecodeError> {
        let before = self.position;
        let Some(length) = self.length(Self::short_length)? else {
            return Ok(None);
        };
        if length > STRING_BYTES_MAX {
            return Err(DecodeError::StringTooLong { position: before, length });
        }
        let position = self.position;
        Ok(Some((position, self.take(length)?)))
    }

    /// A string, copied.
    ///
    /// # Errors
    /// Null, too long, not UTF-8, or cut off.
    pub fn string(&mut self) -> Result<String, DecodeError> {
        let position = self.position;
        self.nullable_string()?.ok_or(DecodeError::UnexpectedNull { position })
    }

    /// A string or null, copied.
    ///
    /// # Errors
    /// Too long, not UTF-8, or cut off.
    pub fn nullable_string(&mut self) -> Result<Option<String>, DecodeError> {
        let Some((position, bytes)) = self.string_bytes()? else {
            return Ok(None);
        };
        match str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(DecodeError::NotUtf8 { position }),
        }
    }

    /// A string in the frame's memory.
    ///
    /// # Errors
    /// Null, too long, not UTF-8, or cut off.
    pub fn text(&mut self) -> Result<Text, DecodeError> {
        let position = self.position;
        self.nullable_text()?.ok_or(DecodeError::UnexpectedNull { position })
    }

    /// A string or null in the frame's memory.
    ///
    /// # Errors
    /// Too long, not UTF-8, or cut off.
    pub fn nullable_text(&mut self) -> Result<Option<Text>, DecodeError> {
        let Some((position, bytes)) = self.string_bytes()? else {
            return Ok(None);
        };
        let text = Text::new(self.share(bytes)).ok_or(DecodeError::NotUtf8 { position })?;
        Ok(Some(text))
    }

    /// Bytes in the frame's memory.
    ///
    /// # Errors
    /// Null or cut off.
    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let position = self.position;
        self.nullable_bytes()?.ok_or(DecodeError::UnexpectedNull { position })
    }

    /// Bytes or null, in the frame's memory.
    ///
    /// # Errors
    /// Cut off.
    pub fn nullable_bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(length) = self.length(Self::i32)? else {
            return Ok(None);
        };
        let bytes = self.take(length)?;
        Ok(Some(self.share(bytes)))
    }

    /// A part of the frame as a reference to it; an empty one keeps nothing alive.
    fn share(&self, part: &'a [u8]) -> Bytes {
        if part.is_empty() { Bytes::new() } else { self.frame.slice_ref(part) }
    }

    /// The number of elements that follow; `None` for null. Never more than can be in the bytes that are left, where
    /// each takes at least `element_bytes_min`.
    ///
    /// # Errors
    /// More than can be, or cut off.
    pub fn nullable_count(
        &mut self,
        element_bytes_min: usize,
    ) -> Result<Option<usize>, DecodeError> {
        let position = self.position;
        let Some(count) = self.length(Self::i32)? else {
            return Ok(None);
        };
        let count_max = (self.remaining() / element_bytes_min.max(1)).min(self.elements_left);
        if count > count_max {
            return Err(DecodeError::TooManyElements { position, count, count_max });
        }
        self.elements_left -= count;
        Ok(Some(count))
    }

    /// The number of elements that follow, as [`Reader::nullable_count`].
    ///
    /// # Errors
    /// Null, more than can be, or cut off.
    pub fn count(&mut self, element_bytes_min: usize) -> Result<usize, DecodeError> {
        let position = self.position;
        self.nullable_count(element_bytes_min)?.ok_or(DecodeError::UnexpectedNull { position })
    }

    /// An array, each element read by `one` from at least `element_bytes_min` bytes.
    ///
    /// # Errors
    /// Null, too many, or what `one` returns.
    pub fn array<T>(
        &mut self,
        element_bytes_min: usize,
        one: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(element_bytes_min)?;
        self.elements(count, one)
    }

    /// An array or null, each element read by `one` from at least `element_bytes_min` bytes.
    ///
    /// # Errors
    /// Too many, or what `one` returns.
    pub fn nullable_array<T>(
        &mut self,
        element_bytes_min: usize,
        one: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        match self.nullable_count(element_bytes_min)? {
            Some(count) => self.elements(count, one).map(Some),
            None => Ok(None),
        }
    }

    fn elements<T>(
        &mut self,
        count: usize,
        mut one: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let mut elements = Vec::with_capacity(count.min(CAPACITY_MAX));
        for left in (1..=count).rev() {
            let element = one(self)?;
            if elements.len() == elements.capacity() {
                // Twice as many, but never beyond what was announced.
                elements.reserve_exact(left.min(elements.len().max(1)));
            }
            elements.push(element);
        }
        Ok(elements)
    }

    /// A part that may be null: a byte below 0 says so.
    ///
    /// # Errors
    /// Cut off, or what `one` returns.
    pub fn nullable<T>(
        &mut self,
        one: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.i8()? < 0 { Ok(None) } else { one(self).map(Some) }
    }

    /// Skips the tagged fields at the end of a part; there are none in the classic form.
    ///
    /// # Errors
    /// Too many, or cut off.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        self.tags(|_, _| Ok(Tag::Unknown))
    }

    /// Reads the tagged fields at the end of a part: `one` is given each tag's number, with the reader at its first
    /// byte, and either reads all of it or says that it is unknown. The classic form has none.
    ///
    /// # Errors
    /// Too many, cut off, longer than what `one` reads, or what `one` returns.
    pub fn tags(
        &mut self,
        mut one: impl FnMut(&mut Self, u32) -> Result<Tag, DecodeError>,
    ) -> Result<(), DecodeError> {
        if self.form == Form::Classic {
            return Ok(());
        }
        let position = self.position;
        let count = self.varint()? as usize;
        if count > self.tags_left {
            return Err(DecodeError::TooManyTags { position, count, count_max: self.tags_left });
        }
        self.tags_left -= count;
        for _ in 0..count {
            let tag = self.varint()?;
            let length = self.varint()? as usize;
            let begin = self.position;
            self.take(length)?;
            let (after, end) = (self.position, self.end);
            (self.position, self.end) = (begin, after);
            let found = one(self, tag)?;
            if found == Tag::Known && self.position != after {
                let excess = after - self.position;
                return Err(DecodeError::TagExcess { position: after, excess });
            }
            (self.position, self.end) = (after, end);
        }
        Ok(())
    }
}
