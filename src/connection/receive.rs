//! The receive buffer of a connection, and the pool of them a shard keeps.
//!
//! Aims, in this order: an idle connection holds none; a length announced by a client allocates little;
//! a frame lies in one buffer, so that its batches are slices of it; buffers are used again, warm.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::BytesMut;

/// The sizes kept for reuse, in bytes. The first is what any connection gets; the last takes the largest
/// batch a topic accepts by default with its frame around it.
const CLASS_BYTES: [usize; 3] = [16 << 10, 128 << 10, (1 << 20) + (64 << 10)];

/// Buffers kept for reuse, by class: 1 MiB, 2 MiB and 8.5 MiB a shard.
const KEPT_MAX: [usize; 3] = [64, 16, 8];

/// Kept buffers tried before a new one is allocated: some may still be held by a request.
const TRIED_MAX: usize = 4;

/// A buffer too small for its frame grows by this factor each time it is full…
const GROWTH: usize = 4;

/// …and to the whole frame once this part of it is there.
const TRUSTED_PART: usize = 8;

/// What is read at first where a large frame is expected: enough for its length, little to copy should it
/// not fit the buffer.
const PEEK_BYTES: usize = 4 << 10;

/// The receive buffers of one shard. Cloning gives the same pool.
#[derive(Clone)]
pub(crate) struct ReceivePool(Rc<Pool>);

struct Pool {
    kept: [RefCell<VecDeque<BytesMut>>; CLASS_BYTES.len()],
    /// Bytes of larger buffers that connections hold on the guess that their next frame is as large as
    /// the last.
    guessed_bytes: Cell<usize>,
    guessed_bytes_max: usize,
}

impl ReceivePool {
    /// An empty pool; `guessed_bytes_max` bounds what connections hold above the smallest size
    /// without having announced a frame.
    pub(crate) fn new(guessed_bytes_max: usize) -> Self {
        Self(Rc::new(Pool {
            kept: std::array::from_fn(|_| RefCell::default()),
            guessed_bytes: Cell::new(0),
            guessed_bytes_max,
        }))
    }
}

impl Pool {
    /// An empty buffer of at least `bytes` bytes, and as large as its class.
    fn take(&self, bytes: usize) -> BytesMut {
        let Some((class_bytes, kept)) =
            CLASS_BYTES.iter().zip(&self.kept).find(|(class_bytes, _)| bytes <= **class_bytes)
        else {
            return BytesMut::with_capacity(bytes);
        };
        let mut kept = kept.borrow_mut();
        for _ in 0..TRIED_MAX.min(kept.len()) {
            let Some(mut buffer) = kept.pop_front() else { break };
            if buffer.try_reclaim(*class_bytes) {
                return buffer;
            }
            kept.push_back(buffer);
        }
        BytesMut::with_capacity(*class_bytes)
    }

    /// Keeps a buffer of which nothing is needed any more; requests may still hold slices of it.
    fn give(&self, mut buffer: BytesMut, class: Option<usize>) {
        buffer.clear();
        let Some((kept, kept_max)) =
            class.and_then(|class| self.kept.get(class).zip(KEPT_MAX.get(class)))
        else {
            return;
        };
        let mut kept = kept.borrow_mut();
        if kept.len() < *kept_max {
            kept.push_back(buffer);
        }
    }
}

/// What a connection has received and not yet taken as frames.
pub(crate) struct ReceiveBuffer {
    pool: ReceivePool,
    buffer: BytesMut,
    /// The class the buffer came from; none when it is larger than all, or there is none.
    class: Option<usize>,
    /// What of the buffer counts against the pool's guesses.
    guessed_bytes: usize,
    /// The last frame's length: the guess for the next.
    last_frame_bytes: usize,
}

/// What was done to make room for a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoomMade {
    /// How many bytes to read at most; at least 1.
    pub(crate) read_bytes_max: usize,
    /// Bytes that had to be copied into another buffer.
    pub(crate) copied_bytes: usize,
}

impl ReceiveBuffer {
    /// No buffer at all, until something is to be read.
    pub(crate) fn new(pool: ReceivePool) -> Self {
        Self { pool, buffer: BytesMut::new(), class: None, guessed_bytes: 0, last_frame_bytes: 0 }
    }

    /// The bytes received and not yet taken.
    pub(crate) fn received(&self) -> &[u8] {
        &self.buffer
    }

    /// Makes room to read on. `frame_bytes`: the whole length of the frame at the start, once it is known
    /// and its bytes are charged to the budget.
    pub(crate) fn make_room(&mut self, frame_bytes: Option<usize>) -> RoomMade {
        match frame_bytes {
            Some(frame_bytes) => self.make_room_for_frame(frame_bytes),
            None if self.buffer.is_empty() => self.make_room_for_guess(),
            None => {
                // The start of a frame whose length is not known yet: a few bytes more decide.
                let missing = PEEK_BYTES.max(self.buffer.len());
                let copied_bytes = self.grow_to(self.buffer.len() + missing);
                RoomMade { read_bytes_max: self.spare(), copied_bytes }
            }
        }
    }

    /// The buffer, to be read into and given back by [`ReceiveBuffer::put_back`].
    pub(crate) fn lend(&mut self) -> BytesMut {
        std::mem::take(&mut self.buffer)
    }

    /// Takes back the buffer that was lent.
    pub(crate) fn put_back(&mut self, buffer: BytesMut) {
        self.buffer = buffer;
    }

    /// Takes the frame of `bytes` bytes off the start; all of them must have been received.
    pub(crate) fn take_frame(&mut self, bytes: usize) -> BytesMut {
        assert!(bytes <= self.buffer.len(), "frame of {bytes}, received {}", self.buffer.len());
        self.last_frame_bytes = bytes;
        self.buffer.split_to(bytes)
    }

    /// Gives the buffer up when it is empty; the connection is about to wait.
    pub(crate) fn park(&mut self) {
        if self.buffer.is_empty() {
            self.release();
        }
    }

    fn make_room_for_frame(&mut self, frame_bytes: usize) -> RoomMade {
        let received = self.buffer.len();
        debug_assert!(received < frame_bytes, "{received} of {frame_bytes} received");
        let first = CLASS_BYTES.last().copied().unwrap_or(0);
        let trusted = match received.saturating_mul(TRUSTED_PART) {
            part if part >= frame_bytes => frame_bytes,
            _ => received.saturating_mul(GROWTH),
        };
        let wanted = frame_bytes.min(first.max(trusted));
        let fits = self.buffer.capacity() >= wanted
            || (self.buffer.capacity() > received && self.buffer.capacity() >= first);
        let copied_bytes = if fits { 0 } else { self.grow_to(wanted) };
        let missing = frame_bytes - received;
        let [smallest, ..] = CLASS_BYTES;
        // Behind a small frame its followers are read with it. A large one is read alone, so that
        // the next begins in a buffer of its own and needs no copy.
        let read_bytes_max =
            if frame_bytes <= smallest { self.spare() } else { missing.min(self.spare()) };
        RoomMade { read_bytes_max, copied_bytes }
    }

    fn make_room_for_guess(&mut self) -> RoomMade {
        let [smallest, medium, _] = CLASS_BYTES;
        let guess = self.last_frame_bytes.clamp(smallest, CLASS_BYTES.last().copied().unwrap_or(0));
        if self.buffer.capacity() < guess.min(self.last_frame_bytes).max(PEEK_BYTES) {
            self.release();
            let guess = if self.pool.0.guessed_bytes.get() < self.pool.0.guessed_bytes_max {
                guess
            } else {
                smallest
            };
            self.acquire(guess);
            if guess > smallest {
                self.guessed_bytes = self.buffer.capacity();
                let guessed = &self.pool.0.guessed_bytes;
                guessed.set(guessed.get() + self.guessed_bytes);
            }
        }
        let read_bytes_max = match self.last_frame_bytes {
            bytes if bytes > medium => PEEK_BYTES,
            bytes if bytes > smallest => bytes,
            _ => self.spare(),
        };
        RoomMade { read_bytes_max: read_bytes_max.min(self.spare()), copied_bytes: 0 }
    }

    /// Moves what was received into a buffer of at least `bytes` bytes, unless this one has them.
    /// Returns the bytes copied.
    fn grow_to(&mut self, bytes: usize) -> usize {
        if self.buffer.capacity() >= bytes {
            return 0;
        }
        let received = self.buffer.split();
        self.release();
        self.acquire(bytes);
        self.buffer.extend_from_slice(&received);
        received.len()
    }

    fn acquire(&mut self, bytes: usize) {
        self.buffer = self.pool.0.take(bytes);
        self.class = CLASS_BYTES.iter().position(|class_bytes| bytes <= *class_bytes);
    }

    fn release(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.pool.0.give(buffer, self.class.take());
        let guessed = &self.pool.0.guessed_bytes;
        guessed.set(guessed.get() - std::mem::take(&mut self.guessed_bytes));
    }

    fn spare(&self) -> usize {
        self.buffer.capacity() - self.buffer.len()
    }
}

impl Drop for ReceiveBuffer {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = CLASS_BYTES[0];
    const MEDIUM: usize = CLASS_BYTES[1];
    const LARGE: usize = CLASS_BYTES[2];

    fn buffer() -> ReceiveBuffer {
        ReceiveBuffer::new(ReceivePool::new(4 << 20))
    }

    /// What the socket does: writes up to `bytes` bytes into the lent buffer's spare room.
    fn read(receive: &mut ReceiveBuffer, room: RoomMade, bytes: usize) -> usize {
        let bytes = bytes.min(room.read_bytes_max);
        let mut lent = receive.lend();
        let capacity = lent.capacity();
        lent.extend_from_slice(&vec![7; bytes]);
        assert_eq!(lent.capacity(), capacity, "the socket never grows the buffer");
        receive.put_back(lent);
        bytes
    }

    /// Receives a whole frame as a connection does; returns the bytes copied and the reads it took.
    fn receive_frame(receive: &mut ReceiveBuffer, frame_bytes: usize) -> (usize, usize) {
        let (mut copied, mut reads) = (0, 0);
        while receive.received().len() < frame_bytes {
            let known = (!receive.received().is_empty()).then_some(frame_bytes);
            let room = receive.make_room(known);
            assert!(room.read_bytes_max > 0);
            copied += room.copied_bytes;
            read(receive, room, frame_bytes - receive.received().len());
            reads += 1;
        }
        (copied, reads)
    }

    #[test]
    fn an_idle_connection_holds_no_buffer() {
        let mut receive = buffer();
        let room = receive.make_room(None);
        read(&mut receive, room, 100);
        let frame = receive.take_frame(100);
        receive.park();
        assert_eq!(receive.buffer.capacity(), 0);
        assert_eq!(frame.len(), 100);
    }

    #[test]
    fn half_a_frame_is_kept_while_waiting() {
        let mut receive = buffer();
        let room = receive.make_room(None);
        read(&mut receive, room, 3);
        receive.park();
        assert_eq!(receive.received().len(), 3);
    }

    #[test]
    fn one_buffer_serves_many_connections_in_turn() {
        let pool = ReceivePool::new(4 << 20);
        let mut addresses = Vec::new();
        for _ in 0..10 {
            let mut receive = ReceiveBuffer::new(pool.clone());
            let room = receive.make_room(None);
            read(&mut receive, room, 100);
            addresses.push(receive.received().as_ptr());
            drop(receive.take_frame(100));
            receive.park();
        }
        addresses.dedup();
        assert_eq!(addresses.len(), 1);
    }

    #[test]
    fn a_buffer_that_a_request_still_holds_is_not_written_again() {
        let pool = ReceivePool::new(4 << 20);
        let mut receive = ReceiveBuffer::new(pool);
        let room = receive.make_room(None);
        read(&mut receive, room, 100);
        let frame = receive.take_frame(100);
        receive.park();
        let room = receive.make_room(None);
        read(&mut receive, room, 100);
        assert_ne!(frame.as_ptr(), receive.received().as_ptr());
    }

    #[test]
    fn small_frames_are_read_together() {
        let mut receive = buffer();
        let room = receive.make_room(None);
        assert_eq!(room.read_bytes_max, SMALL);
        assert_eq!(read(&mut receive, room, 1_000_000), SMALL);
        for _ in 0..SMALL / 1_000 {
            receive.take_frame(1_000);
        }
        let left = receive.received().len();
        let room = receive.make_room(Some(1_000));
        assert_eq!(room.copied_bytes, left);
    }

    #[test]
    fn large_frames_of_one_size_are_never_copied_once_their_size_is_known() {
        for frame_bytes in [64 << 10, MEDIUM, 500_000, LARGE] {
            let mut receive = buffer();
            receive_frame(&mut receive, frame_bytes);
            drop(receive.take_frame(frame_bytes));
            for _ in 0..5 {
                let (copied, _) = receive_frame(&mut receive, frame_bytes);
                assert_eq!(copied, 0, "frames of {frame_bytes}");
                drop(receive.take_frame(frame_bytes));
                assert!(receive.received().is_empty());
            }
        }
    }

    #[test]
    fn a_large_frame_lies_in_one_buffer_that_is_used_again() {
        let mut receive = buffer();
        let mut addresses = Vec::new();
        for _ in 0..6 {
            receive_frame(&mut receive, 1 << 20);
            let frame = receive.take_frame(1 << 20);
            addresses.push(frame.as_ptr());
            drop(frame);
            receive.park();
        }
        let last = addresses.split_off(2);
        assert!(last.windows(2).all(|pair| pair[0] == pair[1]), "{last:?}");
    }

    #[test]
    fn an_announced_length_allocates_little() {
        let mut receive = buffer();
        let room = receive.make_room(None);
        read(&mut receive, room, 8);
        let room = receive.make_room(Some(100 << 20));
        assert!(receive.buffer.capacity() <= LARGE, "{}", receive.buffer.capacity());
        assert!(room.read_bytes_max < LARGE);
    }

    #[test]
    fn a_huge_frame_is_copied_in_small_part() {
        let mut receive = buffer();
        let (copied, _) = receive_frame(&mut receive, 100 << 20);
        assert!(copied < 25 << 20, "{copied} bytes copied");
        assert_eq!(receive.take_frame(100 << 20).len(), 100 << 20);
    }

    #[test]
    fn guesses_are_bounded_over_all_connections() {
        let pool = ReceivePool::new(3 << 20);
        let held: Vec<_> = (0..20)
            .map(|_| {
                let mut receive = ReceiveBuffer::new(pool.clone());
                receive.last_frame_bytes = 1 << 20;
                receive.make_room(None);
                receive
            })
            .collect();
        let bytes: usize = held.iter().map(|receive| receive.buffer.capacity()).sum();
        assert!(bytes <= (3 << 20) + LARGE + 20 * SMALL, "{bytes} bytes");
        drop(held);
        assert_eq!(pool.0.guessed_bytes.get(), 0);
    }

    #[test]
    fn any_mix_of_frames_comes_out_whole() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % bound).unwrap()
        };
        let mut receive = buffer();
        let mut held = VecDeque::new();
        for round in 0..300 {
            let frame_bytes = match next(4) {
                0 => 1 + next(100),
                1 => 1 + next(40_000),
                2 => 1 + next(300_000),
                _ => 1 + next(3_000_000),
            };
            while receive.received().len() < frame_bytes {
                let known = (receive.received().len() >= 4).then_some(frame_bytes);
                let room = receive.make_room(known);
                assert!(room.read_bytes_max > 0, "round {round}");
                let missing = frame_bytes - receive.received().len();
                read(&mut receive, room, 1 + next(missing as u64 + 5_000));
            }
            let frame = receive.take_frame(frame_bytes);
            assert!(frame.iter().all(|byte| *byte == 7));
            held.push_back(frame);
            if held.len() > 5 {
                held.pop_front();
            }
            if next(3) == 0 {
                receive.park();
            }
        }
    }
}
