//! Generated from `schemas/kafka/delete_groups.txt` by `cargo xtask fix`; not edited.
//!
//! Deletes empty groups. Versions 0 to 2.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Deletes empty groups.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub groups_names: Vec<String>,
}

impl Message for Request {
    const API: ApiKey = ApiKey::DeleteGroups;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let groups_names = reader.array(1, Reader::string)?;
        reader.skip_tags()?;
        Ok(Self { groups_names })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.array(&self.groups_names, |writer, one| writer.string(one));
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `DeleteGroups`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub results: Vec<Group>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::DeleteGroups;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let results = reader.array(4, |reader| Group::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, results })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        writer.array(&self.results, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `results`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Group {
    /// Always.
    pub group_id: String,
    /// Always.
    pub error_code: i16,
}

impl Group {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let group_id = reader.string()?;
        let error_code = reader.i16()?;
        reader.skip_tags()?;
        Ok(Self { group_id, error_code })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.group_id);
        writer.i16(self.error_code);
        writer.no_tags();
    }
}
