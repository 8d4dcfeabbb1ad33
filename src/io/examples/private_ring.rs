//! Measures a durable 4 KiB commit three ways, in one run: glommio's own direct file, the private
//! ring, and plain blocking calls as the floor. Decision 0001 stands on it.
//!
//! `cargo run --release -p kolk-io --example private_ring -- DIR [MODE]`
//!
//! DIR must be on a disk with direct I/O. With MODE only that way is run, so that its system calls
//! can be counted from outside (`strace -fc`).
#![allow(unsafe_code, reason = "getrusage and the blocking floor are plain system calls")]
#![allow(clippy::print_stdout, reason = "a probe talks")]
#![allow(clippy::expect_used, reason = "a probe has nobody to hand an error to")]
#![allow(clippy::indexing_slicing, reason = "a probe's samples are never empty")]
#![allow(clippy::disallowed_methods, reason = "a probe measures the real world")]

use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use glommio::io::DmaFile;
use glommio::{LocalExecutorBuilder, Placement};
use kolk_io::buf::AlignedBuf;
use kolk_io::door::{File, Io, OpenMode};
use kolk_io::uring::shard::{ShardSpec, spawn_shard};

const ROUNDS: usize = 7;
const COMMITS: u64 = 400;
const FILE_BYTES: u64 = 4 << 20;
const PAGE: usize = 4096;

type Way = (&'static str, fn(PathBuf) -> Samples);

const WAYS: [Way; 4] = [
    ("glommio", glommio_commits),
    ("ring-linked", ring_linked),
    ("ring-separate", ring_separate),
    ("psync", psync_commits),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("usage: private_ring DIR [MODE]"));
    let only = arguments.next();
    let path = dir.join("private_ring.probe");
    let ways = WAYS.iter().filter(|way| only.as_deref().is_none_or(|only| only == way.0));
    let mut results: Vec<(&str, Vec<Samples>)> = ways.map(|way| (way.0, Vec::new())).collect();
    prepare(&path);
    for round in 0..ROUNDS {
        for (name, samples) in &mut results {
            let way = WAYS.iter().find(|way| way.0 == *name).expect("a known way");
            samples.push((way.1)(path.clone()));
        }
        println!("round {} of {ROUNDS} done", round + 1);
    }
    println!("{:14} {:>9} {:>9} {:>12}", "way", "p50 us", "p99 us", "cpu us/commit");
    for (name, samples) in results {
        let column = |of: fn(&Samples) -> u64| {
            let mut values: Vec<u64> = samples.iter().map(of).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        let (p50, p99) = (column(|s| s.percentile(50)), column(|s| s.percentile(99)));
        println!("{name:14} {p50:>9} {p99:>9} {:>12}", column(|s| s.cpu_us / COMMITS));
    }
    std::fs::remove_file(&path).expect("the probe's own file");
}

/// Latencies of one round in microseconds, sorted, and the process's CPU time for all of it.
struct Samples {
    latencies: Vec<u64>,
    cpu_us: u64,
}

impl Samples {
    fn percentile(&self, percent: usize) -> u64 {
        self.latencies[(self.latencies.len() - 1) * percent / 100]
    }

    fn new(mut latencies: Vec<u64>, cpu_us: u64) -> Self {
        latencies.sort_unstable();
        Self { latencies, cpu_us }
    }
}

fn prepare(path: &Path) {
    let file = direct(path);
    let mut page = AlignedBuf::new(1 << 20);
    page.fill(1);
    for megabyte in 0..FILE_BYTES >> 20 {
        file.write_all_at(&page, megabyte << 20).expect("room for the probe");
    }
    file.sync_all().expect("a disk that syncs");
}

fn direct(path: &Path) -> std::fs::File {
    let mut options = std::fs::OpenOptions::new();
    let options = options.read(true).write(true).create(true).custom_flags(libc::O_DIRECT);
    options.open(path).expect("a file with direct I/O")
}

fn position(commit: u64) -> u64 {
    commit * PAGE as u64 % FILE_BYTES
}

fn glommio_commits(path: PathBuf) -> Samples {
    let builder =
        LocalExecutorBuilder::new(Placement::Unbound).preempt_timer(Duration::from_millis(2));
    let run = builder.spawn(|| async move {
        // Opened write-only first: keeps 0.9.0 from polling (its probe of an empty file misleads it).
        let trap = path.with_extension("trap");
        DmaFile::create(&trap).await.expect("a file").close().await.expect("closed");
        std::fs::remove_file(&trap).expect("the probe's own file");
        let options = glommio::io::OpenOptions::new().read(true).write(true).dma_open(&path).await;
        let file = options.expect("the prepared file");
        let (mut latencies, before) = (Vec::new(), cpu_us());
        for commit in 0..COMMITS {
            let start = Instant::now();
            let mut page = file.alloc_dma_buffer(PAGE);
            page.as_bytes_mut().fill(2);
            file.write_at(page, position(commit)).await.expect("written");
            file.fdatasync().await.expect("synced");
            latencies.push(micros(start));
        }
        let cpu = cpu_us() - before;
        file.close().await.expect("closed");
        Samples::new(latencies, cpu)
    });
    run.expect("an executor").join().expect("a result")
}

fn ring_linked(path: PathBuf) -> Samples {
    on_ring(path, true)
}

fn ring_separate(path: PathBuf) -> Samples {
    on_ring(path, false)
}

fn on_ring(path: PathBuf, linked: bool) -> Samples {
    let shard = spawn_shard(ShardSpec::new("probe"), move |io| async move {
        let file = io.open(&path, OpenMode::ReadWrite).await.expect("the prepared file");
        let (mut latencies, before) = (Vec::new(), cpu_us());
        let counts = io.ring_counts();
        for commit in 0..COMMITS {
            let start = Instant::now();
            let mut page = AlignedBuf::new(PAGE);
            page.fill(3);
            let pages = vec![page.into_slice()];
            if linked {
                file.write_and_sync_at(position(commit), pages).await.expect("durable");
            } else {
                file.write_at(position(commit), pages).await.expect("written");
                file.sync().await.expect("synced");
            }
            latencies.push(micros(start));
        }
        let cpu = cpu_us() - before;
        let done = io.ring_counts();
        assert!(done.enters - counts.enters <= 2 * COMMITS, "{done:?}");
        Samples::new(latencies, cpu)
    });
    shard.expect("a thread").join().expect("a result")
}

fn psync_commits(path: PathBuf) -> Samples {
    let file = direct(&path);
    let (mut latencies, before) = (Vec::new(), cpu_us());
    let mut page = AlignedBuf::new(PAGE);
    for commit in 0..COMMITS {
        let start = Instant::now();
        page.fill(4);
        file.write_all_at(&page, position(commit)).expect("written");
        file.sync_data().expect("synced");
        latencies.push(micros(start));
    }
    Samples::new(latencies, cpu_us() - before)
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn cpu_us() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is memory of this frame, large enough.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // SAFETY: zeroed before, and a plain struct of numbers.
    let usage = unsafe { usage.assume_init() };
    let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    u64::try_from(micros(usage.ru_utime) + micros(usage.ru_stime)).unwrap_or(0)
}
