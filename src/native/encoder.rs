//! Writes frames. Apart because it keeps the one buffer in which headers are built.

use bytes::{Bytes, BytesMut};
use flatbuffers::FlatBufferBuilder;
use kolk_model::limits::FRAME_BYTES_MAX;

use crate::frame::{FrameError, write_front};
use crate::reply::{self, Places, Reply};
use crate::request::{self, CorrelationId, Request};

/// Builds frames. Its buffer grows to the largest header it ever built and is used again for the next, so
/// one encoder a thread is enough; it keeps nothing else between calls.
pub struct Encoder {
    builder: FlatBufferBuilder<'static>,
    places: Places,
    bytes_max: usize,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// Writes frames up to [`FRAME_BYTES_MAX`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_bytes_max(FRAME_BYTES_MAX)
    }

    /// Writes frames whose length field says at most `bytes_max`.
    #[must_use]
    pub fn with_bytes_max(bytes_max: usize) -> Self {
        Self { builder: FlatBufferBuilder::new(), places: Places::default(), bytes_max }
    }

    /// Appends a request's length fields and header to `out` and gives its payload: the batches of a
    /// produce request, nothing else. On the wire the payload follows at once, so a writer sends
    /// `out`, then the slices.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`]; `out` is unchanged then.
    pub fn request(
        &mut self,
        correlation: CorrelationId,
        request: &Request,
        out: &mut BytesMut,
    ) -> Result<Vec<Bytes>, FrameError> {
        self.builder.reset();
        let payload = request::encode(&mut self.builder, correlation, request);
        self.finish(payload, out)
    }

    /// Appends a reply's length fields and header to `out` and gives its payload: the slices of a fetch
    /// reply, nothing else. On the wire the payload follows at once, so a writer sends `out`, then the
    /// slices. They are taken out of `reply`, which keeps its lists: who needs them again has them.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`]; `out` is unchanged then.
    pub fn reply(
        &mut self,
        correlation: CorrelationId,
        reply: &mut Reply,
        out: &mut BytesMut,
    ) -> Result<Vec<Bytes>, FrameError> {
        self.builder.reset();
        let payload = reply::encode((&mut self.builder, &mut self.places), correlation, reply);
        self.finish(payload, out)
    }

    fn finish(&self, payload: Vec<Bytes>, out: &mut BytesMut) -> Result<Vec<Bytes>, FrameError> {
        let payload_bytes = payload.iter().map(Bytes::len).sum();
        write_front(self.builder.finished_data(), payload_bytes, self.bytes_max, out)?;
        Ok(payload)
    }
}
