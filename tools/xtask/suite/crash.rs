//! `cargo xtask crash`, `cargo xtask rot` and `cargo xtask wide`: tests of the integration binary at a size that `cargo xtask test` has no time
//! for.

use std::process::Command;

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
/// The test that flips bits, and the variables it reads.
const ROT_TEST: &str = "bit_rot::a_flipped_bit_is_harmless_or_found_and_never_served";
const ROT_FLIPS_VARIABLE: &str = "KOLK_ROT_FLIPS";
const ROT_SEED_VARIABLE: &str = "KOLK_ROT_SEED";
const ROT_FLIPS: u32 = 500;
/// The test of many partitions, and what it is to be run with: a minute in a debug build.
const WIDE_TEST: &str = "resources::many_partitions_need_neither_as_many_descriptors_nor_much_disk";
const WIDE_VARIABLE: &str = "KOLK_WIDE_PARTITIONS";
const WIDE_PARTITIONS: u32 = 10_000;

/// The loop with the rounds and the seed that were asked for.
pub(crate) fn crash(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    let mut cargo = integration(repo, options, TEST);
    cargo.env(ROUNDS_VARIABLE, options.rounds.unwrap_or(SHORT_ROUNDS).to_string());
    if let Some(seed) = options.seed {
        cargo.env(SEED_VARIABLE, seed.to_string());
    }
    run(cargo, TEST)
}

/// Single bits of data directories, each with a broker of its own to notice.
pub(crate) fn rot(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    let mut cargo = integration(repo, options, ROT_TEST);
    cargo.env(ROT_FLIPS_VARIABLE, options.rounds.unwrap_or(ROT_FLIPS).to_string());
    if let Some(seed) = options.seed {
        cargo.env(ROT_SEED_VARIABLE, seed.to_string());
    }
    run(cargo, ROT_TEST)
}

/// The broker with 10,000 partitions and 1,024 descriptors.
pub(crate) fn wide(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    let mut cargo = integration(repo, options, WIDE_TEST);
    cargo.env(WIDE_VARIABLE, WIDE_PARTITIONS.to_string());
    run(cargo, WIDE_TEST)
}

fn integration(repo: &Repo, options: &Options, test: &str) -> Command {
    // The whole workspace, so that features are those of the other tests and nothing is built twice.
    let mut cargo = repo.cargo(&["test", "--workspace", "--test", "integration"]);
    if options.release {
        cargo.arg("--release");
    }
    cargo.args(["--", "--exact", "--nocapture", test]);
    cargo
}

fn run(mut cargo: Command, test: &str) -> Result<Outcome, Failure> {
    let totals = suite::counted(&mut cargo)?;
    if totals.passed == 0 {
        let what = format!("the test {test} was not run");
        return Err(Failure::new(what, "name it in tools/xtask/suite/crash.rs as it is called"));
    }
    Ok(Outcome::Tested(totals))
}

/// The short loop of `cargo xtask test`.
pub(crate) fn short(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    let options = Options { rounds: options.rounds, seed: options.seed, ..Options::default() };
    crash(repo, &options)
}
