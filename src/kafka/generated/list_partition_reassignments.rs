//! Generated from `schemas/kafka/list_partition_reassignments.txt` by `cargo xtask fix`; not edited.
//!
//! Lists the moves of replicas that are under way. Versions 0 to 0.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Lists the moves of replicas that are under way.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Always. Default 60000.
    pub timeout_ms: i32,
    /// Always.
    pub topics: Option<Vec<RequestTopic>>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            timeout_ms: 60000,
            topics: None,
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::ListPartitionReassignments;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let timeout_ms = reader.i32()?;
        let topics = reader.nullable_array(3, |reader| RequestTopic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { timeout_ms, topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.timeout_ms);
        writer.nullable_array(self.topics.as_deref(), |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// Always.
    pub name: String,
    /// Always.
    pub partition_indexes: Vec<i32>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let partition_indexes = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { name, partition_indexes })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.name);
        writer.array(&self.partition_indexes, |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `ListPartitionReassignments`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub error_code: i16,
    /// Always.
    pub error_message: Option<String>,
    /// Always.
    pub topics: Vec<Topic>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::ListPartitionReassignments;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        let topics = reader.array(3, |reader| Topic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, error_message, topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Topic {
    /// Always.
    pub name: String,
    /// Always.
    pub partitions: Vec<Partition>,
}

impl Topic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let partitions = reader.array(8, |reader| Partition::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { name, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.name);
        writer.array(&self.partitions, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `partitions`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Partition {
    /// Always.
    pub partition_index: i32,
    /// Always.
    pub replicas: Vec<i32>,
    /// Always.
    pub adding_replicas: Vec<i32>,
    /// Always.
    pub removing_replicas: Vec<i32>,
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let replicas = reader.array(4, Reader::i32)?;
        let adding_replicas = reader.array(4, Reader::i32)?;
        let removing_replicas = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { partition_index, replicas, adding_replicas, removing_replicas })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.partition_index);
        writer.array(&self.replicas, |writer, one| writer.i32(*one));
        writer.array(&self.adding_replicas, |writer, one| writer.i32(*one));
        writer.array(&self.removing_replicas, |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}
