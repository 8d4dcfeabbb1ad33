//! Generated from `schemas/kafka/offset_delete.txt` by `cargo xtask fix`; not edited.
//!
//! Forgets how far a group has read. Versions 0 to 0.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Forgets how far a group has read.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub group_id: String,
    /// Always.
    pub topics: Vec<RequestTopic>,
}

impl Message for Request {
    const API: ApiKey = ApiKey::OffsetDelete;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let group_id = reader.string()?;
        let topics = reader.array(6, |reader| RequestTopic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { group_id, topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.string(&self.group_id);
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
        let partitions = reader.array(4, |reader| RequestPartition::decode(reader, version))?;
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
}

impl RequestPartition {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { partition_index })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.partition_index);
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `OffsetDelete`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub error_code: i16,
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub topics: Vec<Topic>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::OffsetDelete;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let error_code = reader.i16()?;
        let throttle_time_ms = reader.i32()?;
        let topics = reader.array(6, |reader| Topic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { error_code, throttle_time_ms, topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i16(self.error_code);
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
        let partitions = reader.array(6, |reader| Partition::decode(reader, version))?;
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
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let error_code = reader.i16()?;
        reader.skip_tags()?;
        Ok(Self { partition_index, error_code })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.partition_index);
        writer.i16(self.error_code);
        writer.no_tags();
    }
}
