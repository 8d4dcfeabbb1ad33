//! The newest bytes of one segment in memory: a row of append buffers that are at once what the disk writes read and what
//! consumers are served from.

use std::collections::VecDeque;
use std::ops::AddAssign;

use bytes::Bytes;
use kolk_io::buf::{AlignedSlice, TailBuf};

use kolk_layout::field::{bytes, index, page_floor};

const BUFFER_BYTES_MIN: u64 = 4 << 10;
const BUFFER_BYTES_MAX: u64 = 1 << 20;
/// Buffers are never held to less than this, however many logs share the memory.
const BUFFER_BYTES_MAX_LEAST: u64 = 64 << 10;

/// What is read from memory is copied up to this size at most, about as fast as a view of it is made: readers at the end of a log
/// must not pay for those who keep what they read.
const READ_COPY_BYTES_MAX: usize = 16 << 10;

/// Whether so few bytes of a buffer are read that they are copied: a client that does not take its replies would keep all of the
/// buffer in memory, while its replies are counted by what they say. So they pin eight times that at most.
pub(crate) const fn is_small_part(read_bytes: usize, buffer_bytes: usize) -> bool {
    read_bytes < buffer_bytes / 8
}

/// Largest buffer where `logs` share `memory_bytes`: a buffer leaves memory only when it is full and synced, so one of each log is
/// always pinned. All of these together are held to an eighth of the memory.
pub(crate) fn buffer_bytes_max(memory_bytes: u64, logs: u64) -> u64 {
    let share = memory_bytes / 8 / logs.max(1);
    let power = 1 << share.max(1).ilog2();
    u64::clamp(power, BUFFER_BYTES_MAX_LEAST, BUFFER_BYTES_MAX)
}

/// Memory that an append took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) bytes: u64,
    pub(crate) buffers: usize,
}

impl AddAssign for Taken {
    fn add_assign(&mut self, more: Self) {
        self.bytes += more.bytes;
        self.buffers += more.buffers;
    }
}

/// One append buffer and where it starts in the segment (a page boundary).
#[derive(Debug)]
struct Buffer {
    start: u64,
    tail: TailBuf,
}

impl Buffer {
    fn end(&self) -> u64 {
        self.start + bytes(self.tail.len())
    }
}

/// The bytes `start..end` of a segment.
#[derive(Debug)]
pub(crate) struct Tail {
    buffers: VecDeque<Buffer>,
    start: u64,
    end: u64,
    next_buffer_bytes: u64,
}

impl Tail {
    /// An empty tail that continues a segment at `start`, a page boundary.
    pub(crate) const fn new(start: u64) -> Self {
        assert!(page_floor(start) == start, "a tail starts with a page");
        Self { buffers: VecDeque::new(), start, end: start, next_buffer_bytes: BUFFER_BYTES_MIN }
    }

    /// First position held.
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }

    /// Position after the last byte appended.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// Copies bytes in; returns the memory newly taken.
    pub(crate) fn append(&mut self, source: &[u8]) -> Taken {
        self.append_within(source, BUFFER_BYTES_MAX)
    }

    /// As [`Self::append`], with buffers of at most so many bytes.
    pub(crate) fn append_within(&mut self, mut source: &[u8], buffer_bytes_max: u64) -> Taken {
        let mut taken = Taken::default();
        self.end += bytes(source.len());
        while !source.is_empty() {
            if self.buffers.back().is_none_or(|buffer| buffer.tail.remaining() == 0) {
                taken.bytes += self.add_buffer(bytes(source.len()), buffer_bytes_max);
                taken.buffers += 1;
            }
            let Some(buffer) = self.buffers.back_mut() else { break };
            let (now, later) = source.split_at(source.len().min(buffer.tail.remaining()));
            buffer.tail.append(now);
            source = later;
        }
        taken
    }

    fn add_buffer(&mut self, wanted: u64, bytes_max: u64) -> u64 {
        let start = self.buffers.back().map_or(self.start, Buffer::end);
        let capacity = self.next_buffer_bytes.max(wanted.next_power_of_two()).min(bytes_max);
        self.next_buffer_bytes = (capacity * 2).min(BUFFER_BYTES_MAX);
        self.buffers.push_back(Buffer { start, tail: TailBuf::new(index(capacity)) });
        capacity
    }

    /// Calls `visit` with each buffer's share of `from..to`, in order. The range must be held.
    fn each(&self, from: u64, to: u64, mut visit: impl FnMut(&Buffer, std::ops::Range<usize>)) {
        assert!(
            self.start <= from && to <= self.end,
            "{from}..{to} outside {}..{}",
            self.start,
            self.end
        );
        let first = self.buffers.partition_point(|buffer| buffer.end() <= from);
        for buffer in self.buffers.iter().skip(first) {
            if buffer.start >= to {
                break;
            }
            let at = index(from.max(buffer.start) - buffer.start);
            visit(buffer, at..index(to.min(buffer.end()) - buffer.start));
        }
    }

    /// The bytes `from..to`, shared, not copied.
    pub(crate) fn slices(&self, from: u64, to: u64) -> Vec<Bytes> {
        let mut count = 0;
        self.each(from, to, |_, _| count += 1);
        let mut slices = Vec::with_capacity(count);
        self.each(from, to, |buffer, range| slices.push(buffer.tail.slice(range)));
        slices
    }

    /// As [`Self::slices`], for readers, who may be slow: a small part of a buffer is a copy, which does not pin the buffer when
    /// the log has forgotten it.
    pub(crate) fn slices_to_read(&self, from: u64, to: u64) -> Vec<Bytes> {
        let mut count = 0;
        self.each(from, to, |_, _| count += 1);
        let mut slices = Vec::with_capacity(count);
        self.each(from, to, |buffer, range| {
            let small = range.len() <= READ_COPY_BYTES_MAX
                && is_small_part(range.len(), buffer.tail.capacity());
            slices.push(if small {
                Bytes::copy_from_slice(buffer.tail.filled().get(range).unwrap_or_default())
            } else {
                buffer.tail.slice(range)
            });
        });
        slices
    }

    /// The pages that hold `from..to` for a write; `from` is a page boundary, the last page is padded with zeros.
    pub(crate) fn pages(&self, from: u64, to: u64) -> Vec<AlignedSlice> {
        let mut out = Vec::new();
        self.each(from, to, |buffer, range| {
            let end = range.end.next_multiple_of(kolk_io::buf::PAGE_BYTES);
            out.push(buffer.tail.pages(range.start..end));
        });
        out
    }

    /// Shows the bytes `from..to` to `visit`, piece by piece.
    pub(crate) fn visit(&self, from: u64, to: u64, mut visit: impl FnMut(&[u8])) {
        self.each(from, to, |buffer, range| {
            visit(buffer.tail.filled().get(range).unwrap_or_default());
        });
    }

    /// A copy of the bytes `from..to`.
    pub(crate) fn copy(&self, from: u64, to: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(index(to - from));
        self.visit(from, to, |piece| out.extend_from_slice(piece));
        out
    }

    /// The `N` bytes at `position`, `None` where fewer are held.
    pub(crate) fn array<const N: usize>(&self, position: u64) -> Option<[u8; N]> {
        let to = position + bytes(N);
        if position < self.start || to > self.end {
            return None;
        }
        let mut out = [0; N];
        let mut at = 0;
        self.each(position, to, |buffer, range| {
            let source = buffer.tail.filled().get(range).unwrap_or_default();
            if let Some(target) = out.get_mut(at..at + source.len()) {
                target.copy_from_slice(source);
            }
            at += source.len();
        });
        Some(out)
    }

    /// Forgets the oldest buffer if all of it lies below `limit`; returns the memory given back, in bytes. Readers that hold
    /// slices keep them.
    pub(crate) fn forget_oldest(&mut self, limit: u64) -> u64 {
        let Some(oldest) = self.buffers.front() else { return 0 };
        if oldest.end() > limit || oldest.tail.remaining() > 0 {
            return 0;
        }
        self.start = oldest.end();
        let freed = bytes(oldest.tail.capacity());
        self.buffers.pop_front();
        freed
    }

    /// Moves what lies at or above the page of `limit` into buffers of its own size, if that frees at least half of the memory:
    /// an idle log gives its large buffer back. Returns the memory given back, in bytes.
    pub(crate) fn shrink(&mut self, limit: u64) -> u64 {
        let from = page_floor(limit.max(self.start));
        let held = self.held_bytes();
        let needed = (self.end - from).next_power_of_two().max(BUFFER_BYTES_MIN);
        if needed > held / 2 {
            return 0;
        }
        let kept = self.copy(from, self.end);
        *self = Self::new(from);
        let taken = self.append(&kept);
        held.saturating_sub(taken.bytes)
    }

    /// The memory held, in bytes.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| bytes(buffer.tail.capacity())).sum()
    }

    /// Forgets everything; returns the memory given back, in bytes.
    pub(crate) fn forget_all(&mut self) -> u64 {
        let freed = self.held_bytes();
        self.buffers.clear();
        self.start = page_floor(self.end);
        self.end = self.start;
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_across_buffers() {
        let mut tail = Tail::new(8192);
        let content: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for part in content.chunks(777) {
            tail.append(part);
        }
        assert_eq!(tail.copy(8192, tail.end()), content);
        let slices = tail.slices(8192 + 4000, 8192 + 50_000);
        assert_eq!(slices.concat(), &content[4000..50_000]);
        assert_eq!(tail.array::<27>(8192 + 4090).unwrap(), content[4090..4117]);
        assert_eq!(tail.array::<4>(tail.end() - 3), None);
    }

    #[test]
    fn only_whole_buffers_below_the_limit_are_forgotten() {
        let mut tail = Tail::new(0);
        tail.append(&[1; 4096]);
        tail.append(&[2; 4096]);
        assert_eq!(tail.forget_oldest(4095), 0);
        assert_eq!(tail.forget_oldest(4096), 4096);
        assert_eq!(tail.start(), 4096);
        assert_eq!(tail.forget_oldest(8192), 0, "a buffer with room is still written to");
    }

    #[test]
    fn an_idle_tail_gives_its_large_buffer_back() {
        let mut tail = Tail::new(0);
        for _ in 0..40 {
            tail.append(&[7; 10_000]);
        }
        let end = tail.end();
        assert!(tail.shrink(end - 5_000) > 300_000);
        assert_eq!((tail.start(), tail.end()), (page_floor(end - 5_000), end));
        assert_eq!(tail.copy(end - 5_000, end), vec![7; 5_000]);
        assert_eq!(tail.shrink(end - 5_000), 0, "nothing more to gain");
        tail.append(&[8; 10_000]);
        assert_eq!(tail.copy(end, end + 10_000), vec![8; 10_000]);
    }

    #[test]
    fn logs_that_share_little_memory_have_small_buffers() {
        assert_eq!(buffer_bytes_max(1 << 30, 0), 1 << 20);
        assert_eq!(buffer_bytes_max(1 << 30, 128), 1 << 20);
        assert_eq!(buffer_bytes_max(3 << 29, 1_000), 128 << 10);
        assert_eq!(buffer_bytes_max(64 << 20, 10_000), 64 << 10);
        let mut tail = Tail::new(0);
        for _ in 0..64 {
            assert!(tail.append_within(&[7; 10_000], 64 << 10).bytes <= 64 << 10);
        }
        assert_eq!(tail.copy(0, tail.end()), vec![7; 640_000]);
    }

    #[test]
    fn pages_to_write_are_padded() {
        let mut tail = Tail::new(0);
        tail.append(&[7; 5000]);
        let pages = tail.pages(0, 5000);
        assert_eq!(pages.iter().map(AlignedSlice::len).sum::<usize>(), 8192);
    }
}
