//! What an acknowledgement promises. Apart because topics, requests and the log all speak of it.

use std::fmt;
use std::str::FromStr;

/// What an acknowledged record of a topic survives (`kolk.durability`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Durability {
    /// The end of the broker process, by `kill -9` too: the kernel has the bytes, nothing is flushed.
    ProcessCrash,
    /// Loss of power too: the bytes are on stable storage before the acknowledgement.
    #[default]
    PowerLoss,
}

impl Durability {
    /// The name in `kolk.durability`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PowerLoss => "power-loss",
            Self::ProcessCrash => "process-crash",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a produce reply waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum AckLevel {
    /// Nothing: the reply is sent when the batch has its offsets. Kafka's `acks=0`.
    None,
    /// The bytes are in the kernel. Kafka's `acks=1`.
    ProcessCrash,
    /// The bytes are on stable storage.
    PowerLoss,
    /// What the topic's `kolk.durability` says. Kafka's `acks=all`.
    #[default]
    Topic,
}

impl AckLevel {
    /// The name on command lines and in configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ProcessCrash => "process-crash",
            Self::PowerLoss => "power-loss",
            Self::Topic => "topic",
        }
    }

    /// The durability to wait for in a topic of the given durability; `None` is "do not wait".
    #[inline]
    #[must_use]
    pub const fn resolve(self, topic: Durability) -> Option<Durability> {
        match self {
            Self::None => None,
            Self::ProcessCrash => Some(Durability::ProcessCrash),
            Self::PowerLoss => Some(Durability::PowerLoss),
            Self::Topic => Some(topic),
        }
    }
}

impl fmt::Display for AckLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no durability. The caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a durability: {expected} are known")]
pub struct DurabilityError {
    /// What was given.
    pub text: String,
    /// The names that are accepted.
    pub expected: &'static str,
}

impl FromStr for Durability {
    type Err = DurabilityError;

    fn from_str(text: &str) -> Result<Self, DurabilityError> {
        match text {
            "power-loss" => Ok(Self::PowerLoss),
            "process-crash" => Ok(Self::ProcessCrash),
            _ => Err(DurabilityError {
                text: text.to_owned(),
                expected: "power-loss and process-crash",
            }),
        }
    }
}

impl FromStr for AckLevel {
    type Err = DurabilityError;

    fn from_str(text: &str) -> Result<Self, DurabilityError> {
        match text {
            "none" => Ok(Self::None),
            "process-crash" => Ok(Self::ProcessCrash),
            "power-loss" => Ok(Self::PowerLoss),
            "topic" => Ok(Self::Topic),
            _ => Err(DurabilityError {
                text: text.to_owned(),
                expected: "topic, none, process-crash and power-loss",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for level in [AckLevel::None, AckLevel::ProcessCrash, AckLevel::PowerLoss, AckLevel::Topic]
        {
            assert_eq!(level.name().parse(), Ok(level));
        }
        for durability in [Durability::PowerLoss, Durability::ProcessCrash] {
            assert_eq!(durability.name().parse(), Ok(durability));
        }
        assert!("fsync".parse::<AckLevel>().unwrap_err().to_string().contains("power-loss"));
    }

    #[test]
    fn only_the_topic_level_asks_the_topic() {
        for topic in [Durability::PowerLoss, Durability::ProcessCrash] {
            assert_eq!(AckLevel::Topic.resolve(topic), Some(topic));
            assert_eq!(AckLevel::None.resolve(topic), None);
            assert_eq!(AckLevel::PowerLoss.resolve(topic), Some(Durability::PowerLoss));
            assert_eq!(AckLevel::ProcessCrash.resolve(topic), Some(Durability::ProcessCrash));
        }
    }
}
