//! Generated from `schemas/kafka/describe_log_dirs.txt` by `cargo xtask fix`; not edited.
//!
//! Shows a broker's directories and how large their replicas are. Versions 1 to 4.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Shows a broker's directories and how large their replicas are.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub topics: Option<Vec<RequestTopic>>,
}

impl Message for Request {
    const API: ApiKey = ApiKey::DescribeLogDirs;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let topics = reader.nullable_array(3, |reader| RequestTopic::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { topics })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.nullable_array(self.topics.as_deref(), |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// Always.
    pub topic: String,
    /// Always.
    pub partitions: Vec<i32>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let topic = reader.string()?;
        let partitions = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { topic, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.topic);
        writer.array(&self.partitions, |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `DescribeLogDirs`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Since version 3.
    pub error_code: i16,
    /// Always.
    pub results: Vec<LogDir>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::DescribeLogDirs;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let error_code = if version >= 3 { reader.i16()? } else { 0 };
        let results = reader.array(5, |reader| LogDir::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, results })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        if version >= 3 {
            writer.i16(self.error_code);
        }
        writer.array(&self.results, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `results`.
#[derive(Clone, PartialEq, Debug)]
pub struct LogDir {
    /// Always.
    pub error_code: i16,
    /// Always.
    pub log_dir: String,
    /// Always.
    pub topics: Vec<Topic>,
    /// Since version 4. Default -1.
    pub total_bytes: i64,
    /// Since version 4. Default -1.
    pub usable_bytes: i64,
}

impl Default for LogDir {
    fn default() -> Self {
        Self {
            error_code: 0,
            log_dir: String::new(),
            topics: Vec::new(),
            total_bytes: -1,
            usable_bytes: -1,
        }
    }
}

impl LogDir {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let error_code = reader.i16()?;
        let log_dir = reader.string()?;
        let topics = reader.array(3, |reader| Topic::decode(reader, version))?;
        let total_bytes = if version >= 4 { reader.i64()? } else { -1 };
        let usable_bytes = if version >= 4 { reader.i64()? } else { -1 };
        reader.skip_tags()?;
        Ok(Self { error_code, log_dir, topics, total_bytes, usable_bytes })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i16(self.error_code);
        writer.string(&self.log_dir);
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        if version >= 4 {
            writer.i64(self.total_bytes);
        }
        if version >= 4 {
            writer.i64(self.usable_bytes);
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
        let partitions = reader.array(21, |reader| Partition::decode(reader, version))?;
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
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Partition {
    /// Always.
    pub partition_index: i32,
    /// Always.
    pub partition_size: i64,
    /// Always.
    pub offset_lag: i64,
    /// Always.
    pub is_future_key: bool,
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let partition_size = reader.i64()?;
        let offset_lag = reader.i64()?;
        let is_future_key = reader.bool()?;
        reader.skip_tags()?;
        Ok(Self { partition_index, partition_size, offset_lag, is_future_key })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.partition_index);
        writer.i64(self.partition_size);
        writer.i64(self.offset_lag);
        writer.bool(self.is_future_key);
        writer.no_tags();
    }
}
