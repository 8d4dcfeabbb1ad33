//! A broker that is up, as it is written down: enough to stop exactly it and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::repo;
use crate::step::Failure;

const STOP_WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
const FILE: &str = "running.json";

/// A process: its id, and when it started, since ids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ident {
    pub(super) pid: u32,
    started: u64,
}

impl Ident {
    /// A process that was just started.
    pub(super) fn of(pid: u32) -> Result<Self, Failure> {
        let started = started(pid);
        let started =
            started.ok_or_else(|| Failure::new(format!("process {pid} ended at once"), ""))?;
        Ok(Self { pid, started })
    }

    /// Whether it is still this process, and more than a zombie.
    pub(super) fn is_alive(self) -> bool {
        started(self.pid) == Some(self.started)
    }

    /// Asks it to end and waits; after a minute it is killed.
    fn stop(self) -> Result<(), Failure> {
        for signal in ["-TERM", "-KILL"] {
            let begin = Instant::now();
            if self.is_alive() {
                // It may have ended between the two.
                drop(repo::run(Command::new("kill").args([signal, &self.pid.to_string()])));
            }
            while begin.elapsed() < STOP_WAIT {
                if !self.is_alive() {
                    return Ok(());
                }
                std::thread::sleep(POLL);
            }
        }
        Err(Failure::new(format!("process {} does not stop", self.pid), ""))
    }
}

/// When a process started, in ticks since the machine did; `None` if it is gone, or a zombie.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may hold spaces and parentheses; the state is behind it, the time in field 22.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    if fields.next() == Some("Z") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// What is known of a broker that is up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) address: String,
    pub(super) broker: Ident,
    /// Stopped after it.
    pub(super) beside: Vec<Ident>,
    pub(super) data: PathBuf,
    pub(super) version: String,
    pub(super) configuration: Vec<(String, String)>,
}

impl Running {
    /// What is printed for programs: `kolk-bench compare` reads it.
    pub(super) fn line(&self) -> String {
        let ident = |one: &Ident| json!([one.pid, one.started]);
        json!({
            "address": self.address,
            "pid": self.broker.pid,
            "started": self.broker.started,
            "beside": self.beside.iter().map(ident).collect::<Vec<_>>(),
            "data": self.data,
            "version": self.version,
            "configuration": self.configuration,
        })
        .to_string()
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(FILE);
        std::fs::write(&path, self.line()).map_err(|e| super::unwritable(&path, &e))
    }

    /// What was written, if anything was.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(folder.join(FILE)).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let string = |field: &str| Some(value.get(field)?.as_str()?.to_owned());
        let ident = |pid: &Value, started: &Value| {
            Some(Ident { pid: pid.as_u64()?.try_into().ok()?, started: started.as_u64()? })
        };
        let beside = value.get("beside")?.as_array()?.iter();
        let beside = beside.map(|one| ident(one.get(0)?, one.get(1)?)).collect::<Option<_>>()?;
        let configuration =
            value.get("configuration")?.as_array()?.iter().map(|one| {
                Some((one.get(0)?.as_str()?.to_owned(), one.get(1)?.as_str()?.to_owned()))
            });
        Some(Self {
            address: string("address")?,
            broker: ident(value.get("pid")?, value.get("started")?)?,
            beside,
            data: PathBuf::from(string("data")?),
            version: string("version")?,
            configuration: configuration.collect::<Option<_>>()?,
        })
    }

    /// Stops the broker, then what was started for it.
    pub(super) fn stop(&self) -> Result<(), Failure> {
        self.broker.stop()?;
        self.beside.iter().try_for_each(|one| one.stop())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_again() {
        let ident = |pid| Ident { pid, started: 7 };
        let running = Running {
            address: "127.0.0.1:1".to_owned(),
            broker: ident(1),
            beside: vec![ident(2)],
            data: PathBuf::from("data"),
            version: "x 1".to_owned(),
            configuration: vec![("file".to_owned(), "a=1\n".to_owned())],
        };
        assert_eq!(Running::parse(&running.line()), Some(running));
        assert_eq!(Running::parse("{}"), None);
    }

    #[test]
    fn only_the_process_that_was_started_is_stopped() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let own = Ident::of(child.id()).unwrap();
        let other = Ident { started: own.started + 1, ..own };
        other.stop().unwrap();
        assert!(own.is_alive(), "another process had this id before");
        own.stop().unwrap();
        assert!(!own.is_alive() && child.wait().unwrap().code().is_none());
    }
}
