//! `cargo xtask bench`: limits of the machine and the broker's measures in turn, at least five rounds, and the table of their
//! ratios below `perf/run/`.

pub(crate) mod guard;
mod kafka;

pub(crate) mod brokers;
mod limits;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::options::Options;
use crate::repo::{self, Repo, in_ci, on_path};
use crate::step::Failure;
use crate::tools;

use table::{Round, Table};

/// Seconds of each of the external tools, in a quick and in a full run.
const LIMIT_SECONDS_QUICK: u32 = 4;
const LIMIT_SECONDS: u32 = 15;
const WORKLOAD: &str = "speed";

/// Builds, measures, writes `perf/run/<date>-<machine>-<workload>/`.
pub(crate) fn bench(repo: &Repo, options: &Options) -> Result<(), Failure> {
    if options.words.iter().any(|word| word == "kafka") {
        return kafka::bench(repo, options);
    }
    let workload = options.workload.as_deref().unwrap_or(WORKLOAD);
    let table = Table::of(workload);
    if table.needs_tools && in_ci() && !(on_path("fio") && on_path("iperf3")) {
        tools::apt_install(repo, vec!["fio", "iperf3"])?;
    }
    let binaries = ["build", "--release", "--package", "kolk", "--package", "kolk-bench"];
    repo::run(&mut repo.cargo(&binaries))?;
    let scratch = repo.target.join("bench");
    std::fs::create_dir_all(&scratch).map_err(|e| unwritable(&scratch, &e))?;
    let seconds = if options.quick { LIMIT_SECONDS_QUICK } else { LIMIT_SECONDS };
    let count = options.rounds.unwrap_or_default().max(table.rounds_min);
    let mut run = Run { table, workload, rounds: Vec::new(), raw: Vec::new(), notes: Vec::new() };
    for number in 1..=count {
        let mut limits = BTreeMap::new();
        if run.table.needs_tools {
            println!("round {number} of {count}: iperf3 and fio");
            limits = limits::measure(&scratch, seconds)?;
        }
        println!("round {number} of {count}: kolk and the other limits");
        run.add(limits, load(repo, options, workload, &scratch)?);
    }
    let folder = run.write(repo)?;
    println!("\n{}", run.text());
    println!("written to {}", folder.display());
    Ok(())
}

/// What was measured so far.
struct Run<'a> {
    table: Table,
    workload: &'a str,
    rounds: Vec<Round>,
    /// The load generator's answers, whole.
    raw: Vec<Value>,
    /// Its sentences for the reader, by the round.
    notes: Vec<Vec<String>>,
}

impl Run<'_> {
    /// Takes a round in: the limits that were measured here, and what the load generator measured.
    fn add(&mut self, mut limits: BTreeMap<String, f64>, answer: Value) {
        limits.extend(numbers(&answer, "limits"));
        self.raw.push(json!({ "limits": limits, "kolk": answer }));
        self.rounds.push(Round { limits, measures: numbers(&answer, "measures") });
        let notes = answer.get("notes").and_then(Value::as_array).into_iter().flatten();
        self.notes.push(notes.filter_map(Value::as_str).map(str::to_owned).collect());
    }

    /// The table and the sentences.
    fn text(&self) -> String {
        let mut text = self.table.markdown(&self.rounds);
        for (number, notes) in (1..).zip(&self.notes).filter(|(_, notes)| !notes.is_empty()) {
            text.push_str(&format!("\nRound {number}:\n\n"));
            for note in notes {
                text.push_str(&format!("- {note}\n"));
            }
        }
        text
    }

    fn write(&self, repo: &Repo) -> Result<PathBuf, Failure> {
        let machine = Machine::look(repo);
        let name = format!("{}-{}-{}", machine.date, machine.name, self.workload);
        let folder = repo.root.join("perf/run").join(name);
        std::fs::create_dir_all(&folder).map_err(|e| unwritable(&folder, &e))?;
        let result = json!({
            "machine": machine.to_json(),
            "workload": self.workload,
            "rows": self.table.to_json(&self.rounds),
            "rounds": self.raw,
        });
        let medians = match self.rounds.len() {
            1 => "One round.".to_owned(),
            count => {
                format!("Medians of {count} rounds; each ratio is taken within its round.")
            }
        };
        let readme = format!(
            "# {}, {}\n\n{}\n{medians}\n\n{}",
            self.workload,
            machine.date,
            machine.sentence(&format!("cargo xtask bench --workload {}", self.workload)),
            self.text(),
        );
        for (file, text) in [("result.json", format!("{result:#}\n")), ("README.md", readme)] {
            let path = folder.join(file);
            std::fs::write(&path, text).map_err(|e| unwritable(&path, &e))?;
        }
        Ok(folder)
    }
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

/// The numbers of one of the answer's objects.
fn numbers(answer: &Value, object: &str) -> BTreeMap<String, f64> {
    answer
        .get(object)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
        .collect()
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

    fn sentence(&self, command: &str) -> String {
        format!(
            "{} cores of {}, {} MiB memory, {}, commit {}, `{command}`.\n",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_joins_the_limits_of_both_programs_and_shows_the_notes() {
        let table = Table::of("speed");
        let mut run = Run {
            table,
            workload: "speed",
            rounds: Vec::new(),
            raw: Vec::new(),
            notes: Vec::new(),
        };
        let answer = json!({
            "measures": { "ack_p50_ns": 300.0, "produce_bytes_per_second": 80.0 },
            "limits": { "raw_commit_p50_ns": 200.0 },
            "notes": ["it was a quiet night"],
        });
        run.add(BTreeMap::from([("iperf3_bytes_per_second".to_owned(), 100.0)]), answer);
        let text = run.text();
        let row = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap();
        assert!(row("| durable produce, 1 KB").ends_with("| 0.800 | ≥ 0.7 × | yes |"), "{text}");
        assert!(row("| durable ack,").ends_with("| 1.500 | ≤ 2 × | yes |"), "{text}");
        assert!(row("| the same, p99").ends_with("| not measured |"), "{text}");
        assert!(text.ends_with("\nRound 1:\n\n- it was a quiet night\n"), "{text}");
        assert_eq!(run.raw[0]["limits"]["raw_commit_p50_ns"], 200.0);
    }
}
