//! `cargo xtask check`, which only reads, and `cargo xtask fix`, which writes.

use std::process::Command;

use crate::options::Options;
use crate::repo::{self, Repo, in_ci, on_path};
use crate::schema::kafka;
use crate::step::{self, Failure, Outcome, Step, Totals};
use crate::{arrows, rules, schema, suite};

/// Runs all steps, or those that are named; cheap ones first.
pub(crate) fn check(repo: &Repo, options: &Options) -> Result<Totals, Failure> {
    let mut steps = steps(repo);
    if let Some(word) = options.words.iter().find(|word| !steps.iter().any(|s| s.name == **word)) {
        let names: Vec<_> = steps.iter().map(|step| step.name).collect();
        return Err(Failure::new(format!("there is no step '{word}'"), names.join(" ")));
    }
    steps.retain(|step| options.words.is_empty() || options.words.iter().any(|w| w == step.name));
    step::run(&steps)
}

fn steps(repo: &Repo) -> Vec<Step<'_>> {
    vec![
        Step::new("fmt", move || formatted(repo)),
        Step::new("rules", move || rules::check(repo)),
        Step::new("arrows", move || arrows::check(repo)),
        Step::new("generated", move || schema::check(repo)),
        Step::new("kafka", move || kafka::check(repo)),
        Step::new("licences", move || licences(repo)),
        Step::new("clippy", move || clippy(repo)),
        Step::new("docs", move || docs(repo)),
        Step::new("sim", move || suite::sim::short(repo)),
        Step::new("tests", move || suite::workspace(repo)),
    ]
}

/// Formats, regenerates the code of both wires and, where asked, lets clippy mend what it can.
pub(crate) fn fix(repo: &Repo, options: &Options) -> Result<(), Failure> {
    schema::write(repo)?;
    kafka::write(repo)?;
    if options.clippy {
        let words = ["clippy", "--fix", "--allow-dirty", "--workspace", "--all-targets"];
        repo::run(&mut repo.cargo(&words))?;
    }
    repo::run(&mut repo.cargo(&["fmt", "--all"]))
}

fn formatted(repo: &Repo) -> Result<Outcome, Failure> {
    repo::run(&mut repo.cargo(&["fmt", "--all", "--check"]))
        .map(|()| Outcome::Passed(String::new()))
        .map_err(|_| Failure::new("the code is not formatted", "cargo xtask fix"))
}

/// The optional clients of the load generator. Clippy and rustdoc look at the workspace with the same features, so that
/// neither compiles it again for the other; the tests run without them.
const CLIENTS: &str = "kolk-bench/kafka,kolk-bench/nats,kolk-bench/redis";
/// What librdkafka is built with.
const BUILD_TOOLS: [&str; 2] = ["cc", "make"];

/// A command over the whole workspace with all clients; without them, and with a word about it, where librdkafka can't be built.
fn with_clients(repo: &Repo, words: &[&str]) -> Result<(Command, &'static str), Failure> {
    let mut cargo = repo.cargo(words);
    cargo.arg("--workspace");
    if BUILD_TOOLS.iter().all(|tool| on_path(tool)) {
        cargo.args(["--features", CLIENTS]);
        return Ok((cargo, "no warnings"));
    }
    if in_ci() {
        return Err(Failure::new("librdkafka can't be built here", "apt-get install gcc make"));
    }
    Ok((cargo, "no warnings; the load generator's optional clients need cc and make"))
}

fn clippy(repo: &Repo) -> Result<Outcome, Failure> {
    let (mut clippy, said) = with_clients(repo, &["clippy", "--quiet", "--all-targets"])?;
    repo::run(clippy.args(["--", "-D", "warnings"]))
        .map(|()| Outcome::Passed(said.to_owned()))
        .map_err(|_| {
            Failure::new("clippy warns", "mend it, or allow it at the place with a reason")
        })
}

fn docs(repo: &Repo) -> Result<Outcome, Failure> {
    let (mut doc, said) = with_clients(repo, &["doc", "--quiet", "--no-deps"])?;
    doc.env("RUSTDOCFLAGS", "-D warnings");
    repo::run(&mut doc)
        .map(|()| Outcome::Passed(said.to_owned()))
        .map_err(|_| Failure::new("rustdoc warns", "mend the links and the documentation"))
}

/// Licences and sources of the dependencies. The tool takes minutes to compile, so that it is used
/// where it stands and not installed.
fn licences(repo: &Repo) -> Result<Outcome, Failure> {
    if !on_path("cargo-deny") {
        let why = if in_ci() { "no cargo-deny here" } else { "cargo install cargo-deny to run it" };
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    repo::run(&mut repo.cargo(&[
        "deny",
        "--log-level",
        "error",
        "--workspace",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
    .map(|()| Outcome::Passed("deny.toml holds".to_owned()))
    .map_err(|_| Failure::new("deny.toml is broken", "choose another crate or state why"))
}
