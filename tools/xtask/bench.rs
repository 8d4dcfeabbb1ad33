//! `cargo xtask bench`: limits of the machine and the broker's measures in turn, at least three
//! rounds, and the table of their ratios below `perf/run/`.

pub(crate) mod guard;
mod kafka;

pub(crate) mod brokers;
mod limits;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::options::Options;
use crate::repo::{self, Repo, in_ci, on_path};
use crate::step::Failure;
use crate::tools;

use limits::Limits;
use table::Round;

/// Fewer rounds have no median worth the name.
const ROUNDS_MIN: u32 = 3;
/// Seconds of each of the external tools, in a quick and in a full run.
const LIMIT_SECONDS_QUICK: u32 = 4;
const LIMIT_SECONDS: u32 = 15;
const WORKLOAD: &str = "speed";

/// Builds, measures, writes `perf/run/<date>-<machine>-<workload>/`.
pub(crate) fn bench(repo: &Repo, options: &Options) -> Result<(), Failure> {
    if options.words.iter().any(|word| word == "kafka") {
        return kafka::bench(repo, options);
    }
    if in_ci() && !(on_path("fio") && on_path("iperf3")) {
        tools::apt_install(repo, vec!["fio", "iperf3"])?;
    }
    let workload = options.workload.as_deref().unwrap_or(WORKLOAD);
    let binaries = ["build", "--release", "--package", "kolk", "--package", "kolk-bench"];
    repo::run(&mut repo.cargo(&binaries))?;
    let scratch = repo.target.join("bench");
    std::fs::create_dir_all(&scratch).map_err(|e| unwritable(&scratch, &e))?;
    let seconds = if options.quick { LIMIT_SECONDS_QUICK } else { LIMIT_SECONDS };
    let count = options.rounds.unwrap_or(ROUNDS_MIN).max(ROUNDS_MIN);
    let mut rounds = Vec::new();
    let mut raw = Vec::new();
    for number in 1..=count {
        println!("round {number} of {count}: limits");
        let limits = Limits::measure(&scratch, seconds)?;
        println!("round {number} of {count}: kolk");
        let answer = load(repo, options, workload, &scratch)?;
        raw.push(json!({ "limits": limits.to_json(), "kolk": answer }));
        rounds.push(Round { limits, measures: measures(&answer) });
    }
    let folder = write(repo, workload, &rounds, &raw)?;
    println!("\n{}", table::markdown(&rounds));
    println!("written to {}", folder.display());
    Ok(())
}

/// One run of the load generator, which starts and stops the broker by itself.
fn load(repo: &Repo, options: &Options, workload: &str, scratch: &Path) -> Result<Value, Failure> {
    let release = repo.target.join("release");
    let mut command = repo.command(release.join("kolk-bench"));
    command.arg("run").arg(format!("perf/workload/{workload}.toml")).arg("--json");
    command.arg("--kolk").arg(release.join("kolk")).arg("--scratch").arg(scratch);
    if options.quick {
        command.arg("--quick");
    }
    let text = repo::output(&mut command)?;
    serde_json::from_str(&text).map_err(|e| {
        Failure::new(format!("kolk-bench --json: {e}"), "run it by hand and read what it says")
    })
}

/// The numbers of the answer's object `measures`.
fn measures(answer: &Value) -> std::collections::BTreeMap<String, f64> {
    answer
        .get("measures")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
        .collect()
}

fn write(repo: &Repo, workload: &str, rounds: &[Round], raw: &[Value]) -> Result<PathBuf, Failure> {
    let machine = Machine::look(repo);
    let name = format!("{}-{}-{workload}", machine.date, machine.name);
    let folder = repo.root.join("perf/run").join(name);
    std::fs::create_dir_all(&folder).map_err(|e| unwritable(&folder, &e))?;
    let result = json!({
        "machine": machine.to_json(),
        "workload": workload,
        "rows": table::to_json(rounds),
        "rounds": raw,
    });
    let readme = format!(
        "# {workload}, {}\n\n{}\nMedians of {} rounds; each ratio is taken within its round.\n\n{}",
        machine.date,
        machine.sentence(),
        rounds.len(),
        table::markdown(rounds),
    );
    for (file, text) in [("result.json", format!("{result:#}\n")), ("README.md", readme)] {
        let path = folder.join(file);
        std::fs::write(&path, text).map_err(|e| unwritable(&path, &e))?;
    }
    Ok(folder)
}

/// What a figure has to stand beside.
struct Machine {
    date: String,
    name: String,
    processor: String,
    cores: usize,
    memory_kib: u64,
    kernel: String,
    commit: String,
}

impl Machine {
    fn look(repo: &Repo) -> Self {
        let ask = |command: &mut Command| {
            repo::output(command).map_or_else(|_| "unknown".to_owned(), |s| s.trim().to_owned())
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let host = ask(&mut Command::new("hostname"));
        Self {
            date: ask(Command::new("date").arg("+%F")),
            name: format!("{host}-{cores}c"),
            processor: field("/proc/cpuinfo", "model name"),
            cores,
            memory_kib: field("/proc/meminfo", "MemTotal")
                .split_whitespace()
                .next()
                .and_then(|kib| kib.parse().ok())
                .unwrap_or_default(),
            kernel: ask(Command::new("uname").arg("-sr")),
            commit: ask(repo.command("git").args(["describe", "--always", "--dirty"])),
        }
    }

    fn sentence(&self) -> String {
        format!(
            "{} cores of {}, {} MiB memory, {}, commit {}, `cargo xtask bench`.\n",
            self.cores,
            self.processor,
            self.memory_kib / 1024,
            self.kernel,
            self.commit
        )
    }

    fn to_json(&self) -> Value {
        json!({
            "date": self.date,
            "name": self.name,
            "processor": self.processor,
            "cores": self.cores,
            "memory_kib": self.memory_kib,
            "kernel": self.kernel,
            "commit": self.commit,
        })
    }
}

/// The value behind the first line `name : value` of a file of the kernel.
fn field(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.split_once(':'))
        .map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()), "make it writable")
}
