//! The value of a committed offset.

use bytes::Bytes;

use kolk_model::ids::{LeaderEpoch, TopicId};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use super::field::{Fault, Form, Reader, Writer};
use super::{RecordError, value_reader};

/// A committed offset as it is stored.
///
/// `offset 8 · leader epoch 4 (version 3 on, -1 = none) · metadata text · commit time 8 · expiry time 8 (version 1
/// alone)`; version 4 is flexible, tag 0: the topic's id, 16 (KAFKA-19141). Written as version 1 when it has an expiry of its
/// own, else as version 4 with the topic's id or as version 3 without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetValue {
    /// Where reading goes on.
    pub offset: Offset,
    /// The epoch of the last record that was read.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's words.
    pub metadata: String,
    /// When it was committed.
    pub committed_at: TimestampMs,
    /// When it goes, if the client said so.
    pub expires_at: Option<TimestampMs>,
    /// The topic that it was committed for: another one of the same name has no part in it. `None` = whichever has the name,
    /// as in records of earlier versions and in those with an expiry.
    pub topic_id: Option<TopicId>,
}

impl OffsetValue {
    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let (version, mut reader) = value_reader(value, 4, 4)?;
        let fault = |_| RecordError::Value { version, bytes: value.len() };
        Self::read(version, &mut reader).map_err(fault)
    }

    fn read(version: i16, reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let offset = Offset::from_wire(reader.i64()?).ok_or(Fault::Length)?;
        let leader_epoch = if version >= 3 { LeaderEpoch::from_wire(reader.i32()?) } else { None };
        let metadata = reader.text()?.to_owned();
        let committed_at = TimestampMs::new(reader.i64()?);
        let expires_at = if version == 1 { Some(reader.i64()?) } else { None };
        let expires_at = expires_at.filter(|at| *at >= 0).map(TimestampMs::new);
        let mut topic_id = TopicId::ZERO;
        reader.tags(|tag, field| {
            if tag == 0 {
                topic_id = TopicId::new(field.uuid()?);
            }
            Ok(())
        })?;
        let topic_id = Some(topic_id).filter(|id| *id != TopicId::ZERO);
        Ok(Self { offset, leader_epoch, metadata, committed_at, expires_at, topic_id })
    }

    /// The value as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (version, form) = match (self.expires_at, self.topic_id) {
            (Some(_), _) => (1, Form::Plain),
            (None, Some(_)) => (4, Form::Flexible),
            (None, None) => (3, Form::Plain),
        };
        let mut writer = Writer::new(version, form);
        writer.i64(self.offset.to_wire());
        if version >= 3 {
            writer.i32(self.leader_epoch.map_or(-1, LeaderEpoch::to_wire));
        }
        writer.text(&self.metadata);
        writer.i64(self.committed_at.get());
        if let Some(expires_at) = self.expires_at {
            writer.i64(expires_at.get());
        }
        if let Some(id) = self.topic_id {
            writer.tags(&[(0, Bytes::copy_from_slice(id.as_bytes()))]);
        }
        writer.finish()
    }
}
