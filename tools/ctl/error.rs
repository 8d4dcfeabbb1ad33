//! Why a command failed, in words that say what to do about it, and the exit code that goes with them.

use std::io;
use std::path::PathBuf;

use kolk_client::error::{ClientError, Greeting};
use kolk_inspect::error::InspectError;
use kolk_model::error::ErrorCode;

use crate::exit::Exit;

/// Errors of the command line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CtlError {
    /// The topic does not exist.
    #[error("topic '{topic}' does not exist; create it with: kolk topic create {topic}")]
    TopicUnknown {
        /// Its name.
        topic: String,
    },
    /// The topic is one of the broker's own, and nobody said that it shall go all the same.
    #[error(
        "topic '{topic}' is the broker's own: with __consumer_offsets every group forgets where it is; \
         nothing was deleted, --force does it all the same"
    )]
    TopicOfBroker {
        /// Its name.
        topic: String,
    },
    /// The topic has fewer partitions.
    #[error("topic '{topic}' has no partition {partition}, only {count}, from 0 on")]
    PartitionUnknown {
        /// The topic's name.
        topic: String,
        /// The partition asked for.
        partition: u32,
        /// How many there are.
        count: u32,
    },
    /// The group does not exist.
    #[error("group '{group}' does not exist; kolk group list shows those that do")]
    GroupUnknown {
        /// Its id.
        group: String,
    },
    /// The group has members, which would not notice.
    #[error("group '{group}' has members; stop them first, kolk group describe {group} shows them")]
    GroupHasMembers {
        /// Its id.
        group: String,
    },
    /// A place that only one reader of a partition can begin at.
    #[error(
        "--from -COUNT can't be used with --group; beginning, end, an offset, a time or an age can"
    )]
    PlaceWithGroup,
    /// No broker answers.
    #[error(
        "no broker answers at {tried}: {reason}; start one with: kolk serve, or name one with -b HOST:PORT"
    )]
    Unreachable {
        /// The addresses.
        tried: String,
        /// Why the last of them failed.
        reason: String,
    },
    /// Somebody answers there, and not as a broker does at its native port.
    #[error(
        "{address} does not answer as a broker's native port: {answer}{}; the native port is 9640 \
         unless it was set otherwise, name it with -b HOST:PORT",
        likely(*answer)
    )]
    NotNative {
        /// The address.
        address: String,
        /// What came instead.
        answer: Greeting,
    },
    /// The broker refused.
    #[error("{detail} ({})", code.name())]
    Refused {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people.
        detail: String,
    },
    /// The offset is not there any more, or not yet.
    #[error(
        "{topic}/{partition} has no offset {offset}: it goes from {log_start} to {log_end}; \
         --from beginning and --from end always work"
    )]
    OffsetOutOfRange {
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: u32,
        /// The offset asked for.
        offset: u64,
        /// The first offset there is.
        log_start: u64,
        /// The offset after the last.
        log_end: u64,
    },
    /// The client's words.
    #[error("{0}")]
    Client(ClientError),
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// Standard input or output broke.
    #[error("{what}: {source}")]
    Stream {
        /// Which.
        what: &'static str,
        /// The operating system's words.
        source: io::Error,
    },
    /// What a failure is about.
    #[error("{what}: {source}")]
    Named {
        /// A topic, a group, a partition.
        what: String,
        /// The failure.
        source: Box<Self>,
    },
    /// Something was to be done to several, and to some it was not.
    #[error("{undone} of {asked} failed:{}", lines(failed))]
    Several {
        /// Why not, but for those that were not tried any more.
        failed: Vec<Self>,
        /// To how many it was not done.
        undone: usize,
        /// To how many it should be done.
        asked: usize,
    },
    /// Lines of the input did not get through as records.
    #[error("{lines}: {source}; {acknowledged} of the {taken} records sent were acknowledged")]
    Lines {
        /// Which, the first of the input being line 1.
        lines: String,
        /// How many records were acknowledged.
        acknowledged: u64,
        /// How many records were sent.
        taken: u64,
        /// Why.
        source: Box<Self>,
    },
    /// Somebody stopped the command before it was done.
    #[error("stopped; {acknowledged} of the {taken} records sent were acknowledged")]
    Stopped {
        /// How many records were acknowledged.
        acknowledged: u64,
        /// How many records were sent.
        taken: u64,
    },
    /// An inspection could not be carried out.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// What was read back is not what was written.
    #[error("{what}")]
    Mismatch {
        /// What differs.
        what: String,
    },
}

impl CtlError {
    /// A refusal that is about a group, in words that name it.
    pub(crate) fn of_group(group: &str, error: ClientError) -> Self {
        let group = group.to_owned();
        match error.code() {
            Some(ErrorCode::GroupIdNotFound) => Self::GroupUnknown { group },
            Some(ErrorCode::NonEmptyGroup | ErrorCode::UnknownMemberId) => {
                Self::GroupHasMembers { group }
            }
            _ => error.into(),
        }
    }

    /// The same, with what it is about in front.
    pub(crate) fn of(self, what: &str) -> Self {
        Self::Named { what: what.to_owned(), source: Box::new(self) }
    }

    /// No broker could be reached, for this reason.
    pub(crate) fn unreachable(error: ClientError) -> Self {
        match error {
            ClientError::Disconnected { address, reason } => {
                Self::Unreachable { tried: address.to_string(), reason: reason.to_string() }
            }
            error => error.into(),
        }
    }

    pub(crate) const fn output(source: io::Error) -> Self {
        Self::Stream { what: "standard output", source }
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::TopicUnknown { .. }
            | Self::PartitionUnknown { .. }
            | Self::GroupUnknown { .. } => Exit::NotFound,
            Self::PlaceWithGroup | Self::TopicOfBroker { .. } => Exit::Usage,
            Self::Unreachable { .. } | Self::NotNative { .. } => Exit::Unreachable,
            Self::Mismatch { .. } => Exit::Damaged,
            Self::Refused { code, .. } => of_code(*code),
            Self::OffsetOutOfRange { .. }
            | Self::GroupHasMembers { .. }
            | Self::Several { .. }
            | Self::Stopped { .. } => Exit::Failed,
            Self::Client(error) => of_client(error),
            Self::Lines { source, .. } | Self::Named { source, .. } => source.exit(),
            Self::Inspect(InspectError::NotFound { .. }) => Exit::NotFound,
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::NotFound,
            Self::File { .. } | Self::Stream { .. } | Self::Inspect(_) => Exit::Failed,
        }
    }

    /// Whether whoever read the output has gone away, as `head` does: no failure of ours.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        let broken = |source: &io::Error| source.kind() == io::ErrorKind::BrokenPipe;
        match self {
            Self::Stream { source, .. } | Self::Inspect(InspectError::Output(source)) => {
                broken(source)
            }
            _ => false,
        }
    }
}

/// What a port is, as far as that can be told.
const fn likely(answer: Greeting) -> &'static str {
    match answer {
        Greeting::Closed => ", as a port for Kafka's clients does",
        _ => "",
    }
}

/// Each on a line of its own.
fn lines(errors: &[CtlError]) -> String {
    errors.iter().map(|error| format!("\n  {error}")).collect()
}

fn of_client(error: &ClientError) -> Exit {
    match error {
        ClientError::Address { .. } | ClientError::Setting { .. } => Exit::Usage,
        ClientError::Batch { .. } => Exit::Damaged,
        _ => error.code().map_or(Exit::Failed, of_code),
    }
}

const fn of_code(code: ErrorCode) -> Exit {
    match code {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::UnknownTopicId
        | ErrorCode::GroupIdNotFound
        | ErrorCode::ResourceNotFound => Exit::NotFound,
        ErrorCode::PartitionDamaged | ErrorCode::CorruptMessage => Exit::Damaged,
        _ => Exit::Failed,
    }
}

impl From<ClientError> for CtlError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::TopicUnknown { topic } => Self::TopicUnknown { topic: topic.to_string() },
            ClientError::Unreachable { tried, reason } => {
                Self::Unreachable { tried, reason: reason.to_string() }
            }
            ClientError::NotNative { address, answer } => {
                Self::NotNative { address: address.to_string(), answer }
            }
            ClientError::PartitionUnknown { topic, partition, count } => Self::PartitionUnknown {
                topic: topic.to_string(),
                partition: partition.get(),
                count: u32::try_from(count).unwrap_or(u32::MAX),
            },
            ClientError::Refused { code, detail } => {
                Self::Refused { code, detail: detail.to_string() }
            }
            ClientError::OffsetOutOfRange { topic, partition, offset, log_start, log_end } => {
                Self::OffsetOutOfRange {
                    topic: topic.to_string(),
                    partition: partition.get(),
                    offset: offset.get(),
                    log_start: log_start.unwrap_or_default().get(),
                    log_end: log_end.unwrap_or_default().get(),
                }
            }
            error => Self::Client(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn refused(code: ErrorCode) -> CtlError {
        CtlError::from(ClientError::Refused { code, detail: Arc::from("why") })
    }

    #[test]
    fn each_kind_of_failure_has_its_exit_code() {
        let unknown = CtlError::from(ClientError::TopicUnknown { topic: Arc::from("web") });
        assert_eq!(unknown.exit(), Exit::NotFound);
        assert!(
            unknown.to_string().ends_with("create it with: kolk topic create web"),
            "{unknown}"
        );
        let reason = Arc::from("connection refused");
        let tried = "127.0.0.1:1".to_owned();
        let away = CtlError::from(ClientError::Unreachable { tried, reason });
        assert_eq!(away.exit(), Exit::Unreachable);
        assert!(away.to_string().contains("kolk serve"), "{away}");
        assert_eq!(refused(ErrorCode::UnknownTopicOrPartition).exit(), Exit::NotFound);
        assert_eq!(refused(ErrorCode::PartitionDamaged).exit(), Exit::Damaged);
        assert_eq!(refused(ErrorCode::StorageFull).exit(), Exit::Failed);
        assert_eq!(refused(ErrorCode::StorageFull).to_string(), "why (STORAGE_FULL)");
        let address = CtlError::from(ClientError::Address { text: "x".to_owned() });
        assert_eq!(address.exit(), Exit::Usage);
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        assert!(CtlError::output(io::ErrorKind::BrokenPipe.into()).is_broken_pipe());
        assert!(!CtlError::output(io::ErrorKind::StorageFull.into()).is_broken_pipe());
    }
}
