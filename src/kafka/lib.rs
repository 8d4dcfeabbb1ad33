//! The Kafka wire: frames, headers, and every message in every version that the broker serves. Apart so
//! that nobody else reads or writes a byte of it: bytes become checked values here, once, and the other way
//! round.
//!
//! ```text
//! byte 0      i32   length of what follows this field
//! byte 4      i16   number of the API            } a request's header; an answer's is the
//! byte 6      i16   version of the API           } correlation id alone
//! byte 8      i32   correlation id, repeated in the answer
//! byte 12     …     client id: a string of the classic form, or null
//! …                 tags, where the version is a flexible one
//! …                 the message
//! ```
//!
//! All integers are big-endian. A version of an API is either *classic* (lengths are `i16` and `i32`) or
//! *flexible* (lengths are varints plus one, each part ends with tagged fields; KIP-482).
//!
//! Most messages are generated from `schemas/kafka` into plain structs, see [`message`]. Produce and Fetch
//! exist by hand as well, in [`produce`] and [`fetch`], so that batches cross without a copy.
//!
//! ```
//! use bytes::BytesMut;
//! use kolk_kafka::api::ApiKey;
//! use kolk_kafka::frame::{self, CorrelationId, FrameDecoder, RequestHeader};
//! use kolk_kafka::message::{Message, metadata};
//! use kolk_kafka::wire::{Reader, Version};
//!
//! // Client → broker.
//! let header = RequestHeader {
//!     api: ApiKey::Metadata,
//!     version: Version::new(12),
//!     correlation_id: CorrelationId::new(7),
//!     client_id: Some("reader".into()),
//! };
//! let mut wire = BytesMut::new();
//! frame::encode_request(&mut wire, &header, &metadata::Request::default());
//! let decoder = FrameDecoder::new(1024);
//! let bytes = decoder.decode(&mut wire)?.expect("the whole frame is there");
//! let mut reader = Reader::new(&bytes);
//! let received = RequestHeader::decode(&mut reader).expect("it is a request");
//! assert_eq!(received, header);
//! let request = metadata::Request::decode(&mut reader, received.version);
//! assert_eq!(request, Ok(metadata::Request::default()));
//!
//! // Broker → client.
//! let answer = metadata::Response { controller_id: 1, ..Default::default() };
//! frame::encode_response(&mut wire, received.response_to(), &answer).expect("it is small");
//! # Ok::<(), kolk_kafka::frame::FrameError>(())
//! ```
//!
//! A module names only modules listed below it, but for `api`, `message` and `generated`, which describe
//! each other.

pub mod fetch;
pub mod produce;

pub mod leader;

pub mod frame;

pub mod message;

#[rustfmt::skip]
mod generated;

pub mod api;

pub mod wire;

#[cfg(test)]
mod tests;
