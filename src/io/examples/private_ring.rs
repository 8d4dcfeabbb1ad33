//! Measures in one run what the runtimes cost: a durable 4 KiB commit and a TCP round trip, on
//! glommio alone, on glommio with the private ring beside it, on the ring's own loop, and with plain
//! blocking calls as the floor. Decision 0001 stands on it.
//!
//! `cargo run --release -p kolk-io --example private_ring -- DIR [WAY]`
//!
//! DIR must be on a disk with direct I/O. With WAY only that one is run, so that its system calls
//! can be counted from outside (`perf stat -e raw_syscalls:sys_enter`).
#![allow(unsafe_code, reason = "getrusage and the blocking floor are plain system calls")]
#![allow(clippy::print_stdout, reason = "a probe talks")]
#![allow(clippy::expect_used, reason = "a probe has nobody to hand an error to")]
#![allow(clippy::indexing_slicing, reason = "a probe's samples are never empty")]
#![allow(clippy::disallowed_methods, reason = "a probe measures the real world")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use glommio::io::DmaFile;
use glommio::{LocalExecutorBuilder, Placement};
use kolk_io::buf::AlignedBuf;
use kolk_io::door::{File, Io, Listener, Net, OpenMode, Stream};
use kolk_io::net::bind;
use kolk_io::uring::shard::{Runtime, ShardSpec, spawn_shard};

const ROUNDS: usize = 7;
const COMMITS: u64 = 400;
const ROUND_TRIPS: u64 = 2000;
const FILE_BYTES: u64 = 4 << 20;
const PAGE: usize = 4096;

struct Way {
    name: &'static str,
    operations: u64,
    run: fn(PathBuf) -> Samples,
}

const WAYS: [Way; 8] = [
    Way { name: "commit/glommio-file", operations: COMMITS, run: glommio_commits },
    Way { name: "commit/ring+glommio", operations: COMMITS, run: |p| commits(p, Runtime::Glommio) },
    Way { name: "commit/ring", operations: COMMITS, run: |p| commits(p, Runtime::Ring) },
    Way { name: "commit/ring-2-calls", operations: COMMITS, run: separate_commits },
    Way { name: "commit/blocking", operations: COMMITS, run: blocking_commits },
    Way { name: "tcp/glommio", operations: ROUND_TRIPS, run: |_| echoes(Runtime::Glommio) },
    Way { name: "tcp/ring", operations: ROUND_TRIPS, run: |_| echoes(Runtime::Ring) },
    Way { name: "tcp/blocking", operations: ROUND_TRIPS, run: |_| blocking_echoes() },
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("usage: private_ring DIR [WAY]"));
    let only = arguments.next();
    let path = dir.join("private_ring.probe");
    let chosen = |way: &&Way| only.as_deref().is_none_or(|only| only == way.name);
    let mut results: Vec<(&Way, Vec<Samples>)> =
        WAYS.iter().filter(chosen).map(|way| (way, Vec::new())).collect();
    prepare(&path);
    for _ in 0..ROUNDS {
        for (way, samples) in &mut results {
            samples.push((way.run)(path.clone()));
        }
    }
    println!("{:22} {:>8} {:>8} {:>14}", "way", "p50 us", "p99 us", "cpu us/op");
    for (way, samples) in results {
        let column = |of: fn(&Samples) -> u64| {
            let mut values: Vec<u64> = samples.iter().map(of).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        let (p50, p99) = (column(|s| s.percentile(50)), column(|s| s.percentile(99)));
        let cpu = column(|s| s.cpu_us) / way.operations;
        println!("{:22} {p50:>8} {p99:>8} {cpu:>14}", way.name);
    }
    std::fs::remove_file(&path).expect("the probe's own file");
}

/// Latencies of one round in microseconds, sorted, and the CPU time of the measured side.
struct Samples {
    latencies: Vec<u64>,
    cpu_us: u64,
}

impl Samples {
    fn new(mut latencies: Vec<u64>, cpu_us: u64) -> Self {
        latencies.sort_unstable();
        Self { latencies, cpu_us }
    }

    fn percentile(&self, percent: usize) -> u64 {
        self.latencies[(self.latencies.len() - 1) * percent / 100]
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
    let builder = LocalExecutorBuilder::new(Placement::Unbound);
    let run = builder.preempt_timer(Duration::from_millis(5)).spawn(|| async move {
        // Opened write-only first: keeps 0.9.0 from polling (its probe of an empty file misleads it).
        let trap = path.with_extension("trap");
        DmaFile::create(&trap).await.expect("a file").close().await.expect("closed");
        std::fs::remove_file(&trap).expect("the probe's own file");
        let options = glommio::io::OpenOptions::new().read(true).write(true).dma_open(&path).await;
        let file = options.expect("the prepared file");
        let (mut latencies, before) = (Vec::new(), process_cpu_us());
        for commit in 0..COMMITS {
            let start = Instant::now();
            let mut page = file.alloc_dma_buffer(PAGE);
            page.as_bytes_mut().fill(2);
            file.write_at(page, position(commit)).await.expect("written");
            file.fdatasync().await.expect("synced");
            latencies.push(micros(start));
        }
        let cpu = process_cpu_us() - before;
        file.close().await.expect("closed");
        Samples::new(latencies, cpu)
    });
    run.expect("an executor").join().expect("a result")
}

fn page_of(byte: u8) -> AlignedBuf {
    let mut page = AlignedBuf::new(PAGE);
    page.fill(byte);
    page
}

fn commits(path: PathBuf, runtime: Runtime) -> Samples {
    let spec = ShardSpec { runtime, ..ShardSpec::new("probe") };
    let shard = spawn_shard(spec, move |io| async move {
        let file = io.open(&path, OpenMode::ReadWrite).await.expect("the prepared file");
        let (mut latencies, before) = (Vec::new(), process_cpu_us());
        for commit in 0..COMMITS {
            let start = Instant::now();
            let pages = [page_of(3).into_slice()];
            file.write_and_sync_at(position(commit), &pages).await.expect("durable");
            latencies.push(micros(start));
        }
        Samples::new(latencies, process_cpu_us() - before)
    });
    shard.expect("a thread").join().expect("a result")
}

fn separate_commits(path: PathBuf) -> Samples {
    let shard = spawn_shard(ShardSpec::new("probe"), move |io| async move {
        let file = io.open(&path, OpenMode::ReadWrite).await.expect("the prepared file");
        let (mut latencies, before) = (Vec::new(), process_cpu_us());
        for commit in 0..COMMITS {
            let start = Instant::now();
            let pages = [page_of(4).into_slice()];
            file.write_at(position(commit), &pages).await.expect("written");
            file.sync().await.expect("synced");
            latencies.push(micros(start));
        }
        Samples::new(latencies, process_cpu_us() - before)
    });
    shard.expect("a thread").join().expect("a result")
}

fn blocking_commits(path: PathBuf) -> Samples {
    let file = direct(&path);
    let (mut latencies, before) = (Vec::new(), process_cpu_us());
    for commit in 0..COMMITS {
        let start = Instant::now();
        file.write_all_at(&page_of(5), position(commit)).expect("written");
        file.sync_data().expect("synced");
        latencies.push(micros(start));
    }
    Samples::new(latencies, process_cpu_us() - before)
}

/// A blocking client against an echo on the runtime; the CPU is the echo's thread's.
fn echoes(runtime: Runtime) -> Samples {
    let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let address = socket.local_address();
    let spec = ShardSpec { runtime, ..ShardSpec::new("probe") };
    let shard = spawn_shard(spec, move |io| async move {
        let (stream, _) = io.listen(socket).expect("a port").accept().await.expect("a client");
        let before = thread_cpu_us();
        let mut buffer = BytesMut::with_capacity(4096);
        loop {
            buffer.reserve(1024);
            let (received, bytes) = stream.recv(buffer, 1024).await;
            buffer = received;
            if bytes.expect("received") == 0 {
                return thread_cpu_us() - before;
            }
            let (_, sent) = stream.send(vec![buffer.split().freeze()]).await;
            sent.expect("sent");
        }
    });
    let shard = shard.expect("a thread").wait_ready(Duration::from_secs(9)).expect("ready");
    let latencies = ask(address);
    Samples::new(latencies, shard.join().expect("a result"))
}

fn blocking_echoes() -> Samples {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.set_nodelay(true).expect("an option");
        let (before, mut bytes) = (thread_cpu_us(), [0; 1024]);
        loop {
            match stream.read(&mut bytes).expect("received") {
                0 => return thread_cpu_us() - before,
                got => stream.write_all(&bytes[..got]).expect("sent"),
            }
        }
    });
    let latencies = ask(address);
    Samples::new(latencies, echo.join().expect("a result"))
}

fn ask(address: SocketAddr) -> Vec<u64> {
    let connect = || loop {
        // The executor is ready a moment before it listens.
        if let Ok(stream) = TcpStream::connect(address) {
            return stream;
        }
    };
    let mut stream = connect();
    stream.set_nodelay(true).expect("an option");
    let mut bytes = [7; 128];
    let mut latencies = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let start = Instant::now();
        stream.write_all(&bytes).expect("sent");
        stream.read_exact(&mut bytes).expect("received");
        latencies.push(micros(start));
    }
    latencies
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn process_cpu_us() -> u64 {
    cpu_us(libc::RUSAGE_SELF)
}

fn thread_cpu_us() -> u64 {
    cpu_us(libc::RUSAGE_THREAD)
}

fn cpu_us(whose: libc::c_int) -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is memory of this frame, large enough.
    unsafe { libc::getrusage(whose, usage.as_mut_ptr()) };
    // SAFETY: zeroed before, and a plain struct of numbers.
    let usage = unsafe { usage.assume_init() };
    let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    u64::try_from(micros(usage.ru_utime) + micros(usage.ru_stime)).unwrap_or(0)
}
