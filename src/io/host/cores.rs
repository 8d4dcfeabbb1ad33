//! The cores that this process may run on.
#![allow(unsafe_code, reason = "the affinity mask is filled by a system call")]

use std::mem::MaybeUninit;

/// The numbers of the cores that the scheduler may give to this process, as `taskset -c` shows them. Never empty.
#[must_use]
pub fn allowed() -> Vec<usize> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    let bytes = std::mem::size_of::<libc::cpu_set_t>();
    // SAFETY: `set` has room for the mask and 0 names the calling thread.
    let result = unsafe { libc::sched_getaffinity(0, bytes, set.as_mut_ptr()) };
    // SAFETY: zeroed bytes are an empty mask, which the call may have filled.
    let set = unsafe { set.assume_init() };
    let size = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    // SAFETY: every number is below the size of the mask.
    let found: Vec<usize> =
        (0..size).filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect();
    if result == 0 && !found.is_empty() { found } else { vec![0] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_core_and_none_twice() {
        let cores = allowed();
        assert!(!cores.is_empty());
        assert!(cores.is_sorted_by(|a, b| a < b));
    }
}
