//! What this machine can do without a broker, measured in the same run as the broker: figures move
//! by a factor of two from day to day, so that only ratios of one run mean something.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::repo::{self, on_path};
use crate::step::Failure;

/// A page: the unit of a journal write.
const PAGE_BYTES: usize = 4096;
/// The pre-written file that raw commits go into, written round and round.
const COMMIT_FILE_BYTES: u64 = 64 << 20;
/// The file that is read for the disk's limit; larger than any cache of the device.
const READ_FILE_BYTES: u64 = 2 << 30;
const READ_CHUNK_BYTES: usize = 1 << 20;
const RAW_COMMITS: usize = 3_000;
const ROUND_TRIPS: usize = 20_000;
/// A small record and its frame.
const ROUND_TRIP_BYTES: usize = 256;
/// `O_DIRECT` of the two processor families we build for; std has no name for it.
const O_DIRECT: i32 = if cfg!(target_arch = "aarch64") { 0o200_000 } else { 0o40_000 };

/// Limits of one round; `None` where the tool is absent, with the reason printed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// iperf3, one stream over loopback, 256 KiB writes.
    pub(crate) stream_bytes_per_second: Option<f64>,
    /// fio, direct reads of 1 MiB, eight in flight.
    pub(crate) read_bytes_per_second: Option<f64>,
    /// One 4 KiB direct write into a pre-written file plus fdatasync, one at a time.
    pub(crate) commits_per_second: Option<f64>,
    /// Median of the same.
    pub(crate) commit_p50_ns: Option<f64>,
    /// Median of one small request and answer over loopback TCP between two threads.
    pub(crate) round_trip_p50_ns: Option<f64>,
}

impl Limits {
    /// Measures all of them, one after the other.
    pub(crate) fn measure(folder: &Path, seconds: u32) -> Result<Self, Failure> {
        let (commits_per_second, commit_p50_ns) = raw_commits(&folder.join("limits.commit"))?;
        Ok(Self {
            stream_bytes_per_second: stream(seconds)?,
            read_bytes_per_second: disk_read(&folder.join("limits.read"), seconds)?,
            commits_per_second: Some(commits_per_second),
            commit_p50_ns: Some(commit_p50_ns),
            round_trip_p50_ns: Some(round_trips().map_err(|e| broken("loopback", &e))?),
        })
    }

    /// As it stands in the result file.
    pub(crate) fn to_json(self) -> Value {
        json!({
            "iperf3_bytes_per_second": self.stream_bytes_per_second,
            "fio_read_bytes_per_second": self.read_bytes_per_second,
            "raw_commits_per_second": self.commits_per_second,
            "raw_commit_p50_ns": self.commit_p50_ns,
            "tcp_round_trip_p50_ns": self.round_trip_p50_ns,
        })
    }
}

/// Ends a helper process that would wait for ever.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It has ended by itself in the good case; both calls then say so and change nothing.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn stream(seconds: u32) -> Result<Option<f64>, Failure> {
    if !on_path("iperf3") {
        println!("  iperf3 is absent (apt-get install iperf3): no ratio to the loopback stream");
        return Ok(None);
    }
    let port = free_port().map_err(|e| broken("loopback", &e))?.to_string();
    let server = Command::new("iperf3")
        .args(["-s", "-1", "-p", &port])
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| broken("iperf3", &e))?;
    let server = Ended(server);
    wait_for_port(&port)?;
    let mut client = Command::new("iperf3");
    client.args(["-c", "127.0.0.1", "-p", &port, "-l", "256K", "-J", "-t", &seconds.to_string()]);
    let text = repo::output(&mut client)?;
    drop(server);
    number(&text, &["end", "sum_received", "bits_per_second"]).map(|bits| Some(bits / 8.0))
}

/// iperf3 serves one test and would take a probe for it, so the kernel's table is asked instead.
fn wait_for_port(port: &str) -> Result<(), Failure> {
    let port: u16 = port.parse().map_err(|_| Failure::new("port out of range", ""))?;
    let entry = format!(":{port:04X} ");
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let listens = ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
            std::fs::read_to_string(table).is_ok_and(|rows| {
                rows.lines().any(|row| row.contains(&entry) && row.contains(" 0A "))
            })
        });
        if listens {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(Failure::new("iperf3 does not listen", "run iperf3 -s by hand and read what it says"))
}

fn disk_read(path: &Path, seconds: u32) -> Result<Option<f64>, Failure> {
    if !on_path("fio") {
        println!("  fio is absent (apt-get install fio): no ratio to the disk");
        return Ok(None);
    }
    prewrite(path, READ_FILE_BYTES).map_err(|e| broken("writing the file to read", &e))?;
    let mut fio = Command::new("fio");
    fio.args(["--name=read", "--rw=read", "--bs=1m", "--iodepth=8", "--ioengine=io_uring"])
        .args(["--direct=1", "--time_based", "--output-format=json"])
        .arg(format!("--runtime={seconds}"))
        .arg(format!("--size={READ_FILE_BYTES}"))
        .arg(format!("--filename={}", path.display()));
    let text = repo::output(&mut fio)?;
    let json = text.find('{').and_then(|at| text.get(at..)).unwrap_or_default();
    number(json, &["jobs", "0", "read", "bw_bytes"]).map(Some)
}

fn raw_commits(path: &Path) -> Result<(f64, f64), Failure> {
    let fault = |e: std::io::Error| broken("raw 4 KiB commits", &e);
    prewrite(path, COMMIT_FILE_BYTES).map_err(fault)?;
    let file = direct(path).map_err(fault)?;
    let pages = vec![Page([7; PAGE_BYTES]); 1];
    let mut times = Vec::with_capacity(RAW_COMMITS);
    let begin = Instant::now();
    for (page, position) in
        pages.iter().cycle().zip((0..COMMIT_FILE_BYTES).step_by(PAGE_BYTES).cycle())
    {
        if times.len() == RAW_COMMITS {
            break;
        }
        let one = Instant::now();
        file.write_all_at(&page.0, position).map_err(fault)?;
        file.sync_data().map_err(fault)?;
        times.push(one.elapsed());
    }
    let rate = times.len() as f64 / begin.elapsed().as_secs_f64();
    Ok((rate, median_ns(times)))
}

/// O_DIRECT wants memory as aligned as the device's blocks.
#[derive(Clone)]
#[repr(align(4096))]
struct Page([u8; PAGE_BYTES]);

/// Writes every block once: a write into unwritten extents costs a journal commit of the filesystem.
fn prewrite(path: &Path, bytes: u64) -> std::io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() == bytes) {
        return Ok(());
    }
    let mut file = File::create(path)?;
    let chunk = vec![7; READ_CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        file.write_all(&chunk)?;
        left = left.saturating_sub(chunk.len() as u64);
    }
    file.sync_all()
}

fn direct(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(O_DIRECT).open(path)
}

fn round_trips() -> std::io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut peer, _) = listener.accept()?;
        peer.set_nodelay(true)?;
        let mut bytes = [0; ROUND_TRIP_BYTES];
        for _ in 0..ROUND_TRIPS {
            peer.read_exact(&mut bytes)?;
            peer.write_all(&bytes)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut bytes = [1; ROUND_TRIP_BYTES];
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let one = Instant::now();
        stream.write_all(&bytes)?;
        stream.read_exact(&mut bytes)?;
        times.push(one.elapsed());
    }
    // A panic there would have closed the socket, which the loop above reports.
    drop(echo.join());
    Ok(median_ns(times))
}

fn median_ns(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e9)
}

/// A port that was free a moment ago.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The number at a path of keys and indexes.
fn number(text: &str, path: &[&str]) -> Result<f64, Failure> {
    let value: Value = serde_json::from_str(text)
        .map_err(|e| Failure::new(format!("a tool's answer is not JSON: {e}"), ""))?;
    let found = path.iter().try_fold(&value, |value, key| match key.parse::<usize>() {
        Ok(index) => value.get(index),
        Err(_) => value.get(key),
    });
    found
        .and_then(Value::as_f64)
        .ok_or_else(|| Failure::new(format!("a tool's answer lacks {}", path.join(".")), ""))
}

fn broken(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(format!("{what}: {error}"), "is there room on the disk?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_keys_and_indexes() {
        let text = r#"{"jobs":[{"read":{"bw_bytes":12}}]}"#;
        assert_eq!(number(text, &["jobs", "0", "read", "bw_bytes"]).unwrap(), 12.0);
        assert!(number(text, &["jobs", "1", "read"]).is_err());
        assert!(number("no json", &[]).is_err());
    }

    #[test]
    fn the_median_is_the_middle_of_the_sorted_times() {
        let times = [3, 1, 2].map(Duration::from_nanos).to_vec();
        assert_eq!(median_ns(times), 2.0);
    }
}
