//! One named, timed piece of work and what is said when it fails: always with a cure.

use std::fmt;
use std::time::{Duration, Instant};

/// Passed and failed tests, added up over every test binary that ran.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed, and steps other than tests that failed.
    pub(crate) failed: u64,
}

impl Totals {
    /// Adds another run's counts.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Why a step failed and what mends it.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    cure: String,
    totals: Option<Totals>,
}

impl Failure {
    /// A failure with its cure, both shown to the person at the terminal.
    pub(crate) fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what: what.into(), cure: cure.into(), totals: None }
    }

    /// The same with the count of tests that must close the output.
    pub(crate) fn with_totals(mut self, totals: Totals) -> Self {
        self.totals = Some(totals);
        self
    }

    /// The count of tests, where tests ran.
    pub(crate) fn totals(&self) -> Option<Totals> {
        self.totals
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.cure.is_empty() {
            write!(f, "\n  to mend it: {}", self.cure)?;
        }
        Ok(())
    }
}

/// How a step ended well.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It held; the text says what was looked at.
    Passed(String),
    /// It could not run here; the text says why.
    Skipped(String),
    /// Tests ran and all passed.
    Tested(Totals),
}

/// One line of `cargo xtask check`.
pub(crate) struct Step<'a> {
    /// What is typed to run it alone.
    pub(crate) name: &'static str,
    /// The work.
    pub(crate) work: Box<dyn Fn() -> Result<Outcome, Failure> + 'a>,
}

impl<'a> Step<'a> {
    /// A step called `name`.
    pub(crate) fn new(
        name: &'static str,
        work: impl Fn() -> Result<Outcome, Failure> + 'a,
    ) -> Self {
        Self { name, work: Box::new(work) }
    }
}

/// Runs every step, whatever the ones before it said, so that one run shows all that is wrong.
/// Returns the counts; a failed step that is no test run counts as one failed.
pub(crate) fn run(steps: &[Step<'_>]) -> Result<Totals, Failure> {
    let mut totals = Totals::default();
    let mut failed = Vec::new();
    for step in steps {
        println!("{:<10} …", step.name);
        let begin = Instant::now();
        let result = (step.work)();
        let seconds = seconds(begin.elapsed());
        match result {
            Ok(Outcome::Passed(what)) => println!("{:<10} ok       {seconds}  {what}", step.name),
            Ok(Outcome::Skipped(why)) => println!("{:<10} SKIPPED  {seconds}  {why}", step.name),
            Ok(Outcome::Tested(run)) => {
                totals.add(run);
                println!("{:<10} ok       {seconds}  {run}", step.name);
            }
            Err(failure) => {
                totals.add(failure.totals().unwrap_or(Totals { passed: 0, failed: 1 }));
                println!("{:<10} FAILED   {seconds}  {failure}", step.name);
                failed.push(step.name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(totals);
    }
    Err(Failure::new(format!("{} failed", failed.join(", ")), "see above").with_totals(totals))
}

fn seconds(time: Duration) -> String {
    format!("{:>6.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_runs_and_a_failed_one_counts_once() {
        let steps = [
            Step::new("one", || Err(Failure::new("broken", "mend"))),
            Step::new("two", || Ok(Outcome::Tested(Totals { passed: 5, failed: 0 }))),
        ];
        let failure = run(&steps).unwrap_err();
        assert_eq!(failure.totals(), Some(Totals { passed: 5, failed: 1 }));
        assert!(failure.to_string().starts_with("one failed"), "{failure}");
    }
}
