//! The offline reader: says whether a data directory, or one file of it, is whole, and shows what is in it.
//!
//! Reads only. What a journal would bring back at the next start is computed in memory, so that a directory is
//! whole after `kill -9` just as it is after a clean stop. The formats are read by the broker's own parsers.
//!
//! A module names only modules listed below it.
#![allow(
    clippy::disallowed_methods,
    reason = "an offline reader opens files by itself, as ordinary files"
)]

#[cfg(test)]
mod tests;

pub mod inspection;

pub mod json;
pub mod text;

pub mod watch;

pub mod report;

pub mod error;
