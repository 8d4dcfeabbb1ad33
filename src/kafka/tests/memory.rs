//! Counts what a thread allocates. Apart because it is the only unsafe code of the crate, in its tests alone: a
//! promise about memory is kept only if it is measured.
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe to write; this one only counts and passes on"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn add(bytes: isize) {
    HELD.set(HELD.get().wrapping_add(bytes));
    PEAK.set(PEAK.get().max(HELD.get()));
    COUNT.set(COUNT.get().wrapping_add(usize::from(bytes > 0)));
}

// SAFETY: every call goes to the system's allocator unchanged; the counters are plain cells of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        add(-layout.size().cast_signed());
        // SAFETY: `place` came from `System.alloc` above, with this layout.
        unsafe { System.dealloc(place, layout) }
    }
}

/// What a call took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Taken {
    /// The most bytes held at once beyond those from before.
    pub(super) bytes: usize,
    /// Allocations.
    pub(super) count: usize,
}

/// Runs a call and says what it took.
pub(super) fn taken<T>(call: impl FnOnce() -> T) -> (T, Taken) {
    let (held, count) = (HELD.get(), COUNT.get());
    PEAK.set(held);
    let value = call();
    let bytes = PEAK.get().wrapping_sub(held).max(0).cast_unsigned();
    (value, Taken { bytes, count: COUNT.get().wrapping_sub(count) })
}
