//! Generated from `schemas/kafka/describe_quorum.txt` by `cargo xtask fix`; not edited.
//!
//! Shows who keeps the cluster's metadata. Versions 0 to 2.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Uuid, Version, Writer};

/// Shows who keeps the cluster's metadata.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub topics: Vec<RequestTopic>,
}

impl Message for Request {
    const API: ApiKey = ApiKey::DescribeQuorum;

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
    pub topic_name: String,
    /// Always.
    pub partitions: Vec<RequestPartition>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let topic_name = reader.string()?;
        let partitions = reader.array(5, |reader| RequestPartition::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { topic_name, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.topic_name);
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

/// The answer to [`Request`] of `DescribeQuorum`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub error_code: i16,
    /// Since version 2.
    pub error_message: Option<String>,
    /// Always.
    pub topics: Vec<Topic>,
    /// Since version 2.
    pub nodes: Vec<Node>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::DescribeQuorum;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let error_code = reader.i16()?;
        let error_message = if version >= 2 { reader.nullable_string()? } else { None };
        let topics = reader.array(3, |reader| Topic::decode(reader, version))?;
        let nodes = if version >= 2 { reader.array(6, |reader| Node::decode(reader, version))? } else { Vec::new() };
        reader.skip_tags()?;
        Ok(Self { error_code, error_message, topics, nodes })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i16(self.error_code);
        if version >= 2 {
            writer.nullable_string(self.error_message.as_deref());
        }
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        if version >= 2 {
            writer.array(&self.nodes, |writer, one| one.encode(writer, version));
        }
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Topic {
    /// Always.
    pub topic_name: String,
    /// Always.
    pub partitions: Vec<Partition>,
}

impl Topic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let topic_name = reader.string()?;
        let partitions = reader.array(25, |reader| Partition::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { topic_name, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.topic_name);
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
    /// Since version 2.
    pub error_message: Option<String>,
    /// Always.
    pub leader_id: i32,
    /// Always.
    pub leader_epoch: i32,
    /// Always.
    pub high_watermark: i64,
    /// Always.
    pub current_voters: Vec<ReplicaState>,
    /// Always.
    pub observers: Vec<ReplicaState>,
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let error_code = reader.i16()?;
        let error_message = if version >= 2 { reader.nullable_string()? } else { None };
        let leader_id = reader.i32()?;
        let leader_epoch = reader.i32()?;
        let high_watermark = reader.i64()?;
        let current_voters = reader.array(13, |reader| ReplicaState::decode(reader, version))?;
        let observers = reader.array(13, |reader| ReplicaState::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { partition_index, error_code, error_message, leader_id, leader_epoch, high_watermark, current_voters, observers })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.partition_index);
        writer.i16(self.error_code);
        if version >= 2 {
            writer.nullable_string(self.error_message.as_deref());
        }
        writer.i32(self.leader_id);
        writer.i32(self.leader_epoch);
        writer.i64(self.high_watermark);
        writer.array(&self.current_voters, |writer, one| one.encode(writer, version));
        writer.array(&self.observers, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `current_voters`.
#[derive(Clone, PartialEq, Debug)]
pub struct ReplicaState {
    /// Always.
    pub replica_id: i32,
    /// Since version 2.
    pub replica_directory_id: Uuid,
    /// Always.
    pub log_end_offset: i64,
    /// Since version 1. Default -1.
    pub last_fetch_timestamp: i64,
    /// Since version 1. Default -1.
    pub last_caught_up_timestamp: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self {
            replica_id: 0,
            replica_directory_id: [0; 16],
            log_end_offset: 0,
            last_fetch_timestamp: -1,
            last_caught_up_timestamp: -1,
        }
    }
}

impl ReplicaState {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let replica_id = reader.i32()?;
        let replica_directory_id = if version >= 2 { reader.uuid()? } else { [0; 16] };
        let log_end_offset = reader.i64()?;
        let last_fetch_timestamp = if version >= 1 { reader.i64()? } else { -1 };
        let last_caught_up_timestamp = if version >= 1 { reader.i64()? } else { -1 };
        reader.skip_tags()?;
        Ok(Self { replica_id, replica_directory_id, log_end_offset, last_fetch_timestamp, last_caught_up_timestamp })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.replica_id);
        if version >= 2 {
            writer.uuid(&self.replica_directory_id);
        }
        writer.i64(self.log_end_offset);
        if version >= 1 {
            writer.i64(self.last_fetch_timestamp);
        }
        if version >= 1 {
            writer.i64(self.last_caught_up_timestamp);
        }
        writer.no_tags();
    }
}

/// An element of `nodes`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Node {
    /// Always.
    pub node_id: i32,
    /// Always.
    pub listeners: Vec<Listener>,
}

impl Node {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let node_id = reader.i32()?;
        let listeners = reader.array(5, |reader| Listener::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { node_id, listeners })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.node_id);
        writer.array(&self.listeners, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `listeners`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Listener {
    /// Always.
    pub name: String,
    /// Always.
    pub host: String,
    /// Always.
    pub port: u16,
}

impl Listener {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let host = reader.string()?;
        let port = reader.u16()?;
        reader.skip_tags()?;
        Ok(Self { name, host, port })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.name);
        writer.string(&self.host);
        writer.u16(self.port);
        writer.no_tags();
    }
}
