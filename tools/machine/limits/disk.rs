//! The disk, past the page cache.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kolk_driver::clock::float;

use crate::error::{MachineError, Outcome};
use crate::latency::{Percentiles, Times};

const CHUNK_BYTES: usize = 1 << 20;
const PAGE_BYTES: usize = 4096;
/// At a time.
const WRITERS: u64 = 4;
const READERS: u64 = 8;

pub(super) struct Disk {
    pub(super) write_bytes_per_second: f64,
    pub(super) read_bytes_per_second: f64,
    pub(super) commit: Percentiles,
}

/// Memory as aligned as direct I/O wants it.
#[repr(align(4096))]
struct Page([u8; PAGE_BYTES]);

pub(super) fn measure(folder: &Path, time: Duration, file_bytes: u64) -> Outcome<Disk> {
    let path = folder.join(format!("limits-{}", std::process::id()));
    let measured = measure_in(&Scratch { path: &path, bytes: file_bytes }, time);
    // It is not there if it could not be made.
    drop(std::fs::remove_file(&path));
    measured.map_err(|error| MachineError::file(&path, error))
}

/// The file that all three use.
struct Scratch<'a> {
    path: &'a Path,
    bytes: u64,
}

fn measure_in(scratch: &Scratch<'_>, time: Duration) -> std::io::Result<Disk> {
    prewrite(scratch)?;
    let commit = commits(scratch, time)?;
    let write = transfer(scratch, WRITERS, time, |file, buffer, at| file.write_all_at(buffer, at))?;
    let read = transfer(scratch, READERS, time, |file, buffer, at| file.read_exact_at(buffer, at))?;
    Ok(Disk { write_bytes_per_second: write, read_bytes_per_second: read, commit })
}

/// Writes every block once: a write into unwritten extents costs a journal commit of the filesystem.
fn prewrite(scratch: &Scratch<'_>) -> std::io::Result<()> {
    let mut file = File::create(scratch.path)?;
    let chunk = vec![7; CHUNK_BYTES];
    for _ in 0..scratch.bytes / CHUNK_BYTES as u64 {
        file.write_all(&chunk)?;
    }
    file.sync_all()
}

fn direct(path: &Path) -> std::io::Result<File> {
    let flags = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

/// One 4 KiB write and its fdatasync after the other.
fn commits(scratch: &Scratch<'_>, time: Duration) -> std::io::Result<Percentiles> {
    let (file, page) = (direct(scratch.path)?, Page([3; PAGE_BYTES]));
    let mut times = Times::new().map_err(std::io::Error::other)?;
    let begin = Instant::now();
    let mut at = 0;
    while begin.elapsed() < time {
        let one = Instant::now();
        file.write_all_at(&page.0, at)?;
        file.sync_data()?;
        times.record(one.elapsed());
        at = (at + PAGE_BYTES as u64) % scratch.bytes;
    }
    Ok(times.summary())
}

/// Chunks one after the other from so many threads, round and round.
fn transfer(
    scratch: &Scratch<'_>,
    threads: u64,
    time: Duration,
    each: impl Fn(&File, &mut [u8], u64) -> std::io::Result<()> + Sync,
) -> std::io::Result<f64> {
    let file = direct(scratch.path)?;
    let (chunks, next) = (scratch.bytes / CHUNK_BYTES as u64, AtomicU64::new(0));
    let begin = Instant::now();
    let work = || -> std::io::Result<u64> {
        let mut memory = vec![5; CHUNK_BYTES + PAGE_BYTES];
        let skip = memory.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        let buffer = memory.get_mut(skip..skip + CHUNK_BYTES).unwrap_or_default();
        let mut done = 0;
        while begin.elapsed() < time {
            let at = next.fetch_add(1, Ordering::Relaxed) % chunks * CHUNK_BYTES as u64;
            each(&file, buffer, at)?;
            done += CHUNK_BYTES as u64;
        }
        Ok(done)
    };
    let done: std::io::Result<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let crashed = |_| Err(std::io::Error::other("a thread panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(crashed)).sum()
    });
    done.map(|bytes| float(bytes) / begin.elapsed().as_secs_f64())
}
