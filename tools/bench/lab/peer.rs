//! A peer's broker, brought up and down by a command: `cargo xtask brokers`, or another that keeps to the same form.
//!
//! `COMMAND up NAME --durability LEVEL` starts it fresh and prints, as its last line, a JSON object with `address`, `pid`,
//! `data`, `version` and `configuration`; `COMMAND down NAME` stops it and deletes its data.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use kolk_model::durability::Durability;
use serde::Deserialize;

use crate::error::{BenchError, Outcome};

/// What the command says about a broker that it has started.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct State {
    pub(super) address: String,
    pub(super) pid: u32,
    pub(super) data: PathBuf,
    pub(super) version: String,
    /// Files and command lines by name.
    pub(super) configuration: Vec<(String, String)>,
}

/// A peer that is up; brought down when dropped.
pub(super) struct Peer {
    command: String,
    name: String,
    state: State,
    is_up: bool,
}

/// Brings one up.
pub(super) fn up(command: &str, name: &str, durability: Durability) -> Outcome<Peer> {
    let said = run(command, &["up", name, "--durability", durability.name()])?;
    let line = said.lines().last().unwrap_or_default();
    let state = match serde_json::from_str(line) {
        Ok(state) => state,
        Err(error) => {
            // It may be up all the same, and would be in the way of the next round.
            drop(run(command, &["down", name]));
            return Err(BenchError::refused(format!("{command} up {name}"), error));
        }
    };
    Ok(Peer { command: command.to_owned(), name: name.to_owned(), state, is_up: true })
}

impl Peer {
    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn down(mut self) -> Outcome<()> {
        self.is_up = false;
        run(&self.command, &["down", &self.name]).map(drop)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.is_up {
            // The run has failed already, which is what is reported.
            drop(run(&self.command, &["down", &self.name]));
        }
    }
}

fn run(command: &str, words: &[&str]) -> Outcome<String> {
    let mut parts = command.split_whitespace();
    let line = format!("{command} {}", words.join(" "));
    let program =
        parts.next().ok_or_else(|| BenchError::Workload("--peers is empty".to_owned()))?;
    let mut child = Command::new(program);
    child.args(parts).args(words).stdin(Stdio::null()).stderr(Stdio::inherit());
    let done = child.output().map_err(|error| BenchError::refused(line.as_str(), error))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(BenchError::refused(line, done.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_the_command_says_where_the_broker_is() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("brokers");
        let text = "echo starting $2 at $4\necho '{\"address\":\"127.0.0.1:1\",\"pid\":7,\"data\":\"d\",\"version\":\"1\",\"configuration\":[[\"f\",\"t\"]]}'\n";
        std::fs::write(&script, text).unwrap();
        let command = format!("sh {}", script.display());
        let peer = up(&command, "kafka", Durability::PowerLoss).unwrap();
        assert_eq!((peer.state().pid, peer.state().address.as_str()), (7, "127.0.0.1:1"));
        peer.down().unwrap();
        assert!(up("false", "kafka", Durability::PowerLoss).is_err());
    }

    #[test]
    fn a_broker_of_which_nothing_is_known_is_brought_down_again() {
        let folder = tempfile::tempdir().unwrap();
        let (script, calls) = (folder.path().join("brokers"), folder.path().join("calls"));
        std::fs::write(&script, format!("echo $1 $2 >> {}\necho no JSON\n", calls.display()))
            .unwrap();
        assert!(up(&format!("sh {}", script.display()), "nats", Durability::PowerLoss).is_err());
        assert_eq!(std::fs::read_to_string(calls).unwrap(), "up nats\ndown nats\n");
    }
}
