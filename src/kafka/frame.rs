//! Cuts a byte stream into frames, and puts messages into frames. Apart because it is the first thing that hostile
//! bytes meet: it looks at four bytes, allocates nothing from them, and copies nothing.

mod header;

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kolk_model::limits::HELLO_FRAME_BYTES_MAX;

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::Writer;

pub use header::{CorrelationId, HeaderError, RequestHeader, ResponseTo, decode_response_header};

/// Bytes of the length field, which it does not count.
pub const LENGTH_BYTES: usize = 4;

/// Bytes of an answer after its length field, payload included. Beyond: [`ResponseTooLarge`]. What clients take by
/// default is far less (librdkafka: 100 MB), and a fetch brings 64 MiB at most.
pub const RESPONSE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The room that is left for one more element of whatever size keeps lengths well within the wire's 31 bits.
const _: () = assert!(RESPONSE_BYTES_MAX <= (i32::MAX as usize) / 4);

/// Room that [`FrameDecoder::reserve`] makes at once; beyond, the buffer grows with what really arrives.
const EAGER_BYTES: usize = 1024 * 1024;

/// Room that [`FrameDecoder::reserve`] makes between frames.
const IDLE_BYTES: usize = 16 * 1024;

/// Why a byte stream is not frames. Nothing that follows can be understood: the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is below 0.
    #[error("a frame of {length} bytes{}", Hint(*.stranger))]
    Negative {
        /// What the length field says.
        length: i32,
        /// Who probably speaks.
        stranger: Option<Stranger>,
    },
    /// The length is beyond what is accepted.
    #[error("a frame of {length} bytes is beyond the {bytes_max} that are accepted{}", Hint(*.stranger))]
    TooLarge {
        /// What the length field says.
        length: usize,
        /// The cap.
        bytes_max: usize,
        /// Who probably speaks.
        stranger: Option<Stranger>,
    },
}

/// An answer is larger than [`RESPONSE_BYTES_MAX`]: the client asked for too much at once. Nothing was written; as
/// answers come in order, the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is larger than {RESPONSE_BYTES_MAX} bytes")]
pub struct ResponseTooLarge;

/// A protocol that is not Kafka's, told by its first four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// The start of an HTTP request.
    Http,
    /// The start of a TLS handshake, on a port without TLS.
    Tls,
    /// A frame of kolk's native protocol, whose length is little-endian.
    Native,
}

/// What is added to an error's text.
struct Hint(Option<Stranger>);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(Stranger::Http) => "; the bytes look like HTTP",
            Some(Stranger::Tls) => "; the bytes look like TLS, and this port has none",
            Some(Stranger::Native) => "; the bytes look like the native protocol",
            None => "",
        })
    }
}

impl Stranger {
    fn of(start: [u8; LENGTH_BYTES]) -> Option<Self> {
        match &start {
            b"GET " | b"POST" | b"PUT " | b"HEAD" | b"OPTI" | b"DELE" | b"PRI " => Some(Self::Http),
            // A handshake record of SSL 3.0 to TLS 1.3.
            [0x16, 0x03, ..] => Some(Self::Tls),
            _ => {
                let native = usize::try_from(u32::from_le_bytes(start)).unwrap_or(usize::MAX);
                (native <= HELLO_FRAME_BYTES_MAX).then_some(Self::Native)
            }
        }
    }
}

/// Cuts frames off the front of a receive buffer. Holds no bytes itself.
#[derive(Clone, Copy, Debug)]
pub struct FrameDecoder {
    bytes_max: usize,
}

impl FrameDecoder {
    /// Accepts frames of at most so many bytes after their length field (Kafka's `socket.request.max.bytes`).
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self { bytes_max }
    }

    /// Cuts off the first frame and returns it without its length field; `None` while it is not whole. It shares
    /// the buffer's memory.
    ///
    /// # Errors
    /// As soon as the length field is there and makes no sense; nothing is cut off then.
    pub fn decode(&self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let Some(whole) = self.frame_bytes(buffer)? else {
            return Ok(None);
        };
        if buffer.len() < whole {
            return Ok(None);
        }
        let mut frame = buffer.split_to(whole).freeze();
        frame.advance(LENGTH_BYTES);
        Ok(Some(frame))
    }

    /// The whole length of the frame that begins at `start`, its length field included, as soon as that is there.
    ///
    /// # Errors
    /// As [`FrameDecoder::decode`].
    pub fn frame_bytes(&self, start: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(field) = start.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*field);
        let bytes_max = self.bytes_max;
        match usize::try_from(length) {
            Ok(length) if length <= bytes_max => Ok(Some(LENGTH_BYTES + length)),
            Ok(length) => {
                Err(FrameError::TooLarge { length, bytes_max, stranger: Stranger::of(*field) })
            }
            Err(_) => Err(FrameError::Negative { length, stranger: Stranger::of(*field) }),
        }
    }

    /// Makes room for the next receive: for the rest of the frame that has begun if it is small, else for
    /// as much again as has arrived. So a peer that announces a large frame and sends nothing costs
    /// nothing, and a large frame is moved few times.
    pub fn reserve(&self, buffer: &mut BytesMut) {
        let missing = match self.frame_bytes(buffer) {
            Ok(Some(whole)) => whole.saturating_sub(buffer.len()),
            _ => 0,
        };
        let room = missing.min(EAGER_BYTES.max(buffer.len())).max(IDLE_BYTES);
        if buffer.capacity() - buffer.len() < room.min(missing.max(IDLE_BYTES / 4)) {
            buffer.reserve(room);
        }
    }
}

/// Appends an answer: length field, header, message.
///
/// # Errors
/// It is too large; nothing is appended.
pub fn encode_response<M: Message>(
    out: &mut BytesMut,
    to: ResponseTo,
    body: &M,
) -> Result<(), ResponseTooLarge> {
    let start = begin_response(out, M::API, to);
    body.encode(&mut Writer::new(out), to.version);
    finish(out, start, 0)
}

/// Appends a request: length field, header, message. The header names the API and the version. One that is larger
/// than [`RESPONSE_BYTES_MAX`] is left out: no broker takes it.
pub fn encode_request<M: Message>(out: &mut BytesMut, header: &RequestHeader, body: &M) {
    debug_assert_eq!(header.api, M::API, "a header of another API");
    let start = Start(out.len());
    out.put_i32(0);
    let mut writer = Writer::new(out);
    header.encode(&mut writer);
    body.encode(&mut writer, header.version);
    let _left_out = finish(out, start, 0);
}

/// Where a frame that is being written begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start(usize);

/// Appends a length field that is not known yet, and the header of an answer.
pub(crate) fn begin_response(out: &mut BytesMut, api: ApiKey, to: ResponseTo) -> Start {
    let start = Start(out.len());
    out.put_i32(0);
    header::encode_response_header(&mut Writer::new(out), api, to);
    start
}

/// Fills in the length field of a frame that ends here, but for payload that is sent along with it. One that is too
/// large is taken back: a length that is not true would make a client read the next answer at a wrong place.
pub(crate) fn finish(
    out: &mut BytesMut,
    start: Start,
    payload_bytes: usize,
) -> Result<(), ResponseTooLarge> {
    let length = (out.len() - start.0 - LENGTH_BYTES).saturating_add(payload_bytes);
    match i32::try_from(length) {
        Ok(field) if length <= RESPONSE_BYTES_MAX => {
            if let Some(bytes) = out.get_mut(start.0..start.0 + LENGTH_BYTES) {
                bytes.copy_from_slice(&field.to_be_bytes());
            }
            Ok(())
        }
        _ => {
            out.truncate(start.0);
            Err(ResponseTooLarge)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Reader, Version};

    const DECODER: FrameDecoder = FrameDecoder::new(1000);

    #[test]
    fn frames_are_cut_one_by_one_and_share_the_buffer() {
        let mut buffer = BytesMut::new();
        buffer.put_slice(&[0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 2, 9]);
        let place = buffer.as_ptr() as usize;
        let first = DECODER.decode(&mut buffer).unwrap().unwrap();
        assert_eq!(first, [1, 2, 3].as_slice());
        assert_eq!(first.as_ptr() as usize, place + LENGTH_BYTES, "it was copied");
        assert_eq!(DECODER.decode(&mut buffer), Ok(Some(Bytes::new())));
        assert_eq!(DECODER.decode(&mut buffer), Ok(None), "one byte is missing");
        buffer.put_u8(8);
        assert_eq!(DECODER.decode(&mut buffer), Ok(Some(Bytes::from_static(&[9, 8]))));
        assert_eq!(DECODER.decode(&mut buffer), Ok(None));
    }

    fn refused(start: &[u8]) -> FrameError {
        let mut buffer = BytesMut::from(start);
        let error = DECODER.decode(&mut buffer).unwrap_err();
        assert_eq!(buffer.len(), start.len(), "bytes of a refused stream were taken");
        error
    }

    fn stranger(start: &[u8]) -> Option<Stranger> {
        match refused(start) {
            FrameError::Negative { stranger, .. } | FrameError::TooLarge { stranger, .. } => {
                stranger
            }
        }
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_by_its_four_bytes() {
        let length = 1001_i32.to_be_bytes();
        let too_large = FrameError::TooLarge { length: 1001, bytes_max: 1000, stranger: None };
        assert_eq!(refused(&length), too_large);
        let negative = FrameError::Negative { length: -2, stranger: None };
        assert_eq!(refused(&(-2_i32).to_be_bytes()), negative);
        assert_eq!(DECODER.frame_bytes(&[0xff; 3]), Ok(None));
    }

    #[test]
    fn strangers_are_told_by_their_first_bytes() {
        assert_eq!(stranger(b"GET / HTTP/1.1\r\n"), Some(Stranger::Http));
        assert_eq!(stranger(&[0x16, 0x03, 0x01, 0x02, 0x00]), Some(Stranger::Tls));
        assert_eq!(stranger(&[64, 0, 0, 0]), Some(Stranger::Native));
        assert_eq!(stranger(&[0x7f, 0xff, 0xff, 0xff]), None);
        let text = refused(b"POST / HTTP/1.1\r\n").to_string();
        assert!(text.ends_with("the bytes look like HTTP"), "{text}");
    }

    #[test]
    fn an_announced_frame_reserves_little() {
        let decoder = FrameDecoder::new(i32::MAX as usize);
        let mut buffer = BytesMut::from(100_000_000_i32.to_be_bytes().as_slice());
        decoder.reserve(&mut buffer);
        assert!(buffer.capacity() <= 2 * EAGER_BYTES, "{}", buffer.capacity());
        assert!(buffer.capacity() >= EAGER_BYTES);
    }

    #[test]
    fn an_answer_of_api_versions_never_has_tags_in_its_header() {
        use crate::message::{api_versions, heartbeat};
        let (version, correlation_id) = (Version::new(4), CorrelationId::new(-9));
        let mut out = BytesMut::new();
        let to = ResponseTo { correlation_id, version };
        encode_response(&mut out, to, &heartbeat::Response::default()).unwrap();
        let frame = DECODER.decode(&mut out).unwrap().unwrap();
        // Correlation id, tags, throttle time, error code, tags.
        assert_eq!(frame.len(), 4 + 1 + 4 + 2 + 1);
        let mut reader = Reader::new(&frame);
        let found = decode_response_header(&mut reader, ApiKey::Heartbeat, version);
        assert_eq!(found, Ok(correlation_id));
        encode_response(&mut out, to, &api_versions::Response::default()).unwrap();
        let frame = DECODER.decode(&mut out).unwrap().unwrap();
        // Correlation id, error code, an empty array, throttle time, tags.
        assert_eq!(frame.len(), 4 + 2 + 1 + 4 + 1);
    }

    /// As much as one answer may have, and some more.
    fn too_much() -> Bytes {
        Bytes::from(vec![0; RESPONSE_BYTES_MAX])
    }

    #[test]
    fn an_answer_that_is_too_large_is_taken_back() {
        use crate::message::sync_group;
        let to = ResponseTo { correlation_id: CorrelationId::new(1), version: Version::new(3) };
        let mut out = BytesMut::from(&b"before"[..]);
        let answer = sync_group::Response { assignment: too_much(), ..Default::default() };
        assert_eq!(encode_response(&mut out, to, &answer), Err(ResponseTooLarge));
        assert_eq!(out, b"before"[..]);
        let start = begin_response(&mut out, ApiKey::SyncGroup, to);
        assert_eq!(finish(&mut out, start, RESPONSE_BYTES_MAX - 4), Ok(()));
        let start = begin_response(&mut out, ApiKey::SyncGroup, to);
        assert_eq!(finish(&mut out, start, RESPONSE_BYTES_MAX), Err(ResponseTooLarge));
        assert_eq!(finish(&mut out, Start(0), usize::MAX), Err(ResponseTooLarge));
    }

    #[test]
    fn an_answer_stops_to_grow_when_it_is_too_large() {
        use crate::message::describe_groups::{Group, Member, Response};
        let member = Member { member_metadata: too_much().slice(..1 << 20), ..Default::default() };
        let group = Group { members: vec![member; 40], ..Default::default() };
        // Two thousand groups of 40 MiB each.
        let answer = Response { groups: vec![group; 2_000], ..Default::default() };
        let to = ResponseTo { correlation_id: CorrelationId::new(1), version: Version::new(5) };
        let mut out = BytesMut::new();
        assert_eq!(encode_response(&mut out, to, &answer), Err(ResponseTooLarge));
        assert!(out.capacity() < 4 * RESPONSE_BYTES_MAX, "{}", out.capacity());
    }
}
