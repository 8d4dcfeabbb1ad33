//! Generated from `schemas/kafka/alter_replica_log_dirs.txt` by `cargo xtask fix`; not edited.
//!
//! Moves replicas between directories of a broker. Versions 1 to 2.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Moves replicas between directories of a broker.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub dirs: Vec<RequestLogDir>,
}

impl Message for Request {
    const API: ApiKey = ApiKey::AlterReplicaLogDirs;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let dirs = reader.array(3, |reader| RequestLogDir::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { dirs })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.array(&self.dirs, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `dirs`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestLogDir {
    /// Always.
    pub path: String,
    /// Always.
    pub topics: Vec<RequestTopic>,
}

impl RequestLogDir {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let path = reader.string()?;
        let topics = reader.array(3, |reader| RequestTopic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { path, topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.string(&self.path);
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// Always.
    pub name: String,
    /// Always.
    pub partitions: Vec<i32>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let partitions = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { name, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.name);
        writer.array(&self.partitions, |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `AlterReplicaLogDirs`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub results: Vec<Topic>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::AlterReplicaLogDirs;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let results = reader.array(3, |reader| Topic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, results })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        writer.array(&self.results, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `results`.
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
        let partitions = reader.array(6, |reader| Partition::decode(reader, version))?;
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
