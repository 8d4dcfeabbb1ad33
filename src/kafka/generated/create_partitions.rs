//! Generated from `schemas/kafka/create_partitions.txt` by `cargo xtask fix`; not edited.
//!
//! Adds partitions to topics. Versions 0 to 3.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Adds partitions to topics.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub topics: Vec<RequestTopic>,
    /// Always.
    pub timeout_ms: i32,
    /// Always.
    pub validate_only: bool,
}

impl Message for Request {
    const API: ApiKey = ApiKey::CreatePartitions;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let topics = reader.array(7, |reader| RequestTopic::decode(reader, version))?;
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
    pub count: i32,
    /// Always.
    pub assignments: Option<Vec<RequestAssignment>>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let count = reader.i32()?;
        let assignments = reader.nullable_array(2, |reader| RequestAssignment::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { name, count, assignments })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.name);
        writer.i32(self.count);
        writer.nullable_array(self.assignments.as_deref(), |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `assignments`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestAssignment {
    /// Always.
    pub broker_ids: Vec<i32>,
}

impl RequestAssignment {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let broker_ids = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { broker_ids })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.array(&self.broker_ids, |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `CreatePartitions`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub results: Vec<Topic>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::CreatePartitions;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let results = reader.array(5, |reader| Topic::decode(reader, version))?;
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
pub struct Topic {
    /// Always.
    pub name: String,
    /// Always.
    pub error_code: i16,
    /// Always.
    pub error_message: Option<String>,
}

impl Topic {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        reader.skip_tags()?;
        Ok(Self { name, error_code, error_message })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.name);
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.no_tags();
    }
}
