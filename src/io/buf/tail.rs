//! The append buffer: a log's unwritten end, which is its cache as well.
#![allow(unsafe_code, reason = "one writer beside many readers; tests run under AddressSanitizer")]

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::memory::Memory;
use super::slice::AlignedSlice;
use super::{PAGE_BYTES, page_ceil};

/// An append buffer of fixed capacity with one writer.
///
/// Bytes that were appended never change again, so readers on any thread may hold slices of them
/// while the writer goes on behind. The buffer's memory lives until the buffer and every slice of
/// it are dropped: a small slice pins the whole block.
pub struct TailBuf {
    memory: Memory,
    len: usize,
    capacity: usize,
    /// Every byte from `len` to here is zero; a multiple of the page, at least `len`.
    zeroed_to: usize,
    /// The bytes that were appended when somebody asked for the last of them: what lies in them is shared without an allocation.
    shared: RefCell<Bytes>,
}

impl TailBuf {
    /// Returns an empty buffer with room for `capacity` bytes, rounded up to whole pages.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let memory = Memory::recycled(capacity);
        let shared = RefCell::new(Bytes::new());
        Self { memory, len: 0, capacity: page_ceil(capacity), zeroed_to: 0, shared }
    }

    /// Appends `bytes`. The caller checks [`TailBuf::remaining`] first: more is a bug.
    pub fn append(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.remaining(), "{} of {}", bytes.len(), self.remaining());
        // SAFETY: `len` is inside the block.
        let end = unsafe { self.memory.start().add(self.len) };
        // SAFETY: `remaining` bytes follow `end` in the block. No slice reaches behind `len`, so
        // nobody reads or writes them; a kernel write of a last, padded page may read them, and
        // is told to expect either content. `bytes` can't overlap: it would be a slice behind `len`.
        unsafe { end.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        self.len += bytes.len();
        self.zero_last_page();
    }

    /// Returns the bytes appended so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Tells whether nothing was appended yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the room that is left in bytes.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.capacity - self.len
    }

    /// Returns the room there was at the start, in bytes.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Lends all appended bytes.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        // SAFETY: `len` bytes of the block were appended and never change again; only `&mut self` appends.
        unsafe { std::slice::from_raw_parts(self.memory.start(), self.len) }
    }

    /// Shares a range of the appended bytes, without a copy; allocates only for bytes appended since it was last asked for some. A
    /// range behind them is a bug.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        let Range { start, end } = range;
        assert!(start <= end && end <= self.len, "{start}..{end} of {} bytes", self.len);
        if start == end {
            return Bytes::new();
        }
        let mut shared = self.shared.borrow_mut();
        if shared.len() < end {
            *shared = Bytes::from_owner(Appended { memory: self.memory.clone(), len: self.len });
        }
        shared.slice(range)
    }

    /// Shares whole pages for a write. `range` is in multiples of the page and ends at most with
    /// the page of the last appended byte, whose rest is zero until it is appended to.
    #[must_use]
    pub fn pages(&self, range: Range<usize>) -> AlignedSlice {
        assert!(range.end <= page_ceil(self.len), "{range:?} of {} bytes", self.len);
        let filled = self.len.min(range.end).saturating_sub(range.start);
        AlignedSlice::new(self.memory.clone(), range, filled)
    }

    /// Zeroes the rest of the page in which the appended bytes end, once per page.
    fn zero_last_page(&mut self) {
        let page_end = page_ceil(self.len);
        if page_end <= self.zeroed_to {
            return;
        }
        // SAFETY: `len` is inside the block.
        let end = unsafe { self.memory.start().add(self.len) };
        // SAFETY: the capacity is a multiple of the page, so `page_end` is inside the block; who
        // else may look at these bytes is said in `append`.
        unsafe { end.write_bytes(0, page_end - self.len) };
        self.zeroed_to = page_end;
    }
}

impl fmt::Debug for TailBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TailBuf({} of {} bytes)", self.len, self.capacity)
    }
}

const _: () = assert!(PAGE_BYTES.is_power_of_two());

/// Owner of the bytes appended so far.
struct Appended {
    memory: Memory,
    len: usize,
}

impl AsRef<[u8]> for Appended {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the bytes were appended before this value was made and never change again; the
        // writer only touches bytes behind them.
        unsafe { std::slice::from_raw_parts(self.memory.start(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(slice: &AlignedSlice) -> Vec<u8> {
        let mut copy = vec![0xee; slice.len()];
        slice.copy_to(&mut copy);
        copy
    }

    /// Leaves blocks full of old bytes in the free list.
    fn dirty_the_free_list(bytes: usize) {
        let mut buf = crate::buf::AlignedBuf::new(bytes);
        buf.fill(0xaa);
    }

    #[test]
    fn slices_keep_their_bytes_while_the_writer_goes_on() {
        let mut tail = TailBuf::new(8192);
        tail.append(b"first");
        let first = tail.slice(0..5);
        tail.append(b"second");
        let both = tail.slice(3..11);
        drop(tail);
        assert_eq!(&*first, b"first");
        assert_eq!(&*both, b"stsecond");
    }

    #[test]
    fn readers_of_the_same_bytes_share_one_view_of_them() {
        let mut tail = TailBuf::new(8192);
        tail.append(b"first");
        let (first, again) = (tail.slice(0..5), tail.slice(1..3));
        assert_eq!((&*again, again.as_ptr()), (&b"ir"[..], first[1..].as_ptr()));
        tail.append(b"second");
        let later = tail.slice(2..11);
        assert_eq!((&*first, &*later), (&b"first"[..], &b"rstsecond"[..]));
        drop((tail, first, again));
        assert_eq!(&*later, b"rstsecond");
    }

    #[test]
    fn a_reader_on_another_thread_sees_what_was_appended_before() {
        let mut tail = TailBuf::new(65_536);
        std::thread::scope(|scope| {
            let mut readers = Vec::new();
            for round in 0..16_u8 {
                tail.append(&[round; 1000]);
                let seen = tail.slice(usize::from(round) * 1000..tail.len());
                readers.push(scope.spawn(move || seen.iter().all(|byte| *byte == round)));
            }
            for reader in readers {
                assert!(reader.join().unwrap());
            }
        });
    }

    #[test]
    fn the_last_page_is_padded_with_zeros_even_in_recycled_memory() {
        dirty_the_free_list(8192);
        let mut tail = TailBuf::new(8192);
        tail.append(&[1; 100]);
        let page = tail.pages(0..4096);
        assert_eq!(content(&page)[..100], [1; 100]);
        assert!(content(&page)[100..].iter().all(|byte| *byte == 0));
        tail.append(&[2; 4000]);
        let pages = content(&tail.pages(0..8192));
        assert_eq!(pages[99..101], [1, 2]);
        assert_eq!(pages[4099..4101], [2, 0]);
        // The older view still shows what was settled when it was made.
        assert_eq!(content(&page)[100], 0);
    }

    #[test]
    fn a_full_tail_has_no_room_and_no_padding() {
        let mut tail = TailBuf::new(5000);
        assert_eq!(tail.capacity(), 8192);
        tail.append(&[3; 8192]);
        assert_eq!(tail.remaining(), 0);
        assert!(content(&tail.pages(4096..8192)).iter().all(|byte| *byte == 3));
        assert!(tail.slice(10..10).is_empty());
    }
}
