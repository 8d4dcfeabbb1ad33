//! The brokers that are compared: started fresh for every cell, stopped by their process id, their data deleted.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::brokers::kafka::{CLUSTER, HEAP, Jars, PEER};
use crate::repo::{self, Repo};
use crate::step::Failure;

const READY_WAIT: Duration = Duration::from_secs(60);
const STOP_WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// Clock ticks a second in /proc: the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running broker; killed when dropped, its data deleted.
pub(super) struct Peer {
    child: Child,
    folder: PathBuf,
    /// Where Kafka clients begin.
    pub(super) kafka: String,
    /// The native door, of kolk alone.
    pub(super) native: String,
}

/// Which of kolk's two Kafka doors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Node,
    Shard,
}

impl Peer {
    /// Starts kolk with its defaults and these options besides.
    pub(super) fn kolk(
        program: &Path,
        scratch: &Path,
        door: Door,
        options: &[&str],
    ) -> Result<Self, Failure> {
        let folder = fresh(&scratch.join("kolk"))?;
        // Below the kernel's own range, with room for the shards' doors behind the first.
        let (native, http, kafka, shard) = (25_640, 25_641, 25_642, 25_650);
        let native_shard: u16 = shard + 100;
        let mut command = Command::new(program);
        command.arg("serve").arg("--data").arg(folder.join("data")).args(options);
        command.arg("--native-port").arg(native.to_string());
        command.arg("--native-shard-port").arg(native_shard.to_string());
        command.arg("--http-port").arg(http.to_string());
        command.arg("--set").arg(format!("kafka.port={kafka}"));
        command.arg("--set").arg(format!("kafka.shard_port={shard}"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KOLK_")) {
            command.env_remove(name);
        }
        let port = if door == Door::Node { kafka } else { shard };
        Self::start(command, folder, port, native)
    }

    /// Formats a directory and starts Kafka on it.
    pub(super) fn kafka(repo: &Repo, jars: &Jars, scratch: &Path) -> Result<Self, Failure> {
        let folder = fresh(&scratch.join("kafka"))?;
        let (broker, controller) = (free_port()?, free_port()?);
        let text = repo::read(&repo.root.join(PEER).join("server.properties"))?
            .replace("@BROKER@", &broker.to_string())
            .replace("@CONTROLLER@", &controller.to_string())
            .replace("@DATA@", &folder.join("data").display().to_string());
        let properties = folder.join("server.properties");
        std::fs::write(&properties, text).map_err(|e| super::unwritable(&properties, &e))?;
        let quick = ["-XX:TieredStopAtLevel=1", "-Xmx256m"];
        let mut format = jars.java(&quick, "kafka.tools.StorageTool");
        format.args(["format", "-t", CLUSTER, "-c"]).arg(&properties);
        repo::output(&mut format)?;
        let mut command = jars.java(&HEAP, "kafka.Kafka");
        command.arg(&properties);
        Self::start(command, folder, broker, 0)
    }

    fn start(
        mut command: Command,
        folder: PathBuf,
        port: u16,
        native: u16,
    ) -> Result<Self, Failure> {
        let log = folder.join("log");
        let output = std::fs::File::create(&log).map_err(|e| super::unwritable(&log, &e))?;
        let error = output.try_clone().map_err(|e| super::unwritable(&log, &e))?;
        command.stdin(Stdio::null()).stdout(output).stderr(error);
        let child = command.spawn().map_err(|e| {
            Failure::new(format!("{}: {e}", command.get_program().to_string_lossy()), "install it")
        })?;
        let (kafka, native) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{native}"));
        let mut peer = Self { child, folder, kafka, native };
        let begin = Instant::now();
        while TcpStream::connect(&peer.kafka).is_err() {
            let ended = peer.child.try_wait().is_ok_and(|end| end.is_some());
            if ended || begin.elapsed() > READY_WAIT {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                let last = log.lines().rev().take(5).collect::<Vec<_>>().join("\n");
                return Err(Failure::new("a broker did not come up", last));
            }
            std::thread::sleep(POLL);
        }
        Ok(peer)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time it has used so far, in seconds.
    pub(super) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        cpu_seconds(&stat.unwrap_or_default()).unwrap_or_default()
    }

    /// Ends it in peace and waits for that.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        repo::run(Command::new("kill").args(["-TERM", &self.pid().to_string()]))?;
        let begin = Instant::now();
        while begin.elapsed() < STOP_WAIT {
            if self.child.try_wait().is_ok_and(|end| end.is_some()) {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        Err(Failure::new("a broker does not stop", ""))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has ended already if all went well.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(self.folder.join("data")));
    }
}

fn fresh(folder: &Path) -> Result<PathBuf, Failure> {
    drop(std::fs::remove_dir_all(folder));
    std::fs::create_dir_all(folder).map_err(|e| super::unwritable(folder, &e))?;
    Ok(folder.to_owned())
}

fn free_port() -> Result<u16, Failure> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    port.map(|address| address.port()).map_err(|e| Failure::new(format!("loopback: {e}"), ""))
}

/// User and system time, fields 14 and 15; the name in field 2 may hold spaces and parentheses.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    ticks.sum::<Result<f64, _>>().ok().map(|ticks| ticks / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_whatever_the_process_is_called() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 700 50 0 0 20 0 1 0 100";
        assert_eq!(cpu_seconds(stat), Some(7.5));
        assert_eq!(cpu_seconds("42 a b"), None);
    }
}
