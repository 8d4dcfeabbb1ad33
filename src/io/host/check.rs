//! The start-up check: what the broker needs of its host, and for each thing that is missing one line that says what is wrong
//! and how to mend it.
#![allow(unsafe_code, reason = "the probes are system calls")]
#![allow(clippy::disallowed_methods, reason = "the check runs before any executor")]

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::limits;

/// The oldest kernel with what the executors use.
const KERNEL_MIN: (u32, u32) = (5, 10);
/// glommio locks memory for its rings; below this an executor does not start.
const LOCKED_BYTES_MIN: u64 = 512 << 10;
/// Fewer descriptors than this can't carry a broker.
const OPEN_FILES_MIN: u64 = 256;

/// What the broker is about to do.
#[derive(Clone, Debug)]
pub struct Wants {
    /// The data directory; made if it is missing.
    pub data: PathBuf,
    /// Bytes that must be free on it.
    pub free_bytes_min: u64,
}

/// One thing that is wrong, in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// True if the broker can't start; else it starts and works worse.
    pub fatal: bool,
    /// What is wrong, and how to mend it.
    pub line: String,
}

/// Checks everything; an empty answer is good news.
#[must_use]
pub fn run(wants: &Wants) -> Vec<Finding> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let checks = [
        kernel(release.trim()),
        io_uring(probe_io_uring()),
        locked(limits::locked_bytes().soft, is_privileged()),
        open_files(limits::open_files().soft),
        direct(&wants.data),
        free(&wants.data, wants.free_bytes_min),
    ];
    checks.into_iter().flatten().collect()
}

fn fatal(line: String) -> Option<Finding> {
    Some(Finding { fatal: true, line })
}

fn kernel(release: &str) -> Option<Finding> {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= KERNEL_MIN {
        return None;
    }
    let (major, minor) = KERNEL_MIN;
    fatal(format!("kernel {release} is too old: kolk needs Linux {major}.{minor} or newer"))
}

fn io_uring(errno: i32) -> Option<Finding> {
    match errno {
        0 => None,
        libc::ENOSYS => fatal("this kernel has no io_uring: use a kernel built with CONFIG_IO_URING".to_owned()),
        libc::EPERM | libc::EACCES => fatal(
            "io_uring is not allowed here: set 'sysctl kernel.io_uring_disabled=0', or in a container allow the io_uring_setup, \
             io_uring_enter and io_uring_register system calls (docker run --security-opt seccomp=PROFILE)"
                .to_owned(),
        ),
        errno => fatal(format!(
            "io_uring can't be set up ({}): raise the limit of locked memory (ulimit -l)",
            std::io::Error::from_raw_os_error(errno)
        )),
    }
}

fn probe_io_uring() -> i32 {
    match io_uring::IoUring::new(8) {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    }
}

fn is_privileged() -> bool {
    // SAFETY: the call takes and touches nothing.
    unsafe { libc::geteuid() == 0 }
}

fn locked(soft: u64, privileged: bool) -> Option<Finding> {
    if soft >= LOCKED_BYTES_MIN || (privileged && soft >= 64 << 10) {
        return None;
    }
    fatal(format!(
        "only {soft} bytes of memory may be locked, kolk needs {LOCKED_BYTES_MIN}: ulimit -l 8192, or LimitMEMLOCK=8M in the unit"
    ))
}

fn open_files(soft: u64) -> Option<Finding> {
    if soft >= OPEN_FILES_MIN {
        return None;
    }
    fatal(format!(
        "only {soft} files may be open, kolk needs {OPEN_FILES_MIN}: ulimit -n 65536, or LimitNOFILE=65536 in the unit"
    ))
}

fn direct(data: &Path) -> Option<Finding> {
    let shown = data.display();
    if let Err(error) = std::fs::create_dir_all(data) {
        return fatal(format!("{shown} can't be made ({error}): choose another place with --data"));
    }
    let probe = data.join(".direct-io-probe");
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT | libc::O_CLOEXEC)
        .open(&probe);
    let removed = std::fs::remove_file(&probe);
    match (opened, removed) {
        (Ok(_), _) => None,
        (Err(error), _) if error.raw_os_error() == Some(libc::EINVAL) => fatal(format!(
            "the file system of {shown} has no direct I/O (tmpfs has none): put --data on ext4 or xfs"
        )),
        (Err(error), _) => fatal(format!(
            "{shown} can't be written ({error}): choose another place with --data, or chown it"
        )),
    }
}

fn free(data: &Path, free_bytes_min: u64) -> Option<Finding> {
    let free_bytes = limits::free_bytes(data)?;
    if free_bytes >= free_bytes_min {
        return None;
    }
    fatal(format!(
        "{} has {} MiB free, a start needs {} MiB there for its new journal: make room and start again, nothing is lost; or lower journal_file_bytes",
        data.display(),
        free_bytes >> 20,
        free_bytes_min.div_ceil(1 << 20)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(finding: Option<Finding>, cure: &str) {
        let finding = finding.unwrap();
        assert!(finding.line.contains(cure), "{}", finding.line);
        assert!(!finding.line.contains('\n'), "one line");
    }

    #[test]
    fn every_missing_thing_is_named_with_its_cure() {
        check(kernel("4.19.0-23-amd64"), "5.10 or newer");
        check(io_uring(libc::EPERM), "io_uring_disabled=0");
        check(io_uring(libc::ENOSYS), "CONFIG_IO_URING");
        check(io_uring(libc::ENOMEM), "ulimit -l");
        check(locked(64 << 10, false), "LimitMEMLOCK");
        check(open_files(64), "ulimit -n");
        check(direct(Path::new("/proc/none")), "--data");
        check(free(Path::new("/"), u64::MAX), "make room and start again, nothing is lost");
    }

    #[test]
    fn a_good_host_has_nothing_to_say() {
        assert_eq!(kernel("6.18.44-fc"), None);
        assert_eq!(io_uring(0), None);
        assert_eq!(locked(8 << 20, false), None);
        assert_eq!(open_files(1024), None);
        let dir = tempfile::tempdir_in(".").unwrap();
        assert_eq!(direct(dir.path()), None);
        assert_eq!(free(dir.path(), 1), None);
    }
}
