//! Generated from `schemas/kafka/list_offsets.txt` by `cargo xtask fix`; not edited.
//!
//! Finds offsets by time or by name: earliest, latest, largest timestamp. Versions 1 to 11.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Finds offsets by time or by name: earliest, latest, largest timestamp.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub replica_id: i32,
    /// Since version 2.
    pub isolation_level: i8,
    /// Always.
    pub topics: Vec<RequestTopic>,
    /// Since version 10.
    pub timeout_ms: i32,
}

impl Message for Request {
    const API: ApiKey = ApiKey::ListOffsets;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let replica_id = reader.i32()?;
        let isolation_level = if version >= 2 { reader.i8()? } else { 0 };
        let topics = reader.array(3, |reader| RequestTopic::decode(reader, version))?;
        let timeout_ms = if version >= 10 { reader.i32()? } else { 0 };
        reader.skip_tags()?;
        Ok(Self { replica_id, isolation_level, topics, timeout_ms })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.replica_id);
        if version >= 2 {
            writer.i8(self.isolation_level);
        }
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        if version >= 10 {
            writer.i32(self.timeout_ms);
        }
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
        let partitions = reader.array(12, |reader| RequestPartition::decode(reader, version))?;
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
#[derive(Clone, PartialEq, Debug)]
pub struct RequestPartition {
    /// Always.
    pub partition_index: i32,
    /// Since version 4. Default -1.
    pub current_leader_epoch: i32,
    /// Always.
    pub timestamp: i64,
}

impl Default for RequestPartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            current_leader_epoch: -1,
            timestamp: 0,
        }
    }
}

impl RequestPartition {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let current_leader_epoch = if version >= 4 { reader.i32()? } else { -1 };
        let timestamp = reader.i64()?;
        reader.skip_tags()?;
        Ok(Self { partition_index, current_leader_epoch, timestamp })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.partition_index);
        if version >= 4 {
            writer.i32(self.current_leader_epoch);
        }
        writer.i64(self.timestamp);
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `ListOffsets`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Since version 2.
    pub throttle_time_ms: i32,
    /// Always.
    pub topics: Vec<Topic>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::ListOffsets;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = if version >= 2 { reader.i32()? } else { 0 };
        let topics = reader.array(3, |reader| Topic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 2 {
            writer.i32(self.throttle_time_ms);
        }
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
        let partitions = reader.array(22, |reader| Partition::decode(reader, version))?;
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
#[derive(Clone, PartialEq, Debug)]
pub struct Partition {
    /// Always.
    pub partition_index: i32,
    /// Always.
    pub error_code: i16,
    /// Always. Default -1.
    pub timestamp: i64,
    /// Always. Default -1.
    pub offset: i64,
    /// Since version 4. Default -1.
    pub leader_epoch: i32,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            timestamp: -1,
            offset: -1,
            leader_epoch: -1,
        }
    }
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let error_code = reader.i16()?;
        let timestamp = reader.i64()?;
        let offset = reader.i64()?;
        let leader_epoch = if version >= 4 { reader.i32()? } else { -1 };
        reader.skip_tags()?;
        Ok(Self { partition_index, error_code, timestamp, offset, leader_epoch })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.partition_index);
        writer.i16(self.error_code);
        writer.i64(self.timestamp);
        writer.i64(self.offset);
        if version >= 4 {
            writer.i32(self.leader_epoch);
        }
        writer.no_tags();
    }
}
