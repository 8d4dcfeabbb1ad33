//! `cargo xtask sim`: whole brokers on a simulated machine, from seeds (`tests/sim`).

use std::process::Command;

use crate::options::Options;
use crate::repo::{self, Repo};
use crate::step::{Failure, Outcome};

/// Seeds in `cargo xtask check`; a by-hand run takes thousands.
const SHORT_SEEDS: u64 = 200;

/// The seeds that were asked for.
pub(crate) fn sim(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    let mut program = built(repo, options.release)?;
    let numbers = [
        ("--seeds", options.seeds),
        ("--first-seed", options.first_seed),
        ("--seed", options.seed),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            program.args([name, &number.to_string()]);
        }
    }
    if let Some(scenario) = &options.scenario {
        program.args(["--scenario", scenario]);
    }
    if options.canaries {
        program.arg("--canaries");
    }
    judged(&mut program, "as asked for")
}

/// Some seeds of all scenarios but the slow ones, then every canary.
pub(crate) fn short(repo: &Repo) -> Result<Outcome, Failure> {
    let mut seeds = built(repo, false)?;
    judged(seeds.args(["--short", "--seeds", &SHORT_SEEDS.to_string()]), "seeds")?;
    let mut canaries = built(repo, false)?;
    let what = format!("{SHORT_SEEDS} seeds hold, every planted flaw is caught");
    judged(canaries.arg("--canaries"), &what)
}

fn built(repo: &Repo, release: bool) -> Result<Command, Failure> {
    let (profile, folder) = if release { ("sim", "sim") } else { ("dev", "debug") };
    // The whole workspace, so that features are those of the tests and nothing is built twice.
    let words = ["build", "--quiet", "--workspace", "--bin", "kolk-sim", "--profile", profile];
    repo::run(&mut repo.cargo(&words))?;
    Ok(repo.command(repo.target.join(folder).join("kolk-sim")))
}

fn judged(program: &mut Command, what: &str) -> Result<Outcome, Failure> {
    repo::run(program).map(|()| Outcome::Passed(what.to_owned())).map_err(|failure| {
        Failure::new(failure.to_string(), "the lines above say which seed shows it again")
    })
}
