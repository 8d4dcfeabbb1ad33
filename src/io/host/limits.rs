//! What the host grants: descriptors, locked memory, memory; and which boot this is.
#![allow(unsafe_code, reason = "resource limits are filled by system calls")]
#![allow(
    clippy::disallowed_methods,
    reason = "files below /proc and /sys, read before any executor runs"
)]

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A soft and a hard limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In force.
    pub soft: u64,
    /// What the process may raise it to.
    pub hard: u64,
}

/// The most files the process may have open.
#[must_use]
pub fn open_files() -> Limit {
    limit(libc::RLIMIT_NOFILE)
}

/// The most bytes the process may lock in memory.
#[must_use]
pub fn locked_bytes() -> Limit {
    limit(libc::RLIMIT_MEMLOCK)
}

fn limit(resource: libc::__rlimit_resource_t) -> Limit {
    let mut found = MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: `found` has room for the limits.
    unsafe { libc::getrlimit(resource, found.as_mut_ptr()) };
    // SAFETY: zeroed bytes are limits, and the call may have filled them.
    let found = unsafe { found.assume_init() };
    Limit { soft: found.rlim_cur, hard: found.rlim_max }
}

/// Raises the soft limit of open files to the hard one; gives what is in force after it.
#[must_use]
pub fn raise_open_files() -> u64 {
    let Limit { hard, .. } = open_files();
    let wanted = libc::rlimit { rlim_cur: hard, rlim_max: hard };
    // SAFETY: `wanted` is a valid pair of limits. A refusal leaves the limit as it is.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &wanted) };
    open_files().soft
}

/// Bytes of memory this process may use: the machine's, or its control group's where that is less.
#[must_use]
pub fn memory_bytes() -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = meminfo.lines().find_map(|line| {
        let rest = line.strip_prefix("MemTotal:")?;
        rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    let machine = kib.map_or(1 << 30, |kib| kib * 1024);
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    group_memory_bytes(&groups, read).map_or(machine, |group| group.min(machine))
}

/// The least that a control group of this process, or one above it, allows. `groups` is `/proc/self/cgroup`: a line
/// `0::/path` for version 2, `number:controllers:/path` for version 1.
fn group_memory_bytes(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let mut least: Option<u64> = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (number, controllers) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
        let path = fields.next().unwrap_or("").trim_start_matches('/');
        let (root, file) = if controllers.split(',').any(|name| name == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else if number == "0" && controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else {
            continue;
        };
        // In a container the path may be that of the host, which is not to be seen: the root stands for it.
        let folder = Path::new(root).join(path);
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(root)) {
            let limit = read(&folder.join(file)).and_then(|text| text.trim().parse().ok());
            least = limit.map(|limit: u64| least.map_or(limit, |least| least.min(limit))).or(least);
        }
    }
    least
}

/// Tells the allocator to keep what is freed. Receive buffers of a busy connection are allocated and freed all the time; given
/// back to the kernel each time, they cost a page fault and the zeroing of every page.
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    for (option, value) in [
        (libc::M_MMAP_THRESHOLD, 64 << 20),
        (libc::M_TRIM_THRESHOLD, 512 << 20),
        (libc::M_TOP_PAD, 4 << 20),
    ] {
        // SAFETY: the call changes numbers inside the allocator; a refusal leaves them as they are.
        unsafe { libc::mallopt(option, value) };
    }
}

/// How large a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All its bytes.
    pub total_bytes: u64,
    /// Bytes that an ordinary user may still write.
    pub free_bytes: u64,
}

/// Bytes that an ordinary user may still write below `path`; `None` if the kernel does not tell.
#[must_use]
pub fn free_bytes(path: &Path) -> Option<u64> {
    space(path).map(|space| space.free_bytes)
}

/// The file system that `path` is on; `None` if the kernel does not tell. Reads no disk.
#[must_use]
pub fn space(path: &Path) -> Option<Space> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut found = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the path ends with a zero byte and `found` has room for the answer.
    let result = unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) };
    // SAFETY: zeroed bytes are an answer, and the call may have filled it.
    let found = unsafe { found.assume_init() };
    (result == 0).then(|| Space {
        total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
    })
}

/// A number that differs between two boots of the machine; 0 if the kernel does not tell.
#[must_use]
pub fn boot_id() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_a_control_group_and_those_above_it_counts() {
        let read = |path: &Path| {
            let text = match path.to_str()? {
                "/sys/fs/cgroup/memory/memory.limit_in_bytes" => "9223372036854771712\n",
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes" => "300\n",
                "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes" => "500\n",
                "/sys/fs/cgroup/x/memory.max" => "max\n",
                "/sys/fs/cgroup/memory.max" => "700\n",
                _ => return None,
            };
            Some(text.to_owned())
        };
        let check = |groups: &str, limit| assert_eq!(group_memory_bytes(groups, read), limit);
        check("5:cpu:/a/b\n4:memory:/a/b\n0::/\n", Some(300));
        check("4:memory:/nowhere\n", Some(9_223_372_036_854_771_712));
        check("0::/x\n", Some(700));
        check("3:cpuset:/\n", None);
    }

    #[test]
    fn limits_are_read_and_raised() {
        let raised = raise_open_files();
        assert_eq!(raised, open_files().hard);
        assert!(memory_bytes() > 64 << 20);
        assert_eq!(boot_id(), boot_id());
        assert!(locked_bytes().soft <= locked_bytes().hard);
    }
}
