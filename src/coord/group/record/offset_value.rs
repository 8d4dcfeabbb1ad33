//! The value of a committed offset.

use bytes::Bytes;

use kolk_model::ids::LeaderEpoch;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use super::field::{Fault, Form, Reader, Writer};
use super::{RecordError, value_reader};

/// A committed offset as it is stored.
///
/// `offset 8 · leader epoch 4 (version 3 on, -1 = none) · metadata text · commit time 8 · expiry time 8 (version 1
/// alone)`; version 4 is flexible. Written as version 3, or as version 1 when it has an expiry of its own.
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
        reader.no_tags()?;
        Ok(Self { offset, leader_epoch, metadata, committed_at, expires_at })
    }

    /// The value as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let version = if self.expires_at.is_some() { 1 } else { 3 };
        let mut writer = Writer::new(version, Form::Plain);
        writer.i64(self.offset.to_wire());
        if version >= 3 {
            writer.i32(self.leader_epoch.map_or(-1, LeaderEpoch::to_wire));
        }
        writer.text(&self.metadata);
        writer.i64(self.committed_at.get());
        if let Some(expires_at) = self.expires_at {
            writer.i64(expires_at.get());
        }
        writer.finish()
    }
}
