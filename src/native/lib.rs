//! The native wire: frames whose header is a flatbuffer and whose payload is record batches as they are.
//! Apart so that nobody else touches flatbuffers: bytes become checked values here, once, and the other
//! way round. Generated types never leave this crate.
//!
//! ```text
//! byte 0      u32   length of what follows this field
//! byte 4      u32   header length h, without the padding
//! byte 8      h     header: a flatbuffer, Request to the broker, Reply back
//! byte 8+h    0–7   zeros, so that the payload starts at a multiple of 8
//! …                 payload: record batches back to back, in the order of the header
//! ```
//!
//! All integers little-endian, batches as Kafka has them. The schemas are in `schemas/native`.
//!
//! A broker reads with [`frame::FrameDecoder`] and [`request::decode`], and writes with
//! [`encoder::Encoder::reply`]; a client writes with [`encoder::Encoder::request`] and reads with
//! [`reply::decode`]. Payload is never copied in either direction.
//!
//! ```
//! use bytes::BytesMut;
//! use kolk_native::encoder::Encoder;
//! use kolk_native::frame::{FrameDecoder, FrameLimits};
//! use kolk_native::reply::{self, Reply, TrimReply};
//! use kolk_native::request::{self, CorrelationId, Request};
//!
//! // Client → broker.
//! let mut encoder = Encoder::new();
//! let mut wire = BytesMut::new();
//! let payload = encoder.request(CorrelationId::new(7), &Request::Stats, &mut wire)?;
//! assert!(payload.is_empty(), "only produce requests have payload");
//! let decoder = FrameDecoder::new(FrameLimits::REQUEST);
//! let frame = decoder.decode(&mut wire)?.expect("the whole frame is there");
//! let received = request::decode(&frame).expect("it is a request");
//! assert_eq!(received.request, Request::Stats);
//!
//! // Broker → client.
//! let mut answer = Reply::Trim(TrimReply { partitions: Vec::new() });
//! let payload = encoder.reply(received.correlation, &mut answer, &mut wire)?;
//! assert!(payload.is_empty(), "only fetch replies have payload");
//! let decoder = FrameDecoder::new(FrameLimits::REPLY);
//! let frame = decoder.decode(&mut wire)?.expect("the whole frame is there");
//! assert_eq!(reply::decode(&frame).expect("it is a reply").correlation, CorrelationId::new(7));
//! # Ok::<(), kolk_native::frame::FrameError>(())
//! ```
//!
//! A module names only modules listed below it.

#[cfg(test)]
mod fuzz;

pub mod encoder;

pub mod reply;
pub mod request;

pub mod frame;

mod header;

#[rustfmt::skip]
mod generated;

// Generated files name each other from the crate's root.
use generated::{
    fetch_generated, frame_generated, group_generated, hello_generated, ids_generated,
    offsets_generated, produce_generated, stats_generated, topic_generated,
};

/// The version of the protocol that this crate speaks. It rises when an old peer could misread a new one;
/// calls and fields that an old peer may ignore do not raise it.
pub const PROTOCOL_VERSION: u16 = 1;
