//! Turns replies into bytes with one encoder and one buffer a shard.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use kolk_model::error::ErrorCode;
use kolk_native::encoder::Encoder;
use kolk_native::reply::{Refusal, Reply};
use kolk_native::request::CorrelationId;

/// Room taken at once for the heads of replies, which are slices of it.
const HEADS_BYTES: usize = 64 << 10;

/// Writes the heads of replies. Cloning gives the same writer.
#[derive(Clone)]
pub(crate) struct ReplyWriter(Rc<RefCell<Shared>>);

struct Shared {
    encoder: Encoder,
    heads: BytesMut,
}

impl ReplyWriter {
    /// A writer of frames of at most `frame_bytes_max` bytes after their length field.
    pub(crate) fn new(frame_bytes_max: usize) -> Self {
        let encoder = Encoder::with_bytes_max(frame_bytes_max);
        Self(Rc::new(RefCell::new(Shared { encoder, heads: BytesMut::new() })))
    }

    /// The reply's head, and the payload slices that follow it on the wire.
    pub(crate) fn write(
        &self,
        correlation: CorrelationId,
        reply: &mut Reply,
    ) -> (Bytes, Vec<Bytes>) {
        let mut shared = self.0.borrow_mut();
        let Shared { encoder, heads } = &mut *shared;
        if heads.capacity() == 0 {
            heads.reserve(HEADS_BYTES);
        }
        let payload = encoder.reply(correlation, reply, heads).or_else(|_| {
            let detail = "the reply is larger than a frame; ask for less at once";
            let mut refused = Reply::Refused(Refusal::new(ErrorCode::InvalidRequest, detail));
            encoder.reply(correlation, &mut refused, heads)
        });
        // A refusal is some hundred bytes and fits every frame; else an empty head closes nothing and
        // the client's own deadline tells it.
        (heads.split().freeze(), payload.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use kolk_native::frame::{FrameDecoder, FrameLimits};
    use kolk_native::reply::{ProduceReply, decode};

    use super::*;

    #[test]
    fn a_reply_reads_back() {
        let writer = ReplyWriter::new(1 << 20);
        for number in 0..1_000 {
            let correlation = CorrelationId::new(number);
            let (head, payload) = writer.write(correlation, &mut Reply::DeleteTopic);
            assert!(payload.is_empty());
            let mut wire = BytesMut::from(&head[..]);
            let frame = FrameDecoder::new(FrameLimits::REPLY).decode(&mut wire).unwrap().unwrap();
            let read = decode(&frame).unwrap();
            assert_eq!((read.correlation, read.reply), (correlation, Reply::DeleteTopic));
            assert!(wire.is_empty());
        }
    }

    #[test]
    fn a_reply_too_large_for_a_frame_becomes_a_refusal() {
        let writer = ReplyWriter::new(64 << 10);
        let refused = kolk_native::reply::ProduceRefusal {
            code: ErrorCode::StorageFull,
            detail: "x".repeat(1_000),
            end_offset: None,
        };
        let mut reply = Reply::Produce(ProduceReply { partitions: vec![Err(refused); 100] });
        let (head, _) = writer.write(CorrelationId::new(1), &mut reply);
        let mut wire = BytesMut::from(&head[..]);
        let frame = FrameDecoder::new(FrameLimits::REPLY).decode(&mut wire).unwrap().unwrap();
        assert!(matches!(decode(&frame).unwrap().reply, Reply::Refused(_)));
    }
}
