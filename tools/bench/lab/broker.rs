//! The broker under test: started for a measure, stopped after it.

pub(crate) mod metrics;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kolk_machine::ports;
use rustix::process::{Pid, Signal, kill_process};

use crate::error::{BenchError, Outcome};
use metrics::{Counters, get};

/// How long a broker may take to be ready, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How many shards there may be, and the doors of a broker with as many: theirs and three of the node's.
const SHARDS_MAX: u16 = 64;
const DOORS: u16 = SHARDS_MAX + 3;

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
        let kafka_shard = ports::free_row(DOORS)
            .map_err(|error| BenchError::file(Path::new("127.0.0.1"), error))?;
        let [native, http, kafka] = [0, 1, 2].map(|door| kafka_shard + SHARDS_MAX + door);
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
        // The next broker begins the log anew.
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = said.lines().last().unwrap_or("nothing").to_owned();
        BenchError::Broker { what, last, log: self.log.clone() }
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
