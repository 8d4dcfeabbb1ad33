//! The value of a classic group.

use bytes::Bytes;

use kolk_model::time::TimestampMs;

use super::field::{Fault, Form, Reader, Writer};
use super::{RecordError, instance, member, value_reader};
use crate::group::ids::{Generation, InstanceId, MemberId};
use crate::group::request::Client;

/// A classic group as it is stored: at the end of each rebalance, and when it gets or loses its last member.
///
/// `protocol type text · generation 4 · protocol text or null · leader text or null · since 8 (version 2 on) ·
/// members`, each member `id text · instance text or null (3 on) · client id text · client host text · rebalance
/// timeout 4 (1 on) · session timeout 4 · subscription bytes · assignment bytes`; version 4 is flexible. Written
/// as version 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupValue {
    /// The kind of the group; empty before its first member.
    pub protocol_type: String,
    /// Its generation.
    pub generation: Generation,
    /// The protocol in use.
    pub protocol: Option<String>,
    /// The member that assigns.
    pub leader: Option<MemberId>,
    /// Since when the group is in its state.
    pub since: Option<TimestampMs>,
    /// Its members.
    pub members: Vec<MemberValue>,
}

/// A member of a classic group as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberValue {
    /// Its id.
    pub member: MemberId,
    /// Its static id.
    pub instance: Option<InstanceId>,
    /// Its client.
    pub client: Client,
    /// How long a rebalance waits for it, in ms.
    pub rebalance_timeout_ms: u32,
    /// How long it may be silent, in ms.
    pub session_timeout_ms: u32,
    /// What it said for the protocol in use.
    pub subscription: Bytes,
    /// What it got.
    pub assignment: Bytes,
}

impl GroupValue {
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
        let protocol_type = reader.text()?.to_owned();
        let generation = Generation::from_wire(reader.i32()?).unwrap_or_default();
        let protocol = reader.nullable_text()?.map(str::to_owned);
        let leader = reader.nullable_text()?.map(member);
        let since = if version >= 2 { Some(reader.i64()?) } else { None };
        let since = since.filter(|at| *at >= 0).map(TimestampMs::new);
        let members = reader.list(|reader| MemberValue::read(version, reader))?;
        reader.no_tags()?;
        Ok(Self { protocol_type, generation, protocol, leader, since, members })
    }

    /// The value as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new(3, Form::Plain);
        writer.text(&self.protocol_type);
        writer.i32(self.generation.to_wire());
        writer.nullable_text(self.protocol.as_deref());
        writer.nullable_text(self.leader.as_ref().map(MemberId::as_str));
        writer.i64(self.since.unwrap_or(TimestampMs::NONE).get());
        writer.count(self.members.len());
        for member in &self.members {
            member.write(&mut writer);
        }
        writer.finish()
    }
}

impl MemberValue {
    fn read(version: i16, reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let id = member(reader.text()?);
        let instance = if version >= 3 { instance(reader.nullable_text()?) } else { None };
        let client = Client { id: reader.text()?.to_owned(), host: reader.text()?.to_owned() };
        let rebalance = if version >= 1 { Some(reader.i32()?) } else { None };
        let session_timeout_ms = u32::try_from(reader.i32()?).unwrap_or(0);
        let rebalance = rebalance.and_then(|ms| u32::try_from(ms).ok());
        let subscription = reader.bytes()?;
        let assignment = reader.bytes()?;
        reader.no_tags()?;
        Ok(Self {
            member: id,
            instance,
            client,
            // Version 0 knows no other.
            rebalance_timeout_ms: rebalance.unwrap_or(session_timeout_ms),
            session_timeout_ms,
            subscription,
            assignment,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.text(self.member.as_str());
        writer.nullable_text(self.instance.as_ref().map(InstanceId::as_str));
        writer.text(&self.client.id);
        writer.text(&self.client.host);
        writer.i32(wire_ms(self.rebalance_timeout_ms));
        writer.i32(wire_ms(self.session_timeout_ms));
        writer.bytes(&self.subscription);
        writer.bytes(&self.assignment);
    }
}

fn wire_ms(ms: u32) -> i32 {
    i32::try_from(ms).unwrap_or(i32::MAX)
}
