//! The values of a group of the consumer protocol (KIP-848). All have one version, 0, which is flexible.

use bytes::{BufMut, Bytes, BytesMut};

use kolk_model::ids::TopicId;
use kolk_model::map::{Map, Set};
use kolk_model::time::TimestampMs;

use super::field::{Fault, Form, Reader, Writer};
use super::{RecordError, instance, value_reader};
use crate::group::ids::InstanceId;
use crate::group::request::{Client, Protocol};

/// Partitions by topic. A topic without partitions is left out.
pub type Assignment = Map<TopicId, Set<i32>>;

/// The group itself: `epoch 4`; tag 0: a hash over the topics that it reads, 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpochValue {
    /// Rises with every change of members, subscriptions or topics.
    pub epoch: i32,
    /// Differs when those topics differ.
    pub topics_hash: i64,
}

/// What a member says of itself: `instance text or null · rack text or null · client id text · client host text ·
/// topics · pattern text or null · rebalance timeout 4 · assignor text or null`; tag 0: a [`ClassicValue`], or 0 (null).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriberValue {
    /// Its static id.
    pub instance: Option<InstanceId>,
    /// Its rack.
    pub rack: Option<String>,
    /// Its client.
    pub client: Client,
    /// The topics that it names, rising.
    pub topics: Vec<String>,
    /// A regular expression for more topics.
    pub pattern: Option<String>,
    /// How long it may take to give partitions up, in ms.
    pub rebalance_timeout_ms: u32,
    /// The assignor that it wishes.
    pub assignor: Option<String>,
    /// What else a member says that speaks the classic protocol; `None` = it speaks the consumer protocol.
    pub classic: Option<ClassicValue>,
}

/// What only a member of the classic protocol says: `1 (not null) · session timeout 4 · protocols`, each protocol
/// `name text · metadata bytes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicValue {
    /// How long it may be silent, in ms.
    pub session_timeout_ms: u32,
    /// What it can do, best first, with its words to a leader.
    pub protocols: Vec<Protocol>,
}

/// What a member has: `epoch 4 · previous epoch 4 · state 1 · assigned · to be revoked`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CurrentValue {
    /// The epoch that the member is in; -2 = a static member that is away.
    pub epoch: i32,
    /// The one before, in which it may speak if an answer was lost.
    pub epoch_before: i32,
    /// How far it is on the way to its target.
    pub progress: Progress,
    /// What it may read.
    pub assigned: Assignment,
    /// What it must give up first.
    pub revoking: Assignment,
}

/// How far a member is on the way from what it has to what it is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// It has what it is to have.
    #[default]
    Stable,
    /// It must give partitions up.
    Unrevoked,
    /// Others must give partitions up that it is to have.
    Unreleased,
}

/// The topics that a pattern matches: `topics · version 8 · time 8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternValue {
    /// The topics.
    pub topics: Set<String>,
    /// When they were looked for.
    pub at: TimestampMs,
}

fn decode<T>(
    value: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, Fault>,
) -> Result<T, RecordError> {
    let (version, mut reader) = value_reader(value, 0, 0)?;
    read(&mut reader).map_err(|_| RecordError::Value { version, bytes: value.len() })
}

fn writer() -> Writer {
    Writer::new(0, Form::Flexible)
}

impl EpochValue {
    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn decode(value: &[u8]) -> Result<Self, RecordError> {
        decode(value, |reader| {
            let epoch = reader.i32()?;
            let mut topics_hash = 0;
            reader.tags(|tag, field| {
                if tag == 0 {
                    topics_hash = field.i64()?;
                }
                Ok(())
            })?;
            Ok(Self { epoch, topics_hash })
        })
    }

    /// The value as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = writer();
        writer.i32(self.epoch);
        let mut hash = BytesMut::with_capacity(8);
        hash.put_i64(self.topics_hash);
        match self.topics_hash {
            0 => writer.tags(&[]),
            _ => writer.tags(&[(0, hash.freeze())]),
        }
        writer.finish()
    }
}

/// The value of the epoch of the assignment: `epoch 4`.
#[must_use]
pub fn encode_target_epoch(epoch: i32) -> Bytes {
    let mut writer = writer();
    writer.i32(epoch);
    writer.tags(&[]);
    writer.finish()
}

/// Reads the value of the epoch of the assignment.
///
/// # Errors
/// When the bytes are not such a value.
pub fn decode_target_epoch(value: &[u8]) -> Result<i32, RecordError> {
    decode(value, |reader| {
        let epoch = reader.i32()?;
        reader.no_tags()?;
        Ok(epoch)
    })
}

/// The value of what a member is to have.
#[must_use]
pub fn encode_target(target: &Assignment) -> Bytes {
    let mut writer = writer();
    write_assignment(&mut writer, target);
    writer.tags(&[]);
    writer.finish()
}

/// Reads the value of what a member is to have.
///
/// # Errors
/// When the bytes are not such a value.
pub fn decode_target(value: &[u8]) -> Result<Assignment, RecordError> {
    decode(value, |reader| {
        let target = read_assignment(reader)?;
        reader.no_tags()?;
        Ok(target)
    })
}

impl SubscriberValue {
    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn decode(value: &[u8]) -> Result<Self, RecordError> {
        decode(value, |reader| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let mut read = Self {
                instance: instance(reader.nullable_text()?),
                rack: owned(reader.nullable_text()?),
                client: Client { id: reader.text()?.to_owned(), host: reader.text()?.to_owned() },
                topics: reader.list(|reader| reader.text().map(str::to_owned))?,
                pattern: owned(reader.nullable_text()?),
                rebalance_timeout_ms: u32::try_from(reader.i32()?).unwrap_or(0),
                assignor: owned(reader.nullable_text()?),
                classic: None,
            };
            reader.tags(|tag, field| {
                if tag == 0 {
                    read.classic = ClassicValue::read(field)?;
                }
                Ok(())
            })?;
            Ok(read)
        })
    }

    /// The value as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = writer();
        writer.nullable_text(self.instance.as_ref().map(InstanceId::as_str));
        writer.nullable_text(self.rack.as_deref());
        writer.text(&self.client.id);
        writer.text(&self.client.host);
        writer.count(self.topics.len());
        for topic in &self.topics {
            writer.text(topic);
        }
        writer.nullable_text(self.pattern.as_deref());
        writer.i32(i32::try_from(self.rebalance_timeout_ms).unwrap_or(i32::MAX));
        writer.nullable_text(self.assignor.as_deref());
        writer.tags(&[(0, ClassicValue::encode(self.classic.as_ref()))]);
        writer.finish()
    }
}

impl ClassicValue {
    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, Fault> {
        if reader.unsigned()? == 0 {
            return Ok(None);
        }
        let session_timeout_ms = u32::try_from(reader.i32()?).unwrap_or(0);
        let protocols = reader.list(|reader| {
            let protocol = Protocol { name: reader.text()?.to_owned(), metadata: reader.bytes()? };
            reader.no_tags()?;
            Ok(protocol)
        })?;
        reader.no_tags()?;
        Ok(Some(Self { session_timeout_ms, protocols }))
    }

    /// Kafka takes a field that is left out for a classic member without protocols: who is none must say so.
    fn encode(classic: Option<&Self>) -> Bytes {
        let mut writer = Writer::inner(Form::Flexible);
        let Some(classic) = classic else {
            writer.unsigned(0);
            return writer.finish();
        };
        writer.unsigned(1);
        writer.i32(i32::try_from(classic.session_timeout_ms).unwrap_or(i32::MAX));
        writer.count(classic.protocols.len());
        for protocol in &classic.protocols {
            writer.text(&protocol.name);
            writer.bytes(&protocol.metadata);
            writer.tags(&[]);
        }
        writer.tags(&[]);
        writer.finish()
    }
}

impl CurrentValue {
    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn decode(value: &[u8]) -> Result<Self, RecordError> {
        decode(value, |reader| {
            let read = Self {
                epoch: reader.i32()?,
                epoch_before: reader.i32()?,
                progress: match reader.i8()? {
                    0 => Progress::Stable,
                    1 => Progress::Unrevoked,
                    // A state of a later version is one in which the member waits.
                    _ => Progress::Unreleased,
                },
                assigned: read_assignment(reader)?,
                revoking: read_assignment(reader)?,
            };
            reader.no_tags()?;
            Ok(read)
        })
    }

    /// The value as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = writer();
        writer.i32(self.epoch);
        writer.i32(self.epoch_before);
        writer.i8(match self.progress {
            Progress::Stable => 0,
            Progress::Unrevoked => 1,
            Progress::Unreleased => 2,
        });
        write_assignment(&mut writer, &self.assigned);
        write_assignment(&mut writer, &self.revoking);
        writer.tags(&[]);
        writer.finish()
    }
}

impl PatternValue {
    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn decode(value: &[u8]) -> Result<Self, RecordError> {
        decode(value, |reader| {
            let topics = reader.list(|reader| reader.text().map(str::to_owned))?;
            let _version = reader.i64()?;
            let at = TimestampMs::new(reader.i64()?);
            reader.no_tags()?;
            Ok(Self { topics: topics.into_iter().collect(), at })
        })
    }

    /// The value as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = writer();
        writer.count(self.topics.len());
        for topic in &self.topics {
            writer.text(topic);
        }
        writer.i64(0);
        writer.i64(self.at.get());
        writer.tags(&[]);
        writer.finish()
    }
}

fn write_assignment(writer: &mut Writer, assignment: &Assignment) {
    writer.count(assignment.len());
    for (topic, partitions) in assignment {
        writer.uuid(topic.get());
        writer.count(partitions.len());
        for partition in partitions {
            writer.i32(*partition);
        }
        writer.tags(&[]);
    }
}

fn read_assignment(reader: &mut Reader<'_>) -> Result<Assignment, Fault> {
    let topics = reader.list(|reader| {
        let topic = TopicId::new(reader.uuid()?);
        let partitions = reader.list(Reader::i32)?;
        reader.no_tags()?;
        Ok((topic, partitions.into_iter().collect::<Set<i32>>()))
    })?;
    Ok(topics.into_iter().filter(|(_, partitions)| !partitions.is_empty()).collect())
}
