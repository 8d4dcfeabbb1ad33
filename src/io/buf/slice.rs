//! The region that a write hands to the kernel.
#![allow(unsafe_code, reason = "views of shared aligned memory; tests run under AddressSanitizer")]

use std::fmt;
use std::ops::Range;

use super::PAGE_BYTES;
use super::memory::Memory;

/// A reference-counted, page-aligned region of whole pages, to be written to a file.
///
/// Cloning shares the memory, which lives as long as any clone. The region may end in padding
/// behind the bytes that were filled; a [`TailBuf`](super::TailBuf) may append into that padding
/// while the write is under way, so what lands on disk there is zeros or the later bytes.
#[derive(Clone)]
pub struct AlignedSlice {
    memory: Memory,
    start: usize,
    len: usize,
    /// Bytes of the region that will not change any more; the rest is padding.
    filled: usize,
}

impl AlignedSlice {
    /// Makes a region of `pages` of the block, of which the first `filled` bytes are settled.
    pub(super) fn new(memory: Memory, pages: Range<usize>, filled: usize) -> Self {
        let Range { start, end } = pages;
        assert!(start <= end && end <= memory.capacity(), "{start}..{end} outside the block");
        assert!(start.is_multiple_of(PAGE_BYTES), "start {start} is not page-aligned");
        assert!(end.is_multiple_of(PAGE_BYTES), "end {end} is not page-aligned");
        assert!(filled <= end - start, "{filled} bytes filled of {}", end - start);
        Self { memory, start, len: end - start, filled }
    }

    /// Returns the region's length in bytes, a multiple of the page.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Tells whether the region has no pages.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies the region into `target`, which must have its length; padding becomes zeros.
    pub fn copy_to(&self, target: &mut [u8]) {
        assert_eq!(target.len(), self.len, "copy of a region into another length");
        let (settled, padding) = target.split_at_mut(self.filled);
        settled.copy_from_slice(self.settled());
        padding.fill(0);
    }

    /// Returns the address of the first byte; valid while a clone of this lives.
    pub(crate) fn as_ptr(&self) -> *const u8 {
        // SAFETY: `start` is inside the block, checked in `new`.
        unsafe { self.memory.start().add(self.start) }
    }

    fn settled(&self) -> &[u8] {
        // SAFETY: the range is inside the block (checked in `new`), initialised, and nobody writes
        // below `filled` any more: a tail appends behind it, an aligned buffer was given up.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.filled) }
    }
}

impl fmt::Debug for AlignedSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedSlice({} bytes, {} filled)", self.len, self.filled)
    }
}
