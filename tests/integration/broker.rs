//! One real broker process: started on free ports and a folder of its own, waited for until it is
//! ready, ended by SIGTERM or `kill -9`, its log kept for the message of a failed test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The program under test.
const KOLK: &str = env!("CARGO_BIN_EXE_kolk");
/// Until a start counts as failed: recovery of a debug build on a busy machine.
const READY_WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// How often a start is tried again because another process took one of its ports.
const PORT_TRIES: usize = 5;
/// Lines of the broker's log shown at a failed test.
const LOG_LINES_SHOWN: usize = 60;

/// The program under test, without the settings that stand in this process's environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(KOLK);
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
    http_port: u16,
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
        let first = free_ports(shards_max + 2);
        Self { folder, native_port: first, http_port: first + 1, shard_port: first + 2, owner }
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
        let child = program()
            .arg("serve")
            .arg("--data")
            .arg(self.data())
            .args(["--shards", &shards.to_string()])
            .args(["--native-port", &self.native_port.to_string()])
            .args(["--native-shard-port", &self.shard_port.to_string()])
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

/// The first of so many neighbouring ports that were free a moment ago. They lie below the range
/// from which the kernel gives connections their own ports, so that none of these takes one.
fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const LAST: u32 = 32_000;
    loop {
        // Two test binaries at once start at different places.
        let step = NEXT.fetch_add(u32::from(count), Ordering::Relaxed);
        let first = FIRST + (std::process::id() * 97 + step) % (LAST - FIRST - u32::from(count));
        let first = u16::try_from(first).expect("below 32,000");
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (first..first + count).all(free) {
            return first;
        }
    }
}
