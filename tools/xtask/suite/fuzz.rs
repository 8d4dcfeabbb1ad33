//! `cargo xtask fuzz`: the targets of `tests/fuzz`, each for some minutes. What every test run does of it are the seeded twins.

use crate::options::Options;
use crate::repo::{self, Repo, on_path};
use crate::step::{Failure, Outcome};

/// How long a target runs if nobody says otherwise.
const MINUTES: u64 = 15;
/// One input may take so long, in seconds, and all of them so much memory, in MiB: beyond it is a finding.
const INPUT_SECONDS_MAX: u32 = 20;
const MEMORY_MIB_MAX: u32 = 2_048;

/// Runs the targets that are named, or all.
pub(crate) fn fuzz(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    if !on_path("cargo-fuzz") {
        return Err(Failure::new("there is no cargo-fuzz", "cargo install cargo-fuzz"));
    }
    let targets = targets(repo)?;
    if let Some(word) = options.words.iter().find(|word| !targets.contains(word)) {
        let what = format!("there is no fuzz target '{word}'");
        return Err(Failure::new(what, targets.join(" ")));
    }
    let minutes = options.minutes.unwrap_or(MINUTES);
    let wanted: Vec<_> = targets.iter().filter(|target| options.wants(target)).collect();
    for target in &wanted {
        println!("{target}: {minutes} min …");
        run(repo, target, minutes)?;
    }
    Ok(Outcome::Passed(format!("{} targets, {minutes} min each", wanted.len())))
}

/// The targets are the files of their folder.
fn targets(repo: &Repo) -> Result<Vec<String>, Failure> {
    let folder = repo.root.join("tests/fuzz/fuzz_targets");
    let unread = |e| Failure::new(format!("{}: {e}", folder.display()), "is the checkout whole?");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .map_err(unread)?
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rs")?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// What it finds new goes below the target folder; the corpus of the checkout is only read.
fn run(repo: &Repo, target: &str, minutes: u64) -> Result<(), Failure> {
    let found = repo.target.join("fuzz/corpus").join(target);
    let broken = repo.target.join("fuzz/found").join(target);
    for folder in [&found, &broken] {
        let unmade = |e| Failure::new(format!("{}: {e}", folder.display()), "make room for it");
        std::fs::create_dir_all(folder).map_err(unmade)?;
    }
    let mut cargo = repo.cargo(&["fuzz", "run", "--fuzz-dir", "tests/fuzz", "--target-dir"]);
    cargo.arg(repo.target.join("fuzz/build")).arg(target).arg(&found);
    cargo.arg(repo.root.join("tests/fuzz/corpus").join(target));
    cargo.arg("--").arg(format!("-max_total_time={}", 60 * minutes));
    cargo.arg(format!("-timeout={INPUT_SECONDS_MAX}"));
    cargo.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
    cargo.arg("-print_final_stats=1");
    cargo.arg(format!("-artifact_prefix={}/", broken.display()));
    // Instrumentation is not stable yet; the compiler that builds the broker has it all the same.
    repo::run(cargo.env("RUSTC_BOOTSTRAP", "1")).map_err(|failure| {
        let cure = format!("what broke it lies in {}: make a test of it", broken.display());
        Failure::new(format!("{target}: {failure}"), cure)
    })
}
