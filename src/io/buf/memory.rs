//! Counted page-aligned memory, with a small free list per thread.
//!
//! The free list is there because fresh memory costs page faults and zeroing: 1 MiB fresh takes
//! several times as long as the copy into it. All memory is initialised once, so a recycled block
//! holds defined bytes, though of another life: callers must never show a reader more than was
//! written or read since.
#![allow(unsafe_code, reason = "allocation of aligned memory; tests run under AddressSanitizer")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::Arc;

use super::{PAGE_BYTES, ahead, page_ceil};

/// Most bytes that one thread keeps for reuse.
const FREE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Blocks larger than this are given back to the allocator at once.
const FREE_BLOCK_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A use of a block of initialised, page-aligned memory. Cloning gives another one; when the last has ended the block is kept
/// for reuse, and the count of its uses with it: what is used again allocates nothing.
#[derive(Clone)]
pub(super) struct Memory {
    block: Arc<Block>,
}

struct Block {
    start: NonNull<u8>,
    capacity: usize,
    /// The larger block that it was cut from, which lives as long as one of its pieces.
    whole: Option<Memory>,
}

// SAFETY: the block is plain memory owned by this value; nothing of it belongs to a thread (a free
// list takes blocks of any thread). Who reads and writes which bytes when is the business of the
// three buffer types, each of which keeps writers and readers on disjoint bytes.
unsafe impl Send for Block {}
// SAFETY: as above; `&Block` gives out a pointer and a capacity, nothing that races by itself.
unsafe impl Sync for Block {}

impl Memory {
    /// Returns at least `bytes` bytes, all zero.
    pub(super) fn zeroed(bytes: usize) -> Self {
        let capacity = class_of(bytes);
        let free = take_free(capacity);
        // What a piece is cut from may have been used before.
        let is_zero = free.is_none() && !is_piece(capacity);
        let memory = free.map_or_else(|| Self::fresh(capacity), |block| Self { block });
        if !is_zero {
            // SAFETY: the block has `capacity` bytes and was just made or taken from the free list: nobody else uses it.
            unsafe { memory.start().write_bytes(0, capacity) };
        }
        memory
    }

    /// Returns at least `bytes` bytes that are initialised, but with any content.
    pub(super) fn recycled(bytes: usize) -> Self {
        let capacity = class_of(bytes);
        take_free(capacity).map_or_else(|| Self::fresh(capacity), |block| Self { block })
    }

    fn fresh(capacity: usize) -> Self {
        if is_piece(capacity) {
            let whole = Self::recycled(PIECES_BYTES);
            return Self::cut(whole.start(), PIECES_BYTES, capacity, Some(&whole));
        }
        if (MAPPED_FROM..=SLAB_BLOCK_BYTES_MAX).contains(&capacity) && capacity.is_power_of_two() {
            let slab = ahead::take().unwrap_or_else(map_slab);
            return Self::cut(slab.as_ptr(), SLAB_BYTES, capacity, None);
        }
        Self::block(allocate(capacity), capacity, None)
    }

    fn block(start: NonNull<u8>, capacity: usize, whole: Option<Self>) -> Self {
        Self { block: Arc::new(Block { start, capacity, whole }) }
    }

    /// Cuts `bytes` bytes from `start` on into blocks, keeps all of them but the first for later, and returns that one.
    fn cut(start: *mut u8, bytes: usize, capacity: usize, whole: Option<&Self>) -> Self {
        let block = |number: usize| {
            // SAFETY: the block lies inside the bytes, which nobody uses.
            let start = unsafe { start.add(number * capacity) };
            // SAFETY: an address inside of an allocation is never null.
            Self::block(unsafe { NonNull::new_unchecked(start) }, capacity, whole.cloned())
        };
        for number in 1..bytes / capacity {
            drop(block(number));
        }
        block(0)
    }

    /// Returns the first byte's address; valid while the block lives.
    pub(super) fn start(&self) -> *mut u8 {
        self.block.start.as_ptr()
    }

    /// Returns the usable bytes, a multiple of the page.
    pub(super) fn capacity(&self) -> usize {
        self.block.capacity
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Two last uses that end on two threads at once see each other and keep nothing: the block is released then.
        if Arc::get_mut(&mut self.block).is_some() && self.block.capacity <= FREE_BLOCK_BYTES_MAX {
            let block = &self.block;
            // A list whose thread is ending keeps nothing, nor does one that is full. What made room is dropped when the list is
            // free again: a last piece gives its whole block to it.
            let _made_room = FREE.try_with(|free| free.borrow_mut().keep(block));
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.whole.is_some() {
            release_pages(self.start, self.capacity);
        } else {
            release(self.start, self.capacity);
        }
    }
}

thread_local! {
    static FREE: RefCell<FreeList> = const { RefCell::new(FreeList::new()) };
}

/// Blocks kept for reuse, by capacity.
struct FreeList {
    classes: BTreeMap<usize, Class>,
    bytes: usize,
    /// How often a block was asked for.
    asked: u64,
}

/// Blocks of one capacity.
#[derive(Default)]
struct Class {
    blocks: Vec<Arc<Block>>,
    /// When one of them was asked for last, as a count of all that was asked for.
    asked: u64,
}

impl FreeList {
    const fn new() -> Self {
        Self { classes: BTreeMap::new(), bytes: 0, asked: 0 }
    }

    /// Keeps a block if there is room, which those make that were asked for longer ago: sizes go out of use, as the first, small
    /// buffers of a log do, and would else fill the list for good. Returns them.
    fn keep(&mut self, block: &Arc<Block>) -> Vec<Arc<Block>> {
        let capacity = block.capacity;
        let asked = self.classes.get(&capacity).map_or(0, |class| class.asked);
        let mut made_room = Vec::new();
        while self.bytes + capacity > FREE_BYTES_MAX {
            let Some(stale) = self.take_stale(asked) else { return made_room };
            made_room.push(stale);
        }
        self.bytes += capacity;
        self.classes.entry(capacity).or_default().blocks.push(Arc::clone(block));
        made_room
    }

    /// Takes a block out of the capacity that was asked for longest ago, before `asked`, if there is one.
    fn take_stale(&mut self, asked: u64) -> Option<Arc<Block>> {
        let held = self.classes.iter_mut().filter(|(_, class)| !class.blocks.is_empty());
        let stale = held.min_by_key(|(_, class)| class.asked);
        let (capacity, class) = stale.filter(|(_, class)| class.asked < asked)?;
        self.bytes -= *capacity;
        class.blocks.pop()
    }

    fn take(&mut self, capacity: usize) -> Option<Arc<Block>> {
        self.asked += 1;
        let class = self.classes.entry(capacity).or_default();
        class.asked = self.asked;
        let block = class.blocks.pop()?;
        self.bytes -= capacity;
        Some(block)
    }
}

fn take_free(capacity: usize) -> Option<Arc<Block>> {
    FREE.try_with(|free| free.borrow_mut().take(capacity)).ok().flatten()
}

/// Rounds a size up to one of few, so that blocks fit again: whole pages up to 64 KiB, above that
/// eighths of the next power of two.
fn class_of(bytes: usize) -> usize {
    let bytes = page_ceil(bytes.max(1));
    let step = (bytes.next_power_of_two() / 16).max(PAGE_BYTES);
    bytes.next_multiple_of(step)
}

#[expect(clippy::expect_used, reason = "class_of gives multiples of the page, sizes that exist")]
fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, PAGE_BYTES).expect("a page-aligned size that was allocated")
}

/// Blocks from this size on are mapped: the kernel gives them zeroed, nothing touches them before their first use.
const MAPPED_FROM: usize = 128 * 1024;
/// Blocks of a power of two from `MAPPED_FROM` to this size, the log's large append buffers, are cut from slabs that huge pages
/// can back: one page fault instead of 512 for each 2 MiB, which is most of the cost of an append into fresh memory
/// (perf/BUDGET.md).
const SLAB_BLOCK_BYTES_MAX: usize = 1024 * 1024;
pub(super) const SLAB_BYTES: usize = 16 * SLAB_BLOCK_BYTES_MAX;

/// Smaller blocks of a power of two, which is what the log's first append buffers are, are cut from a block of this size. From the
/// allocator each would be cleared by hand, whole, and take up to a page more for its alignment.
const PIECES_BYTES: usize = MAPPED_FROM;

const fn is_piece(capacity: usize) -> bool {
    capacity < PIECES_BYTES && capacity.is_power_of_two()
}

fn allocate(capacity: usize) -> NonNull<u8> {
    if capacity >= MAPPED_FROM {
        return map(capacity);
    }
    let layout = layout(capacity);
    // SAFETY: `class_of` never returns 0, so the layout has a size.
    let start = unsafe { alloc_zeroed(layout) };
    NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Maps a slab, of which nothing was touched yet.
pub(super) fn map_slab() -> NonNull<u8> {
    let slab = map(SLAB_BYTES);
    // SAFETY: the range was just mapped. Advice may be refused: then the pages are small.
    unsafe { libc::madvise(slab.as_ptr().cast(), SLAB_BYTES, libc::MADV_HUGEPAGE) };
    slab
}

fn map(capacity: usize) -> NonNull<u8> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no other memory.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), capacity, access, kind, -1, 0) };
    if start == libc::MAP_FAILED {
        handle_alloc_error(layout(capacity));
    }
    NonNull::new(start.cast()).unwrap_or_else(|| handle_alloc_error(layout(capacity)))
}

fn release(start: NonNull<u8>, capacity: usize) {
    if capacity >= MAPPED_FROM {
        // SAFETY: `start` came from `map`, alone or as a block of a slab, and its owner gives it up here.
        let result = unsafe { libc::munmap(start.as_ptr().cast(), capacity) };
        assert_eq!(result, 0, "a mapped block can be unmapped");
        return;
    }
    // SAFETY: `start` came from `allocate` with this capacity, and its owner gives it up here.
    unsafe { dealloc(start.as_ptr(), layout(capacity)) };
}

/// Gives the pages of a piece back, and not their addresses, which its whole block still has: they read as zeros then.
fn release_pages(start: NonNull<u8>, capacity: usize) {
    // SAFETY: the piece lies in an anonymous mapping and its last user has gone. Advice may be refused: then the pages stay.
    unsafe { libc::madvise(start.as_ptr().cast(), capacity, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn size_classes_hold_what_was_asked_and_waste_little() {
        for bytes in [0, 1, 4096, 4097, 65_536, 69_632, 1 << 20, (1 << 20) + 1, 3 << 20] {
            let class = class_of(bytes);
            assert!(class >= bytes && class.is_multiple_of(PAGE_BYTES), "{bytes} -> {class}");
            assert!(class <= page_ceil(bytes.max(1)) * 9 / 8, "{bytes} -> {class}");
            assert_eq!(class_of(class), class);
        }
    }

    #[test]
    fn a_freed_block_is_used_again_and_zeroed_when_asked() {
        let first = Memory::recycled(8192);
        // SAFETY: the block has 8192 bytes and no other user.
        unsafe { first.start().write_bytes(0xaa, 8192) };
        let address = first.start() as usize;
        drop(first);
        let second = Memory::zeroed(8192);
        assert_eq!(second.start() as usize, address);
        // SAFETY: the block has 8192 initialised bytes and no writer.
        let bytes = unsafe { std::slice::from_raw_parts(second.start(), 8192) };
        assert!(bytes.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_block_is_used_again_when_its_last_use_has_ended() {
        let first = Memory::recycled(12_288);
        let (address, second) = (first.start() as usize, first.clone());
        drop(first);
        assert_ne!(Memory::recycled(12_288).start() as usize, address, "still in use");
        drop(second);
        assert_eq!(Memory::recycled(12_288).start() as usize, address);
    }

    #[test]
    fn uses_that_end_on_many_threads_at_once_end_once() {
        for _ in 0..if cfg!(miri) { 3 } else { 200 } {
            let memory = Memory::recycled(4096);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    let memory = memory.clone();
                    scope.spawn(move || drop(memory));
                }
                drop(memory);
            });
        }
        // None is in the list twice.
        let blocks: Vec<Memory> = (0..8).map(|_| Memory::recycled(4096)).collect();
        let addresses: BTreeSet<_> = blocks.iter().map(|block| block.start() as usize).collect();
        assert_eq!(addresses.len(), blocks.len());
    }

    #[test]
    fn pieces_are_cut_from_one_block_which_outlives_them_all() {
        let pieces: Vec<Memory> = (0..64).map(|_| Memory::recycled(64 << 10)).collect();
        let starts: BTreeSet<_> = pieces.iter().map(|piece| piece.start() as usize).collect();
        assert_eq!(starts.len(), 64);
        assert!(starts.iter().all(|start| start.is_multiple_of(64 << 10)), "aligned as their size");
        let wholes = || {
            FREE.with_borrow(|free| free.classes.get(&PIECES_BYTES).map_or(0, |c| c.blocks.len()))
        };
        let before = wholes();
        drop(pieces);
        assert_eq!(wholes(), before, "the pieces are kept, and with them what they were cut from");
        // Blocks that are asked for later push them off the list, and what they were cut from comes back whole.
        let large: Vec<Memory> = (0..32).map(|_| Memory::recycled(4 << 20)).collect();
        drop(Memory::recycled(PIECES_BYTES));
        drop(large);
        assert!(wholes() > before, "{} of {before}", wholes());
        FREE.with_borrow(|free| assert!(free.bytes <= FREE_BYTES_MAX));
    }

    #[test]
    fn a_piece_of_a_used_block_is_zero_when_asked() {
        let whole = Memory::recycled(PIECES_BYTES);
        // SAFETY: the block has so many bytes and no other user.
        unsafe { whole.start().write_bytes(0xaa, PIECES_BYTES) };
        drop(whole);
        let piece = Memory::zeroed(32 << 10);
        // SAFETY: the block has so many initialised bytes and no writer.
        let bytes = unsafe { std::slice::from_raw_parts(piece.start(), 32 << 10) };
        assert!(bytes.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn the_free_list_is_bounded() {
        let blocks: Vec<Memory> = (0..40).map(|_| Memory::recycled(4 << 20)).collect();
        drop(blocks);
        FREE.with_borrow(|free| assert!(free.bytes <= FREE_BYTES_MAX));
    }

    #[test]
    fn sizes_that_went_out_of_use_make_room() {
        let old: Vec<Memory> = (0..300).map(|_| Memory::recycled(512 << 10)).collect();
        drop(old);
        FREE.with_borrow(|free| assert!(free.bytes > FREE_BYTES_MAX - (512 << 10)));
        let block = Memory::recycled(3 << 20);
        let address = block.start() as usize;
        drop(block);
        assert_eq!(Memory::recycled(3 << 20).start() as usize, address);
        FREE.with_borrow(|free| assert!(free.bytes <= FREE_BYTES_MAX));
    }
}
