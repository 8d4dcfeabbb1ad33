//! Generated from `schemas/kafka/describe_producers.txt` by `cargo xtask fix`; not edited.
//!
//! Shows the producers that a partition remembers. Versions 0 to 0.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Shows the producers that a partition remembers.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub topics: Vec<RequestTopic>,
}

impl Message for Request {
    const API: ApiKey = ApiKey::DescribeProducers;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let topics = reader.array(3, |reader| RequestTopic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
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

/// The answer to [`Request`] of `DescribeProducers`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub topics: Vec<Topic>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::DescribeProducers;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let topics = reader.array(3, |reader| Topic::decode(reader, version))?;
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
        let partitions = reader.array(9, |reader| Partition::decode(reader, version))?;
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
    /// Always.
    pub active_producers: Vec<Producer>,
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        let active_producers = reader.array(37, |reader| Producer::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { partition_index, error_code, error_message, active_producers })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.partition_index);
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.array(&self.active_producers, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `active_producers`.
#[derive(Clone, PartialEq, Debug)]
pub struct Producer {
    /// Always.
    pub producer_id: i64,
    /// Always.
    pub producer_epoch: i32,
    /// Always. Default -1.
    pub last_sequence: i32,
    /// Always. Default -1.
    pub last_timestamp: i64,
    /// Always.
    pub coordinator_epoch: i32,
    /// Always. Default -1.
    pub current_txn_start_offset: i64,
}

impl Default for Producer {
    fn default() -> Self {
        Self {
            producer_id: 0,
            producer_epoch: 0,
            last_sequence: -1,
            last_timestamp: -1,
            coordinator_epoch: 0,
            current_txn_start_offset: -1,
        }
    }
}

impl Producer {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let producer_id = reader.i64()?;
        let producer_epoch = reader.i32()?;
        let last_sequence = reader.i32()?;
        let last_timestamp = reader.i64()?;
        let coordinator_epoch = reader.i32()?;
        let current_txn_start_offset = reader.i64()?;
        reader.skip_tags()?;
        Ok(Self { producer_id, producer_epoch, last_sequence, last_timestamp, coordinator_epoch, current_txn_start_offset })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i64(self.producer_id);
        writer.i32(self.producer_epoch);
        writer.i32(self.last_sequence);
        writer.i64(self.last_timestamp);
        writer.i32(self.coordinator_epoch);
        writer.i64(self.current_txn_start_offset);
        writer.no_tags();
    }
}
