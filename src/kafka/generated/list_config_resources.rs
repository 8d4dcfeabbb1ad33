//! Generated from `schemas/kafka/list_config_resources.txt` by `cargo xtask fix`; not edited.
//!
//! Lists the resources that have settings. Versions 0 to 1.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Lists the resources that have settings.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Since version 1.
    pub resource_types: Vec<i8>,
}

impl Message for Request {
    const API: ApiKey = ApiKey::ListConfigResources;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let resource_types = if version >= 1 { reader.array(1, Reader::i8)? } else { Vec::new() };
        reader.skip_tags()?;
        Ok(Self { resource_types })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 1 {
            writer.array(&self.resource_types, |writer, one| writer.i8(*one));
        }
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `ListConfigResources`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub error_code: i16,
    /// Always.
    pub config_resources: Vec<Resource>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::ListConfigResources;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let error_code = reader.i16()?;
        let config_resources = reader.array(2, |reader| Resource::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, config_resources })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        writer.i16(self.error_code);
        writer.array(&self.config_resources, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `config_resources`.
#[derive(Clone, PartialEq, Debug)]
pub struct Resource {
    /// Always.
    pub resource_name: String,
    /// Since version 1. Default 16.
    pub resource_type: i8,
}

impl Default for Resource {
    fn default() -> Self {
        Self {
            resource_name: String::new(),
            resource_type: 16,
        }
    }
}

impl Resource {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let resource_name = reader.string()?;
        let resource_type = if version >= 1 { reader.i8()? } else { 16 };
        reader.skip_tags()?;
        Ok(Self { resource_name, resource_type })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.resource_name);
        if version >= 1 {
            writer.i8(self.resource_type);
        }
        writer.no_tags();
    }
}
