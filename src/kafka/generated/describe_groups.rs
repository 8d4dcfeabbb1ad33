//! Generated from `schemas/kafka/describe_groups.txt` by `cargo xtask fix`; not edited.
//!
//! Shows classic groups with their members. Versions 0 to 6.

use bytes::Bytes;

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Shows classic groups with their members.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub groups: Vec<String>,
    /// Since version 3.
    pub include_authorized_operations: bool,
}

impl Message for Request {
    const API: ApiKey = ApiKey::DescribeGroups;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let groups = reader.array(1, Reader::string)?;
        let include_authorized_operations = if version >= 3 { reader.bool()? } else { false };
        reader.skip_tags()?;
        Ok(Self { groups, include_authorized_operations })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.array(&self.groups, |writer, one| writer.string(one));
        if version >= 3 {
            writer.bool(self.include_authorized_operations);
        }
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `DescribeGroups`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Since version 1.
    pub throttle_time_ms: i32,
    /// Always.
    pub groups: Vec<Group>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::DescribeGroups;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = if version >= 1 { reader.i32()? } else { 0 };
        let groups = reader.array(12, |reader| Group::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, groups })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 1 {
            writer.i32(self.throttle_time_ms);
        }
        writer.array(&self.groups, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `groups`.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// Always.
    pub error_code: i16,
    /// Since version 6.
    pub error_message: Option<String>,
    /// Always.
    pub group_id: String,
    /// Always.
    pub group_state: String,
    /// Always.
    pub protocol_type: String,
    /// Always.
    pub protocol_data: String,
    /// Always.
    pub members: Vec<Member>,
    /// Since version 3. Default -2147483648.
    pub authorized_operations: i32,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: None,
            group_id: String::new(),
            group_state: String::new(),
            protocol_type: String::new(),
            protocol_data: String::new(),
            members: Vec::new(),
            authorized_operations: -2147483648,
        }
    }
}

impl Group {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let error_code = reader.i16()?;
        let error_message = if version >= 6 { reader.nullable_string()? } else { None };
        let group_id = reader.string()?;
        let group_state = reader.string()?;
        let protocol_type = reader.string()?;
        let protocol_data = reader.string()?;
        let members = reader.array(7, |reader| Member::decode(reader, version))?;
        let authorized_operations = if version >= 3 { reader.i32()? } else { -2147483648 };
        reader.skip_tags()?;
        Ok(Self { error_code, error_message, group_id, group_state, protocol_type, protocol_data, members, authorized_operations })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i16(self.error_code);
        if version >= 6 {
            writer.nullable_string(self.error_message.as_deref());
        }
        writer.string(&self.group_id);
        writer.string(&self.group_state);
        writer.string(&self.protocol_type);
        writer.string(&self.protocol_data);
        writer.array(&self.members, |writer, one| one.encode(writer, version));
        if version >= 3 {
            writer.i32(self.authorized_operations);
        }
        writer.no_tags();
    }
}

/// An element of `members`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Member {
    /// Always.
    pub member_id: String,
    /// Since version 4.
    pub group_instance_id: Option<String>,
    /// Always.
    pub client_id: String,
    /// Always.
    pub client_host: String,
    /// Always.
    pub member_metadata: Bytes,
    /// Always.
    pub member_assignment: Bytes,
}

impl Member {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let member_id = reader.string()?;
        let group_instance_id = if version >= 4 { reader.nullable_string()? } else { None };
        let client_id = reader.string()?;
        let client_host = reader.string()?;
        let member_metadata = reader.bytes()?;
        let member_assignment = reader.bytes()?;
        reader.skip_tags()?;
        Ok(Self { member_id, group_instance_id, client_id, client_host, member_metadata, member_assignment })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.member_id);
        if version >= 4 {
            writer.nullable_string(self.group_instance_id.as_deref());
        }
        writer.string(&self.client_id);
        writer.string(&self.client_host);
        writer.bytes(&self.member_metadata);
        writer.bytes(&self.member_assignment);
        writer.no_tags();
    }
}
