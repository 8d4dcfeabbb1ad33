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
    /// Bytes it may hold in memory; `None` = the broker's default.
    pub(crate) memory_bytes_max: Option<u64>,
}

/// A running broker; killed when dropped.
pub(crate) struct Broker {
    child: Child,
    log: PathBuf,
    native: String,
    http: String,
}

impl Broker {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(plan: &BrokerPlan<'_>) -> Outcome<Self> {
        let data = plan.scratch.join(plan.data);
        let log = plan.scratch.join(format!("{}.log", plan.data));
        let file = File::create(&log).map_err(|error| BenchError::file(&log, error))?;
        let ports =
            free_ports().map_err(|error| BenchError::file(Path::new("127.0.0.1"), error))?;
        let (native, http) = ports;
        let mut command = Command::new(plan.program);
        command.arg("serve").stdout(Stdio::null()).stderr(file).stdin(Stdio::null());
        // What the caller's shell holds is not part of the measure.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KOLK_")) {
            command.env_remove(name);
        }
        command.env("KOLK_DATA", &data);
        command.env("KOLK_NATIVE_PORT", native.to_string());
        command.env("KOLK_NATIVE_SHARD_PORT", "0");
        command.env("KOLK_KAFKA_PORT", "0");
        command.env("KOLK_KAFKA_SHARD_PORT", "0");
        command.env("KOLK_HTTP_PORT", http.to_string());
        if let Some(cores) = &plan.cores {
            command.env("KOLK_CORES", cores);
        }
        if let Some(bytes) = plan.memory_bytes_max {
            command.env("KOLK_MEMORY_BYTES_MAX", bytes.to_string());
        }
        let child = command.spawn().map_err(|error| BenchError::file(plan.program, error))?;
        let (native, http) = (format!("127.0.0.1:{native}"), format!("127.0.0.1:{http}"));
        let mut broker = Self { child, log, native, http };
        broker.wait_ready()?;
        Ok(broker)
    }

    fn wait_ready(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failed(format!("ended with {status}")));
            }
            if matches!(get(&self.http, "/ready"), Ok((200, _))) {
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
        &self.native
    }

    /// What it has counted so far.
    pub(crate) fn counters(&self) -> Outcome<Counters> {
        Counters::read(&self.http)
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

/// Two ports that nobody has at the moment.
fn free_ports() -> std::io::Result<(u16, u16)> {
    let (one, two) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((one.local_addr()?.port(), two.local_addr()?.port()))
}
