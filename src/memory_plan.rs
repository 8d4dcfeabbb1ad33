//! How much memory the broker takes when nobody says: a part of what the machine, or the container it runs
//! in, has. The two files are read here; the arithmetic is pure.

use std::path::Path;

/// The part of the memory taken: one in this many.
const PART: u64 = 4;

/// Taken at least, whatever the machine says.
pub const MEMORY_BYTES_MIN: u64 = 64 << 20;

/// Taken where the machine doesn't tell its memory.
const MEMORY_BYTES_UNKNOWN: u64 = 1 << 30;

/// Returns the bytes of record batches to hold in memory by default, all shards together.
#[must_use]
pub fn default_memory_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).ok();
    let machine = read("/proc/meminfo").as_deref().and_then(machine_bytes);
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .find_map(|path| read(path).as_deref().and_then(container_bytes));
    part_of(machine, container)
}

fn part_of(machine: Option<u64>, container: Option<u64>) -> u64 {
    let known = [machine, container].into_iter().flatten().min();
    known.map_or(MEMORY_BYTES_UNKNOWN, |bytes| bytes / PART).max(MEMORY_BYTES_MIN)
}

/// The line `MemTotal: n kB`.
fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A number of bytes, or `max` for none.
fn container_bytes(limit: &str) -> Option<u64> {
    limit.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_with_a_limit_counts_as_the_machine() {
        assert_eq!(part_of(Some(16 << 30), Some(2 << 30)), 512 << 20);
        assert_eq!(part_of(Some(16 << 30), None), 4 << 30);
        // cgroup v1 writes a huge number where there is no limit.
        assert_eq!(part_of(Some(16 << 30), Some(u64::MAX / 2)), 4 << 30);
        assert_eq!(part_of(None, None), MEMORY_BYTES_UNKNOWN);
        assert_eq!(part_of(Some(128 << 20), None), MEMORY_BYTES_MIN);
    }

    #[test]
    fn the_kernels_files_are_read() {
        let meminfo = "MemTotal:       24576 kB\nMemFree:  1 kB\n";
        assert_eq!(machine_bytes(meminfo), Some(24 << 20));
        assert_eq!(machine_bytes("MemFree: 1 kB\n"), None);
        assert_eq!(container_bytes("max\n"), None);
        assert_eq!(container_bytes("1048576\n"), Some(1 << 20));
        assert!(default_memory_bytes() >= MEMORY_BYTES_MIN);
    }
}
