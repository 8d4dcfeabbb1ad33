//! The command line: everything that `kolk` can be told, except to be a broker.
//!
//! The root flattens [`command::Command`] and [`global::Global`] into its own parser and calls [`command::run`]; it starts a
//! broker for [`quickstart::run`]. A result is printed as text or, with `--json`, as JSON whose keys are kept stable
//! (`tools/ctl/JSON.md`). Exit codes are [`exit::Exit`].
//!
//! A module names only modules listed below it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks")]
#![allow(
    clippy::disallowed_methods,
    reason = "a command line runs on the real machine: clocks and files"
)]

#[cfg(test)]
mod tests;

pub mod quickstart;

pub mod command;

mod session;
mod stop;

mod answer;
mod size;

pub mod error;
pub mod exit;
pub mod global;
