//! Buffers that the kernel chooses from when bytes arrive, and memory with or without huge pages.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use crate::ring::Turning;

/// The group that all receives name.
pub(crate) const GROUP: u16 = 1;

/// A ring of buffers shared with the kernel.
pub(crate) struct Provided {
    entries: Pages,
    memory: Pages,
    count: u16,
    bytes_each: usize,
    tail: u16,
}

impl Provided {
    /// `count` is a power of two.
    pub(crate) fn new(ring: &Turning, count: u16, bytes_each: usize) -> Self {
        let entries = Pages::new(usize::from(count) * size_of::<BufRingEntry>(), Paging::Small);
        let memory = Pages::new(usize::from(count) * bytes_each, Paging::Small);
        let address = entries.start.as_ptr() as u64;
        // SAFETY: the entries live as long as this value, which the loops drop after their ring.
        unsafe { ring.uring().submitter().register_buf_ring_with_flags(address, count, GROUP, 0) }
            .expect("a kernel with provided buffers");
        let mut provided = Self { entries, memory, count, bytes_each, tail: 0 };
        (0..count).for_each(|id| provided.put(id));
        provided.publish();
        provided
    }

    /// The first `len` bytes of a buffer that the kernel has filled.
    pub(crate) fn bytes(&self, id: u16, len: usize) -> &[u8] {
        let start = usize::from(id) * self.bytes_each;
        &self.memory.bytes()[start..start + len]
    }

    pub(crate) const fn bytes_each(&self) -> usize {
        self.bytes_each
    }

    /// The buffer behind this one, as long as they are put back in the order they are used.
    pub(crate) const fn next(&self, id: u16) -> u16 {
        (id + 1) % self.count
    }

    /// Puts a buffer back; the kernel sees it at the next [`Provided::publish`].
    pub(crate) fn put(&mut self, id: u16) {
        let address = self.memory.start.as_ptr() as u64 + u64::from(id) * self.bytes_each as u64;
        let place = usize::from(self.tail % self.count);
        let entries = self.entries.start.as_ptr().cast::<BufRingEntry>();
        // SAFETY: `place` is below the count.
        let entry = unsafe { entries.add(place) };
        // SAFETY: the kernel does not look at an entry beyond the published tail.
        let entry = unsafe { &mut *entry };
        entry.set_addr(address);
        entry.set_len(self.bytes_each as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    pub(crate) fn publish(&mut self) {
        let entries = self.entries.start.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the tail lies inside the first entry, by the kernel's layout.
        let tail = unsafe { BufRingEntry::tail(entries) };
        // SAFETY: an aligned u16 that lives as long as the entries and that the kernel only reads.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

/// What backs a piece of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paging {
    Small,
    Huge,
}

/// Mapped memory, all of it touched.
pub(crate) struct Pages {
    start: NonNull<u8>,
    len: usize,
    mapped: (NonNull<u8>, usize),
}

const HUGE_PAGE: usize = 2 << 20;

impl Pages {
    pub(crate) fn new(len: usize, paging: Paging) -> Self {
        let mapped_len = len + HUGE_PAGE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no other memory.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), mapped_len, access, kind, -1, 0) };
        assert_ne!(mapped, libc::MAP_FAILED, "memory");
        let ahead = mapped.cast::<u8>().align_offset(HUGE_PAGE);
        // SAFETY: less than a huge page ahead, inside of the mapping.
        let start = unsafe { mapped.cast::<u8>().add(ahead) };
        let advice = match paging {
            Paging::Small => libc::MADV_NOHUGEPAGE,
            Paging::Huge => libc::MADV_HUGEPAGE,
        };
        // SAFETY: the range was just mapped.
        unsafe { libc::madvise(start.cast(), len, advice) };
        // SAFETY: the range was just mapped and has no other user.
        unsafe { start.write_bytes(1, len) };
        let start = NonNull::new(start).expect("memory");
        Self { start, len, mapped: (NonNull::new(mapped.cast()).expect("memory"), mapped_len) }
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        // SAFETY: initialised by `new`; the kernel writes only to parts that it was given.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub(crate) const fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`; this is the only access.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let (start, len) = self.mapped;
        // SAFETY: the mapping is this value's.
        unsafe { libc::munmap(start.as_ptr().cast(), len) };
    }
}
