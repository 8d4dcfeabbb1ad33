//! What a server's core cannot save: the processor time of a plain blocking thread that does with each byte only what a durable
//! log has to. Producing: receive it, checksum it, copy it to where it stays in memory, write it to the disk. Fetching: send it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use kolk_driver::clock::float;
use kolk_io::buf::AlignedBuf;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::loopback::connection;
use super::prewritten::{CHUNK_BYTES, Prewritten};
use crate::cores;
use crate::error::{MachineError, Outcome};

/// A request, and the batch that it is.
const REQUEST_BYTES: usize = 256 << 10;
const GIB: f64 = (1_u64 << 30) as f64;
const _: () = assert!(CHUNK_BYTES.is_multiple_of(REQUEST_BYTES), "a write is whole requests");

/// How much, and where.
#[derive(Clone, Copy, Debug)]
pub struct FloorPlan<'a> {
    /// A folder on the disk that the broker writes to.
    pub folder: &'a Path,
    /// Records in memory, whole MiB: written over round and round by producing, then sent round and round.
    pub memory_bytes: usize,
    /// Bytes sent at a time, at most that.
    pub fetch_bytes: usize,
    /// Bytes measured of each half, beside a first round that is not.
    pub bytes: u64,
    /// Where the server's thread runs.
    pub broker_cores: &'a [usize],
    /// Where the client's thread runs.
    pub load_cores: &'a [usize],
}

/// One half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Half {
    /// Bytes that went through it.
    pub bytes: u64,
    /// How long it lasted.
    pub seconds: f64,
    /// Of the server's thread.
    pub cpu_seconds: f64,
}

/// Both of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Floor {
    /// Received, checksummed, copied, written.
    pub produce: Half,
    /// Sent.
    pub fetch: Half,
}

impl Half {
    fn cpu_seconds_per_gib(&self) -> f64 {
        self.cpu_seconds / (float(self.bytes) / GIB)
    }
}

impl Floor {
    /// Of a byte that is produced and then fetched once.
    pub fn cpu_seconds_per_gib(&self) -> f64 {
        self.produce.cpu_seconds_per_gib() + self.fetch.cpu_seconds_per_gib()
    }
}

/// Measures both halves one after the other.
pub fn measure(plan: &FloorPlan<'_>) -> Outcome<Floor> {
    let rounded = plan.memory_bytes / CHUNK_BYTES * CHUNK_BYTES;
    if rounded == 0 || plan.fetch_bytes == 0 || plan.bytes == 0 {
        return Err(MachineError::Senseless("a floor needs a MiB of memory, and bytes".to_owned()));
    }
    let file = Prewritten::create(plan.folder, "floor", rounded as u64)?;
    let (server, client) = connection().map_err(MachineError::Loopback)?;
    let served = std::thread::scope(|scope| {
        let serve = || {
            cores::pin(plan.broker_cores);
            serve(server, plan, &file, AlignedBuf::new(rounded))
        };
        let server = scope.spawn(serve);
        let ask = || {
            cores::pin(plan.load_cores);
            ask(client, plan.bytes + rounded as u64)
        };
        let asked = scope.spawn(ask).join();
        let served = server.join().unwrap_or_else(|_| Err(panicked()));
        asked.unwrap_or_else(|_| Err(panicked())).and(served)
    });
    served.map_err(MachineError::Loopback)
}

fn panicked() -> std::io::Error {
    std::io::Error::other("a thread panicked")
}

/// The server's thread. Both halves begin with a round of the memory that is not counted: the first touch of fresh memory is
/// dear, and a broker that has been up for a while has none.
fn serve(
    mut stream: TcpStream,
    plan: &FloorPlan<'_>,
    file: &Prewritten,
    mut memory: AlignedBuf,
) -> std::io::Result<Floor> {
    let round = memory.len() as u64;
    receive(&mut stream, file, &mut memory, round)?;
    let produce = timed(|| receive(&mut stream, file, &mut memory, plan.bytes))?;
    send(&mut stream, &memory, plan.fetch_bytes, round)?;
    let fetch = timed(|| send(&mut stream, &memory, plan.fetch_bytes, plan.bytes))?;
    Ok(Floor { produce, fetch })
}

/// Receives at least so many bytes, in whole requests; returns how many.
fn receive(
    stream: &mut TcpStream,
    file: &Prewritten,
    memory: &mut [u8],
    bytes: u64,
) -> std::io::Result<u64> {
    let mut request = vec![0; REQUEST_BYTES];
    let (mut received, mut at) = (0, 0);
    while received < bytes {
        stream.read_exact(&mut request)?;
        std::hint::black_box(crc32c::crc32c(&request));
        let place = memory.get_mut(at..at + REQUEST_BYTES).unwrap_or_default();
        place.copy_from_slice(&request);
        at += REQUEST_BYTES;
        if at.is_multiple_of(CHUNK_BYTES) {
            let chunk = memory.get(at - CHUNK_BYTES..at).unwrap_or_default();
            file.file.write_all_at(chunk, (at - CHUNK_BYTES) as u64)?;
        }
        at %= memory.len();
        received += REQUEST_BYTES as u64;
    }
    Ok(received)
}

/// Sends at least so many bytes, in pieces of `fetch_bytes` or what is left of the memory; returns how many.
fn send(
    stream: &mut TcpStream,
    memory: &[u8],
    fetch_bytes: usize,
    bytes: u64,
) -> std::io::Result<u64> {
    let mut sent = 0;
    for piece in memory.chunks(fetch_bytes).cycle() {
        if sent >= bytes {
            break;
        }
        stream.write_all(piece)?;
        sent += piece.len() as u64;
    }
    Ok(sent)
}

fn timed(work: impl FnOnce() -> std::io::Result<u64>) -> std::io::Result<Half> {
    let (begin, processor) = (Instant::now(), thread_time());
    let bytes = work()?;
    let cpu_seconds = thread_time().saturating_sub(processor).as_secs_f64();
    Ok(Half { bytes, seconds: begin.elapsed().as_secs_f64(), cpu_seconds })
}

/// Processor time of the calling thread.
fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// The client's thread: sends what the server wants to receive, and some more where that is not whole requests; then takes all
/// that comes.
fn ask(mut stream: TcpStream, bytes: u64) -> std::io::Result<()> {
    // Four batches, as the load generator has one for each of four partitions.
    let batches: Vec<Vec<u8>> = (1..=4).map(|byte| vec![byte; REQUEST_BYTES]).collect();
    let mut sent = 0;
    for batch in batches.iter().cycle() {
        if sent >= bytes {
            break;
        }
        stream.write_all(batch)?;
        sent += batch.len() as u64;
    }
    let mut buffer = vec![0; CHUNK_BYTES];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_are_measured_and_nothing_stays_on_the_disk() {
        // The system's temporary folder may be memory, which has no direct writes.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let cores = cores::cores();
        let plan = FloorPlan {
            folder: folder.path(),
            memory_bytes: 3 << 20,
            fetch_bytes: 2 << 20,
            // No whole requests, no whole rounds.
            bytes: (7 << 20) + 1,
            broker_cores: &cores,
            load_cores: &cores,
        };
        let floor = measure(&plan).unwrap();
        assert_eq!(floor.produce.bytes, (7 << 20) + REQUEST_BYTES as u64);
        // Pieces of 2 and 1 MiB in turn: 2 + 1 + 2 + 1 + 2.
        assert_eq!(floor.fetch.bytes, 8 << 20);
        for half in [floor.produce, floor.fetch] {
            assert!(half.cpu_seconds > 0.0 && half.cpu_seconds <= half.seconds * 1.01, "{half:?}");
        }
        assert!(floor.cpu_seconds_per_gib() > floor.produce.cpu_seconds_per_gib());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(measure(&FloorPlan { memory_bytes: 1 << 19, ..plan }).is_err());
    }

    #[test]
    fn costs_of_halves_are_added_by_the_gib() {
        let half = |bytes, cpu_seconds| Half { bytes, seconds: 1.0, cpu_seconds };
        let floor = Floor { produce: half(2 << 30, 1.0), fetch: half(1 << 29, 0.75) };
        assert_eq!(floor.cpu_seconds_per_gib(), 0.5 + 1.5);
    }
}
