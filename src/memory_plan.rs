//! How much memory the broker takes when nobody says: a part of what the machine, or the container it runs
//! in, has.

use kolk_io::host::limits::memory_bytes;

/// The part of the memory taken: one in this many.
const PART: u64 = 4;

/// Taken at least, whatever the machine says.
pub const MEMORY_BYTES_MIN: u64 = 64 << 20;

/// Returns the bytes of record batches to hold in memory by default, all shards together.
#[must_use]
pub fn default_memory_bytes() -> u64 {
    part_of(memory_bytes())
}

const fn part_of(machine_bytes: u64) -> u64 {
    let part = machine_bytes / PART;
    if part < MEMORY_BYTES_MIN { MEMORY_BYTES_MIN } else { part }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_taken_and_never_too_little() {
        assert_eq!(part_of(16 << 30), 4 << 30);
        assert_eq!(part_of(128 << 20), MEMORY_BYTES_MIN);
        assert!(default_memory_bytes() >= MEMORY_BYTES_MIN);
    }
}
