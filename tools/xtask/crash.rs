//! `cargo xtask crash`: the integration binary's kill-nine test, as many rounds as asked.

use crate::options::Options;
use crate::repo::Repo;
use crate::step::{Failure, Outcome};
use crate::suite;

/// Rounds in `cargo xtask test`; a by-hand run takes hundreds.
const SHORT_ROUNDS: u32 = 10;
/// The test that holds the loop, and the variables it reads.
const TEST: &str = "crash::every_acknowledged_record_survives_kill_nine";
const ROUNDS_VARIABLE: &str = "KOLK_CRASH_ROUNDS";
const SEED_VARIABLE: &str = "KOLK_CRASH_SEED";

/// The loop with the rounds and the seed that were asked for.
pub(crate) fn crash(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    // The whole workspace, so that features are those of the other tests and nothing is built twice.
    let mut cargo = repo.cargo(&["test", "--workspace", "--test", "integration"]);
    if options.release {
        cargo.arg("--release");
    }
    cargo.args(["--", "--exact", "--nocapture", TEST]);
    cargo.env(ROUNDS_VARIABLE, options.rounds.unwrap_or(SHORT_ROUNDS).to_string());
    if let Some(seed) = options.seed {
        cargo.env(SEED_VARIABLE, seed.to_string());
    }
    let totals = suite::counted(&mut cargo)?;
    if totals.passed == 0 {
        let what = format!("the test {TEST} was not run");
        return Err(Failure::new(what, "name it in tools/xtask/crash.rs as it is called"));
    }
    Ok(Outcome::Tested(totals))
}

/// The short loop of `cargo xtask test`.
pub(crate) fn short(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    let options = Options { rounds: options.rounds, seed: options.seed, ..Options::default() };
    crash(repo, &options)
}
