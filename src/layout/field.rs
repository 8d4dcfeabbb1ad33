//! Little-endian fields of our own file formats: a bounded reader that never panics and a writer to match. Apart, because
//! every format of this crate is parsed with it and a hostile file may reach each of them.

use kolk_model::ids::{PartitionId, TopicId, TopicPartition};

/// Bytes of a page: the unit of direct writes, of padding and of journal groups.
pub const PAGE_BYTES: u64 = 4096;

/// The start of the page that holds `position`.
#[must_use]
pub const fn page_floor(position: u64) -> u64 {
    position & !(PAGE_BYTES - 1)
}

/// The first page start at or above `position`. Saturates at the last whole page of the number space.
#[must_use]
pub const fn page_ceil(position: u64) -> u64 {
    page_floor(position.saturating_add(PAGE_BYTES - 1))
}

/// A byte count as an index into memory. On the 64-bit machines kolk runs on nothing is lost; elsewhere the index is out of
/// every range, and the bounds check that follows refuses it.
#[must_use]
pub fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// A length in memory as a number of bytes in a file.
#[must_use]
pub fn bytes(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// A length that a format keeps in 32 bits. Saturates; writers bound their inputs far below.
#[must_use]
pub fn bytes32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The bytes ended before the field did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short;

/// Takes fields off the front of borrowed bytes.
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts at the first of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`Short`] if fewer are left.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Short> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Short)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        self.take(N)?.try_into().map_err(|_| Short)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Short`].
    pub fn u8(&mut self) -> Result<u8, Short> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// Two bytes.
    ///
    /// # Errors
    /// [`Short`].
    pub fn u16(&mut self) -> Result<u16, Short> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`Short`].
    pub fn u32(&mut self) -> Result<u32, Short> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// [`Short`].
    pub fn u64(&mut self) -> Result<u64, Short> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Eight bytes, signed.
    ///
    /// # Errors
    /// [`Short`].
    pub fn i64(&mut self) -> Result<i64, Short> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Sixteen bytes of topic id and four of partition.
    ///
    /// # Errors
    /// [`Short`].
    pub fn topic_partition(&mut self) -> Result<TopicPartition, Short> {
        let topic = TopicId::new(self.array()?);
        Ok(TopicPartition { topic, partition: PartitionId::new(self.u32()?) })
    }

    /// Bytes not taken yet.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.rest.len()
    }
}

/// Appends fields to a growing buffer.
pub trait PutFields {
    /// Appends bytes as they are.
    fn put(&mut self, bytes: &[u8]);

    /// Appends one byte.
    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }
    /// Appends two bytes.
    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }
    /// Appends four bytes.
    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }
    /// Appends eight bytes.
    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }
    /// Appends eight bytes, signed.
    fn put_i64(&mut self, value: i64) {
        self.put(&value.to_le_bytes());
    }
    /// Appends a topic id and a partition.
    fn put_topic_partition(&mut self, id: TopicPartition) {
        self.put(&id.topic.get());
        self.put_u32(id.partition.get());
    }
}

impl PutFields for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_round_both_ways() {
        assert_eq!(
            (page_floor(4095), page_floor(4096), page_ceil(1), page_ceil(4096)),
            (0, 4096, 4096, 4096)
        );
    }

    #[test]
    fn a_short_field_is_refused_and_takes_nothing() {
        let mut fields = Fields::new(&[1, 2, 3]);
        assert_eq!(fields.u32(), Err(Short));
        assert_eq!(fields.u16(), Ok(0x0201));
        assert_eq!(fields.left(), 1);
    }
}
