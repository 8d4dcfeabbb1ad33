//! Page-aligned memory for direct I/O, shared between the disk and readers without copies.
//!
//! Apart because the whole crate's unsafe memory handling is here, small enough to be read whole; its tests run under
//! AddressSanitizer. Three shapes of one thing:
//! - [`AlignedBuf`]: one owner, readable and writable; what reads return.
//! - [`TailBuf`]: one writer that appends, many readers of what was appended.
//! - [`AlignedSlice`]: a reference-counted region that a write hands to the kernel.

mod ahead;
mod aligned;
mod memory;
mod slice;
mod tail;

pub use ahead::keep_ready;
pub use aligned::AlignedBuf;
pub use slice::AlignedSlice;
pub use tail::TailBuf;

/// The unit of direct I/O in bytes, and the alignment of all memory here.
pub const PAGE_BYTES: usize = 4096;

/// Rounds a length up to whole pages.
#[must_use]
pub const fn page_ceil(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE_BYTES)
}
