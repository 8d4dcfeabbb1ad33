//! Durable writes: an entry and its linked sync, with plain and registered files and memory, and through the page cache.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, FsyncFlags};

use crate::provided::{Pages, Paging};
use crate::ring::{Turning, Work};
use crate::samples::{Sample, Spent, micros_since, pin, process_cpu};
use crate::{ROUNDS, Scene, Way};

const COMMITS: u64 = 150;
const FILE_BYTES: u64 = 16 << 20;

#[derive(Clone, Copy, Debug)]
struct Kind {
    through_cache: bool,
    registered_file: bool,
    registered_memory: bool,
    paging: Paging,
}

const TODAY: Kind = Kind {
    through_cache: false,
    registered_file: false,
    registered_memory: false,
    paging: Paging::Small,
};

const KINDS: [(&str, Kind); 8] = [
    ("direct write linked with its sync (today)", TODAY),
    ("registered file", Kind { registered_file: true, ..TODAY }),
    ("registered memory", Kind { registered_memory: true, ..TODAY }),
    (
        "registered file and memory",
        Kind { registered_file: true, registered_memory: true, ..TODAY },
    ),
    ("huge pages", Kind { paging: Paging::Huge, ..TODAY }),
    (
        "registered file and memory, huge pages",
        Kind { registered_file: true, registered_memory: true, paging: Paging::Huge, ..TODAY },
    ),
    ("cached pwrite, then ring sync", Kind { through_cache: true, ..TODAY }),
    ("the same, registered file", Kind { through_cache: true, registered_file: true, ..TODAY }),
];

pub(crate) fn scenes(dir: &Path) -> Vec<Scene> {
    let scene = |name, bytes| {
        let path = path(dir);
        let ways = KINDS.map(|(name, kind)| {
            let path = path.clone();
            Way { name: name.to_owned(), run: Box::new(move || commits(&path, kind, bytes)) }
        });
        Scene { name, rounds: ROUNDS, ways: ways.into() }
    };
    vec![
        scene("disk-4: durable 4 KiB", 4 << 10),
        scene("disk-64: durable 64 KiB", 64 << 10),
        scene("disk-512: durable 512 KiB", 512 << 10),
    ]
}

fn path(dir: &Path) -> PathBuf {
    dir.join("socket_ways.probe")
}

pub(crate) fn clean(dir: &Path) {
    let _absent = std::fs::remove_file(path(dir));
}

fn open(path: &Path, flags: libc::c_int) -> File {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
    options.open(path).expect("a file")
}

/// The file as it is written to in the log: allocated and written before, so that a sync has no metadata to write.
fn prepared(path: &Path, through_cache: bool) -> File {
    let flags = if through_cache { 0 } else { libc::O_DIRECT };
    let file = open(path, flags);
    if file.metadata().expect("a file").len() < FILE_BYTES {
        let zeroes = Pages::new(1 << 20, Paging::Small);
        for at in 0..FILE_BYTES >> 20 {
            file.write_all_at(zeroes.bytes(), at << 20).expect("room for the probe");
        }
    }
    file.sync_all().expect("a disk that syncs");
    // What the cache holds of another way's writes, a direct write would have to throw out first.
    // SAFETY: a call without pointers on an open descriptor.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    file
}

fn commits(path: &Path, kind: Kind, bytes: usize) -> Sample {
    pin(1);
    let file = prepared(path, kind.through_cache);
    let files = [file.as_raw_fd()];
    let mut ring = Turning::new(Work::Soon, if kind.registered_file { &files } else { &[] });
    let mut memory = Pages::new(bytes, kind.paging);
    let start = memory.bytes_mut().as_mut_ptr();
    if kind.registered_memory {
        let all = libc::iovec { iov_base: start.cast(), iov_len: bytes };
        // SAFETY: the memory lives until this function ends, the operations end before.
        let registered = unsafe { ring.uring().submitter().register_buffers(&[all]) };
        registered.expect("room to lock the memory");
    }
    let (fd, flags) = match kind.registered_file {
        true => (Fd(0), Flags::FIXED_FILE),
        false => (Fd(file.as_raw_fd()), Flags::empty()),
    };
    let sync = opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC).build().flags(flags);
    let (begun, cpu, mut latencies) = (Instant::now(), process_cpu(), Vec::new());
    for commit in 0..COMMITS {
        let start_time = Instant::now();
        memory.bytes_mut().fill(commit as u8);
        let position = commit * bytes as u64 % FILE_BYTES;
        let mut answers = 1;
        if kind.through_cache {
            file.write_all_at(memory.bytes(), position).expect("written");
            ring.calls += 1;
        } else {
            let write: Entry = match kind.registered_memory {
                true => {
                    opcode::WriteFixed::new(fd, start, bytes as u32, 0).offset(position).build()
                }
                false => opcode::Write::new(fd, start, bytes as u32).offset(position).build(),
            };
            // SAFETY: the memory lives until the operation has ended.
            unsafe { ring.push(&write.flags(flags | Flags::IO_LINK)) };
            answers = 2;
        }
        // SAFETY: the entry points to no memory.
        unsafe { ring.push(&sync) };
        wait(&mut ring, answers);
        latencies.push(micros_since(start_time));
    }
    let spent = Spent { cpu: process_cpu() - cpu, calls: ring.calls };
    Sample::new(latencies, begun.elapsed(), spent)
}

/// Takes an answer when it comes, as the private ring does: it does not know how many are to come.
fn wait(ring: &mut Turning, answers: usize) {
    let mut got = Vec::new();
    while got.len() < answers {
        ring.enter(1);
        ring.answers(&mut got);
    }
    assert!(got.iter().all(|answer| answer.result >= 0), "durable");
}
