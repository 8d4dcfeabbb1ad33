//! Generated from `schemas/kafka/init_producer_id.txt` by `cargo xtask fix`; not edited.
//!
//! Hands out a producer id and epoch. Versions 0 to 5.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// Hands out a producer id and epoch.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Always.
    pub transactional_id: Option<String>,
    /// Always.
    pub transaction_timeout_ms: i32,
    /// Since version 3. Default -1.
    pub producer_id: i64,
    /// Since version 3. Default -1.
    pub producer_epoch: i16,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            transactional_id: None,
            transaction_timeout_ms: 0,
            producer_id: -1,
            producer_epoch: -1,
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::InitProducerId;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let transactional_id = reader.nullable_string()?;
        let transaction_timeout_ms = reader.i32()?;
        let producer_id = if version >= 3 { reader.i64()? } else { -1 };
        let producer_epoch = if version >= 3 { reader.i16()? } else { -1 };
        reader.skip_tags()?;
        Ok(Self { transactional_id, transaction_timeout_ms, producer_id, producer_epoch })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.nullable_string(self.transactional_id.as_deref());
        writer.i32(self.transaction_timeout_ms);
        if version >= 3 {
            writer.i64(self.producer_id);
        }
        if version >= 3 {
            writer.i16(self.producer_epoch);
        }
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `InitProducerId`.
#[derive(Clone, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Always.
    pub error_code: i16,
    /// Always. Default -1.
    pub producer_id: i64,
    /// Always.
    pub producer_epoch: i16,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            producer_id: -1,
            producer_epoch: 0,
        }
    }
}

impl Message for Response {
    const API: ApiKey = ApiKey::InitProducerId;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let error_code = reader.i16()?;
        let producer_id = reader.i64()?;
        let producer_epoch = reader.i16()?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, producer_id, producer_epoch })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        writer.i16(self.error_code);
        writer.i64(self.producer_id);
        writer.i16(self.producer_epoch);
        writer.no_tags();
    }
}
