//! Why a measurement could not be taken.

use std::io;
use std::path::{Path, PathBuf};

use kolk_driver::error::DriverError;
use kolk_machine::error::MachineError;

/// Errors of the load generator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BenchError {
    /// A connection could not be made, or broke.
    #[error("{address}: {source}")]
    Socket {
        /// The broker's address.
        address: String,
        /// The operating system's words.
        source: io::Error,
    },
    /// The broker's bytes make no sense.
    #[error("{address} does not speak the native protocol: {reason}")]
    Protocol {
        /// The broker's address.
        address: String,
        /// What was wrong.
        reason: String,
    },
    /// The broker refused.
    #[error("{what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Its words.
        reason: String,
    },
    /// The broker process did not do what it should.
    #[error("the broker {what}; it said last: {last}; its log is {}", log.display())]
    Broker {
        /// What happened.
        what: String,
        /// The last line of its log.
        last: String,
        /// Its standard error.
        log: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// A client of one of the brokers that are compared could not do what was asked of it.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The machine could not be measured.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The workload file or an option makes no sense.
    #[error("{0}")]
    Workload(String),
    /// A metric that a measure needs is not there.
    #[error("the broker does not show the metric {0}")]
    NoMetric(String),
}

impl BenchError {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(crate) fn refused(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Refused { what: what.into(), reason: reason.to_string() }
    }
}

pub(crate) type Outcome<T> = Result<T, BenchError>;
