//! `cargo xtask faults`, `powercut` and `soak`: programs of `tests/` that need a machine, or minutes, of their own. Each says what
//! the machine lacks and skips that.

use crate::options::Options;
use crate::repo::Repo;
use crate::step::{Failure, Outcome, Totals};
use crate::suite;

const CUTS: u32 = 20;
const SOAK_MINUTES: u64 = 30;

/// Real faults of disk, memory, network and clock; all, or those whose names hold one of the words.
pub(crate) fn faults(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    let words: Vec<&str> = options.words.iter().map(String::as_str).collect();
    program(repo, options.release, "faults", &words)
}

/// Power cuts of a guest whose disk forgets what was not flushed. Always the release build: the guest is slow.
pub(crate) fn powercut(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    let cuts = options.rounds.unwrap_or(CUTS).to_string();
    program(repo, true, "powercut", &[&cuts])
}

/// Many partitions under everything at once, and what the broker may take of the machine meanwhile.
pub(crate) fn soak(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    let minutes = options.minutes.unwrap_or(SOAK_MINUTES).to_string();
    program(repo, true, "soak", &[&minutes])
}

fn program(repo: &Repo, release: bool, name: &str, words: &[&str]) -> Result<Outcome, Failure> {
    // The whole workspace, so that features are those of the other tests and nothing is built twice.
    let mut cargo = repo.cargo(&["test", "--workspace", "--test", name]);
    if release {
        cargo.arg("--release");
    }
    cargo.arg("--").args(words);
    let totals = suite::counted(&mut cargo)?;
    if totals == Totals::default() {
        return Ok(Outcome::Skipped("nothing of it can be run here, see above".to_owned()));
    }
    Ok(Outcome::Tested(totals))
}
