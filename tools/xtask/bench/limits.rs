//! What iperf3 and fio reach on this machine, measured in the same round as the broker: figures move by a factor of two from day
//! to day, so that only ratios of one run mean something. The limits that need no tool are `kolk-bench run`'s.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::repo::{self, on_path};
use crate::step::Failure;

/// The file that is read for the disk's limit; larger than any cache of the device.
const READ_FILE_BYTES: u64 = 2 << 30;
/// Each of the files that are written for the disk's other limits.
const WRITE_FILE_BYTES: u64 = 512 << 20;
const READ_CHUNK_BYTES: usize = 1 << 20;

/// Limits that are measured with other people's tools, by name; one is absent where its tool is, with the reason printed.
pub(crate) fn measure(folder: &Path, seconds: u32) -> Result<BTreeMap<String, f64>, Failure> {
    let stream = stream(seconds)?.map(|rate| ("iperf3_bytes_per_second".to_owned(), rate));
    let read = disk_read(&folder.join("limits.read"), seconds)?
        .map(|rate| ("fio_read_bytes_per_second".to_owned(), rate));
    let again = disk_write(folder, Blocks::Written { seconds })?
        .map(|rate| ("fio_write_bytes_per_second".to_owned(), rate));
    let first = disk_write(folder, Blocks::New)?
        .map(|rate| ("fio_write_new_bytes_per_second".to_owned(), rate));
    Ok(stream.into_iter().chain(read).chain(again).chain(first).collect())
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

/// What files are written over.
#[derive(Clone, Copy)]
enum Blocks {
    /// Blocks that have been written before: a sync has nothing but data to bring.
    Written { seconds: u32 },
    /// Blocks that were allocated and never written, as those of a log that grows: the file system notes each write of them.
    New,
}

/// What the disk takes in of that kind of load that durable producing gives it: files as many as partitions, as much in flight, each
/// file synced again and again.
fn disk_write(folder: &Path, blocks: Blocks) -> Result<Option<f64>, Failure> {
    if !on_path("fio") {
        return Ok(None);
    }
    let mut fio = Command::new("fio");
    fio.args(["--rw=write", "--bs=1m", "--iodepth=4", "--ioengine=io_uring", "--fdatasync=4"])
        .args(["--direct=1", "--group_reporting", "--output-format=json"])
        .arg(format!("--size={WRITE_FILE_BYTES}"));
    let kind = match blocks {
        Blocks::Written { seconds } => {
            fio.arg("--time_based").arg(format!("--runtime={seconds}"));
            "write"
        }
        Blocks::New => {
            fio.args(["--fallocate=native", "--unlink=1"]);
            "new"
        }
    };
    for file in 0..4 {
        let name = folder.join(format!("limits.{kind}.{file}"));
        if matches!(blocks, Blocks::Written { .. }) {
            prewrite(&name, WRITE_FILE_BYTES)
                .map_err(|e| broken("writing a file to overwrite", &e))?;
        }
        fio.arg("--name=write").arg(format!("--filename={}", name.display()));
    }
    let text = repo::output(&mut fio)?;
    let json = text.find('{').and_then(|at| text.get(at..)).unwrap_or_default();
    number(json, &["jobs", "0", "write", "bw_bytes"]).map(Some)
}

/// Writes every block once.
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
}
