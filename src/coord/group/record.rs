//! The records of the internal topic `__consumer_offsets`: what a coordinator writes, and what it reads back at
//! a start. Keys and values are Kafka's own (message files of its group coordinator), so that Kafka's formatters
//! read them. Each begins with a version of 2 bytes; the key's version says what the record is about:
//!
//! | key version | about | key's fields | value |
//! | --- | --- | --- | --- |
//! | 0, 1 | a committed offset | group, topic, partition | [`OffsetValue`], versions 0–4 |
//! | 2 | a classic group | group | [`GroupValue`], versions 0–4 |
//! | 3 | a consumer group | group | [`consumer_value::EpochValue`] |
//! | 5 | its member | group, member | [`consumer_value::SubscriberValue`] |
//! | 6 | the epoch of its assignment | group | [`consumer_value::encode_target_epoch`] |
//! | 7 | what a member is to have | group, member | [`consumer_value::encode_target`] |
//! | 8 | what a member has | group, member | [`consumer_value::CurrentValue`] |
//! | 16 | the topics of a pattern | group, pattern | [`consumer_value::PatternValue`] |
//!
//! A record without value is a tombstone: what the key names is gone. Other keys (share groups, …) are skipped.

use std::sync::Arc;

use bytes::Bytes;

use crate::group::ids::{GroupId, InstanceId, MemberId};

pub mod consumer_value;

pub(in crate::group) mod embedded;

mod field;
mod group_value;
mod offset_value;

pub use group_value::{GroupValue, MemberValue};
pub use offset_value::OffsetValue;

use field::{Fault, Form, Reader, Writer};

/// A record to append: key and value as the topic keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Bytes,
    /// The value; `None` = a tombstone.
    pub value: Option<Bytes>,
}

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKey {
    /// A committed offset.
    Offset {
        /// The group.
        group: GroupId,
        /// The topic's name.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
    },
    /// A classic group.
    Group(GroupId),
    /// A consumer group.
    ConsumerGroup(GroupId),
    /// A member of a consumer group: what it says of itself.
    Subscriber(GroupId, MemberId),
    /// The epoch of the assignment of a consumer group.
    TargetEpoch(GroupId),
    /// What a member of a consumer group is to have.
    Target(GroupId, MemberId),
    /// What a member of a consumer group has.
    Current(GroupId, MemberId),
    /// The topics that a pattern of a consumer group matches.
    Pattern(GroupId, String),
    /// Something that this coordinator does not keep.
    Other {
        /// The key's version.
        version: i16,
    },
}

/// A record's bytes are not what its version says: bit rot that a checksum did not see, or a writer's bug.
/// The disk's or another program's fault; retrying is useless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The key can't be read.
    #[error("the key of {bytes} bytes can't be read")]
    Key {
        /// Its length.
        bytes: usize,
    },
    /// The value can't be read.
    #[error("the value of {bytes} bytes, version {version}, can't be read")]
    Value {
        /// Its version; -1 if it has none.
        version: i16,
        /// Its length.
        bytes: usize,
    },
}

const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;
const CONSUMER_GROUP_KEY: i16 = 3;
const SUBSCRIBER_KEY: i16 = 5;
const TARGET_EPOCH_KEY: i16 = 6;
const TARGET_KEY: i16 = 7;
const CURRENT_KEY: i16 = 8;
const PATTERN_KEY: i16 = 16;

impl RecordKey {
    /// Reads a key.
    ///
    /// # Errors
    /// When the bytes are not those of a key.
    pub fn decode(key: &[u8]) -> Result<Self, RecordError> {
        Self::read(key).map_err(|_| RecordError::Key { bytes: key.len() })
    }

    fn read(key: &[u8]) -> Result<Self, Fault> {
        let (version, rest) = Reader::version(key)?;
        let mut reader = Reader::new(rest, Form::Plain);
        Ok(match version {
            0 | OFFSET_KEY => Self::Offset {
                group: GroupId::new(reader.text()?),
                topic: Arc::from(reader.text()?),
                partition: reader.i32()?,
            },
            GROUP_KEY => Self::Group(GroupId::new(reader.text()?)),
            CONSUMER_GROUP_KEY => Self::ConsumerGroup(GroupId::new(reader.text()?)),
            TARGET_EPOCH_KEY => Self::TargetEpoch(GroupId::new(reader.text()?)),
            SUBSCRIBER_KEY | TARGET_KEY | CURRENT_KEY => {
                let group = GroupId::new(reader.text()?);
                let member = MemberId::new(reader.text()?);
                match version {
                    SUBSCRIBER_KEY => Self::Subscriber(group, member),
                    TARGET_KEY => Self::Target(group, member),
                    _ => Self::Current(group, member),
                }
            }
            PATTERN_KEY => Self::Pattern(GroupId::new(reader.text()?), reader.text()?.to_owned()),
            version => Self::Other { version },
        })
    }

    /// The key as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let key = |version, texts: &[&str]| {
            let mut writer = Writer::new(version, Form::Plain);
            for text in texts {
                writer.text(text);
            }
            writer
        };
        let writer = match self {
            Self::Offset { group, topic, partition } => {
                let mut writer = key(OFFSET_KEY, &[group.as_str(), topic]);
                writer.i32(*partition);
                writer
            }
            Self::Group(group) => key(GROUP_KEY, &[group.as_str()]),
            Self::ConsumerGroup(group) => key(CONSUMER_GROUP_KEY, &[group.as_str()]),
            Self::TargetEpoch(group) => key(TARGET_EPOCH_KEY, &[group.as_str()]),
            Self::Subscriber(group, member) => {
                key(SUBSCRIBER_KEY, &[group.as_str(), member.as_str()])
            }
            Self::Target(group, member) => key(TARGET_KEY, &[group.as_str(), member.as_str()]),
            Self::Current(group, member) => key(CURRENT_KEY, &[group.as_str(), member.as_str()]),
            Self::Pattern(group, pattern) => key(PATTERN_KEY, &[group.as_str(), pattern]),
            Self::Other { version } => key(*version, &[]),
        };
        writer.finish()
    }

    /// The record that says something of what the key names.
    #[must_use]
    pub fn with(&self, value: Bytes) -> Record {
        Record { key: self.encode(), value: Some(value) }
    }

    /// The record that says that what the key names is gone.
    #[must_use]
    pub fn tombstone(&self) -> Record {
        Record { key: self.encode(), value: None }
    }
}

/// Splits a value into version and fields; `newest` is the newest version known, `flexible` the first
/// flexible one.
fn value_reader(
    value: &[u8],
    newest: i16,
    flexible: i16,
) -> Result<(i16, Reader<'_>), RecordError> {
    let bytes = value.len();
    let (version, rest) =
        Reader::version(value).map_err(|_| RecordError::Value { version: -1, bytes })?;
    if version < 0 || version > newest {
        return Err(RecordError::Value { version, bytes });
    }
    let form = if version >= flexible { Form::Flexible } else { Form::Plain };
    Ok((version, Reader::new(rest, form)))
}

fn instance(text: Option<&str>) -> Option<InstanceId> {
    text.map(InstanceId::new)
}

fn member(text: &str) -> MemberId {
    MemberId::new(text)
}

#[cfg(test)]
mod tests;
