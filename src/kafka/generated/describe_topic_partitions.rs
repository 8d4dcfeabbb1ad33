//! Generated from `schemas/kafka/describe_topic_partitions.txt` by `cargo xtask fix`; not edited.
//!
//! Shows topics and their partitions page by page. Versions 0 to 0.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Uuid, Version, Writer};

/// Shows topics and their partitions page by page.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub topics: Vec<RequestTopic>,
    /// Always. Default 2000.
    pub response_partition_limit: i32,
    /// Always.
    pub cursor: Option<RequestCursor>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            response_partition_limit: 2000,
            cursor: None,
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::DescribeTopicPartitions;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let topics = reader.array(2, |reader| RequestTopic::decode(reader, version))?;
        let response_partition_limit = reader.i32()?;
        let cursor = reader.nullable(|reader| RequestCursor::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { topics, response_partition_limit, cursor })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        writer.i32(self.response_partition_limit);
        writer.nullable(self.cursor.as_ref(), |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// Always.
    pub name: String,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        reader.skip_tags()?;
        Ok(Self { name })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.name);
        writer.no_tags();
    }
}

/// What the field `cursor` is.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestCursor {
    /// Always.
    pub topic_name: String,
    /// Always.
    pub partition_index: i32,
}

impl RequestCursor {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let topic_name = reader.string()?;
        let partition_index = reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { topic_name, partition_index })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.topic_name);
        writer.i32(self.partition_index);
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `DescribeTopicPartitions`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub topics: Vec<Topic>,
    /// Always.
    pub next_cursor: Option<Cursor>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::DescribeTopicPartitions;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let topics = reader.array(26, |reader| Topic::decode(reader, version))?;
        let next_cursor = reader.nullable(|reader| Cursor::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, topics, next_cursor })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        writer.nullable(self.next_cursor.as_ref(), |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, PartialEq, Debug)]
pub struct Topic {
    /// Always.
    pub error_code: i16,
    /// Always.
    pub name: Option<String>,
    /// Always.
    pub topic_id: Uuid,
    /// Always.
    pub is_internal: bool,
    /// Always.
    pub partitions: Vec<Partition>,
    /// Always. Default -2147483648.
    pub topic_authorized_operations: i32,
}

impl Default for Topic {
    fn default() -> Self {
        Self {
            error_code: 0,
            name: None,
            topic_id: [0; 16],
            is_internal: false,
            partitions: Vec::new(),
            topic_authorized_operations: -2147483648,
        }
    }
}

impl Topic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let error_code = reader.i16()?;
        let name = reader.nullable_string()?;
        let topic_id = reader.uuid()?;
        let is_internal = reader.bool()?;
        let partitions = reader.array(20, |reader| Partition::decode(reader, version))?;
        let topic_authorized_operations = reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { error_code, name, topic_id, is_internal, partitions, topic_authorized_operations })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i16(self.error_code);
        writer.nullable_string(self.name.as_deref());
        writer.uuid(&self.topic_id);
        writer.bool(self.is_internal);
        writer.array(&self.partitions, |writer, one| one.encode(writer, version));
        writer.i32(self.topic_authorized_operations);
        writer.no_tags();
    }
}

/// An element of `partitions`.
#[derive(Clone, PartialEq, Debug)]
pub struct Partition {
    /// Always.
    pub error_code: i16,
    /// Always.
    pub partition_index: i32,
    /// Always.
    pub leader_id: i32,
    /// Always. Default -1.
    pub leader_epoch: i32,
    /// Always.
    pub replica_nodes: Vec<i32>,
    /// Always.
    pub isr_nodes: Vec<i32>,
    /// Always.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// Always.
    pub last_known_elr: Option<Vec<i32>>,
    /// Always.
    pub offline_replicas: Vec<i32>,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            offline_replicas: Vec::new(),
        }
    }
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let error_code = reader.i16()?;
        let partition_index = reader.i32()?;
        let leader_id = reader.i32()?;
        let leader_epoch = reader.i32()?;
        let replica_nodes = reader.array(4, Reader::i32)?;
        let isr_nodes = reader.array(4, Reader::i32)?;
        let eligible_leader_replicas = reader.nullable_array(4, Reader::i32)?;
        let last_known_elr = reader.nullable_array(4, Reader::i32)?;
        let offline_replicas = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { error_code, partition_index, leader_id, leader_epoch, replica_nodes, isr_nodes, eligible_leader_replicas, last_known_elr, offline_replicas })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i16(self.error_code);
        writer.i32(self.partition_index);
        writer.i32(self.leader_id);
        writer.i32(self.leader_epoch);
        writer.array(&self.replica_nodes, |writer, one| writer.i32(*one));
        writer.array(&self.isr_nodes, |writer, one| writer.i32(*one));
        writer.nullable_array(self.eligible_leader_replicas.as_deref(), |writer, one| writer.i32(*one));
        writer.nullable_array(self.last_known_elr.as_deref(), |writer, one| writer.i32(*one));
        writer.array(&self.offline_replicas, |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}

/// What the field `next_cursor` is.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Cursor {
    /// Always.
    pub topic_name: String,
    /// Always.
    pub partition_index: i32,
}

impl Cursor {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let topic_name = reader.string()?;
        let partition_index = reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { topic_name, partition_index })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.topic_name);
        writer.i32(self.partition_index);
        writer.no_tags();
    }
}
