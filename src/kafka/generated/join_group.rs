//! Generated from `schemas/kafka/join_group.txt` by `cargo xtask fix`; not edited.
//!
//! Enters a classic group, or the next generation of it. Versions 0 to 9.

use bytes::Bytes;

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Enters a classic group, or the next generation of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub group_id: String,
    /// Always.
    pub session_timeout_ms: i32,
    /// Since version 1. Default -1.
    pub rebalance_timeout_ms: i32,
    /// Always.
    pub member_id: String,
    /// Since version 5.
    pub group_instance_id: Option<String>,
    /// Always.
    pub protocol_type: String,
    /// Always.
    pub protocols: Vec<RequestProtocol>,
    /// Since version 8.
    pub reason: Option<String>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            group_id: String::new(),
            session_timeout_ms: 0,
            rebalance_timeout_ms: -1,
            member_id: String::new(),
            group_instance_id: None,
            protocol_type: String::new(),
            protocols: Vec::new(),
            reason: None,
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::JoinGroup;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let group_id = reader.string()?;
        let session_timeout_ms = reader.i32()?;
        let rebalance_timeout_ms = if version >= 1 { reader.i32()? } else { -1 };
        let member_id = reader.string()?;
        let group_instance_id = if version >= 5 { reader.nullable_string()? } else { None };
        let protocol_type = reader.string()?;
        let protocols = reader.array(3, |reader| RequestProtocol::decode(reader, version))?;
        let reason = if version >= 8 { reader.nullable_string()? } else { None };
        reader.skip_tags()?;
        Ok(Self { group_id, session_timeout_ms, rebalance_timeout_ms, member_id, group_instance_id, protocol_type, protocols, reason })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.string(&self.group_id);
        writer.i32(self.session_timeout_ms);
        if version >= 1 {
            writer.i32(self.rebalance_timeout_ms);
        }
        writer.string(&self.member_id);
        if version >= 5 {
            writer.nullable_string(self.group_instance_id.as_deref());
        }
        writer.string(&self.protocol_type);
        writer.array(&self.protocols, |writer, one| one.encode(writer, version));
        if version >= 8 {
            writer.nullable_string(self.reason.as_deref());
        }
        writer.no_tags();
    }
}

/// An element of `protocols`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestProtocol {
    /// Always.
    pub name: String,
    /// Always.
    pub metadata: Bytes,
}

impl RequestProtocol {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let metadata = reader.bytes()?;
        reader.skip_tags()?;
        Ok(Self { name, metadata })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.name);
        writer.bytes(&self.metadata);
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `JoinGroup`.
#[derive(Clone, PartialEq, Debug)]
pub struct Response {
    /// Since version 2.
    pub throttle_time_ms: i32,
    /// Always.
    pub error_code: i16,
    /// Always. Default -1.
    pub generation_id: i32,
    /// Since version 7.
    pub protocol_type: Option<String>,
    /// Always. Null since version 7.
    pub protocol_name: Option<String>,
    /// Always.
    pub leader: String,
    /// Since version 9.
    pub skip_assignment: bool,
    /// Always.
    pub member_id: String,
    /// Always.
    pub members: Vec<Member>,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: String::new(),
            members: Vec::new(),
        }
    }
}

impl Message for Response {
    const API: ApiKey = ApiKey::JoinGroup;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = if version >= 2 { reader.i32()? } else { 0 };
        let error_code = reader.i16()?;
        let generation_id = reader.i32()?;
        let protocol_type = if version >= 7 { reader.nullable_string()? } else { None };
        let protocol_name = if version >= 7 { reader.nullable_string()? } else { Some(reader.string()?) };
        let leader = reader.string()?;
        let skip_assignment = if version >= 9 { reader.bool()? } else { false };
        let member_id = reader.string()?;
        let members = reader.array(4, |reader| Member::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, generation_id, protocol_type, protocol_name, leader, skip_assignment, member_id, members })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 2 {
            writer.i32(self.throttle_time_ms);
        }
        writer.i16(self.error_code);
        writer.i32(self.generation_id);
        if version >= 7 {
            writer.nullable_string(self.protocol_type.as_deref());
        }
        if version >= 7 {
            writer.nullable_string(self.protocol_name.as_deref());
        } else {
            writer.string(self.protocol_name.as_deref().unwrap_or_default());
        }
        writer.string(&self.leader);
        if version >= 9 {
            writer.bool(self.skip_assignment);
        }
        writer.string(&self.member_id);
        writer.array(&self.members, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `members`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Member {
    /// Always.
    pub member_id: String,
    /// Since version 5.
    pub group_instance_id: Option<String>,
    /// Always.
    pub metadata: Bytes,
}

impl Member {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let member_id = reader.string()?;
        let group_instance_id = if version >= 5 { reader.nullable_string()? } else { None };
        let metadata = reader.bytes()?;
        reader.skip_tags()?;
        Ok(Self { member_id, group_instance_id, metadata })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.member_id);
        if version >= 5 {
            writer.nullable_string(self.group_instance_id.as_deref());
        }
        writer.bytes(&self.metadata);
        writer.no_tags();
    }
}
