//! Generated from `schemas/kafka/consumer_group_describe.txt` by `cargo xtask fix`; not edited.
//!
//! Shows groups of the consumer protocol (KIP-848). Versions 0 to 1.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Uuid, Version, Writer};

/// Shows groups of the consumer protocol (KIP-848).
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub group_ids: Vec<String>,
    /// Always.
    pub include_authorized_operations: bool,
}

impl Message for Request {
    const API: ApiKey = ApiKey::ConsumerGroupDescribe;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let group_ids = reader.array(1, Reader::string)?;
        let include_authorized_operations = reader.bool()?;
        reader.skip_tags()?;
        Ok(Self { group_ids, include_authorized_operations })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.array(&self.group_ids, |writer, one| writer.string(one));
        writer.bool(self.include_authorized_operations);
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `ConsumerGroupDescribe`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub groups: Vec<Group>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::ConsumerGroupDescribe;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let groups = reader.array(20, |reader| Group::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, groups })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        writer.array(&self.groups, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `groups`.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// Always.
    pub error_code: i16,
    /// Always.
    pub error_message: Option<String>,
    /// Always.
    pub group_id: String,
    /// Always.
    pub group_state: String,
    /// Always.
    pub group_epoch: i32,
    /// Always.
    pub assignment_epoch: i32,
    /// Always.
    pub assignor_name: String,
    /// Always.
    pub members: Vec<Member>,
    /// Always. Default -2147483648.
    pub authorized_operations: i32,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: None,
            group_id: String::new(),
            group_state: String::new(),
            group_epoch: 0,
            assignment_epoch: 0,
            assignor_name: String::new(),
            members: Vec::new(),
            authorized_operations: -2147483648,
        }
    }
}

impl Group {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        let group_id = reader.string()?;
        let group_state = reader.string()?;
        let group_epoch = reader.i32()?;
        let assignment_epoch = reader.i32()?;
        let assignor_name = reader.string()?;
        let members = reader.array(16, |reader| Member::decode(reader, version))?;
        let authorized_operations = reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { error_code, error_message, group_id, group_state, group_epoch, assignment_epoch, assignor_name, members, authorized_operations })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.string(&self.group_id);
        writer.string(&self.group_state);
        writer.i32(self.group_epoch);
        writer.i32(self.assignment_epoch);
        writer.string(&self.assignor_name);
        writer.array(&self.members, |writer, one| one.encode(writer, version));
        writer.i32(self.authorized_operations);
        writer.no_tags();
    }
}

/// An element of `members`.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    /// Always.
    pub member_id: String,
    /// Always.
    pub instance_id: Option<String>,
    /// Always.
    pub rack_id: Option<String>,
    /// Always.
    pub member_epoch: i32,
    /// Always.
    pub client_id: String,
    /// Always.
    pub client_host: String,
    /// Always.
    pub subscribed_topic_names: Vec<String>,
    /// Always.
    pub subscribed_topic_regex: Option<String>,
    /// Always.
    pub assignment: Assignment,
    /// Always.
    pub target_assignment: Assignment,
    /// Since version 1. Default -1.
    pub member_type: i8,
}

impl Default for Member {
    fn default() -> Self {
        Self {
            member_id: String::new(),
            instance_id: None,
            rack_id: None,
            member_epoch: 0,
            client_id: String::new(),
            client_host: String::new(),
            subscribed_topic_names: Vec::new(),
            subscribed_topic_regex: None,
            assignment: Assignment::default(),
            target_assignment: Assignment::default(),
            member_type: -1,
        }
    }
}

impl Member {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let member_id = reader.string()?;
        let instance_id = reader.nullable_string()?;
        let rack_id = reader.nullable_string()?;
        let member_epoch = reader.i32()?;
        let client_id = reader.string()?;
        let client_host = reader.string()?;
        let subscribed_topic_names = reader.array(1, Reader::string)?;
        let subscribed_topic_regex = reader.nullable_string()?;
        let assignment = Assignment::decode(reader, version)?;
        let target_assignment = Assignment::decode(reader, version)?;
        let member_type = if version >= 1 { reader.i8()? } else { -1 };
        reader.skip_tags()?;
        Ok(Self { member_id, instance_id, rack_id, member_epoch, client_id, client_host, subscribed_topic_names, subscribed_topic_regex, assignment, target_assignment, member_type })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.member_id);
        writer.nullable_string(self.instance_id.as_deref());
        writer.nullable_string(self.rack_id.as_deref());
        writer.i32(self.member_epoch);
        writer.string(&self.client_id);
        writer.string(&self.client_host);
        writer.array(&self.subscribed_topic_names, |writer, one| writer.string(one));
        writer.nullable_string(self.subscribed_topic_regex.as_deref());
        self.assignment.encode(writer, version);
        self.target_assignment.encode(writer, version);
        if version >= 1 {
            writer.i8(self.member_type);
        }
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
        let topic_partitions = reader.array(19, |reader| TopicPartitions::decode(reader, version))?;
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
    pub topic_name: String,
    /// Always.
    pub partitions: Vec<i32>,
}

impl TopicPartitions {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let topic_id = reader.uuid()?;
        let topic_name = reader.string()?;
        let partitions = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { topic_id, topic_name, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.uuid(&self.topic_id);
        writer.string(&self.topic_name);
        writer.array(&self.partitions, |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}
