//! Generated from `schemas/kafka/describe_cluster.txt` by `cargo xtask fix`; not edited.
//!
//! Names the brokers and the controller. Versions 0 to 2.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Names the brokers and the controller.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub include_cluster_authorized_operations: bool,
    /// Since version 1. Default 1.
    pub endpoint_type: i8,
    /// Since version 2.
    pub include_fenced_brokers: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            include_cluster_authorized_operations: false,
            endpoint_type: 1,
            include_fenced_brokers: false,
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::DescribeCluster;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let include_cluster_authorized_operations = reader.bool()?;
        let endpoint_type = if version >= 1 { reader.i8()? } else { 1 };
        let include_fenced_brokers = if version >= 2 { reader.bool()? } else { false };
        reader.skip_tags()?;
        Ok(Self { include_cluster_authorized_operations, endpoint_type, include_fenced_brokers })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.bool(self.include_cluster_authorized_operations);
        if version >= 1 {
            writer.i8(self.endpoint_type);
        }
        if version >= 2 {
            writer.bool(self.include_fenced_brokers);
        }
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `DescribeCluster`.
#[derive(Clone, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub error_code: i16,
    /// Always.
    pub error_message: Option<String>,
    /// Since version 1. Default 1.
    pub endpoint_type: i8,
    /// Always.
    pub cluster_id: String,
    /// Always. Default -1.
    pub controller_id: i32,
    /// Always.
    pub brokers: Vec<Broker>,
    /// Always. Default -2147483648.
    pub cluster_authorized_operations: i32,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            error_message: None,
            endpoint_type: 1,
            cluster_id: String::new(),
            controller_id: -1,
            brokers: Vec::new(),
            cluster_authorized_operations: -2147483648,
        }
    }
}

impl Message for Response {
    const API: ApiKey = ApiKey::DescribeCluster;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let error_code = reader.i16()?;
        let error_message = reader.nullable_string()?;
        let endpoint_type = if version >= 1 { reader.i8()? } else { 1 };
        let cluster_id = reader.string()?;
        let controller_id = reader.i32()?;
        let brokers = reader.array(11, |reader| Broker::decode(reader, version))?;
        let cluster_authorized_operations = reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, error_message, endpoint_type, cluster_id, controller_id, brokers, cluster_authorized_operations })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        if version >= 1 {
            writer.i8(self.endpoint_type);
        }
        writer.string(&self.cluster_id);
        writer.i32(self.controller_id);
        writer.array(&self.brokers, |writer, one| one.encode(writer, version));
        writer.i32(self.cluster_authorized_operations);
        writer.no_tags();
    }
}

/// An element of `brokers`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Broker {
    /// Always.
    pub broker_id: i32,
    /// Always.
    pub host: String,
    /// Always.
    pub port: i32,
    /// Always.
    pub rack: Option<String>,
    /// Since version 2.
    pub is_fenced: bool,
}

impl Broker {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let broker_id = reader.i32()?;
        let host = reader.string()?;
        let port = reader.i32()?;
        let rack = reader.nullable_string()?;
        let is_fenced = if version >= 2 { reader.bool()? } else { false };
        reader.skip_tags()?;
        Ok(Self { broker_id, host, port, rack, is_fenced })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.broker_id);
        writer.string(&self.host);
        writer.i32(self.port);
        writer.nullable_string(self.rack.as_deref());
        if version >= 2 {
            writer.bool(self.is_fenced);
        }
        writer.no_tags();
    }
}
