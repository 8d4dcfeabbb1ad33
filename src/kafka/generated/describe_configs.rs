//! Generated from `schemas/kafka/describe_configs.txt` by `cargo xtask fix`; not edited.
//!
//! Shows the settings of topics, brokers and groups. Versions 1 to 4.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Shows the settings of topics, brokers and groups.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub resources: Vec<RequestResource>,
    /// Always.
    pub include_synonyms: bool,
    /// Since version 3.
    pub include_documentation: bool,
}

impl Message for Request {
    const API: ApiKey = ApiKey::DescribeConfigs;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let resources = reader.array(4, |reader| RequestResource::decode(reader, version))?;
        let include_synonyms = reader.bool()?;
        let include_documentation = if version >= 3 { reader.bool()? } else { false };
        reader.skip_tags()?;
        Ok(Self { resources, include_synonyms, include_documentation })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.array(&self.resources, |writer, one| one.encode(writer, version));
        writer.bool(self.include_synonyms);
        if version >= 3 {
            writer.bool(self.include_documentation);
        }
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
    pub configuration_keys: Option<Vec<String>>,
}

impl RequestResource {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let resource_type = reader.i8()?;
        let resource_name = reader.string()?;
        let configuration_keys = reader.nullable_array(1, Reader::string)?;
        reader.skip_tags()?;
        Ok(Self { resource_type, resource_name, configuration_keys })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i8(self.resource_type);
        writer.string(&self.resource_name);
        writer.nullable_array(self.configuration_keys.as_deref(), |writer, one| writer.string(one));
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `DescribeConfigs`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub results: Vec<Resource>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::DescribeConfigs;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let results = reader.array(7, |reader| Resource::decode(reader, version))?;
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
pub struct Resource {
    /// Always.
    pub error_code: i16,
    /// Always.
    pub error_message: Option<String>,
    /// Always.
    pub resource_type: i8,
    /// Always.
    pub resource_name: String,
    /// Always.
    pub configs: Vec<Config>,
}

impl Resource {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        let resource_type = reader.i8()?;
        let resource_name = reader.string()?;
        let configs = reader.array(9, |reader| Config::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { error_code, error_message, resource_type, resource_name, configs })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.i8(self.resource_type);
        writer.string(&self.resource_name);
        writer.array(&self.configs, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `configs`.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Always.
    pub name: String,
    /// Always.
    pub value: Option<String>,
    /// Always.
    pub read_only: bool,
    /// Always. Default -1.
    pub config_source: i8,
    /// Always.
    pub is_sensitive: bool,
    /// Always.
    pub synonyms: Vec<Synonym>,
    /// Since version 3.
    pub config_type: i8,
    /// Since version 3.
    pub documentation: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            value: None,
            read_only: false,
            config_source: -1,
            is_sensitive: false,
            synonyms: Vec::new(),
            config_type: 0,
            documentation: None,
        }
    }
}

impl Config {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let value = reader.nullable_string()?;
        let read_only = reader.bool()?;
        let config_source = reader.i8()?;
        let is_sensitive = reader.bool()?;
        let synonyms = reader.array(4, |reader| Synonym::decode(reader, version))?;
        let config_type = if version >= 3 { reader.i8()? } else { 0 };
        let documentation = if version >= 3 { reader.nullable_string()? } else { None };
        reader.skip_tags()?;
        Ok(Self { name, value, read_only, config_source, is_sensitive, synonyms, config_type, documentation })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.name);
        writer.nullable_string(self.value.as_deref());
        writer.bool(self.read_only);
        writer.i8(self.config_source);
        writer.bool(self.is_sensitive);
        writer.array(&self.synonyms, |writer, one| one.encode(writer, version));
        if version >= 3 {
            writer.i8(self.config_type);
        }
        if version >= 3 {
            writer.nullable_string(self.documentation.as_deref());
        }
        writer.no_tags();
    }
}

/// An element of `synonyms`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Synonym {
    /// Always.
    pub name: String,
    /// Always.
    pub value: Option<String>,
    /// Always.
    pub source: i8,
}

impl Synonym {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let value = reader.nullable_string()?;
        let source = reader.i8()?;
        reader.skip_tags()?;
        Ok(Self { name, value, source })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.name);
        writer.nullable_string(self.value.as_deref());
        writer.i8(self.source);
        writer.no_tags();
    }
}
