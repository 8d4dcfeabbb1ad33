//! Generated from `schemas/kafka/find_coordinator.txt` by `cargo xtask fix`; not edited.
//!
//! Finds the broker that answers for a group or a transactional id. Versions 0 to 6.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Finds the broker that answers for a group or a transactional id.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// In versions 0 to 3.
    pub key: String,
    /// Since version 1.
    pub key_type: i8,
    /// Since version 4.
    pub coordinator_keys: Vec<String>,
}

impl Message for Request {
    const API: ApiKey = ApiKey::FindCoordinator;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let key = if version <= 3 { reader.string()? } else { String::new() };
        let key_type = if version >= 1 { reader.i8()? } else { 0 };
        let coordinator_keys = if version >= 4 { reader.array(1, Reader::string)? } else { Vec::new() };
        reader.skip_tags()?;
        Ok(Self { key, key_type, coordinator_keys })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version <= 3 {
            writer.string(&self.key);
        }
        if version >= 1 {
            writer.i8(self.key_type);
        }
        if version >= 4 {
            writer.array(&self.coordinator_keys, |writer, one| writer.string(one));
        }
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `FindCoordinator`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Since version 1.
    pub throttle_time_ms: i32,
    /// In versions 0 to 3.
    pub error_code: i16,
    /// In versions 1 to 3.
    pub error_message: Option<String>,
    /// In versions 0 to 3.
    pub node_id: i32,
    /// In versions 0 to 3.
    pub host: String,
    /// In versions 0 to 3.
    pub port: i32,
    /// Since version 4.
    pub coordinators: Vec<Coordinator>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::FindCoordinator;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = if version >= 1 { reader.i32()? } else { 0 };
        let error_code = if version <= 3 { reader.i16()? } else { 0 };
        let error_message = if version >= 1 && version <= 3 { reader.nullable_string()? } else { None };
        let node_id = if version <= 3 { reader.i32()? } else { 0 };
        let host = if version <= 3 { reader.string()? } else { String::new() };
        let port = if version <= 3 { reader.i32()? } else { 0 };
        let coordinators = if version >= 4 { reader.array(14, |reader| Coordinator::decode(reader, version))? } else { Vec::new() };
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, error_message, node_id, host, port, coordinators })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 1 {
            writer.i32(self.throttle_time_ms);
        }
        if version <= 3 {
            writer.i16(self.error_code);
        }
        if version >= 1 && version <= 3 {
            writer.nullable_string(self.error_message.as_deref());
        }
        if version <= 3 {
            writer.i32(self.node_id);
        }
        if version <= 3 {
            writer.string(&self.host);
        }
        if version <= 3 {
            writer.i32(self.port);
        }
        if version >= 4 {
            writer.array(&self.coordinators, |writer, one| one.encode(writer, version));
        }
        writer.no_tags();
    }
}

/// An element of `coordinators`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Coordinator {
    /// Always.
    pub key: String,
    /// Always.
    pub node_id: i32,
    /// Always.
    pub host: String,
    /// Always.
    pub port: i32,
    /// Always.
    pub error_code: i16,
    /// Always.
    pub error_message: Option<String>,
}

impl Coordinator {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let key = reader.string()?;
        let node_id = reader.i32()?;
        let host = reader.string()?;
        let port = reader.i32()?;
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        reader.skip_tags()?;
        Ok(Self { key, node_id, host, port, error_code, error_message })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.key);
        writer.i32(self.node_id);
        writer.string(&self.host);
        writer.i32(self.port);
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.no_tags();
    }
}
