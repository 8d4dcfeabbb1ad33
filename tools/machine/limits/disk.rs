//! The disk, past the page cache.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kolk_driver::clock::float;
use kolk_io::buf::AlignedBuf;

use super::commits::one_by_one;
use super::prewritten::{CHUNK_BYTES, Prewritten};
use crate::error::Outcome;
use crate::latency::Percentiles;

/// At a time.
const WRITERS: u64 = 4;
const READERS: u64 = 8;

pub(super) struct Disk {
    pub(super) write_bytes_per_second: f64,
    pub(super) read_bytes_per_second: f64,
    pub(super) commit: Percentiles,
}

/// One file for all three.
pub(super) fn measure(folder: &Path, time: Duration, file_bytes: u64) -> Outcome<Disk> {
    let file = Prewritten::create(folder, "disk", file_bytes)?;
    let commit = one_by_one(&file, time)?.times.summary();
    let write = transfer(&file, WRITERS, time, |file, buffer, at| file.write_all_at(buffer, at));
    let read = transfer(&file, READERS, time, |file, buffer, at| file.read_exact_at(buffer, at));
    let rate = |rate: std::io::Result<f64>| rate.map_err(|error| file.failed(error));
    Ok(Disk { write_bytes_per_second: rate(write)?, read_bytes_per_second: rate(read)?, commit })
}

/// Chunks one after the other from so many threads, round and round.
fn transfer(
    prewritten: &Prewritten,
    threads: u64,
    time: Duration,
    each: impl Fn(&File, &mut [u8], u64) -> std::io::Result<()> + Sync,
) -> std::io::Result<f64> {
    let (chunks, next) = (prewritten.bytes / CHUNK_BYTES as u64, AtomicU64::new(0));
    let begin = Instant::now();
    let work = || -> std::io::Result<u64> {
        let mut buffer = AlignedBuf::new(CHUNK_BYTES);
        buffer.fill(5);
        let mut done = 0;
        while begin.elapsed() < time {
            let at = next.fetch_add(1, Ordering::Relaxed) % chunks * CHUNK_BYTES as u64;
            each(&prewritten.file, &mut buffer, at)?;
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
