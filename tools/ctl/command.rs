//! All commands, and how one is run.

pub mod cluster;
pub mod completions;
pub mod consume;
pub mod group;
pub mod inspect;
pub mod produce;
pub mod topic;

pub(crate) mod several;

use std::process::ExitCode;

use crate::answer;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::global::Global;

/// The commands. Flatten them into the root's parser, beside those that are or start a broker.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Create, list, describe, change and delete topics.
    #[command(subcommand)]
    Topic(topic::Command),
    /// Look at the cluster as a whole.
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Write records: a line of a file or of standard input each.
    Produce(Box<produce::Args>),
    /// Read records.
    Consume(Box<consume::Args>),
    /// List, describe, reset and delete groups of consumers.
    #[command(subcommand)]
    Group(group::Command),
    /// Check a data directory or a file of one, without a broker.
    Inspect(inspect::Args),
    /// Print completions for a shell.
    Completions(completions::Args),
}

/// Runs a command; blocks until it is done. Prints results and errors by itself. `cli` makes the root's parser, for
/// completions.
pub fn run(command: &Command, global: &Global, cli: fn() -> clap::Command) -> ExitCode {
    let outcome = match command {
        Command::Topic(command) => topic::run(command, global),
        Command::Cluster(command) => cluster::run(*command, global),
        Command::Produce(args) => produce::run(args, global).map(|()| Exit::Ok),
        Command::Consume(args) => consume::run(args, global).map(|()| Exit::Ok),
        Command::Group(command) => group::run(command, global),
        Command::Inspect(args) => inspect::run(args, global),
        Command::Completions(args) => completions::run(*args, cli()).map(|()| Exit::Ok),
    };
    conclude(outcome, global)
}

/// Tells of an error and gives the exit code.
pub(crate) fn conclude(outcome: Result<Exit, CtlError>, global: &Global) -> ExitCode {
    let exit = match outcome {
        Ok(exit) => exit,
        Err(error) if error.is_broken_pipe() => Exit::Ok,
        Err(error) => {
            answer::print_error(global, &error);
            error.exit()
        }
    };
    exit.into()
}
