//! Generated from `schemas/kafka/list_groups.txt` by `cargo xtask fix`; not edited.
//!
//! Lists the groups that a broker coordinates. Versions 0 to 5.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Lists the groups that a broker coordinates.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Since version 4.
    pub states_filter: Vec<String>,
    /// Since version 5.
    pub types_filter: Vec<String>,
}

impl Message for Request {
    const API: ApiKey = ApiKey::ListGroups;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let states_filter = if version >= 4 { reader.array(1, Reader::string)? } else { Vec::new() };
        let types_filter = if version >= 5 { reader.array(1, Reader::string)? } else { Vec::new() };
        reader.skip_tags()?;
        Ok(Self { states_filter, types_filter })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 4 {
            writer.array(&self.states_filter, |writer, one| writer.string(one));
        }
        if version >= 5 {
            writer.array(&self.types_filter, |writer, one| writer.string(one));
        }
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `ListGroups`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Since version 1.
    pub throttle_time_ms: i32,
    /// Always.
    pub error_code: i16,
    /// Always.
    pub groups: Vec<Group>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::ListGroups;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = if version >= 1 { reader.i32()? } else { 0 };
        let error_code = reader.i16()?;
        let groups = reader.array(3, |reader| Group::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, groups })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 1 {
            writer.i32(self.throttle_time_ms);
        }
        writer.i16(self.error_code);
        writer.array(&self.groups, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `groups`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Group {
    /// Always.
    pub group_id: String,
    /// Always.
    pub protocol_type: String,
    /// Since version 4.
    pub group_state: String,
    /// Since version 5.
    pub group_type: String,
}

impl Group {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let group_id = reader.string()?;
        let protocol_type = reader.string()?;
        let group_state = if version >= 4 { reader.string()? } else { String::new() };
        let group_type = if version >= 5 { reader.string()? } else { String::new() };
        reader.skip_tags()?;
        Ok(Self { group_id, protocol_type, group_state, group_type })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.group_id);
        writer.string(&self.protocol_type);
        if version >= 4 {
            writer.string(&self.group_state);
        }
        if version >= 5 {
            writer.string(&self.group_type);
        }
        writer.no_tags();
    }
}
