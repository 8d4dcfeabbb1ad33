//! Generated from `schemas/kafka/leave_group.txt` by `cargo xtask fix`; not edited.
//!
//! Takes members out of a classic group. Versions 0 to 5.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Takes members out of a classic group.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub group_id: String,
    /// In versions 0 to 2.
    pub member_id: String,
    /// Since version 3.
    pub members: Vec<RequestMember>,
}

impl Message for Request {
    const API: ApiKey = ApiKey::LeaveGroup;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let group_id = reader.string()?;
        let member_id = if version <= 2 { reader.string()? } else { String::new() };
        let members = if version >= 3 { reader.array(3, |reader| RequestMember::decode(reader, version))? } else { Vec::new() };
        reader.skip_tags()?;
        Ok(Self { group_id, member_id, members })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.string(&self.group_id);
        if version <= 2 {
            writer.string(&self.member_id);
        }
        if version >= 3 {
            writer.array(&self.members, |writer, one| one.encode(writer, version));
        }
        writer.no_tags();
    }
}

/// An element of `members`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestMember {
    /// Always.
    pub member_id: String,
    /// Always.
    pub group_instance_id: Option<String>,
    /// Since version 5.
    pub reason: Option<String>,
}

impl RequestMember {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let member_id = reader.string()?;
        let group_instance_id = reader.nullable_string()?;
        let reason = if version >= 5 { reader.nullable_string()? } else { None };
        reader.skip_tags()?;
        Ok(Self { member_id, group_instance_id, reason })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.member_id);
        writer.nullable_string(self.group_instance_id.as_deref());
        if version >= 5 {
            writer.nullable_string(self.reason.as_deref());
        }
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `LeaveGroup`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Since version 1.
    pub throttle_time_ms: i32,
    /// Always.
    pub error_code: i16,
    /// Since version 3.
    pub members: Vec<Member>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::LeaveGroup;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = if version >= 1 { reader.i32()? } else { 0 };
        let error_code = reader.i16()?;
        let members = if version >= 3 { reader.array(5, |reader| Member::decode(reader, version))? } else { Vec::new() };
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, members })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 1 {
            writer.i32(self.throttle_time_ms);
        }
        writer.i16(self.error_code);
        if version >= 3 {
            writer.array(&self.members, |writer, one| one.encode(writer, version));
        }
        writer.no_tags();
    }
}

/// An element of `members`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Member {
    /// Always.
    pub member_id: String,
    /// Always.
    pub group_instance_id: Option<String>,
    /// Always.
    pub error_code: i16,
}

impl Member {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let member_id = reader.string()?;
        let group_instance_id = reader.nullable_string()?;
        let error_code = reader.i16()?;
        reader.skip_tags()?;
        Ok(Self { member_id, group_instance_id, error_code })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.member_id);
        writer.nullable_string(self.group_instance_id.as_deref());
        writer.i16(self.error_code);
        writer.no_tags();
    }
}
