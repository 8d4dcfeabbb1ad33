//! The buffer with one owner.
#![allow(unsafe_code, reason = "views of owned aligned memory; tests run under AddressSanitizer")]

use std::fmt;
use std::ops::{Deref, DerefMut};

use bytes::Bytes;

use super::memory::Memory;
use super::page_ceil;
use super::slice::AlignedSlice;

/// Page-aligned memory with one owner; dereferences to its bytes.
pub struct AlignedBuf {
    memory: Memory,
    len: usize,
}

impl AlignedBuf {
    /// Returns a buffer of `len` zero bytes.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self { memory: Memory::zeroed(len), len }
    }

    /// Returns a buffer that holds a copy of `bytes`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut buf = Self { memory: Memory::recycled(bytes.len()), len: bytes.len() };
        buf.copy_from_slice(bytes);
        buf
    }

    /// Returns a buffer of length 0 with room for `capacity` bytes, which hold anything: [`AlignedBuf::append`] fills them, or
    /// a read from disk.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { memory: Memory::recycled(capacity), len: 0 }
    }

    /// Copies `bytes` behind those that are there. The caller checks that they fit: more than the capacity is a bug.
    pub fn append(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        assert!(end <= self.capacity(), "{end} of {} bytes", self.capacity());
        let start = self.len;
        self.len = end;
        // All memory of a block is initialised: what is lent here holds bytes of another life until the next line.
        if let Some(target) = self.get_mut(start..end) {
            target.copy_from_slice(bytes);
        }
    }

    /// Sets the length after the memory's first `len` bytes were filled.
    pub(crate) fn set_filled(&mut self, len: usize) {
        assert!(len <= self.memory.capacity(), "{len} of {} bytes", self.memory.capacity());
        self.len = len;
    }

    /// Returns the address of the first byte, for the kernel to fill.
    pub(crate) fn start(&mut self) -> *mut u8 {
        self.memory.start()
    }

    /// Returns the bytes that fit, a multiple of the page.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Shortens the buffer to `len` bytes; does nothing if it is shorter already.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Turns the buffer into shared bytes, without a copy.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        if self.len == 0 { Bytes::new() } else { Bytes::from_owner(self) }
    }

    /// Turns the buffer into a region to write: its length rounded up to whole pages, the rest of
    /// the last page zero.
    #[must_use]
    pub fn into_slice(self) -> AlignedSlice {
        let (filled, padded) = (self.len, page_ceil(self.len));
        // SAFETY: `filled` is inside the block.
        let rest = unsafe { self.memory.start().add(filled) };
        // SAFETY: the capacity is a multiple of the page, so `padded` is inside the block; this
        // value is the block's only user.
        unsafe { rest.write_bytes(0, padded - filled) };
        AlignedSlice::new(self.memory, 0..padded, filled)
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` is at most the capacity, all memory is initialised, and only `&mut self`
        // writes to it.
        unsafe { std::slice::from_raw_parts(self.memory.start(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; `&mut self` is the only access.
        unsafe { std::slice::from_raw_parts_mut(self.memory.start(), self.len) }
    }
}

impl AsRef<[u8]> for AlignedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuf({} of {} bytes)", self.len, self.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::PAGE_BYTES;

    #[test]
    fn memory_is_aligned_and_zero() {
        let mut buf = AlignedBuf::new(5000);
        assert_eq!(buf.len(), 5000);
        assert_eq!(buf.capacity(), 8192);
        assert!((buf.start() as usize).is_multiple_of(PAGE_BYTES));
        assert!(buf.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_is_appended_follows_and_nothing_of_the_last_owner_is_seen() {
        let mut dirty = AlignedBuf::new(4096);
        dirty.fill(0xff);
        drop(dirty);
        let mut buf = AlignedBuf::with_capacity(4096);
        assert!(buf.is_empty());
        buf.append(b"head");
        buf.append(b"payload");
        assert_eq!(&*buf, b"headpayload");
        let mut copy = vec![1; 4096];
        buf.into_slice().copy_to(&mut copy);
        assert_eq!(
            (&copy[..11], copy[11..].iter().all(|byte| *byte == 0)),
            (&b"headpayload"[..], true)
        );
    }

    #[test]
    fn frozen_bytes_outlive_the_buffer_and_cross_threads() {
        let bytes = AlignedBuf::from_bytes(b"record batch").freeze();
        let part = bytes.slice(7..);
        drop(bytes);
        let seen = std::thread::scope(|scope| scope.spawn(move || part.to_vec()).join());
        assert_eq!(seen.unwrap(), b"batch");
        assert!(AlignedBuf::new(0).freeze().is_empty());
    }

    #[test]
    fn a_slice_to_write_is_whole_pages_with_zero_padding() {
        let mut dirty = AlignedBuf::new(4096);
        dirty.fill(0xff);
        drop(dirty);
        let slice = AlignedBuf::from_bytes(&[7; 100]).into_slice();
        assert_eq!(slice.len(), 4096);
        let mut copy = vec![1; 4096];
        slice.copy_to(&mut copy);
        assert_eq!(copy[..100], [7; 100]);
        assert!(copy[100..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_truncated_buffer_shows_no_more_than_its_length() {
        let mut buf = AlignedBuf::from_bytes(&[1; 4096]);
        buf.truncate(10);
        buf.truncate(20);
        assert_eq!(&*buf, &[1; 10]);
    }
}
