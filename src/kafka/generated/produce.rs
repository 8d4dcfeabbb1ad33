//! Generated from `schemas/kafka/produce.txt` by `cargo xtask fix`; not edited.
//!
//! Appends record batches to partitions. Versions 3 to 13.

use bytes::Bytes;

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Tag, Uuid, Version, Writer};

/// Appends record batches to partitions.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub transactional_id: Option<String>,
    /// Always.
    pub acks: i16,
    /// Always.
    pub timeout_ms: i32,
    /// Always.
    pub topic_data: Vec<RequestTopic>,
}

impl Message for Request {
    const API: ApiKey = ApiKey::Produce;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let transactional_id = reader.nullable_string()?;
        let acks = reader.i16()?;
        let timeout_ms = reader.i32()?;
        let topic_data = reader.array(3, |reader| RequestTopic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { transactional_id, acks, timeout_ms, topic_data })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.nullable_string(self.transactional_id.as_deref());
        writer.i16(self.acks);
        writer.i32(self.timeout_ms);
        writer.array(&self.topic_data, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topic_data`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// In versions 3 to 12.
    pub name: String,
    /// Since version 13.
    pub topic_id: Uuid,
    /// Always.
    pub partition_data: Vec<RequestPartition>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = if version <= 12 { reader.string()? } else { String::new() };
        let topic_id = if version >= 13 { reader.uuid()? } else { [0; 16] };
        let partition_data = reader.array(6, |reader| RequestPartition::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { name, topic_id, partition_data })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        if version <= 12 {
            writer.string(&self.name);
        }
        if version >= 13 {
            writer.uuid(&self.topic_id);
        }
        writer.array(&self.partition_data, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `partition_data`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestPartition {
    /// Always.
    pub index: i32,
    /// Always.
    pub records: Option<Bytes>,
}

impl RequestPartition {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let index = reader.i32()?;
        let records = reader.nullable_bytes()?;
        reader.skip_tags()?;
        Ok(Self { index, records })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.index);
        writer.nullable_bytes(self.records.as_deref());
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `Produce`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub responses: Vec<Topic>,
    /// Always.
    pub throttle_time_ms: i32,
    /// Since version 10. A tag.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::Produce;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let responses = reader.array(3, |reader| Topic::decode(reader, version))?;
        let throttle_time_ms = reader.i32()?;
        let mut node_endpoints: Vec<NodeEndpoint> = Vec::new();
        reader.tags(|reader, tag| {
            match tag {
                0 if version >= 10 => node_endpoints = reader.array(11, |reader| NodeEndpoint::decode(reader, version))?,
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        Ok(Self { responses, throttle_time_ms, node_endpoints })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.array(&self.responses, |writer, one| one.encode(writer, version));
        writer.i32(self.throttle_time_ms);
        if writer.has_tags() {
            let has_node_endpoints = version >= 10 && !self.node_endpoints.is_empty();
            writer.varint(u32::from(has_node_endpoints));
            if has_node_endpoints {
                writer.tag(0, |writer| writer.array(&self.node_endpoints, |writer, one| one.encode(writer, version)));
            }
        }
    }
}

/// An element of `responses`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Topic {
    /// In versions 3 to 12.
    pub name: String,
    /// Since version 13.
    pub topic_id: Uuid,
    /// Always.
    pub partition_responses: Vec<Partition>,
}

impl Topic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let name = if version <= 12 { reader.string()? } else { String::new() };
        let topic_id = if version >= 13 { reader.uuid()? } else { [0; 16] };
        let partition_responses = reader.array(22, |reader| Partition::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { name, topic_id, partition_responses })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        if version <= 12 {
            writer.string(&self.name);
        }
        if version >= 13 {
            writer.uuid(&self.topic_id);
        }
        writer.array(&self.partition_responses, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `partition_responses`.
#[derive(Clone, PartialEq, Debug)]
pub struct Partition {
    /// Always.
    pub index: i32,
    /// Always.
    pub error_code: i16,
    /// Always.
    pub base_offset: i64,
    /// Always. Default -1.
    pub log_append_time_ms: i64,
    /// Since version 5. Default -1.
    pub log_start_offset: i64,
    /// Since version 8.
    pub record_errors: Vec<RecordError>,
    /// Since version 8.
    pub error_message: Option<String>,
    /// Since version 10. A tag.
    pub current_leader: LeaderIdAndEpoch,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: 0,
            base_offset: 0,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: LeaderIdAndEpoch::default(),
        }
    }
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let index = reader.i32()?;
        let error_code = reader.i16()?;
        let base_offset = reader.i64()?;
        let log_append_time_ms = reader.i64()?;
        let log_start_offset = if version >= 5 { reader.i64()? } else { -1 };
        let record_errors = if version >= 8 { reader.array(6, |reader| RecordError::decode(reader, version))? } else { Vec::new() };
        let error_message = if version >= 8 { reader.nullable_string()? } else { None };
        let mut current_leader: LeaderIdAndEpoch = LeaderIdAndEpoch::default();
        reader.tags(|reader, tag| {
            match tag {
                0 if version >= 10 => current_leader = LeaderIdAndEpoch::decode(reader, version)?,
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        Ok(Self { index, error_code, base_offset, log_append_time_ms, log_start_offset, record_errors, error_message, current_leader })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.index);
        writer.i16(self.error_code);
        writer.i64(self.base_offset);
        writer.i64(self.log_append_time_ms);
        if version >= 5 {
            writer.i64(self.log_start_offset);
        }
        if version >= 8 {
            writer.array(&self.record_errors, |writer, one| one.encode(writer, version));
        }
        if version >= 8 {
            writer.nullable_string(self.error_message.as_deref());
        }
        if writer.has_tags() {
            let has_current_leader = version >= 10 && self.current_leader != LeaderIdAndEpoch::default();
            writer.varint(u32::from(has_current_leader));
            if has_current_leader {
                writer.tag(0, |writer| self.current_leader.encode(writer, version));
            }
        }
    }
}

/// An element of `record_errors`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RecordError {
    /// Always.
    pub batch_index: i32,
    /// Always.
    pub batch_index_error_message: Option<String>,
}

impl RecordError {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let batch_index = reader.i32()?;
        let batch_index_error_message = reader.nullable_string()?;
        reader.skip_tags()?;
        Ok(Self { batch_index, batch_index_error_message })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.batch_index);
        writer.nullable_string(self.batch_index_error_message.as_deref());
        writer.no_tags();
    }
}

/// What the field `current_leader` is.
#[derive(Clone, PartialEq, Debug)]
pub struct LeaderIdAndEpoch {
    /// Always. Default -1.
    pub leader_id: i32,
    /// Always. Default -1.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self {
            leader_id: -1,
            leader_epoch: -1,
        }
    }
}

impl LeaderIdAndEpoch {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let leader_id = reader.i32()?;
        let leader_epoch = reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { leader_id, leader_epoch })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.leader_id);
        writer.i32(self.leader_epoch);
        writer.no_tags();
    }
}

/// An element of `node_endpoints`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct NodeEndpoint {
    /// Always.
    pub node_id: i32,
    /// Always.
    pub host: String,
    /// Always.
    pub port: i32,
    /// Always.
    pub rack: Option<String>,
}

impl NodeEndpoint {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let node_id = reader.i32()?;
        let host = reader.string()?;
        let port = reader.i32()?;
        let rack = reader.nullable_string()?;
        reader.skip_tags()?;
        Ok(Self { node_id, host, port, rack })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.node_id);
        writer.string(&self.host);
        writer.i32(self.port);
        writer.nullable_string(self.rack.as_deref());
        writer.no_tags();
    }
}
