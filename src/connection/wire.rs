//! What a wire adds to a connection: where a frame ends, and what a request does.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use kolk_metric::net::CloseReason;

use crate::budget::Charge;
use crate::outbox::Outbox;

/// One wire's half of a connection: from bytes to requests. Replies go through the [`Outbox`].
pub trait Wire: 'static {
    /// Tells the whole length in bytes of the frame that begins with `start`, as soon as it is certain.
    ///
    /// # Errors
    /// The bytes are no frame of this wire, or one that is too large.
    fn frame_bytes(&self, start: &[u8]) -> Result<Option<usize>, Refused>;

    /// Takes one whole frame in. Whatever its request does begins in this call, so that requests begin
    /// in the order of their frames; only the reply is waited for.
    ///
    /// # Errors
    /// The frame is damaged or breaks the protocol: what follows can't be trusted.
    fn submit(&mut self, frame: BytesMut, charge: Charge, outbox: &Outbox) -> Result<(), Refused>;
}

/// The end of a connection by the broker's own decision; always the client's fault.
#[derive(Debug)]
pub struct Refused {
    /// How it is counted.
    pub reason: CloseReason,
    /// What exactly, for the log.
    pub detail: Cow<'static, str>,
    /// What the client is told first, if its wire has words for it.
    pub reply: Option<Bytes>,
}
