//! Generated from `schemas/kafka/elect_leaders.txt` by `cargo xtask fix`; not edited.
//!
//! Asks for an election of partition leaders. Versions 0 to 2.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Asks for an election of partition leaders.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Since version 1.
    pub election_type: i8,
    /// Always.
    pub topic_partitions: Option<Vec<RequestTopic>>,
    /// Always. Default 60000.
    pub timeout_ms: i32,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            election_type: 0,
            topic_partitions: None,
            timeout_ms: 60000,
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::ElectLeaders;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let election_type = if version >= 1 { reader.i8()? } else { 0 };
        let topic_partitions = reader.nullable_array(3, |reader| RequestTopic::decode(reader, version))?;
        let timeout_ms = reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { election_type, topic_partitions, timeout_ms })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 1 {
            writer.i8(self.election_type);
        }
        writer.nullable_array(self.topic_partitions.as_deref(), |writer, one| one.encode(writer, version));
        writer.i32(self.timeout_ms);
        writer.no_tags();
    }
}

/// An element of `topic_partitions`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// Always.
    pub topic: String,
    /// Always.
    pub partitions: Vec<i32>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let topic = reader.string()?;
        let partitions = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { topic, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.topic);
        writer.array(&self.partitions, |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `ElectLeaders`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Since version 1.
    pub error_code: i16,
    /// Always.
    pub replica_election_results: Vec<Topic>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::ElectLeaders;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let error_code = if version >= 1 { reader.i16()? } else { 0 };
        let replica_election_results = reader.array(3, |reader| Topic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, replica_election_results })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        if version >= 1 {
            writer.i16(self.error_code);
        }
        writer.array(&self.replica_election_results, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `replica_election_results`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Topic {
    /// Always.
    pub topic: String,
    /// Always.
    pub partition_result: Vec<Partition>,
}

impl Topic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let topic = reader.string()?;
        let partition_result = reader.array(8, |reader| Partition::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { topic, partition_result })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.topic);
        writer.array(&self.partition_result, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `partition_result`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Partition {
    /// Always.
    pub partition_id: i32,
    /// Always.
    pub error_code: i16,
    /// Always.
    pub error_message: Option<String>,
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let partition_id = reader.i32()?;
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        reader.skip_tags()?;
        Ok(Self { partition_id, error_code, error_message })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.partition_id);
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.no_tags();
    }
}
