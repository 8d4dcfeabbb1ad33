//! Generated from `schemas/kafka/delete_topics.txt` by `cargo xtask fix`; not edited.
//!
//! Deletes topics by name or id. Versions 1 to 6.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Uuid, Version, Writer};

/// Deletes topics by name or id.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Since version 6.
    pub topics: Vec<RequestTopic>,
    /// In versions 1 to 5.
    pub topic_names: Vec<String>,
    /// Always.
    pub timeout_ms: i32,
}

impl Message for Request {
    const API: ApiKey = ApiKey::DeleteTopics;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let topics = if version >= 6 { reader.array(18, |reader| RequestTopic::decode(reader, version))? } else { Vec::new() };
        let topic_names = if version <= 5 { reader.array(1, Reader::string)? } else { Vec::new() };
        let timeout_ms = reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { topics, topic_names, timeout_ms })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 6 {
            writer.array(&self.topics, |writer, one| one.encode(writer, version));
        }
        if version <= 5 {
            writer.array(&self.topic_names, |writer, one| writer.string(one));
        }
        writer.i32(self.timeout_ms);
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// Always.
    pub name: Option<String>,
    /// Always.
    pub topic_id: Uuid,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let name = reader.nullable_string()?;
        let topic_id = reader.uuid()?;
        reader.skip_tags()?;
        Ok(Self { name, topic_id })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.nullable_string(self.name.as_deref());
        writer.uuid(&self.topic_id);
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `DeleteTopics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub responses: Vec<Topic>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::DeleteTopics;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let responses = reader.array(4, |reader| Topic::decode(reader, version))?;
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
pub struct Topic {
    /// Always. Null since version 6.
    pub name: Option<String>,
    /// Since version 6.
    pub topic_id: Uuid,
    /// Always.
    pub error_code: i16,
    /// Since version 5.
    pub error_message: Option<String>,
}

impl Topic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = if version >= 6 { reader.nullable_string()? } else { Some(reader.string()?) };
        let topic_id = if version >= 6 { reader.uuid()? } else { [0; 16] };
        let error_code = reader.i16()?;
        let error_message = if version >= 5 { reader.nullable_string()? } else { None };
        reader.skip_tags()?;
        Ok(Self { name, topic_id, error_code, error_message })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        if version >= 6 {
            writer.nullable_string(self.name.as_deref());
        } else {
            writer.string(self.name.as_deref().unwrap_or_default());
        }
        if version >= 6 {
            writer.uuid(&self.topic_id);
        }
        writer.i16(self.error_code);
        if version >= 5 {
            writer.nullable_string(self.error_message.as_deref());
        }
        writer.no_tags();
    }
}
