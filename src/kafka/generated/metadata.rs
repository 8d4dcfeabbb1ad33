//! Generated from `schemas/kafka/metadata.txt` by `cargo xtask fix`; not edited.
//!
//! Names the brokers, and the topics with their partitions and leaders. Versions 0 to 13.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Uuid, Version, Writer};

/// Names the brokers, and the topics with their partitions and leaders.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Always. Null since version 1.
    pub topics: Option<Vec<RequestTopic>>,
    /// Since version 4. Default true.
    pub allow_auto_topic_creation: bool,
    /// In versions 8 to 10.
    pub include_cluster_authorized_operations: bool,
    /// Since version 8.
    pub include_topic_authorized_operations: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            topics: None,
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::Metadata;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let topics = if version >= 1 { reader.nullable_array(2, |reader| RequestTopic::decode(reader, version))? } else { Some(reader.array(2, |reader| RequestTopic::decode(reader, version))?) };
        let allow_auto_topic_creation = if version >= 4 { reader.bool()? } else { true };
        let include_cluster_authorized_operations = if version >= 8 && version <= 10 { reader.bool()? } else { false };
        let include_topic_authorized_operations = if version >= 8 { reader.bool()? } else { false };
        reader.skip_tags()?;
        Ok(Self { topics, allow_auto_topic_creation, include_cluster_authorized_operations, include_topic_authorized_operations })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 1 {
            writer.nullable_array(self.topics.as_deref(), |writer, one| one.encode(writer, version));
        } else {
            writer.array(self.topics.as_deref().unwrap_or_default(), |writer, one| one.encode(writer, version));
        }
        if version >= 4 {
            writer.bool(self.allow_auto_topic_creation);
        }
        if version >= 8 && version <= 10 {
            writer.bool(self.include_cluster_authorized_operations);
        }
        if version >= 8 {
            writer.bool(self.include_topic_authorized_operations);
        }
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// Since version 10.
    pub topic_id: Uuid,
    /// Always. Null since version 10.
    pub name: Option<String>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let topic_id = if version >= 10 { reader.uuid()? } else { [0; 16] };
        let name = if version >= 10 { reader.nullable_string()? } else { Some(reader.string()?) };
        reader.skip_tags()?;
        Ok(Self { topic_id, name })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        if version >= 10 {
            writer.uuid(&self.topic_id);
        }
        if version >= 10 {
            writer.nullable_string(self.name.as_deref());
        } else {
            writer.string(self.name.as_deref().unwrap_or_default());
        }
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `Metadata`.
#[derive(Clone, PartialEq, Debug)]
pub struct Response {
    /// Since version 3.
    pub throttle_time_ms: i32,
    /// Always.
    pub brokers: Vec<Broker>,
    /// Since version 2.
    pub cluster_id: Option<String>,
    /// Since version 1. Default -1.
    pub controller_id: i32,
    /// Always.
    pub topics: Vec<Topic>,
    /// In versions 8 to 10. Default -2147483648.
    pub cluster_authorized_operations: i32,
    /// Since version 13.
    pub error_code: i16,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            brokers: Vec::new(),
            cluster_id: None,
            controller_id: -1,
            topics: Vec::new(),
            cluster_authorized_operations: -2147483648,
            error_code: 0,
        }
    }
}

impl Message for Response {
    const API: ApiKey = ApiKey::Metadata;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = if version >= 3 { reader.i32()? } else { 0 };
        let brokers = reader.array(10, |reader| Broker::decode(reader, version))?;
        let cluster_id = if version >= 2 { reader.nullable_string()? } else { None };
        let controller_id = if version >= 1 { reader.i32()? } else { -1 };
        let topics = reader.array(8, |reader| Topic::decode(reader, version))?;
        let cluster_authorized_operations = if version >= 8 && version <= 10 { reader.i32()? } else { -2147483648 };
        let error_code = if version >= 13 { reader.i16()? } else { 0 };
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, brokers, cluster_id, controller_id, topics, cluster_authorized_operations, error_code })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 3 {
            writer.i32(self.throttle_time_ms);
        }
        writer.array(&self.brokers, |writer, one| one.encode(writer, version));
        if version >= 2 {
            writer.nullable_string(self.cluster_id.as_deref());
        }
        if version >= 1 {
            writer.i32(self.controller_id);
        }
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        if version >= 8 && version <= 10 {
            writer.i32(self.cluster_authorized_operations);
        }
        if version >= 13 {
            writer.i16(self.error_code);
        }
        writer.no_tags();
    }
}

/// An element of `brokers`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Broker {
    /// Always.
    pub node_id: i32,
    /// Always.
    pub host: String,
    /// Always.
    pub port: i32,
    /// Since version 1.
    pub rack: Option<String>,
}

impl Broker {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let node_id = reader.i32()?;
        let host = reader.string()?;
        let port = reader.i32()?;
        let rack = if version >= 1 { reader.nullable_string()? } else { None };
        reader.skip_tags()?;
        Ok(Self { node_id, host, port, rack })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.node_id);
        writer.string(&self.host);
        writer.i32(self.port);
        if version >= 1 {
            writer.nullable_string(self.rack.as_deref());
        }
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, PartialEq, Debug)]
pub struct Topic {
    /// Always.
    pub error_code: i16,
    /// Always. Null since version 12.
    pub name: Option<String>,
    /// Since version 10.
    pub topic_id: Uuid,
    /// Since version 1.
    pub is_internal: bool,
    /// Always.
    pub partitions: Vec<Partition>,
    /// Since version 8. Default -2147483648.
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
        let name = if version >= 12 { reader.nullable_string()? } else { Some(reader.string()?) };
        let topic_id = if version >= 10 { reader.uuid()? } else { [0; 16] };
        let is_internal = if version >= 1 { reader.bool()? } else { false };
        let partitions = reader.array(18, |reader| Partition::decode(reader, version))?;
        let topic_authorized_operations = if version >= 8 { reader.i32()? } else { -2147483648 };
        reader.skip_tags()?;
        Ok(Self { error_code, name, topic_id, is_internal, partitions, topic_authorized_operations })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i16(self.error_code);
        if version >= 12 {
            writer.nullable_string(self.name.as_deref());
        } else {
            writer.string(self.name.as_deref().unwrap_or_default());
        }
        if version >= 10 {
            writer.uuid(&self.topic_id);
        }
        if version >= 1 {
            writer.bool(self.is_internal);
        }
        writer.array(&self.partitions, |writer, one| one.encode(writer, version));
        if version >= 8 {
            writer.i32(self.topic_authorized_operations);
        }
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
    /// Since version 7. Default -1.
    pub leader_epoch: i32,
    /// Always.
    pub replica_nodes: Vec<i32>,
    /// Always.
    pub isr_nodes: Vec<i32>,
    /// Since version 5.
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
            offline_replicas: Vec::new(),
        }
    }
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let error_code = reader.i16()?;
        let partition_index = reader.i32()?;
        let leader_id = reader.i32()?;
        let leader_epoch = if version >= 7 { reader.i32()? } else { -1 };
        let replica_nodes = reader.array(4, Reader::i32)?;
        let isr_nodes = reader.array(4, Reader::i32)?;
        let offline_replicas = if version >= 5 { reader.array(4, Reader::i32)? } else { Vec::new() };
        reader.skip_tags()?;
        Ok(Self { error_code, partition_index, leader_id, leader_epoch, replica_nodes, isr_nodes, offline_replicas })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i16(self.error_code);
        writer.i32(self.partition_index);
        writer.i32(self.leader_id);
        if version >= 7 {
            writer.i32(self.leader_epoch);
        }
        writer.array(&self.replica_nodes, |writer, one| writer.i32(*one));
        writer.array(&self.isr_nodes, |writer, one| writer.i32(*one));
        if version >= 5 {
            writer.array(&self.offline_replicas, |writer, one| writer.i32(*one));
        }
        writer.no_tags();
    }
}
