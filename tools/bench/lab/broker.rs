//! The broker under test: started for a measure, stopped after it.

pub(crate) mod metrics;

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{BenchError, Outcome};
use metrics::{Counters, get};

/// How long a broker may take to be ready, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Where doors of shards may be, and how many there may be.
const RANGE: std::ops::Range<u16> = 20_000..28_000;
const SHARDS_MAX: u16 = 64;

/// How to start a broker.
#[derive(Clone, Debug)]
pub(crate) struct BrokerPlan<'a> {
    /// The program.
    pub(crate) program: &'a Path,
    /// Where its data and log go.
    pub(crate) scratch: &'a Path,
    /// Name of the data directory below it.
    pub(crate) data: &'a str,
    /// The cores, as taskset takes them; `None` = the broker's default.
    pub(crate) cores: Option<String>,
    /// Settings besides, `KEY=VALUE` each.
    pub(crate) settings: &'a [String],
    /// Bytes it may hold in memory; `None` = the broker's default.
    pub(crate) memory_bytes_max: Option<u64>,
}

/// A running broker; killed when dropped.
pub(crate) struct Broker {
    child: Child,
    log: PathBuf,
    doors: Doors,
    data: PathBuf,
    configuration: String,
}

/// Where it listens.
#[derive(Clone, Debug)]
struct Doors {
    native: String,
    http: String,
    kafka: String,
    kafka_shard: String,
}

impl Broker {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(plan: &BrokerPlan<'_>) -> Outcome<Self> {
        let data = plan.scratch.join(plan.data);
        let log = plan.scratch.join(format!("{}.log", plan.data));
        let file = File::create(&log).map_err(|error| BenchError::file(&log, error))?;
        let failed = |error| BenchError::file(Path::new("127.0.0.1"), error);
        let [native, http, kafka] = free_ports().map_err(failed)?;
        let kafka_shard = free_range().map_err(failed)?;
        let settings = |word: &str| {
            let mut command = Command::new(plan.program);
            command.arg(word).stdin(Stdio::null());
            command.args(plan.settings.iter().flat_map(|setting| ["--set", setting.as_str()]));
            // What the caller's shell holds is not part of the measure.
            for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KOLK_")) {
                command.env_remove(name);
            }
            command.env("KOLK_DATA", &data);
            command.env("KOLK_NATIVE_PORT", native.to_string());
            command.env("KOLK_NATIVE_SHARD_PORT", "0");
            command.env("KOLK_KAFKA_PORT", kafka.to_string());
            command.env("KOLK_KAFKA_SHARD_PORT", kafka_shard.to_string());
            command.env("KOLK_HTTP_PORT", http.to_string());
            if let Some(cores) = &plan.cores {
                command.env("KOLK_CORES", cores);
            }
            if let Some(bytes) = plan.memory_bytes_max {
                command.env("KOLK_MEMORY_BYTES_MAX", bytes.to_string());
            }
            command
        };
        let started = |error| BenchError::file(plan.program, error);
        let configuration = settings("config").output().map_err(started)?.stdout;
        let configuration = String::from_utf8_lossy(&configuration).into_owned();
        let mut command = settings("serve");
        let child = command.stdout(Stdio::null()).stderr(file).spawn().map_err(started)?;
        let at = |port: u16| format!("127.0.0.1:{port}");
        let (native, http, kafka, kafka_shard) = (at(native), at(http), at(kafka), at(kafka_shard));
        let doors = Doors { native, http, kafka, kafka_shard };
        let mut broker = Self { child, log, doors, data, configuration };
        broker.wait_ready()?;
        Ok(broker)
    }

    fn wait_ready(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failed(format!("ended with {status}")));
            }
            if matches!(get(&self.doors.http, "/ready"), Ok((200, _))) {
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Err(self.failed(format!("was not ready within {PATIENCE:?}")))
    }

    /// Stops it as an operator would and checks that it left cleanly.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)
                .map_err(|e| self.failed(format!("can't be told: {e}")))?;
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.failed(format!("stopped with {status}"))),
                Ok(None) => std::thread::sleep(LOOK_EVERY),
                Err(error) => return Err(self.failed(error.to_string())),
            }
        }
        Err(self.failed(format!("did not stop within {PATIENCE:?}")))
    }

    fn failed(&self, what: String) -> BenchError {
        BenchError::Broker { what, log: self.log.clone() }
    }

    /// Address of the common native door.
    pub(crate) fn native(&self) -> &str {
        &self.doors.native
    }

    /// Address of the Kafka door that is the whole node.
    pub(crate) fn kafka(&self) -> &str {
        &self.doors.kafka
    }

    /// Address of the first shard's own Kafka door.
    pub(crate) fn kafka_shard(&self) -> &str {
        &self.doors.kafka_shard
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Every setting it runs with, without the comments.
    pub(crate) fn configuration(&self) -> String {
        let lines =
            self.configuration.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// What it has counted so far.
    pub(crate) fn counters(&self) -> Outcome<Counters> {
        Counters::read(&self.doors.http)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // After a clean stop both say that there is nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Ports that nobody has at the moment.
fn free_ports() -> std::io::Result<[u16; 3]> {
    let bind = || TcpListener::bind("127.0.0.1:0");
    let (one, two, three) = (bind()?, bind()?, bind()?);
    Ok([one.local_addr()?.port(), two.local_addr()?.port(), three.local_addr()?.port()])
}

/// The first of as many free ports in a row as shards may need, below the range from which the kernel gives its own.
fn free_range() -> std::io::Result<u16> {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let ranges = (RANGE.start..RANGE.end - SHARDS_MAX).step_by(usize::from(SHARDS_MAX));
    // Each load generator begins elsewhere: between the look and the broker's own bind another one may look too.
    let skip = std::process::id() as usize % ranges.len();
    let mut turned = ranges.clone().skip(skip).chain(ranges.take(skip));
    let free = turned.find(|first| (*first..first + SHARDS_MAX).all(is_free));
    free.ok_or_else(|| std::io::Error::other("no ports in a row are free"))
}
