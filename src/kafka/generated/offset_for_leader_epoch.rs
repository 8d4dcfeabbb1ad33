//! Generated from `schemas/kafka/offset_for_leader_epoch.txt` by `cargo xtask fix`; not edited.
//!
//! Finds where a leader epoch ended, to detect a cut log. Versions 2 to 4.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Finds where a leader epoch ended, to detect a cut log.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Since version 3. Default -2.
    pub replica_id: i32,
    /// Always.
    pub topics: Vec<RequestTopic>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            replica_id: -2,
            topics: Vec::new(),
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::OffsetForLeaderEpoch;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let replica_id = if version >= 3 { reader.i32()? } else { -2 };
        let topics = reader.array(3, |reader| RequestTopic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { replica_id, topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 3 {
            writer.i32(self.replica_id);
        }
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// Always.
    pub topic: String,
    /// Always.
    pub partitions: Vec<RequestPartition>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let topic = reader.string()?;
        let partitions = reader.array(12, |reader| RequestPartition::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { topic, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.topic);
        writer.array(&self.partitions, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `partitions`.
#[derive(Clone, PartialEq, Debug)]
pub struct RequestPartition {
    /// Always.
    pub partition: i32,
    /// Always. Default -1.
    pub current_leader_epoch: i32,
    /// Always.
    pub leader_epoch: i32,
}

impl Default for RequestPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            current_leader_epoch: -1,
            leader_epoch: 0,
        }
    }
}

impl RequestPartition {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let partition = reader.i32()?;
        let current_leader_epoch = reader.i32()?;
        let leader_epoch = reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { partition, current_leader_epoch, leader_epoch })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.partition);
        writer.i32(self.current_leader_epoch);
        writer.i32(self.leader_epoch);
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `OffsetForLeaderEpoch`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub topics: Vec<Topic>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::OffsetForLeaderEpoch;

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
    pub topic: String,
    /// Always.
    pub partitions: Vec<Partition>,
}

impl Topic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let topic = reader.string()?;
        let partitions = reader.array(18, |reader| Partition::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { topic, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.topic);
        writer.array(&self.partitions, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `partitions`.
#[derive(Clone, PartialEq, Debug)]
pub struct Partition {
    /// Always.
    pub error_code: i16,
    /// Always.
    pub partition: i32,
    /// Always. Default -1.
    pub leader_epoch: i32,
    /// Always. Default -1.
    pub end_offset: i64,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition: 0,
            leader_epoch: -1,
            end_offset: -1,
        }
    }
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let error_code = reader.i16()?;
        let partition = reader.i32()?;
        let leader_epoch = reader.i32()?;
        let end_offset = reader.i64()?;
        reader.skip_tags()?;
        Ok(Self { error_code, partition, leader_epoch, end_offset })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i16(self.error_code);
        writer.i32(self.partition);
        writer.i32(self.leader_epoch);
        writer.i64(self.end_offset);
        writer.no_tags();
    }
}
