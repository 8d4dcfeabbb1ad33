//! The broker that judges play against: fresh, on free ports, with the settings that their suites expect.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::repo::{self, Repo};
use crate::step::Failure;

const READY_WAIT: Duration = Duration::from_secs(60);
const STOP_WAIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
const SHARDS: u16 = 4;
const CONFIG: &str = "tests/peers/kolk.toml";
/// Below the range from which the kernel gives connections their own ports.
const PORT_FIRST: u16 = 28_000;
const PORT_LAST: u16 = 32_000;

pub(super) struct Broker {
    child: Child,
    data: PathBuf,
    log: PathBuf,
    ports: Ports,
}

/// Consecutive ports: native, HTTP, Kafka's node door, then native shard doors, then Kafka's.
#[derive(Clone, Copy)]
struct Ports {
    first: u16,
}

impl Ports {
    fn find() -> Result<Self, Failure> {
        let count = 3 + 2 * SHARDS;
        (PORT_FIRST..PORT_LAST - count)
            .step_by(usize::from(count))
            .find(|first| (*first..first + count).all(is_free))
            .map(|first| Self { first })
            .ok_or_else(|| Failure::new(format!("no {count} free ports below {PORT_LAST}"), ""))
    }

    fn native(self) -> u16 {
        self.first
    }

    fn http(self) -> u16 {
        self.first + 1
    }

    fn kafka(self) -> u16 {
        self.first + 2
    }

    fn shard(self) -> u16 {
        self.first + 3
    }

    fn kafka_shard(self) -> u16 {
        self.first + 3 + SHARDS
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).is_ok()
}

impl Broker {
    /// Starts one and waits until it is ready.
    pub(super) fn start(repo: &Repo, program: &Path, work: &Path) -> Result<Self, Failure> {
        let (data, log) = (work.join("data"), work.join("broker.log"));
        let unwritable = |e: std::io::Error| Failure::new(format!("{}: {e}", log.display()), "");
        if data.exists() {
            std::fs::remove_dir_all(&data).map_err(unwritable)?;
        }
        let output = std::fs::File::create(&log).map_err(unwritable)?;
        let ports = Ports::find()?;
        let mut command = repo.command(program);
        command.arg("serve").arg("--config").arg(repo.root.join(CONFIG)).arg("--data").arg(&data);
        for (option, port) in [
            ("--native-port", ports.native()),
            ("--native-shard-port", ports.shard()),
            ("--http-port", ports.http()),
            ("--kafka-port", ports.kafka()),
            ("--kafka-shard-port", ports.kafka_shard()),
            ("--shards", SHARDS),
        ] {
            command.arg(option).arg(port.to_string());
        }
        let error = output.try_clone().map_err(unwritable)?;
        command.stdin(Stdio::null()).stdout(output).stderr(error);
        let child = command
            .spawn()
            .map_err(|e| Failure::new(format!("{}: {e}", program.display()), "cargo build"))?;
        let mut broker = Self { child, data, log, ports };
        broker.wait_until_ready()?;
        Ok(broker)
    }

    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.ports.kafka()));
        let begin = Instant::now();
        while TcpStream::connect_timeout(&address, POLL).is_err() {
            if begin.elapsed() > READY_WAIT || self.child.try_wait().is_ok_and(|end| end.is_some())
            {
                return Err(self.complaint("did not come up"));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Tells a judge where it is.
    pub(super) fn tell(&self, command: &mut Command) {
        command
            .env("BROKER", format!("127.0.0.1:{}", self.ports.kafka()))
            .env("BROKER_SHARD", format!("127.0.0.1:{}", self.ports.kafka_shard()))
            .env("BROKER_NATIVE", format!("127.0.0.1:{}", self.ports.native()))
            .env("BROKER_HTTP", format!("127.0.0.1:{}", self.ports.http()))
            .env("BROKER_DATA", &self.data)
            .env("BROKER_PID", self.child.id().to_string());
    }

    /// Ends it in peace; one that has died meanwhile, or does not end, is a failure.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        if self.child.try_wait().is_ok_and(|end| end.is_some()) {
            return Err(self.complaint("died under the judge"));
        }
        let pid = self.child.id().to_string();
        repo::run(Command::new("kill").args(["-TERM", &pid]))?;
        let begin = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.complaint(&format!("stopped with {status}"))),
                _ if begin.elapsed() > STOP_WAIT => return Err(self.complaint("does not stop")),
                _ => std::thread::sleep(POLL),
            }
        }
    }

    fn complaint(&self, what: &str) -> Failure {
        Failure::new(format!("the broker {what}"), format!("read {}", self.log.display()))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It has ended already if all went well.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.data));
    }
}
