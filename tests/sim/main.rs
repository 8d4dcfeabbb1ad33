//! The simulator: whole brokers and their clients on one simulated machine, under one seed, judged by what clients were promised.
//! Apart because it is a program of its own, which compiles the whole broker over the simulated door.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks")]
#![allow(
    clippy::disallowed_methods,
    reason = "the program around the simulated machine reads files and a clock of the real one"
)]

mod chance;
mod check;
mod client;
mod command;
mod outside;
mod run;
mod scenario;
mod trace;
mod verdict;

use std::process::ExitCode;

fn main() -> ExitCode {
    verdict::quiet_panics();
    match command::Command::parse(std::env::args().skip(1)).and_then(|command| command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
