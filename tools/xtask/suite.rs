//! Running the tests and counting them: `cargo xtask test` ends with one plain line.

use std::io::Write as _;
use std::process::Command;

use crate::bench::guard;
use crate::options::Options;
use crate::repo::{self, Repo, in_ci};
use crate::step::{self, Failure, Outcome, Step, Totals};
use crate::{check, judges, tools};

pub(crate) mod crash;
pub(crate) mod faults;
pub(crate) mod fuzz;
pub(crate) mod memory;
pub(crate) mod sim;

/// Real logs that nobody here wrote, beside the checkout.
const REAL_INPUT: &str = "../shared/data/apache_logs";

/// Everything that must hold before a change lands.
pub(crate) fn test(repo: &Repo, options: &Options) -> Result<(), Failure> {
    let mut totals = Totals::default();
    let before = [
        Step::new("install", move || tools::install(repo)),
        Step::new("input", move || real_input(repo)),
    ];
    let mut failed = false;
    for outcome in [
        step::run(&before),
        check::check(repo, &Options::default()),
        step::run(&[Step::new("guard", move || guard::step(repo))]),
        step::run(&[Step::new("crash", move || crash::short(repo, options))]),
        step::run(&[Step::new("faults", move || faults::faults(repo, &Options::default()))]),
        step::run(&[Step::new("judges", move || judges::judges(repo, options))]),
    ] {
        match outcome {
            Ok(run) => totals.add(run),
            Err(failure) => {
                println!("{failure}");
                totals.add(failure.totals().unwrap_or(Totals { passed: 0, failed: 1 }));
                failed = true;
            }
        }
    }
    if failed {
        return Err(Failure::new("not all of it holds", "see above").with_totals(totals));
    }
    println!("{totals}");
    Ok(())
}

/// The tests of every crate, with documentation examples.
pub(crate) fn workspace(repo: &Repo) -> Result<Outcome, Failure> {
    let totals = counted(&mut repo.cargo(&["test", "--workspace", "--no-fail-fast"]))?;
    Ok(Outcome::Tested(totals))
}

/// Runs a `cargo test`, shows what is not a passed test, and adds up its result lines.
pub(crate) fn counted(command: &mut Command) -> Result<Totals, Failure> {
    let mut totals = Totals::default();
    let passed = repo::each_line(command, |line| {
        if let Some(result) = result_line(line) {
            totals.add(result);
        }
        if worth_showing(line) {
            println!("{line}");
        }
    })?;
    // Nothing that failed may hide in a buffer behind what cargo writes to standard error.
    std::io::stdout().flush().map_err(|e| Failure::new(format!("standard output: {e}"), ""))?;
    if passed && totals.failed == 0 {
        return Ok(totals);
    }
    totals.failed = totals.failed.max(1);
    let cure = "cargo test -p CRATE NAME runs one alone; a random test prints its seed";
    Err(Failure::new(format!("tests: {totals}"), cure).with_totals(totals))
}

fn real_input(repo: &Repo) -> Result<Outcome, Failure> {
    if repo.root.join(REAL_INPUT).is_file() {
        return Ok(Outcome::Passed(REAL_INPUT.to_owned()));
    }
    if in_ci() {
        let cure = "lay the data beside the checkout";
        return Err(Failure::new(format!("{REAL_INPUT} is absent"), cure));
    }
    Ok(Outcome::Skipped(format!("{REAL_INPUT} is absent: tests generate lines of the same shape")))
}

/// `test result: ok. 12 passed; 0 failed; …`
fn result_line(line: &str) -> Option<Totals> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |word: &str| {
        counts
            .split(';')
            .find_map(|part| part.trim().strip_suffix(word))
            .and_then(|number| number.trim().parse().ok())
    };
    Some(Totals { passed: count("passed")?, failed: count("failed")? })
}

fn worth_showing(line: &str) -> bool {
    let passed_test = line.starts_with("test ") && line.ends_with("... ok");
    !(passed_test || line.is_empty() || line.starts_with("running "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read_and_others_are_not() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 1 filtered out";
        assert_eq!(result_line(line), Some(Totals { passed: 12, failed: 3 }));
        assert_eq!(result_line("test result_lines ... ok"), None);
    }

    #[test]
    fn passed_tests_are_not_shown_and_failed_ones_are() {
        assert!(!worth_showing("test a::b ... ok"));
        assert!(worth_showing("test a::b ... FAILED"));
        assert!(worth_showing("seed 12345"));
    }
}
