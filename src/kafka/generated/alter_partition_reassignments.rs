//! Generated from `schemas/kafka/alter_partition_reassignments.txt` by `cargo xtask fix`; not edited.
//!
//! Starts or cancels moves of replicas between brokers. Versions 0 to 1.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Starts or cancels moves of replicas between brokers.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Always. Default 60000.
    pub timeout_ms: i32,
    /// Since version 1. Default true.
    pub allow_replication_factor_change: bool,
    /// Always.
    pub topics: Vec<RequestTopic>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            timeout_ms: 60000,
            allow_replication_factor_change: true,
            topics: Vec::new(),
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::AlterPartitionReassignments;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let timeout_ms = reader.i32()?;
        let allow_replication_factor_change = if version >= 1 { reader.bool()? } else { true };
        let topics = reader.array(3, |reader| RequestTopic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { timeout_ms, allow_replication_factor_change, topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.timeout_ms);
        if version >= 1 {
            writer.bool(self.allow_replication_factor_change);
        }
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// Always.
    pub name: String,
    /// Always.
    pub partitions: Vec<RequestPartition>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let partitions = reader.array(6, |reader| RequestPartition::decode(reader, version))?;
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
pub struct RequestPartition {
    /// Always.
    pub partition_index: i32,
    /// Always.
    pub replicas: Option<Vec<i32>>,
}

impl RequestPartition {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let replicas = reader.nullable_array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { partition_index, replicas })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.partition_index);
        writer.nullable_array(self.replicas.as_deref(), |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `AlterPartitionReassignments`.
#[derive(Clone, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Since version 1. Default true.
    pub allow_replication_factor_change: bool,
    /// Always.
    pub error_code: i16,
    /// Always.
    pub error_message: Option<String>,
    /// Always.
    pub responses: Vec<Topic>,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            allow_replication_factor_change: true,
            error_code: 0,
            error_message: None,
            responses: Vec::new(),
        }
    }
}

impl Message for Response {
    const API: ApiKey = ApiKey::AlterPartitionReassignments;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let allow_replication_factor_change = if version >= 1 { reader.bool()? } else { true };
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        let responses = reader.array(3, |reader| Topic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, allow_replication_factor_change, error_code, error_message, responses })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        if version >= 1 {
            writer.bool(self.allow_replication_factor_change);
        }
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.array(&self.responses, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `responses`.
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
    pub error_code: i16,
    /// Always.
    pub error_message: Option<String>,
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        reader.skip_tags()?;
        Ok(Self { partition_index, error_code, error_message })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.partition_index);
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.no_tags();
    }
}
