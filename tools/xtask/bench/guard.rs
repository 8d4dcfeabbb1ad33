//! `cargo xtask bench --guard`: instructions and allocations of the hot paths, as callgrind counts them, beside what they were. Counts do
//! not depend on what else the machine does, as times do: this one can fail in CI.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::options::Options;
use crate::repo::{self, Repo, in_ci, on_path};
use crate::step::{Failure, Outcome};
use crate::tools;

/// What each path cost when that was last agreed to.
const BASELINE: &str = "perf/guard.json";
/// A path is played so often, and so often: the difference leaves out what comes before and after, and warming up.
const ROUNDS: [u64; 2] = [40, 140];
/// More instructions than so many in a hundred of the baseline fail.
const PERCENT_MAX: f64 = 105.0;
/// Fewer than so many are worth a new baseline.
const PERCENT_MIN: f64 = 95.0;
/// Allocations a round that may come on top: a container that grows now and then.
const ALLOCATIONS_MORE: f64 = 0.1;
/// The C library's doors to memory.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// Where the functions of the simulated disk are.
const DISK: [&str; 3] = ["sim::sim_io::SimFile", "sim::disk::", "sim::content::"];

/// What one round of a path costs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    instructions: f64,
    allocations: f64,
}

/// The same as a step of the tests, for whoever has valgrind.
pub(crate) fn step(repo: &Repo) -> Result<Outcome, Failure> {
    if on_path("valgrind") || in_ci() {
        return guard(repo, &Options::default());
    }
    Ok(Outcome::Skipped("valgrind is absent: no instructions are counted".to_owned()))
}

/// Counts every path and compares; with `--update` takes the counts as the baseline.
pub(crate) fn guard(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    if !on_path("valgrind") {
        if !in_ci() {
            return Err(Failure::new("there is no valgrind", "apt-get install valgrind"));
        }
        tools::apt_install(repo, vec!["valgrind"])?;
    }
    let program = built(repo)?;
    let paths = repo::output(repo.command(&program).arg("list"))?;
    let mut costs = BTreeMap::new();
    for name in paths.lines().filter(|name| options.wants(name)) {
        costs.insert(name.to_owned(), cost(repo, &program, name)?);
    }
    let path = repo.root.join(BASELINE);
    if options.update {
        std::fs::write(&path, format!("{:#}\n", to_json(&costs)))
            .map_err(|e| Failure::new(format!("{}: {e}", path.display()), "make it writable"))?;
        return Ok(Outcome::Passed(format!("{BASELINE} has the counts of {} paths", costs.len())));
    }
    let baseline: Value = serde_json::from_str(&repo::read(&path)?).map_err(|e| {
        Failure::new(format!("{BASELINE}: {e}"), "cargo xtask bench --guard --update")
    })?;
    let mut failed = Vec::new();
    for (name, found) in &costs {
        let verdict = judge(*found, baseline.get(name).and_then(from_json));
        println!(
            "{name:<16} {:>12.0} instructions {:>7.1} allocations  {verdict}",
            found.instructions, found.allocations
        );
        if verdict.starts_with("FAILED") {
            failed.push(name.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(Outcome::Passed(format!("{} paths cost what they did", costs.len())));
    }
    let cure =
        "make them cheaper, or say in the commit why they cost more and run it with --update";
    Err(Failure::new(format!("dearer than {BASELINE}: {}", failed.join(", ")), cure))
}

/// The program, in a profile that links quickly.
fn built(repo: &Repo) -> Result<PathBuf, Failure> {
    let words = ["build", "--quiet", "--package", "kolk-guard", "--profile", "guard"];
    repo::run(&mut repo.cargo(&words))?;
    Ok(repo.target.join("guard/kolk-guard"))
}

fn cost(repo: &Repo, program: &Path, name: &str) -> Result<Cost, Failure> {
    let [few, many] =
        [counted(repo, program, name, ROUNDS[0])?, counted(repo, program, name, ROUNDS[1])?];
    let rounds = rounds_between();
    Ok(Cost {
        instructions: (many.instructions - few.instructions) / rounds,
        allocations: (many.allocations - few.allocations) / rounds,
    })
}

fn rounds_between() -> f64 {
    u32::try_from(ROUNDS[1] - ROUNDS[0]).map_or(f64::NAN, f64::from)
}

fn counted(repo: &Repo, program: &Path, name: &str, rounds: u64) -> Result<Cost, Failure> {
    let out = repo.target.join("guard.callgrind");
    let mut valgrind = repo.command("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind"]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(program).args([name, &rounds.to_string()]);
    repo::output(&mut valgrind)?;
    parse(&repo::read(&out)?).ok_or_else(|| {
        Failure::new(format!("{name}: callgrind gave no total"), "look at it by hand")
    })
}

/// The total without what the simulated disk does, and how often the doors to memory were called. A function's name stands beside its
/// number only the first time; the line after a call has what it cost with all that it called.
fn parse(text: &str) -> Option<Cost> {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut total, mut disk, mut allocations) = (None, 0.0, 0.0);
    let (mut caller, mut called) = ("", "");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("cfn=") {
            called = named(&mut names, rest);
        } else if let Some(rest) = line.strip_prefix("fn=") {
            caller = named(&mut names, rest);
        } else if let Some(rest) = line.strip_prefix("calls=") {
            let cost = lines.next()?.split(' ').nth(1)?.parse::<f64>().ok()?;
            if is_disk(called) && !is_disk(caller) {
                disk += cost;
            }
            if ALLOCATORS.contains(&called) {
                allocations += rest.split(' ').next()?.parse::<f64>().ok()?;
            }
        } else if let Some(rest) =
            line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:"))
        {
            total = rest.trim().parse::<f64>().ok();
        }
    }
    Some(Cost { instructions: total? - disk, allocations })
}

fn named<'a>(names: &mut BTreeMap<&'a str, &'a str>, rest: &'a str) -> &'a str {
    let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
    if !name.is_empty() {
        names.insert(number, name);
    }
    names.get(number).copied().unwrap_or_default()
}

/// The simulated disk calls nothing of ours, so that all that it costs can be taken off.
fn is_disk(name: &str) -> bool {
    DISK.iter().any(|part| name.contains(part))
}

fn judge(found: Cost, baseline: Option<Cost>) -> String {
    let Some(before) = baseline else { return format!("FAILED: not in {BASELINE}") };
    let percent = 100.0 * found.instructions / before.instructions;
    if percent > PERCENT_MAX {
        return format!("FAILED: {percent:.1} % of the instructions");
    }
    if found.allocations > before.allocations + ALLOCATIONS_MORE {
        return format!("FAILED: {:.1} allocations before", before.allocations);
    }
    if percent < PERCENT_MIN {
        return format!("{percent:.1} %: worth --update");
    }
    format!("{percent:.1} %")
}

fn to_json(costs: &BTreeMap<String, Cost>) -> Value {
    let one = |cost: &Cost| {
        let tenths = (cost.allocations * 10.0).round() / 10.0;
        json!({ "instructions": cost.instructions.round(), "allocations": tenths })
    };
    costs
        .iter()
        .map(|(name, cost)| (name.clone(), one(cost)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn from_json(value: &Value) -> Option<Cost> {
    let number = |name: &str| value.get(name).and_then(Value::as_f64);
    Some(Cost { instructions: number("instructions")?, allocations: number("allocations")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_allocator_are_added_up_whether_it_is_named_or_numbered() {
        let text = "fn=(1) main\n16 5\ncfn=(2) malloc\ncalls=3 0\n16 90\nfn=(3) grow\ncfn=(2)\ncalls=4 0\n1 2\ncfn=(4) free\ncalls=7 0\n1 2\n\
                    cfn=(5) realloc\ncalls=1 0\n1 1\ntotals: 12345\n";
        assert_eq!(parse(text), Some(Cost { instructions: 12_345.0, allocations: 8.0 }));
        assert_eq!(parse("fn=(1) main\n"), None, "no total");
    }

    #[test]
    fn the_simulated_disk_is_taken_off_once() {
        let text = "fn=(1) append\ncfn=(2) <kolk_io::sim::sim_io::SimFile as File>::write_at\ncalls=1 0\n16 300\nfn=(2)\ncfn=(3) \
                    kolk_io::sim::content::Content::write\ncalls=9 0\n16 250\nsummary: 1000\n";
        assert_eq!(parse(text), Some(Cost { instructions: 700.0, allocations: 0.0 }));
    }

    #[test]
    fn a_path_that_costs_more_fails_and_one_that_costs_less_does_not() {
        let before = Some(Cost { instructions: 1_000.0, allocations: 2.0 });
        let verdict = |instructions, allocations| judge(Cost { instructions, allocations }, before);
        assert!(verdict(1_051.0, 2.0).starts_with("FAILED"));
        assert!(verdict(1_000.0, 2.2).starts_with("FAILED"));
        assert!(judge(Cost { instructions: 1.0, allocations: 0.0 }, None).starts_with("FAILED"));
        assert_eq!(verdict(1_049.0, 2.0), "104.9 %");
        assert!(verdict(900.0, 2.0).contains("--update"));
    }
}
