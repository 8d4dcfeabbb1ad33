//! `cargo xtask loom` and `cargo xtask sanitize`: the lock-free code under every order of its events, and the code with `unsafe`
//! and system calls under AddressSanitizer.

use std::process::Command;

use crate::options::Options;
use crate::repo::{self, Repo};
use crate::step::{Failure, Outcome};
use crate::suite;

/// The sanitizer needs a target named, so that build scripts and macros stay as they are.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Crates whose unit tests run the files that may say `unsafe`: rings, files, sockets and buffers on both runtimes, and whole
/// nodes over them.
const UNSAFE_CRATES: [&str; 2] = ["kolk-io", "kolk-shard"];

/// Runs the models of `tests/loom`.
pub(crate) fn loom(repo: &Repo, _: &Options) -> Result<Outcome, Failure> {
    let mut cargo = repo.cargo(&["run", "--quiet", "--release", "--manifest-path"]);
    cargo.arg(repo.root.join("tests/loom/Cargo.toml"));
    cargo.arg("--target-dir").arg(repo.target.join("loom"));
    let mut models = 0;
    let held = repo::each_line(&mut cargo, |line| {
        models += u32::from(line.contains(" orders"));
        println!("{line}");
    })?;
    if held && models > 0 {
        return Ok(Outcome::Passed(format!("{models} models")));
    }
    Err(Failure::new("a model failed", "the order of events that led there stands above"))
}

/// Runs the unit tests of the crates with `unsafe` under AddressSanitizer.
pub(crate) fn sanitize(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    let mut cargo = repo.cargo(&["test", "--lib", "--target", TRIPLE, "--target-dir"]);
    cargo.arg(repo.target.join("sanitize"));
    for name in UNSAFE_CRATES.iter().filter(|name| options.wants(name)) {
        cargo.args(["--package", name]);
    }
    // Processor time is measured without a sanitizer.
    cargo.args(["--", "--skip", "guard"]);
    let totals = suite::counted(sanitizer(&mut cargo))?;
    Ok(Outcome::Tested(totals))
}

/// What is still held at the end is no matter: glommio leaves the task of each executor's ticker behind.
fn sanitizer(cargo: &mut Command) -> &mut Command {
    cargo.env("ASAN_OPTIONS", "detect_leaks=0");
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address")
}
