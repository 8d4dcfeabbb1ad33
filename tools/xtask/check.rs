//! `cargo xtask check`, which only reads, and `cargo xtask fix`, which writes.

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

fn clippy(repo: &Repo) -> Result<Outcome, Failure> {
    let words = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    repo::run(&mut repo.cargo(&words)).map(|()| Outcome::Passed("no warnings".to_owned())).map_err(
        |_| Failure::new("clippy warns", "mend it, or allow it at the place with a reason"),
    )
}

fn docs(repo: &Repo) -> Result<Outcome, Failure> {
    let mut doc = repo.cargo(&["doc", "--quiet", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    repo::run(&mut doc)
        .map(|()| Outcome::Passed("no warnings".to_owned()))
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
