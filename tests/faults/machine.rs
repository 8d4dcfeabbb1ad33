//! What of the machine the faults are made with: mounts and control groups, each undone when its value goes.

pub(crate) mod control_group;
pub(crate) mod disk;
pub(crate) mod mount;

use std::process::Command;

/// What a fault needs and this machine has not.
#[derive(Debug)]
pub(crate) struct Absent(pub(crate) String);

impl Absent {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Runs a program of the machine that must succeed; `Absent` where it does not.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, Absent> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| Absent(format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Absent(format!("{program} {}: {}", arguments.join(" "), said.trim())))
}

/// Whether this process may mount.
pub(crate) fn need_root() -> Result<(), Absent> {
    let id = run("id", &["-u"])?;
    if id == "0" { Ok(()) } else { Err(Absent::new("only root may mount")) }
}
