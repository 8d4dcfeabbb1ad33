//! `cargo xtask bench --guard`: instructions and allocations of the hot paths, as callgrind counts them, beside what they were. Counts do
//! not depend on what else the machine does, as times do: this one can fail in CI. What the simulated machine does for itself is left
//! out of both.

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
/// So many callers are told apart of each: more than the standard library's containers put between it and one of our functions.
const CALLERS: usize = 14;

/// Where the functions of the simulated machine are.
const MACHINE: &str = "kolk_io::sim::";
/// The one of them that allocates for us: a task has its memory on a real machine too.
const SPAWN: &str = "sim::world::World::spawn";
/// Where the functions of the simulated disk are.
const DISK: [&str; 3] = ["sim::sim_io::SimFile", "sim::disk::", "sim::content::"];

/// What one round of a path costs: instructions without the disk's, allocations without the machine's.
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
    if options.update && options.words.is_empty() {
        return write(&path, &to_json(&costs), costs.len());
    }
    let baseline: Value = serde_json::from_str(&repo::read(&path)?).map_err(|e| {
        Failure::new(format!("{BASELINE}: {e}"), "cargo xtask bench --guard --update")
    })?;
    if options.update {
        return write(&path, &replaced(baseline, to_json(&costs)), costs.len());
    }
    let mut failed = Vec::new();
    for (name, found) in &costs {
        let verdict = judge(*found, baseline.get(name).and_then(from_json));
        println!(
            "{name:<16} {:>12.0} instructions {:>7.1} allocations of ours  {verdict}",
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

fn write(path: &Path, baseline: &Value, count: usize) -> Result<Outcome, Failure> {
    std::fs::write(path, format!("{baseline:#}\n"))
        .map_err(|e| Failure::new(format!("{}: {e}", path.display()), "make it writable"))?;
    Ok(Outcome::Passed(format!("{BASELINE} has the counts of {count} paths")))
}

/// The baseline with some paths' counts in the place of what it said of them.
fn replaced(mut baseline: Value, counts: Value) -> Value {
    if let (Value::Object(all), Value::Object(some)) = (&mut baseline, counts) {
        all.extend(some);
    }
    baseline
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
    valgrind.args(ALLOCATORS.map(|door| format!("--separate-callers{CALLERS}={door}")));
    valgrind.arg(program).args([name, &rounds.to_string()]);
    repo::output(&mut valgrind)?;
    parse(&repo::read(&out)?).ok_or_else(|| {
        Failure::new(format!("{name}: callgrind gave no total"), "look at it by hand")
    })
}

/// The total without what the simulated disk does, and how often the doors to memory were called for us. A function's name stands beside
/// its number only the first time, and behind a door's name its callers; the line after a call has what it cost with all that it called.
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
            if is_allocation_of_ours(called) {
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
    let function = name.split('\'').next().unwrap_or_default();
    DISK.iter().any(|part| function.contains(part))
}

/// A call of a door to memory, unless the nearest function of our crates that it was made in is the machine's.
fn is_allocation_of_ours(name: &str) -> bool {
    let mut functions = name.split('\'');
    functions.next().is_some_and(|door| ALLOCATORS.contains(&door))
        && functions
            .find(|function| function.contains("kolk_"))
            .is_none_or(|function| !function.contains(MACHINE) || function.contains(SPAWN))
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
    fn an_allocation_belongs_to_the_nearest_of_our_functions() {
        for (name, ours) in [
            (
                "malloc'__rust_alloc'kolk_log::log::Log::append'kolk_io::sim::world::World::step",
                true,
            ),
            ("realloc'grow'kolk_io::sim::world::World::schedule'kolk_log::log::Log::append", false),
            ("malloc'kolk_io::sim::world::World::spawn'kolk_log::log::Log::roll", true),
            ("calloc'__rust_alloc'main", true),
            ("free'kolk_log::log::Log::append", false),
        ] {
            assert_eq!(is_allocation_of_ours(name), ours, "{name}");
        }
    }

    #[test]
    fn memory_for_the_disk_is_no_second_call_of_the_disk() {
        let text = "fn=(1) __rust_alloc\ncfn=(2) malloc'__rust_alloc'kolk_io::sim::content::Content::write\ncalls=1 0\n16 80\nsummary: 100\n";
        assert_eq!(parse(text), Some(Cost { instructions: 100.0, allocations: 0.0 }));
    }

    #[test]
    fn an_update_of_some_paths_keeps_what_is_said_of_the_others() {
        let before = json!({ "fetch": { "allocations": 1.0 }, "produce": { "allocations": 2.0 } });
        let after = replaced(before, json!({ "produce": { "allocations": 0.0 } }));
        let wanted = json!({ "fetch": { "allocations": 1.0 }, "produce": { "allocations": 0.0 } });
        assert_eq!(after, wanted);
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
