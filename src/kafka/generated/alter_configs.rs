//! Generated from `schemas/kafka/alter_configs.txt` by `cargo xtask fix`; not edited.
//!
//! Replaces all settings of a resource. Versions 0 to 2.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Replaces all settings of a resource.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub resources: Vec<RequestResource>,
    /// Always.
    pub validate_only: bool,
}

impl Message for Request {
    const API: ApiKey = ApiKey::AlterConfigs;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let resources = reader.array(4, |reader| RequestResource::decode(reader, version))?;
        let validate_only = reader.bool()?;
        reader.skip_tags()?;
        Ok(Self { resources, validate_only })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.array(&self.resources, |writer, one| one.encode(writer, version));
        writer.bool(self.validate_only);
        writer.no_tags();
    }
}

/// An element of `resources`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestResource {
    /// Always.
    pub resource_type: i8,
    /// Always.
    pub resource_name: String,
    /// Always.
    pub configs: Vec<RequestConfig>,
}

impl RequestResource {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let resource_type = reader.i8()?;
        let resource_name = reader.string()?;
        let configs = reader.array(3, |reader| RequestConfig::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { resource_type, resource_name, configs })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i8(self.resource_type);
        writer.string(&self.resource_name);
        writer.array(&self.configs, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `configs`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestConfig {
    /// Always.
    pub name: String,
    /// Always.
    pub value: Option<String>,
}

impl RequestConfig {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let value = reader.nullable_string()?;
        reader.skip_tags()?;
        Ok(Self { name, value })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.name);
        writer.nullable_string(self.value.as_deref());
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `AlterConfigs`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub responses: Vec<Resource>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::AlterConfigs;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let responses = reader.array(6, |reader| Resource::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, responses })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        writer.array(&self.responses, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `responses`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Resource {
    /// Always.
    pub error_code: i16,
    /// Always.
    pub error_message: Option<String>,
    /// Always.
    pub resource_type: i8,
    /// Always.
    pub resource_name: String,
}

impl Resource {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        let resource_type = reader.i8()?;
        let resource_name = reader.string()?;
        reader.skip_tags()?;
        Ok(Self { error_code, error_message, resource_type, resource_name })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.i8(self.resource_type);
        writer.string(&self.resource_name);
        writer.no_tags();
    }
}
