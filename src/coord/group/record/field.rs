//! The fields that records of the offsets topic are made of, in Kafka's two encodings: before its "flexible"
//! versions (lengths of 2 or 4 bytes, -1 = null) and since (lengths + 1 as variable-length integers, tagged
//! fields at the end of each struct). All big-endian. Nothing is allocated from a length that was read.

use bytes::{BufMut, Bytes, BytesMut};

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Truncated,
    Length,
    Text,
    Null,
}

type Read<T> = Result<T, Fault>;

/// How a struct's fields are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Flexible,
}

/// Elements reserved for at once; more grow as they are read.
const RESERVED_MAX: usize = 1_000;

/// Reads fields off the front of bytes.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    form: Form,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8], form: Form) -> Self {
        Self { rest: bytes, form }
    }

    /// The first two bytes of every key and value.
    pub(super) fn version(bytes: &'a [u8]) -> Read<(i16, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<2>().ok_or(Fault::Truncated)?;
        Ok((i16::from_be_bytes(*head), rest))
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn i8(&mut self) -> Read<i8> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn uuid(&mut self) -> Read<[u8; 16]> {
        self.array()
    }

    pub(super) fn i16(&mut self) -> Read<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Read<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Read<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn unsigned(&mut self) -> Read<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Fault::Length)
    }

    /// A length of text (2 bytes in the plain form) or of anything else (4 bytes); `None` = null.
    fn length(&mut self, text: bool) -> Read<Option<usize>> {
        let length = match (self.form, text) {
            (Form::Flexible, _) => i64::from(self.unsigned()?) - 1,
            (Form::Plain, true) => i64::from(self.i16()?),
            (Form::Plain, false) => i64::from(self.i32()?),
        };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| Fault::Length),
        }
    }

    pub(super) fn nullable_text(&mut self) -> Read<Option<&'a str>> {
        let Some(length) = self.length(true)? else { return Ok(None) };
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| Fault::Text)
    }

    pub(super) fn text(&mut self) -> Read<&'a str> {
        self.nullable_text()?.ok_or(Fault::Null)
    }

    pub(super) fn nullable_bytes(&mut self) -> Read<Option<&'a [u8]>> {
        match self.length(false)? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn bytes(&mut self) -> Read<Bytes> {
        self.nullable_bytes()?.map(Bytes::copy_from_slice).ok_or(Fault::Null)
    }

    /// Reads every element of a list; null reads as none.
    pub(super) fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Read<T>,
    ) -> Read<Vec<T>> {
        let count = self.length(false)?.unwrap_or(0);
        // An element takes a byte at least, so a count beyond what is left is known to be wrong.
        if count > self.rest.len() {
            return Err(Fault::Truncated);
        }
        let mut list = Vec::with_capacity(count.min(RESERVED_MAX));
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(list)
    }

    /// Reads the tagged fields that end a struct in the flexible form; `known` is asked of each.
    pub(super) fn tags(&mut self, mut known: impl FnMut(u32, &mut Self) -> Read<()>) -> Read<()> {
        if self.form == Form::Plain {
            return Ok(());
        }
        for _ in 0..self.unsigned()? {
            let tag = self.unsigned()?;
            let length = usize::try_from(self.unsigned()?).map_err(|_| Fault::Length)?;
            let mut field = Self { rest: self.take(length)?, form: self.form };
            known(tag, &mut field)?;
        }
        Ok(())
    }

    pub(super) fn no_tags(&mut self) -> Read<()> {
        self.tags(|_, _| Ok(()))
    }
}

/// Writes fields.
pub(super) struct Writer {
    bytes: BytesMut,
    form: Form,
}

impl Writer {
    pub(super) fn new(version: i16, form: Form) -> Self {
        let mut writer = Self::inner(form);
        writer.bytes.put_i16(version);
        writer
    }

    /// For a struct inside another: it has no version of its own.
    pub(super) fn inner(form: Form) -> Self {
        Self { bytes: BytesMut::with_capacity(64), form }
    }

    pub(super) fn finish(self) -> Bytes {
        self.bytes.freeze()
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.bytes.put_i8(value);
    }

    pub(super) fn uuid(&mut self, value: [u8; 16]) {
        self.bytes.put_slice(&value);
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.bytes.put_i32(value);
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.bytes.put_i64(value);
    }

    pub(super) fn unsigned(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.put_u8(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.bytes.put_u8(u8::try_from(value).unwrap_or(0));
    }

    /// Text is at most 32,767 bytes: it came over the wire in such a field. What is longer is cut.
    pub(super) fn nullable_text(&mut self, text: Option<&str>) {
        let text =
            text.map(|text| text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or(""));
        let length = text.map_or(-1, |text| i16::try_from(text.len()).unwrap_or(i16::MAX));
        match self.form {
            Form::Plain => self.bytes.put_i16(length),
            Form::Flexible => self.unsigned((i32::from(length) + 1).cast_unsigned()),
        }
        self.bytes.put_slice(text.unwrap_or_default().as_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.nullable_text(Some(text));
    }

    pub(super) fn count(&mut self, count: usize) {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        match self.form {
            Form::Plain => self.bytes.put_i32(count),
            Form::Flexible => self.unsigned(count.cast_unsigned() + 1),
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes.put_slice(bytes);
    }

    /// Ends a struct with its tagged fields, rising by tag.
    pub(super) fn tags(&mut self, fields: &[(u32, Bytes)]) {
        if self.form == Form::Plain {
            return;
        }
        self.unsigned(u32::try_from(fields.len()).unwrap_or(0));
        for (tag, field) in fields {
            self.unsigned(*tag);
            self.unsigned(u32::try_from(field.len()).unwrap_or(0));
            self.bytes.put_slice(field);
        }
    }
}

/// What the plain form's length can say.
const TEXT_BYTES_MAX: usize = 32_767;
