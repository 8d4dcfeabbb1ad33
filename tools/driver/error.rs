//! Why a client could not do what was asked of it.

use std::io;

/// Errors of clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// A connection could not be made, or broke. Trying again may help.
    #[error("{address}: {source}")]
    Socket {
        /// The broker's address.
        address: String,
        /// The operating system's words.
        source: io::Error,
    },
    /// The broker, or its client, refused.
    #[error("{what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Its words.
        reason: String,
    },
    /// The broker, its client or this build can't do that; trying again is useless.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// A client's runtime could not be made.
    #[error("runtime: {0}")]
    Runtime(io::Error),
}

impl DriverError {
    pub(crate) fn refused(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Refused { what: what.into(), reason: reason.to_string() }
    }
}

/// What a client gives.
pub type Outcome<T> = Result<T, DriverError>;
