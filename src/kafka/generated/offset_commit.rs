//! Generated from `schemas/kafka/offset_commit.txt` by `cargo xtask fix`; not edited.
//!
//! Stores how far a group has read. Versions 2 to 10.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Uuid, Version, Writer};

/// Stores how far a group has read.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub group_id: String,
    /// Always. Default -1.
    pub generation_id_or_member_epoch: i32,
    /// Always.
    pub member_id: String,
    /// Since version 7.
    pub group_instance_id: Option<String>,
    /// In versions 2 to 4. Default -1.
    pub retention_time_ms: i64,
    /// Always.
    pub topics: Vec<RequestTopic>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            group_id: String::new(),
            generation_id_or_member_epoch: -1,
            member_id: String::new(),
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Vec::new(),
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::OffsetCommit;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let group_id = reader.string()?;
        let generation_id_or_member_epoch = reader.i32()?;
        let member_id = reader.string()?;
        let group_instance_id = if version >= 7 { reader.nullable_string()? } else { None };
        let retention_time_ms = if version <= 4 { reader.i64()? } else { -1 };
        let topics = reader.array(3, |reader| RequestTopic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { group_id, generation_id_or_member_epoch, member_id, group_instance_id, retention_time_ms, topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.string(&self.group_id);
        writer.i32(self.generation_id_or_member_epoch);
        writer.string(&self.member_id);
        if version >= 7 {
            writer.nullable_string(self.group_instance_id.as_deref());
        }
        if version <= 4 {
            writer.i64(self.retention_time_ms);
        }
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// In versions 2 to 9.
    pub name: String,
    /// Since version 10.
    pub topic_id: Uuid,
    /// Always.
    pub partitions: Vec<RequestPartition>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = if version <= 9 { reader.string()? } else { String::new() };
        let topic_id = if version >= 10 { reader.uuid()? } else { [0; 16] };
        let partitions = reader.array(14, |reader| RequestPartition::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { name, topic_id, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        if version <= 9 {
            writer.string(&self.name);
        }
        if version >= 10 {
            writer.uuid(&self.topic_id);
        }
        writer.array(&self.partitions, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `partitions`.
#[derive(Clone, PartialEq, Debug)]
pub struct RequestPartition {
    /// Always.
    pub partition_index: i32,
    /// Always.
    pub committed_offset: i64,
    /// Since version 6. Default -1.
    pub committed_leader_epoch: i32,
    /// Always.
    pub committed_metadata: Option<String>,
}

impl Default for RequestPartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            committed_metadata: None,
        }
    }
}

impl RequestPartition {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let committed_offset = reader.i64()?;
        let committed_leader_epoch = if version >= 6 { reader.i32()? } else { -1 };
        let committed_metadata = reader.nullable_string()?;
        reader.skip_tags()?;
        Ok(Self { partition_index, committed_offset, committed_leader_epoch, committed_metadata })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.partition_index);
        writer.i64(self.committed_offset);
        if version >= 6 {
            writer.i32(self.committed_leader_epoch);
        }
        writer.nullable_string(self.committed_metadata.as_deref());
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `OffsetCommit`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Since version 3.
    pub throttle_time_ms: i32,
    /// Always.
    pub topics: Vec<Topic>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::OffsetCommit;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = if version >= 3 { reader.i32()? } else { 0 };
        let topics = reader.array(3, |reader| Topic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 3 {
            writer.i32(self.throttle_time_ms);
        }
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Topic {
    /// In versions 2 to 9.
    pub name: String,
    /// Since version 10.
    pub topic_id: Uuid,
    /// Always.
    pub partitions: Vec<Partition>,
}

impl Topic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = if version <= 9 { reader.string()? } else { String::new() };
        let topic_id = if version >= 10 { reader.uuid()? } else { [0; 16] };
        let partitions = reader.array(6, |reader| Partition::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { name, topic_id, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        if version <= 9 {
            writer.string(&self.name);
        }
        if version >= 10 {
            writer.uuid(&self.topic_id);
        }
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
