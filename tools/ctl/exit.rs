//! How a command ends, as scripts see it.

use std::process::ExitCode;

/// The exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Something went wrong that has no code of its own.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The topic, partition or file does not exist.
    NotFound = 3,
    /// Data is damaged.
    Damaged = 4,
    /// No broker answers, or not at this port.
    Unreachable = 5,
}

impl Exit {
    /// As a number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not-found",
            Self::Damaged => "damaged",
            Self::Unreachable => "unreachable",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
