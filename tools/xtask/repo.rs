//! Where the checkout and its target folder are, and how other programs are run in it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::step::Failure;

/// The checkout, as cargo sees it.
pub(crate) struct Repo {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
    /// Cargo's target folder: everything that is not tracked goes below it.
    pub(crate) target: PathBuf,
    /// `cargo metadata` without dependencies of dependencies.
    pub(crate) metadata: Value,
}

impl Repo {
    /// Asks cargo where things are; works from every folder of the checkout.
    pub(crate) fn find() -> Result<Self, Failure> {
        let mut cargo = Command::new(cargo_path());
        cargo.args(["metadata", "--no-deps", "--format-version", "1", "--locked"]);
        let text = output(&mut cargo)?;
        let metadata: Value = serde_json::from_str(&text)
            .map_err(|e| Failure::new(format!("cargo metadata: {e}"), "update cargo"))?;
        let path = |field: &str| metadata.get(field).and_then(Value::as_str).map(PathBuf::from);
        match (path("workspace_root"), path("target_directory")) {
            (Some(root), Some(target)) => Ok(Self { root, target, metadata }),
            _ => Err(Failure::new("cargo metadata names no workspace", "update cargo")),
        }
    }

    /// A program that will run in the root of the checkout.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// The cargo that runs us. Only ever one at a time: two would wait for each other's lock.
    pub(crate) fn cargo(&self, words: &[&str]) -> Command {
        let mut command = self.command(cargo_path());
        command.args(words);
        command
    }

    /// Tracked files and those that would be tracked by `git add`, relative to the root, sorted.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut git = self.command("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let mut files: Vec<PathBuf> = output(&mut git)?
            .split('\0')
            .filter(|name| !name.is_empty() && self.root.join(name).is_file())
            .map(PathBuf::from)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }
}

fn cargo_path() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// Whether this is the machine that judges a submission: what is skipped elsewhere fails there.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Whether a program of this name is on the path.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Runs to the end with inherited output; an exit code other than 0 is a failure.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{}: {status}", line(command)), "")),
        Err(e) => Err(not_started(command, &e)),
    }
}

/// Runs to the end and returns its standard output as text.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let done = command.stderr(Stdio::inherit()).output().map_err(|e| not_started(command, &e))?;
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    } else {
        Err(Failure::new(format!("{}: {}", line(command), done.status), ""))
    }
}

/// Runs to the end, handing over each line of standard output as it comes. Returns whether the
/// program exited with 0.
pub(crate) fn each_line(command: &mut Command, on_line: impl FnMut(&str)) -> Result<bool, Failure> {
    Ok(each_line_code(command, on_line)? == Some(0))
}

/// The same; returns the exit code, `None` if a signal ended the program.
pub(crate) fn each_line_code(
    command: &mut Command,
    mut on_line: impl FnMut(&str),
) -> Result<Option<i32>, Failure> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|e| not_started(command, &e))?;
    if let Some(stdout) = child.stdout.take() {
        for bytes in BufReader::new(stdout).split(b'\n') {
            let bytes = bytes.map_err(|e| not_started(command, &e))?;
            on_line(&String::from_utf8_lossy(&bytes));
        }
    }
    Ok(child.wait().map_err(|e| not_started(command, &e))?.code())
}

/// Reads a file of the checkout or says which one could not be read.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::new(format!("{}: {e}", path.display()), "is the checkout whole?"))
}

fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy().into_owned();
    Failure::new(format!("{}: {error}", line(command)), format!("install {program}"))
}

fn line(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    words.join(" ")
}
