//! Generated from `schemas/kafka/heartbeat.txt` by `cargo xtask fix`; not edited.
//!
//! Says that a member of a classic group is alive. Versions 0 to 4.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Says that a member of a classic group is alive.
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
}

impl Message for Request {
    const API: ApiKey = ApiKey::Heartbeat;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let group_id = reader.string()?;
        let generation_id = reader.i32()?;
        let member_id = reader.string()?;
        let group_instance_id = if version >= 3 { reader.nullable_string()? } else { None };
        reader.skip_tags()?;
        Ok(Self { group_id, generation_id, member_id, group_instance_id })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.string(&self.group_id);
        writer.i32(self.generation_id);
        writer.string(&self.member_id);
        if version >= 3 {
            writer.nullable_string(self.group_instance_id.as_deref());
        }
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `Heartbeat`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Since version 1.
    pub throttle_time_ms: i32,
    /// Always.
    pub error_code: i16,
}

impl Message for Response {
    const API: ApiKey = ApiKey::Heartbeat;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = if version >= 1 { reader.i32()? } else { 0 };
        let error_code = reader.i16()?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 1 {
            writer.i32(self.throttle_time_ms);
        }
        writer.i16(self.error_code);
        writer.no_tags();
    }
}
