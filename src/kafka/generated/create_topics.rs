//! Generated from `schemas/kafka/create_topics.txt` by `cargo xtask fix`; not edited.
//!
//! Creates topics. Versions 2 to 7.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Tag, Uuid, Version, Writer};

/// Creates topics.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub topics: Vec<RequestTopic>,
    /// Always. Default 60000.
    pub timeout_ms: i32,
    /// Always.
    pub validate_only: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            timeout_ms: 60000,
            validate_only: false,
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::CreateTopics;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let topics = reader.array(10, |reader| RequestTopic::decode(reader, version))?;
        let timeout_ms = reader.i32()?;
        let validate_only = reader.bool()?;
        reader.skip_tags()?;
        Ok(Self { topics, timeout_ms, validate_only })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        writer.i32(self.timeout_ms);
        writer.bool(self.validate_only);
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// Always.
    pub name: String,
    /// Always.
    pub num_partitions: i32,
    /// Always.
    pub replication_factor: i16,
    /// Always.
    pub assignments: Vec<RequestAssignment>,
    /// Always.
    pub configs: Vec<RequestConfig>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let num_partitions = reader.i32()?;
        let replication_factor = reader.i16()?;
        let assignments = reader.array(6, |reader| RequestAssignment::decode(reader, version))?;
        let configs = reader.array(3, |reader| RequestConfig::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { name, num_partitions, replication_factor, assignments, configs })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.name);
        writer.i32(self.num_partitions);
        writer.i16(self.replication_factor);
        writer.array(&self.assignments, |writer, one| one.encode(writer, version));
        writer.array(&self.configs, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `assignments`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestAssignment {
    /// Always.
    pub partition_index: i32,
    /// Always.
    pub broker_ids: Vec<i32>,
}

impl RequestAssignment {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let broker_ids = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { partition_index, broker_ids })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.partition_index);
        writer.array(&self.broker_ids, |writer, one| writer.i32(*one));
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

/// The answer to [`Request`] of `CreateTopics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub topics: Vec<Topic>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::CreateTopics;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let topics = reader.array(6, |reader| Topic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, PartialEq, Debug)]
pub struct Topic {
    /// Always.
    pub name: String,
    /// Since version 7.
    pub topic_id: Uuid,
    /// Always.
    pub error_code: i16,
    /// Always.
    pub error_message: Option<String>,
    /// Since version 5. A tag.
    pub topic_config_error_code: i16,
    /// Since version 5. Default -1.
    pub num_partitions: i32,
    /// Since version 5. Default -1.
    pub replication_factor: i16,
    /// Since version 5.
    pub configs: Option<Vec<TopicConfig>>,
}

impl Default for Topic {
    fn default() -> Self {
        Self {
            name: String::new(),
            topic_id: [0; 16],
            error_code: 0,
            error_message: None,
            topic_config_error_code: 0,
            num_partitions: -1,
            replication_factor: -1,
            configs: None,
        }
    }
}

impl Topic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let topic_id = if version >= 7 { reader.uuid()? } else { [0; 16] };
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        let num_partitions = if version >= 5 { reader.i32()? } else { -1 };
        let replication_factor = if version >= 5 { reader.i16()? } else { -1 };
        let configs = if version >= 5 { reader.nullable_array(6, |reader| TopicConfig::decode(reader, version))? } else { None };
        let mut topic_config_error_code: i16 = 0;
        reader.tags(|reader, tag| {
            match tag {
                0 if version >= 5 => topic_config_error_code = reader.i16()?,
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        Ok(Self { name, topic_id, error_code, error_message, topic_config_error_code, num_partitions, replication_factor, configs })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.name);
        if version >= 7 {
            writer.uuid(&self.topic_id);
        }
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        if version >= 5 {
            writer.i32(self.num_partitions);
        }
        if version >= 5 {
            writer.i16(self.replication_factor);
        }
        if version >= 5 {
            writer.nullable_array(self.configs.as_deref(), |writer, one| one.encode(writer, version));
        }
        if writer.has_tags() {
            let has_topic_config_error_code = version >= 5 && self.topic_config_error_code != 0;
            writer.varint(u32::from(has_topic_config_error_code));
            if has_topic_config_error_code {
                writer.tag(0, |writer| writer.i16(self.topic_config_error_code));
            }
        }
    }
}

/// An element of `configs`.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicConfig {
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
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            value: None,
            read_only: false,
            config_source: -1,
            is_sensitive: false,
        }
    }
}

impl TopicConfig {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let value = reader.nullable_string()?;
        let read_only = reader.bool()?;
        let config_source = reader.i8()?;
        let is_sensitive = reader.bool()?;
        reader.skip_tags()?;
        Ok(Self { name, value, read_only, config_source, is_sensitive })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.name);
        writer.nullable_string(self.value.as_deref());
        writer.bool(self.read_only);
        writer.i8(self.config_source);
        writer.bool(self.is_sensitive);
        writer.no_tags();
    }
}
