//! Generated from `schemas/kafka/sync_group.txt` by `cargo xtask fix`; not edited.
//!
//! Hands out, and fetches, the assignment of a generation. Versions 0 to 5.

use bytes::Bytes;

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Hands out, and fetches, the assignment of a generation.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub group_id: String,
    /// Always.
    pub generation_id: i32,
    /// Always.
    pub member_id: String,
    /// Since version 3.
    pub group_instance_id: Option<String>,
    /// Since version 5.
    pub protocol_type: Option<String>,
    /// Since version 5.
    pub protocol_name: Option<String>,
    /// Always.
    pub assignments: Vec<RequestAssignment>,
}

impl Message for Request {
    const API: ApiKey = ApiKey::SyncGroup;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let group_id = reader.string()?;
        let generation_id = reader.i32()?;
        let member_id = reader.string()?;
        let group_instance_id = if version >= 3 { reader.nullable_string()? } else { None };
        let protocol_type = if version >= 5 { reader.nullable_string()? } else { None };
        let protocol_name = if version >= 5 { reader.nullable_string()? } else { None };
        let assignments = reader.array(3, |reader| RequestAssignment::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { group_id, generation_id, member_id, group_instance_id, protocol_type, protocol_name, assignments })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.string(&self.group_id);
        writer.i32(self.generation_id);
        writer.string(&self.member_id);
        if version >= 3 {
            writer.nullable_string(self.group_instance_id.as_deref());
        }
        if version >= 5 {
            writer.nullable_string(self.protocol_type.as_deref());
        }
        if version >= 5 {
            writer.nullable_string(self.protocol_name.as_deref());
        }
        writer.array(&self.assignments, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `assignments`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestAssignment {
    /// Always.
    pub member_id: String,
    /// Always.
    pub assignment: Bytes,
}

impl RequestAssignment {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let member_id = reader.string()?;
        let assignment = reader.bytes()?;
        reader.skip_tags()?;
        Ok(Self { member_id, assignment })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.member_id);
        writer.bytes(&self.assignment);
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `SyncGroup`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Since version 1.
    pub throttle_time_ms: i32,
    /// Always.
    pub error_code: i16,
    /// Since version 5.
    pub protocol_type: Option<String>,
    /// Since version 5.
    pub protocol_name: Option<String>,
    /// Always.
    pub assignment: Bytes,
}

impl Message for Response {
    const API: ApiKey = ApiKey::SyncGroup;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = if version >= 1 { reader.i32()? } else { 0 };
        let error_code = reader.i16()?;
        let protocol_type = if version >= 5 { reader.nullable_string()? } else { None };
        let protocol_name = if version >= 5 { reader.nullable_string()? } else { None };
        let assignment = reader.bytes()?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, protocol_type, protocol_name, assignment })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 1 {
            writer.i32(self.throttle_time_ms);
        }
        writer.i16(self.error_code);
        if version >= 5 {
            writer.nullable_string(self.protocol_type.as_deref());
        }
        if version >= 5 {
            writer.nullable_string(self.protocol_name.as_deref());
        }
        writer.bytes(&self.assignment);
        writer.no_tags();
    }
}
