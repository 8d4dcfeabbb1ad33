//! One real broker process: started on free ports and a folder of its own, waited for until it is
//! ready, ended by SIGTERM or `kill -9`, its log kept for the message of a failed test.

// By its path, because `tests/faults` and others take this file in as well.
#[path = "broker/command.rs"]
pub(crate) mod command;

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The program under test.
pub(crate) const KOLK: &str = env!("CARGO_BIN_EXE_kolk");
/// Until a start counts as failed: recovery of a debug build on a busy machine.
const READY_WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// How often a start is tried again because another process took one of its ports.
const PORT_TRIES: usize = 5;
/// Below the range from which the kernel gives connections their own ports, so that none of these takes
/// one.
const PORT_FIRST: u16 = 12_000;
const PORT_LAST: u16 = 28_000;
/// Ports of one run of these tests.
const RANGE_PORTS: u16 = 400;
/// Lines of the broker's log shown at a failed test.
const LOG_LINES_SHOWN: usize = 60;

/// The program under test, without the settings that stand in this process's environment.
pub(crate) fn program() -> Command {
    command(OsStr::new(KOLK))
}

fn command(program: &OsStr) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KOLK_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Where a broker lives: its folder and its ports, the same over all its restarts.
pub(crate) struct Place {
    folder: PathBuf,
    native_port: u16,
    shard_port: u16,
    kafka_port: u16,
    kafka_shard_port: u16,
    http_port: u16,
    /// What starts the program, and the program.
    launch: Vec<OsString>,
    /// Whether the folder goes with this value.
    owner: bool,
}

impl Place {
    /// A fresh folder below the target folder (a real disk: O_DIRECT does not work on tmpfs) and
    /// free ports, with room for `shards_max` shard doors.
    pub(crate) fn new(name: &str, shards_max: u16) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the target folder is writable");
        Self::at(folder, shards_max, true)
    }

    /// Other ports for the same folder and data directory.
    pub(crate) fn beside(other: &Self, shards_max: u16) -> Self {
        Self::at(other.folder.clone(), shards_max, false)
    }

    fn at(folder: PathBuf, shards_max: u16, owner: bool) -> Self {
        let first = free_ports(2 * shards_max + 3);
        let (native_port, http_port, kafka_port) = (first, first + 1, first + 2);
        let (shard_port, kafka_shard_port) = (first + 3, first + 3 + shards_max);
        let launch = vec![KOLK.into()];
        Self {
            folder,
            native_port,
            shard_port,
            kafka_port,
            kafka_shard_port,
            http_port,
            launch,
            owner,
        }
    }

    /// A place in this folder, whose broker is this program behind a launcher such as `prlimit`, which
    /// has to become it.
    pub(crate) fn launched(folder: PathBuf, launcher: &[&str], program: &Path) -> Self {
        let mut place = Self::at(folder, 2, true);
        place.launch = launcher.iter().map(OsString::from).collect();
        place.launch.push(program.into());
        place
    }

    /// The broker's data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The test's own folder beside the data directory.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The native door, as `--brokers` takes it.
    pub(crate) fn address(&self) -> String {
        self.native().to_string()
    }

    /// The native door.
    pub(crate) fn native(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.native_port))
    }

    /// The Kafka node door.
    pub(crate) fn kafka(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.kafka_port))
    }

    /// The Kafka door of a shard.
    pub(crate) fn kafka_shard(&self, shard: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.kafka_shard_port + shard))
    }

    /// The port of the HTTP door.
    #[allow(dead_code, reason = "not asked by `tests/faults`, which takes this file in as well")]
    pub(crate) const fn http_port(&self) -> u16 {
        self.http_port
    }

    /// Status and body of a GET from the broker's HTTP door, `None` where nobody answers.
    pub(crate) fn http(&self, path: &str) -> Option<(u16, String)> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.http_port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: kolk\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// The sum over all labels of one series of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.http("/metrics")?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = match rest.strip_prefix('{') {
                Some(labels) => labels.rsplit_once('}')?.1,
                None => rest.strip_prefix(' ')?,
            };
            value.trim().parse::<f64>().ok()
        });
        values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }

    /// A start that must succeed.
    pub(crate) fn start(&self, shards: u16) -> Broker<'_> {
        self.start_with(shards, &[])
    }

    /// A start with further arguments of `kolk serve` that must succeed.
    pub(crate) fn start_with(&self, shards: u16, arguments: &[&str]) -> Broker<'_> {
        for _ in 0..PORT_TRIES {
            match self.try_start(shards, arguments) {
                Ok(broker) => return broker,
                Err(refused) if refused.log.contains("ddress already in use") => {}
                Err(refused) => panic!("kolk serve: {:?}\n{}", refused.status, refused.log),
            }
        }
        panic!("the ports from {} on stay in use", self.native_port);
    }

    /// A start that may be refused.
    pub(crate) fn try_start(&self, shards: u16, arguments: &[&str]) -> Result<Broker<'_>, Refused> {
        let mut broker = self.spawn(shards, arguments);
        let begin = Instant::now();
        while begin.elapsed() < READY_WAIT {
            if let Some(status) = broker.child.try_wait().expect("our own child") {
                return Err(Refused { status, log: broker.log() });
            }
            if self.http("/ready").is_some_and(|(status, _)| status == 200) {
                return Ok(broker);
            }
            std::thread::sleep(POLL);
        }
        panic!("not ready after {READY_WAIT:?}:\n{}", broker.log());
    }

    /// Starts the process and does not wait for it.
    pub(crate) fn spawn(&self, shards: u16, arguments: &[&str]) -> Broker<'_> {
        let log = self.folder.join("broker.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let file = file.expect("the test's folder is writable");
        let log_start = file.metadata().map_or(0, |file| file.len());
        let (program, rest) = self.launch.split_first().expect("a program");
        let child = command(program)
            .args(rest)
            .arg("serve")
            .arg("--data")
            .arg(self.data())
            .args(["--shards", &shards.to_string()])
            .args(["--native-port", &self.native_port.to_string()])
            .args(["--native-shard-port", &self.shard_port.to_string()])
            .args(["--kafka-port", &self.kafka_port.to_string()])
            .args(["--kafka-shard-port", &self.kafka_shard_port.to_string()])
            .args(["--http-port", &self.http_port.to_string()])
            .args(arguments)
            .stdout(file.try_clone().expect("a descriptor is left"))
            .stderr(file)
            .spawn()
            .expect("the program under test was built");
        Broker { place: self, child, log, log_start }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.folder.display());
        } else if self.owner {
            std::fs::remove_dir_all(&self.folder).expect("the test's own folder");
        }
    }
}

/// A start that ended by itself.
#[derive(Debug)]
pub(crate) struct Refused {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it said.
    pub(crate) log: String,
}

/// A running broker; killed when dropped.
pub(crate) struct Broker<'a> {
    place: &'a Place,
    child: Child,
    log: PathBuf,
    /// Where in the file this run's lines begin.
    log_start: u64,
}

impl Broker<'_> {
    /// What this run has logged so far.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let start = usize::try_from(self.log_start).expect("a log of a test fits memory");
        String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
    }

    /// Bytes of memory that belong to the process and to no file.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the broker runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("the kernel says RssAnon in KiB") * 1024
    }

    /// The process's id.
    #[allow(dead_code, reason = "asked by `tests/faults`, which takes this file in as well")]
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// How many descriptors the process has open.
    #[allow(dead_code, reason = "asked by `tests/faults`, which takes this file in as well")]
    pub(crate) fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        open.expect("the broker runs").count()
    }

    /// Processor time of the whole process.
    pub(crate) fn cpu(&self) -> Duration {
        /// `USER_HZ` is 100 on every architecture that the broker runs on.
        const TICK: Duration = Duration::from_millis(10);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("the broker runs");
        // The name in brackets may hold anything; user and system time are the 12th and 13th behind it.
        let (_, rest) = stat.rsplit_once(')').expect("a name in brackets");
        let ticks = rest.split_whitespace().skip(11).take(2);
        TICK * ticks.map(|text| text.parse::<u32>().expect("ticks")).sum()
    }

    /// Whether the process is still there.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// SIGKILL: as a power cut for the process, not for the kernel.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }

    /// SIGTERM, and how and how soon it ended.
    pub(crate) fn terminate(mut self, wait_max: Duration) -> (ExitStatus, Duration) {
        let begin = Instant::now();
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill is on the path");
        assert!(sent.success(), "kill -TERM {id}: {sent}");
        while begin.elapsed() < wait_max {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return (status, begin.elapsed());
            }
            std::thread::sleep(POLL);
        }
        panic!("still running {wait_max:?} after SIGTERM:\n{}", self.log());
    }

    /// A clean stop that must succeed, as between two parts of a test.
    pub(crate) fn stop(self) {
        let place = self.place;
        let (status, _) = self.terminate(Duration::from_secs(30));
        assert!(status.success(), "clean stop of {}: {status}", place.folder.display());
    }
}

impl Drop for Broker<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let shown = lines.len().saturating_sub(LOG_LINES_SHOWN);
            eprintln!("the broker's log:\n{}", lines[shown..].join("\n"));
        }
    }
}

/// The first of so many neighbouring ports that were free a moment ago, of a range that no other run
/// of these tests uses: whoever listens on a range's first port has all of it.
fn free_ports(count: u16) -> u16 {
    static OWNED: OnceLock<(u16, TcpListener)> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let (start, _) = OWNED.get_or_init(|| {
        let starts = (PORT_FIRST..PORT_LAST).step_by(usize::from(RANGE_PORTS));
        let listen = |start| Some((start, TcpListener::bind(("127.0.0.1", start)).ok()?));
        starts.filter_map(listen).next().expect("fewer than 40 test runs at once")
    });
    loop {
        let place = NEXT.fetch_add(u32::from(count), Ordering::Relaxed) % u32::from(RANGE_PORTS);
        let place = u16::try_from(place).expect("below the range's length");
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if place > 0
            && place + count <= RANGE_PORTS
            && (start + place..start + place + count).all(free)
        {
            return start + place;
        }
    }
}
