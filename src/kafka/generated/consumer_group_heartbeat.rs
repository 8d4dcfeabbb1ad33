//! Generated from `schemas/kafka/consumer_group_heartbeat.txt` by `cargo xtask fix`; not edited.
//!
//! Joins, keeps and leaves a group of the consumer protocol (KIP-848). Versions 0 to 1.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Uuid, Version, Writer};

/// Joins, keeps and leaves a group of the consumer protocol (KIP-848).
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub group_id: String,
    /// Always.
    pub member_id: String,
    /// Always.
    pub member_epoch: i32,
    /// Always.
    pub instance_id: Option<String>,
    /// Always.
    pub rack_id: Option<String>,
    /// Always. Default -1.
    pub rebalance_timeout_ms: i32,
    /// Always.
    pub subscribed_topic_names: Option<Vec<String>>,
    /// Since version 1.
    pub subscribed_topic_regex: Option<String>,
    /// Always.
    pub server_assignor: Option<String>,
    /// Always.
    pub topic_partitions: Option<Vec<RequestTopicPartitions>>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            group_id: String::new(),
            member_id: String::new(),
            member_epoch: 0,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: -1,
            subscribed_topic_names: None,
            subscribed_topic_regex: None,
            server_assignor: None,
            topic_partitions: None,
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::ConsumerGroupHeartbeat;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let group_id = reader.string()?;
        let member_id = reader.string()?;
        let member_epoch = reader.i32()?;
        let instance_id = reader.nullable_string()?;
        let rack_id = reader.nullable_string()?;
        let rebalance_timeout_ms = reader.i32()?;
        let subscribed_topic_names = reader.nullable_array(1, Reader::string)?;
        let subscribed_topic_regex = if version >= 1 { reader.nullable_string()? } else { None };
        let server_assignor = reader.nullable_string()?;
        let topic_partitions = reader.nullable_array(18, |reader| RequestTopicPartitions::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { group_id, member_id, member_epoch, instance_id, rack_id, rebalance_timeout_ms, subscribed_topic_names, subscribed_topic_regex, server_assignor, topic_partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.string(&self.group_id);
        writer.string(&self.member_id);
        writer.i32(self.member_epoch);
        writer.nullable_string(self.instance_id.as_deref());
        writer.nullable_string(self.rack_id.as_deref());
        writer.i32(self.rebalance_timeout_ms);
        writer.nullable_array(self.subscribed_topic_names.as_deref(), |writer, one| writer.string(one));
        if version >= 1 {
            writer.nullable_string(self.subscribed_topic_regex.as_deref());
        }
        writer.nullable_string(self.server_assignor.as_deref());
        writer.nullable_array(self.topic_partitions.as_deref(), |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topic_partitions`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopicPartitions {
    /// Always.
    pub topic_id: Uuid,
    /// Always.
    pub partitions: Vec<i32>,
}

impl RequestTopicPartitions {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let topic_id = reader.uuid()?;
        let partitions = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { topic_id, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.uuid(&self.topic_id);
        writer.array(&self.partitions, |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `ConsumerGroupHeartbeat`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub error_code: i16,
    /// Always.
    pub error_message: Option<String>,
    /// Always.
    pub member_id: Option<String>,
    /// Always.
    pub member_epoch: i32,
    /// Always.
    pub heartbeat_interval_ms: i32,
    /// Always.
    pub assignment: Option<Assignment>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::ConsumerGroupHeartbeat;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        let member_id = reader.nullable_string()?;
        let member_epoch = reader.i32()?;
        let heartbeat_interval_ms = reader.i32()?;
        let assignment = reader.nullable(|reader| Assignment::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, error_message, member_id, member_epoch, heartbeat_interval_ms, assignment })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.nullable_string(self.member_id.as_deref());
        writer.i32(self.member_epoch);
        writer.i32(self.heartbeat_interval_ms);
        writer.nullable(self.assignment.as_ref(), |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// What the field `assignment` is.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Assignment {
    /// Always.
    pub topic_partitions: Vec<TopicPartitions>,
}

impl Assignment {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let topic_partitions = reader.array(18, |reader| TopicPartitions::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { topic_partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.array(&self.topic_partitions, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topic_partitions`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct TopicPartitions {
    /// Always.
    pub topic_id: Uuid,
    /// Always.
    pub partitions: Vec<i32>,
}

impl TopicPartitions {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let topic_id = reader.uuid()?;
        let partitions = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { topic_id, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.uuid(&self.topic_id);
        writer.array(&self.partitions, |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}
