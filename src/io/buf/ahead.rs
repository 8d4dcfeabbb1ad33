//! Slabs that a thread has touched before anybody needs them.
//!
//! Fresh memory is had at its first touch: the kernel clears a page then, a virtual machine's host looks for one first. On the
//! thread of a shard that stops everything for milliseconds, once for each 2 MiB until the memory budget is used
//! (perf/BUDGET.md). One thread of the process touches pages instead and sleeps while enough are ready.
#![allow(unsafe_code, reason = "the first touch of mapped memory")]
#![allow(
    clippy::disallowed_methods,
    reason = "the thread that is not a shard's, so that none waits"
)]

use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::thread::Thread;

use super::PAGE_BYTES;
use super::memory::{SLAB_BYTES, map_slab};

/// Most slabs kept ready: 64 MiB, what a busy broker takes in a tenth of a second.
const READY_MAX: usize = 4;

/// After so much the thread lets others have its core: unasked, it keeps a shard that gave the core away waiting for up to
/// 4 ms (perf/BUDGET.md). As much as one huge page, which comes in one go.
const PIECE_BYTES: usize = 2 << 20;

/// Ready slabs; null where there is none. Only the thread fills them, everybody empties them.
static READY: [AtomicPtr<u8>; READY_MAX] = [const { AtomicPtr::new(null_mut()) }; READY_MAX];
/// How many of them are to be filled.
static WANTED: AtomicUsize = AtomicUsize::new(0);
static TOUCHER: OnceLock<Option<Thread>> = OnceLock::new();

/// Keeps memory for append buffers ready from now on, in slabs of 16 MiB: as many as fit into `bytes`, at least one and at most
/// four. The thread that does it is one for the process and lasts as long; it runs on the cores that the caller may use. A second
/// call can only raise the number.
pub fn keep_ready(bytes: u64) {
    let slabs = usize::try_from(bytes).unwrap_or(usize::MAX) / SLAB_BYTES;
    WANTED.fetch_max(slabs.clamp(1, READY_MAX), Ordering::Relaxed);
    let thread = TOUCHER.get_or_init(|| {
        let named = std::thread::Builder::new().name("kolk-memory".to_owned());
        match named.spawn(work) {
            Ok(handle) => Some(handle.thread().clone()),
            Err(error) => {
                tracing::warn!(%error, "no thread that keeps memory ready");
                None
            }
        }
    });
    if let Some(thread) = thread {
        thread.unpark();
    }
}

/// Takes a slab of zeros that is ready, if there is one.
pub(super) fn take() -> Option<NonNull<u8>> {
    let slab =
        READY.iter().find_map(|ready| NonNull::new(ready.swap(null_mut(), Ordering::AcqRel)));
    if slab.is_some()
        && let Some(Some(thread)) = TOUCHER.get()
    {
        thread.unpark();
    }
    slab
}

fn work() {
    loop {
        for ready in READY.iter().take(WANTED.load(Ordering::Relaxed)) {
            if ready.load(Ordering::Relaxed).is_null() {
                let slab = map_slab();
                touch(slab);
                ready.store(slab.as_ptr(), Ordering::Release);
            }
        }
        std::thread::park();
    }
}

fn touch(slab: NonNull<u8>) {
    for at in (0..SLAB_BYTES).step_by(PAGE_BYTES) {
        if at % PIECE_BYTES == 0 {
            std::thread::yield_now();
        }
        // SAFETY: the address lies in the slab.
        let page = unsafe { slab.add(at) };
        // SAFETY: nobody else has the slab yet; zero is what it reads as.
        unsafe { page.write_volatile(0) };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn slabs_are_ready_after_a_while_and_again_after_they_were_taken() {
        keep_ready(SLAB_BYTES as u64 * 100);
        let mut taken = BTreeSet::new();
        // Other tests of this process may take some.
        for _ in 0..2_000 {
            while let Some(slab) = take() {
                // SAFETY: the slab is this test's own.
                let last = unsafe { slab.add(SLAB_BYTES - 1) };
                // SAFETY: as above, and mapped memory is initialised.
                let first = unsafe { slab.read() };
                // SAFETY: as above.
                let last = unsafe { last.read() };
                assert_eq!((first, last), (0, 0));
                // SAFETY: as above.
                unsafe { slab.write(0xaa) };
                assert!(taken.insert(slab.as_ptr() as usize), "a slab is given away once");
            }
            if taken.len() > READY_MAX + 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(taken.len() > READY_MAX + 1, "{} slabs", taken.len());
        for start in taken {
            // SAFETY: each was mapped, and nobody has it any more.
            let unmapped = unsafe { libc::munmap(start as *mut libc::c_void, SLAB_BYTES) };
            assert_eq!(unmapped, 0);
        }
    }
}
