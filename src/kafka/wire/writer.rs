//! Writes values as the wire has them. Apart because it is the mirror of the reader and never fails: what a version
//! can't carry is cut or left out, not refused.

use bytes::{BufMut, BytesMut};

use super::{Form, STRING_BYTES_MAX, Uuid};
use crate::frame::RESPONSE_BYTES_MAX;

/// Appends to a buffer that the caller owns.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut BytesMut,
    form: Form,
    /// Where the message is too large in any case: no further element is written.
    end_max: usize,
}

impl<'a> Writer<'a> {
    /// Appends to `out`, in the classic form.
    #[must_use]
    pub fn new(out: &'a mut BytesMut) -> Self {
        let end_max = out.len().saturating_add(RESPONSE_BYTES_MAX);
        Self { out, form: Form::Classic, end_max }
    }

    /// Sets how lengths are written from here on.
    pub fn set_form(&mut self, form: Form) {
        self.form = form;
    }

    /// Bytes in the buffer, those from before included.
    pub(crate) fn position(&self) -> usize {
        self.out.len()
    }

    /// A byte, 1 for true.
    pub fn bool(&mut self, value: bool) {
        self.out.put_u8(u8::from(value));
    }

    /// One byte.
    pub fn i8(&mut self, value: i8) {
        self.out.put_i8(value);
    }

    /// Two bytes.
    pub fn i16(&mut self, value: i16) {
        self.out.put_i16(value);
    }

    /// Two bytes without a sign.
    pub fn u16(&mut self, value: u16) {
        self.out.put_u16(value);
    }

    /// Four bytes.
    pub fn i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    /// Eight bytes.
    pub fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self, value: &Uuid) {
        self.out.put_slice(value);
    }

    /// An unsigned number, 7 bits a byte, the lowest first.
    pub fn varint(&mut self, value: u32) {
        let (bytes, length) = varint_bytes(value);
        self.out.put_slice(bytes.get(..length).unwrap_or_default());
    }

    /// A length, or -1 for null.
    fn length(&mut self, length: Option<usize>) {
        match (self.form, length) {
            (Form::Classic, None) => self.i32(-1),
            (Form::Classic, Some(length)) => self.i32(i32::try_from(length).unwrap_or(i32::MAX)),
            (Form::Compact, None) => self.varint(0),
            (Form::Compact, Some(length)) => {
                self.varint(u32::try_from(length.saturating_add(1)).unwrap_or(u32::MAX));
            }
        }
    }

    /// A string; cut at a character if it is longer than [`STRING_BYTES_MAX`].
    pub fn string(&mut self, text: &str) {
        self.nullable_string(Some(text));
    }

    /// A string or null.
    pub fn nullable_string(&mut self, text: Option<&str>) {
        let text = text.map(cut);
        match (self.form, text) {
            (Form::Classic, None) => self.i16(-1),
            (Form::Classic, Some(text)) => {
                self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
            }
            (Form::Compact, text) => self.length(text.map(str::len)),
        }
        self.out.put_slice(text.unwrap_or_default().as_bytes());
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.nullable_bytes(Some(bytes));
    }

    /// Bytes or null.
    pub fn nullable_bytes(&mut self, bytes: Option<&[u8]>) {
        self.length(bytes.map(<[u8]>::len));
        self.out.put_slice(bytes.unwrap_or_default());
    }

    /// The length of bytes that somebody else sends.
    pub(crate) fn bytes_length(&mut self, length: usize) {
        self.length(Some(length));
    }

    /// The number of elements that follow.
    pub fn count(&mut self, count: usize) {
        self.length(Some(count));
    }

    /// An array, each element written by `one`.
    pub fn array<T>(&mut self, elements: &[T], one: impl FnMut(&mut Self, &T)) {
        self.nullable_array(Some(elements), one);
    }

    /// An array or null, each element written by `one`. Where more was written than an answer may have, the rest is
    /// left out: the frame is refused then.
    pub fn nullable_array<T>(
        &mut self,
        elements: Option<&[T]>,
        mut one: impl FnMut(&mut Self, &T),
    ) {
        self.length(elements.map(<[T]>::len));
        for element in elements.unwrap_or_default() {
            if self.out.len() > self.end_max {
                break;
            }
            one(self, element);
        }
    }

    /// A part or null.
    pub fn nullable<T>(&mut self, part: Option<&T>, one: impl FnOnce(&mut Self, &T)) {
        match part {
            Some(part) => {
                self.i8(1);
                one(self, part);
            }
            None => self.i8(-1),
        }
    }

    /// Whether a part ends with tags in the present form.
    #[must_use]
    pub fn has_tags(&self) -> bool {
        self.form == Form::Compact
    }

    /// Ends a part that has nothing tagged.
    pub fn no_tags(&mut self) {
        if self.has_tags() {
            self.varint(0);
        }
    }

    /// One tagged field. Their number goes before, and they rise.
    pub fn tag(&mut self, tag: u32, value: impl FnOnce(&mut Self)) {
        self.varint(tag);
        let begin = self.out.len();
        value(self);
        let length = self.out.len() - begin;
        let (prefix, prefix_bytes) = varint_bytes(u32::try_from(length).unwrap_or(u32::MAX));
        let prefix = prefix.get(..prefix_bytes).unwrap_or_default();
        // Moved by one or two bytes rather than measured beforehand: tags are few and short.
        self.out.put_slice(prefix);
        if let Some(moved) = self.out.get_mut(begin..) {
            moved.rotate_right(prefix_bytes);
        }
    }
}

fn varint_bytes(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut length = 0;
    for byte in &mut bytes {
        length += 1;
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        *byte = if value == 0 { low } else { low | 0x80 };
        if value == 0 {
            break;
        }
    }
    (bytes, length)
}

/// The longest front of a string that the wire can carry.
fn cut(text: &str) -> &str {
    if text.len() <= STRING_BYTES_MAX {
        return text;
    }
    let end = text.floor_char_boundary(STRING_BYTES_MAX);
    text.get(..end).unwrap_or_default()
}
