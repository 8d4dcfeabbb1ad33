//! Generated from `schemas/kafka/offset_fetch.txt` by `cargo xtask fix`; not edited.
//!
//! Reads how far groups have read. Versions 1 to 10.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Uuid, Version, Writer};

/// Reads how far groups have read.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// In versions 1 to 7.
    pub group_id: String,
    /// In versions 1 to 7. Null since version 2.
    pub topics: Option<Vec<RequestTopic>>,
    /// Since version 8.
    pub groups: Vec<RequestGroup>,
    /// Since version 7.
    pub require_stable: bool,
}

impl Message for Request {
    const API: ApiKey = ApiKey::OffsetFetch;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let group_id = if version <= 7 { reader.string()? } else { String::new() };
        let topics = if version <= 7 { if version >= 2 { reader.nullable_array(3, |reader| RequestTopic::decode(reader, version))? } else { Some(reader.array(3, |reader| RequestTopic::decode(reader, version))?) } } else { None };
        let groups = if version >= 8 { reader.array(3, |reader| RequestGroup::decode(reader, version))? } else { Vec::new() };
        let require_stable = if version >= 7 { reader.bool()? } else { false };
        reader.skip_tags()?;
        Ok(Self { group_id, topics, groups, require_stable })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version <= 7 {
            writer.string(&self.group_id);
        }
        if version <= 7 {
            if version >= 2 {
                writer.nullable_array(self.topics.as_deref(), |writer, one| one.encode(writer, version));
            } else {
                writer.array(self.topics.as_deref().unwrap_or_default(), |writer, one| one.encode(writer, version));
            }
        }
        if version >= 8 {
            writer.array(&self.groups, |writer, one| one.encode(writer, version));
        }
        if version >= 7 {
            writer.bool(self.require_stable);
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

/// An element of `groups`.
#[derive(Clone, PartialEq, Debug)]
pub struct RequestGroup {
    /// Always.
    pub group_id: String,
    /// Since version 9.
    pub member_id: Option<String>,
    /// Since version 9. Default -1.
    pub member_epoch: i32,
    /// Always.
    pub topics: Option<Vec<RequestGroupTopic>>,
}

impl Default for RequestGroup {
    fn default() -> Self {
        Self {
            group_id: String::new(),
            member_id: None,
            member_epoch: -1,
            topics: None,
        }
    }
}

impl RequestGroup {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let group_id = reader.string()?;
        let member_id = if version >= 9 { reader.nullable_string()? } else { None };
        let member_epoch = if version >= 9 { reader.i32()? } else { -1 };
        let topics = reader.nullable_array(3, |reader| RequestGroupTopic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { group_id, member_id, member_epoch, topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.group_id);
        if version >= 9 {
            writer.nullable_string(self.member_id.as_deref());
        }
        if version >= 9 {
            writer.i32(self.member_epoch);
        }
        writer.nullable_array(self.topics.as_deref(), |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestGroupTopic {
    /// In versions 8 to 9.
    pub name: String,
    /// Since version 10.
    pub topic_id: Uuid,
    /// Always.
    pub partition_indexes: Vec<i32>,
}

impl RequestGroupTopic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = if version <= 9 { reader.string()? } else { String::new() };
        let topic_id = if version >= 10 { reader.uuid()? } else { [0; 16] };
        let partition_indexes = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { name, topic_id, partition_indexes })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        if version <= 9 {
            writer.string(&self.name);
        }
        if version >= 10 {
            writer.uuid(&self.topic_id);
        }
        writer.array(&self.partition_indexes, |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `OffsetFetch`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Since version 3.
    pub throttle_time_ms: i32,
    /// In versions 1 to 7.
    pub topics: Vec<Topic>,
    /// In versions 2 to 7.
    pub error_code: i16,
    /// Since version 8.
    pub groups: Vec<Group>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::OffsetFetch;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = if version >= 3 { reader.i32()? } else { 0 };
        let topics = if version <= 7 { reader.array(3, |reader| Topic::decode(reader, version))? } else { Vec::new() };
        let error_code = if version >= 2 && version <= 7 { reader.i16()? } else { 0 };
        let groups = if version >= 8 { reader.array(5, |reader| Group::decode(reader, version))? } else { Vec::new() };
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, topics, error_code, groups })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 3 {
            writer.i32(self.throttle_time_ms);
        }
        if version <= 7 {
            writer.array(&self.topics, |writer, one| one.encode(writer, version));
        }
        if version >= 2 && version <= 7 {
            writer.i16(self.error_code);
        }
        if version >= 8 {
            writer.array(&self.groups, |writer, one| one.encode(writer, version));
        }
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
        let partitions = reader.array(16, |reader| Partition::decode(reader, version))?;
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
    pub committed_offset: i64,
    /// Since version 5. Default -1.
    pub committed_leader_epoch: i32,
    /// Always.
    pub metadata: Option<String>,
    /// Always.
    pub error_code: i16,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: None,
            error_code: 0,
        }
    }
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let committed_offset = reader.i64()?;
        let committed_leader_epoch = if version >= 5 { reader.i32()? } else { -1 };
        let metadata = reader.nullable_string()?;
        let error_code = reader.i16()?;
        reader.skip_tags()?;
        Ok(Self { partition_index, committed_offset, committed_leader_epoch, metadata, error_code })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.partition_index);
        writer.i64(self.committed_offset);
        if version >= 5 {
            writer.i32(self.committed_leader_epoch);
        }
        writer.nullable_string(self.metadata.as_deref());
        writer.i16(self.error_code);
        writer.no_tags();
    }
}

/// An element of `groups`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Group {
    /// Always.
    pub group_id: String,
    /// Always.
    pub topics: Vec<GroupTopic>,
    /// Always.
    pub error_code: i16,
}

impl Group {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let group_id = reader.string()?;
        let topics = reader.array(3, |reader| GroupTopic::decode(reader, version))?;
        let error_code = reader.i16()?;
        reader.skip_tags()?;
        Ok(Self { group_id, topics, error_code })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.group_id);
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        writer.i16(self.error_code);
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct GroupTopic {
    /// In versions 8 to 9.
    pub name: String,
    /// Since version 10.
    pub topic_id: Uuid,
    /// Always.
    pub partitions: Vec<GroupPartition>,
}

impl GroupTopic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = if version <= 9 { reader.string()? } else { String::new() };
        let topic_id = if version >= 10 { reader.uuid()? } else { [0; 16] };
        let partitions = reader.array(20, |reader| GroupPartition::decode(reader, version))?;
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
pub struct GroupPartition {
    /// Always.
    pub partition_index: i32,
    /// Always.
    pub committed_offset: i64,
    /// Always. Default -1.
    pub committed_leader_epoch: i32,
    /// Always.
    pub metadata: Option<String>,
    /// Always.
    pub error_code: i16,
}

impl Default for GroupPartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: None,
            error_code: 0,
        }
    }
}

impl GroupPartition {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let committed_offset = reader.i64()?;
        let committed_leader_epoch = reader.i32()?;
        let metadata = reader.nullable_string()?;
        let error_code = reader.i16()?;
        reader.skip_tags()?;
        Ok(Self { partition_index, committed_offset, committed_leader_epoch, metadata, error_code })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.partition_index);
        writer.i64(self.committed_offset);
        writer.i32(self.committed_leader_epoch);
        writer.nullable_string(self.metadata.as_deref());
        writer.i16(self.error_code);
        writer.no_tags();
    }
}
