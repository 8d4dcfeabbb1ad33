//! `cargo xtask brokers`: other people's brokers on loopback, installed from registries, started at a named durability, and
//! stopped by the process ids that were written down.

pub(crate) mod kafka;
mod nats;
mod rabbitmq;
mod redis;

mod running;

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::repo::{self, Repo};
use crate::step::Failure;

use running::{Ident, Running};

const READY_WAIT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);
/// Where their settings are.
const PEERS: &str = "perf/peer";
const NAMES: [&str; 4] = ["kafka", "nats", "rabbitmq", "redis"];

/// What an acknowledged record survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    ProcessCrash,
    PowerLoss,
}

impl Durability {
    const fn name(self) -> &'static str {
        match self {
            Self::ProcessCrash => "process-crash",
            Self::PowerLoss => "power-loss",
        }
    }

    fn parse(text: Option<&str>) -> Result<Self, Failure> {
        match text {
            None | Some("process-crash") => Ok(Self::ProcessCrash),
            Some("power-loss") => Ok(Self::PowerLoss),
            Some(other) => Err(Failure::new(
                format!("--durability {other}"),
                "it is process-crash (what most brokers do by default) or power-loss",
            )),
        }
    }
}

/// A folder for a broker, and where it shall listen.
struct Site<'a> {
    repo: &'a Repo,
    /// Its settings and its log; the data is below.
    folder: PathBuf,
    durability: Durability,
    /// Clients come here.
    port: u16,
}

impl Site<'_> {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Fills a file of `perf/peer` in and puts it below the site; gives its place.
    fn settings(&self, file: &str, more: &[(&str, &str)]) -> Result<PathBuf, Failure> {
        let mut text = repo::read(&self.repo.root.join(PEERS).join(file))?;
        let data = self.data().display().to_string();
        let port = self.port.to_string();
        for (name, value) in [("@BROKER@", port.as_str()), ("@DATA@", &data)].iter().chain(more) {
            text = text.replace(name, value);
        }
        if let Some(mark) = unfilled(&text) {
            return Err(Failure::new(format!("{file}: nobody fills in @{mark}@"), ""));
        }
        let name = Path::new(file).file_name().map(PathBuf::from).unwrap_or_default();
        let path = self.folder.join(name);
        std::fs::write(&path, text).map_err(|e| unwritable(&path, &e))?;
        Ok(path)
    }
}

/// How a broker is started.
struct Launch {
    command: Command,
    version: String,
    /// Files and command lines by name, as they are shown in reports.
    configuration: Vec<(String, String)>,
    /// Processes that it needs and that were started for it.
    beside: Vec<Ident>,
}

/// `brokers up NAME`, `brokers down [NAME…]`, `brokers`.
pub(crate) fn brokers(repo: &Repo, options: &Options) -> Result<(), Failure> {
    let words: Vec<&str> = options.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => list(repo),
        ["up", name] => up(repo, name, Durability::parse(options.durability.as_deref())?),
        ["down"] => NAMES.iter().try_for_each(|name| down(repo, name)),
        ["down", names @ ..] => names.iter().try_for_each(|name| down(repo, name)),
        _ => Err(Failure::new("brokers up NAME, brokers down [NAME…]", NAMES.join(" "))),
    }
}

fn folder(repo: &Repo, name: &str) -> Result<PathBuf, Failure> {
    if NAMES.contains(&name) {
        return Ok(repo.target.join("brokers").join(name));
    }
    Err(Failure::new(format!("there is no broker '{name}'"), NAMES.join(" ")))
}

/// Installs it where that is needed, starts it on an empty folder, waits until it takes connections, and prints where it is.
fn up(repo: &Repo, name: &str, durability: Durability) -> Result<(), Failure> {
    let folder = folder(repo, name)?;
    if Running::read(&folder).is_some_and(|running| running.broker.is_alive()) {
        let cure = format!("cargo xtask brokers down {name}");
        return Err(Failure::new(format!("{name} is up already"), cure));
    }
    drop(std::fs::remove_dir_all(&folder));
    let site = Site { repo, folder, durability, port: free_port()? };
    std::fs::create_dir_all(site.data()).map_err(|e| unwritable(&site.folder, &e))?;
    let launch = match name {
        "kafka" => kafka::launch(&site),
        "nats" => nats::launch(&site),
        "rabbitmq" => rabbitmq::launch(&site),
        _ => redis::launch(&site),
    }?;
    let running = start(&site, launch)?;
    println!("{}", running.line());
    Ok(())
}

fn start(site: &Site<'_>, launch: Launch) -> Result<Running, Failure> {
    let Launch { mut command, version, configuration, beside } = launch;
    let log = site.folder.join("log");
    let child = spawn(&mut command, &log)?;
    let address = format!("127.0.0.1:{}", site.port);
    let broker = Ident::of(child.id())?;
    let data = site.data();
    let running = Running { address, broker, beside, data, version, configuration };
    running.write(&site.folder)?;
    match wait_ready(child, &running.address) {
        Ok(()) => Ok(running),
        Err(what) => {
            running.stop()?;
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let last: Vec<&str> = text.lines().rev().take(8).collect();
            let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
            Err(Failure::new(format!("{what}\n{last}"), format!("read {}", log.display())))
        }
    }
}

/// Starts a program that lives on when this one ends.
fn spawn(command: &mut Command, log: &Path) -> Result<Child, Failure> {
    let output = std::fs::File::create(log).map_err(|e| unwritable(log, &e))?;
    let error = output.try_clone().map_err(|e| unwritable(log, &e))?;
    command.stdin(Stdio::null()).stdout(output).stderr(error);
    // What ends the terminal's foreground group shall not end it.
    command.process_group(0);
    command.spawn().map_err(|e| {
        let program = command.get_program().to_string_lossy().into_owned();
        Failure::new(format!("{program}: {e}"), "install it")
    })
}

fn wait_ready(mut child: Child, address: &str) -> Result<(), &'static str> {
    let begin = Instant::now();
    while TcpStream::connect(address).is_err() {
        if child.try_wait().is_ok_and(|end| end.is_some()) {
            return Err("the broker ended at once");
        }
        if begin.elapsed() > READY_WAIT {
            return Err("the broker takes no connections");
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Stops what `up` has started, and deletes its data; nothing if it is not up.
fn down(repo: &Repo, name: &str) -> Result<(), Failure> {
    let folder = folder(repo, name)?;
    let Some(running) = Running::read(&folder) else { return Ok(()) };
    running.stop()?;
    std::fs::remove_dir_all(&folder).map_err(|e| unwritable(&folder, &e))
}

fn list(repo: &Repo) -> Result<(), Failure> {
    for name in NAMES {
        let running = Running::read(&folder(repo, name)?);
        match running.filter(|running| running.broker.is_alive()) {
            Some(running) => println!("{name}: {} at {}", running.version, running.address),
            None => println!("{name}: down"),
        }
    }
    Ok(())
}

fn free_port() -> Result<u16, Failure> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    port.map(|address| address.port()).map_err(|e| Failure::new(format!("loopback: {e}"), ""))
}

/// A command line as it is shown: programs without their folders.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let bare = |word: &std::ffi::OsStr| {
        let word = word.to_string_lossy().into_owned();
        if word.starts_with('/') {
            word.rsplit('/').next().unwrap_or_default().to_owned()
        } else {
            word
        }
    };
    words.map(bare).collect::<Vec<_>>().join(" ")
}

/// The first line that a program prints, of its output or of what it says beside.
fn first_line(command: &mut Command) -> String {
    let said = command.output().map(|said| [said.stdout, said.stderr].concat());
    let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
    said.lines().next().unwrap_or("unknown").trim().to_owned()
}

/// A mark `@NAME@` that is still there.
fn unfilled(text: &str) -> Option<&str> {
    let mut parts: Vec<&str> = text.split('@').collect();
    // What is before the first and behind the last stands between no two marks.
    parts.pop();
    let inner = parts.into_iter().skip(1);
    inner.into_iter().find(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase()))
}

fn text(path: &Path) -> Result<(String, String), Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok((name.unwrap_or_default(), repo::read(path)?))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()), "is there room, and may we write?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durability_has_two_names_and_a_default() {
        assert_eq!(Durability::parse(None).unwrap(), Durability::ProcessCrash);
        assert_eq!(Durability::parse(Some("power-loss")).unwrap().name(), "power-loss");
        assert!(Durability::parse(Some("fsync")).is_err());
    }

    #[test]
    fn marks_that_nobody_fills_in_are_found() {
        assert_eq!(unfilled("# @…@ is filled in\nvoters=1@127.0.0.1:@PORT@\n"), Some("PORT"));
        assert_eq!(unfilled("# @…@ is filled in\nvoters=1@127.0.0.1:1\nA@B"), None);
    }

    #[test]
    fn what_is_shown_of_a_command_line_has_no_folders_of_this_machine() {
        let mut command = Command::new("/opt/bin/redis-server");
        command.args(["/tmp/x/redis.conf", "--port", "1"]);
        assert_eq!(shown(&command), "redis-server redis.conf --port 1");
    }
}
