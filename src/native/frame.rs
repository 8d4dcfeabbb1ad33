//! Cuts a byte stream into frames. Apart because it is the first thing that hostile bytes meet: it looks
//! at eight bytes, allocates nothing from them, and copies nothing.

use bytes::{Buf, Bytes, BytesMut};
use kolk_model::limits::{
    FRAME_BYTES_MAX, HELLO_FRAME_BYTES_MAX, REPLY_HEADER_BYTES_MAX, REQUEST_HEADER_BYTES_MAX,
};

/// Bytes of the two length fields in front of a header.
pub const PREFIX_BYTES: usize = 8;

/// Bytes of the first length field, which it does not count.
const LENGTH_BYTES: usize = 4;

/// The smallest flatbuffer: an offset to the root table, a vtable of two fields, and the table's own offset.
const HEADER_BYTES_MIN: usize = 12;

/// Room that [`FrameDecoder::reserve`] makes at once; beyond, the buffer grows with what really arrives.
const EAGER_BYTES: usize = 1024 * 1024;

/// Room that [`FrameDecoder::reserve`] makes between frames.
const IDLE_BYTES: usize = 16 * 1024;

/// Why a byte stream is not frames. Nothing that follows can be understood: the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length leaves no room for a header.
    #[error("a frame of {length} bytes has no header")]
    TooShort {
        /// What the length field says.
        length: usize,
    },
    /// The length is beyond what is accepted; a negative one reads as such too.
    #[error("a frame of {length} bytes is beyond the {bytes_max} that are accepted")]
    TooLarge {
        /// What the length field says.
        length: usize,
        /// The cap.
        bytes_max: usize,
    },
    /// The header is too small for a flatbuffer, larger than its frame with the padding, or beyond what is
    /// accepted.
    #[error("a header of {header} bytes can't be in a frame of {length} bytes")]
    HeaderLength {
        /// What the header length field says.
        header: usize,
        /// What the length field says.
        length: usize,
    },
    /// The bytes between header and payload are not zeros: the sender counts differently.
    #[error("the padding after a header of {header} bytes is not zero")]
    Padding {
        /// What the header length field says.
        header: usize,
    },
}

/// One frame, still in the memory it was received into.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: Bytes,
    header_bytes: usize,
}

impl Frame {
    /// The header without its padding.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        self.bytes.get(PREFIX_BYTES..PREFIX_BYTES + self.header_bytes).unwrap_or_default()
    }

    /// The payload, sharing the frame's memory.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        let from = payload_from(self.header_bytes);
        if from == self.bytes.len() { Bytes::new() } else { self.bytes.slice(from..) }
    }

    /// Bytes of the whole frame, length field included.
    #[expect(clippy::len_without_is_empty, reason = "a frame is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// How large frames may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Bytes after the first length field.
    pub bytes_max: usize,
    /// Bytes of the header.
    pub header_bytes_max: usize,
}

impl FrameLimits {
    /// What a broker accepts before hello: see [`HELLO_FRAME_BYTES_MAX`].
    pub const HELLO: Self =
        Self { bytes_max: HELLO_FRAME_BYTES_MAX, header_bytes_max: HELLO_FRAME_BYTES_MAX };

    /// What a broker accepts after hello.
    pub const REQUEST: Self =
        Self { bytes_max: FRAME_BYTES_MAX, header_bytes_max: REQUEST_HEADER_BYTES_MAX };

    /// What a client accepts.
    pub const REPLY: Self =
        Self { bytes_max: FRAME_BYTES_MAX, header_bytes_max: REPLY_HEADER_BYTES_MAX };
}

/// Cuts frames off the front of a receive buffer. Holds no bytes itself.
#[derive(Clone, Copy, Debug)]
pub struct FrameDecoder {
    limits: FrameLimits,
}

impl FrameDecoder {
    /// Accepts frames within these limits.
    #[must_use]
    pub const fn new(limits: FrameLimits) -> Self {
        Self { limits }
    }

    /// Cuts off the first frame; `None` while it is not whole. The frame shares the buffer's memory.
    ///
    /// # Errors
    /// As soon as the length fields are there and make no sense; nothing is cut off then.
    pub fn decode(&self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(shape) = self.shape(buffer)? else {
            return Ok(None);
        };
        if buffer.len() < shape.whole {
            return Ok(None);
        }
        let header_end = PREFIX_BYTES + shape.header_bytes;
        let padding = buffer.get(header_end..payload_from(shape.header_bytes));
        if padding.is_none_or(|padding| padding.iter().any(|byte| *byte != 0)) {
            return Err(FrameError::Padding { header: shape.header_bytes });
        }
        let bytes = buffer.split_to(shape.whole).freeze();
        Ok(Some(Frame { bytes, header_bytes: shape.header_bytes }))
    }

    /// The whole length of the frame that begins at `start`, as soon as both length fields are there.
    ///
    /// # Errors
    /// As [`FrameDecoder::decode`].
    pub fn frame_bytes(&self, start: &[u8]) -> Result<Option<usize>, FrameError> {
        Ok(self.shape(start)?.map(|shape| shape.whole))
    }

    /// Makes room for the next receive: for the rest of the frame that has begun if it is small, else for
    /// as much again as has arrived. So a peer that announces a large frame and sends nothing costs
    /// nothing, and a large frame is moved few times.
    pub fn reserve(&self, buffer: &mut BytesMut) {
        let missing = match self.shape(buffer) {
            Ok(Some(shape)) => shape.whole.saturating_sub(buffer.len()),
            _ => 0,
        };
        let room = missing.min(EAGER_BYTES.max(buffer.len())).max(IDLE_BYTES);
        if buffer.capacity() - buffer.len() < room.min(missing.max(IDLE_BYTES / 4)) {
            buffer.reserve(room);
        }
    }

    /// The frame's two lengths, checked; `None` while they are not there.
    fn shape(&self, buffer: &[u8]) -> Result<Option<Shape>, FrameError> {
        let mut fields = buffer;
        let Ok(length) = fields.try_get_u32_le() else {
            return Ok(None);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let FrameLimits { bytes_max, header_bytes_max } = self.limits;
        if length > bytes_max {
            return Err(FrameError::TooLarge { length, bytes_max });
        }
        if length < PREFIX_BYTES - LENGTH_BYTES + HEADER_BYTES_MIN {
            return Err(FrameError::TooShort { length });
        }
        let Ok(header) = fields.try_get_u32_le() else {
            return Ok(None);
        };
        let header_bytes = usize::try_from(header).unwrap_or(usize::MAX);
        let whole = LENGTH_BYTES + length;
        let possible = (HEADER_BYTES_MIN..=length.min(header_bytes_max)).contains(&header_bytes);
        if !possible || payload_from(header_bytes) > whole {
            return Err(FrameError::HeaderLength { header: header_bytes, length });
        }
        Ok(Some(Shape { whole, header_bytes }))
    }
}

/// A frame's lengths.
#[derive(Clone, Copy)]
struct Shape {
    whole: usize,
    header_bytes: usize,
}

/// Where the payload begins, counted from the frame's first byte.
pub(crate) const fn payload_from(header_bytes: usize) -> usize {
    (PREFIX_BYTES + header_bytes).next_multiple_of(8)
}

/// Appends the front of a frame: length fields, header, padding. The payload follows it on the wire.
pub(crate) fn write_front(
    header: &[u8],
    payload_bytes: usize,
    bytes_max: usize,
    out: &mut BytesMut,
) -> Result<(), FrameError> {
    let front = payload_from(header.len());
    let length = front - LENGTH_BYTES + payload_bytes;
    let wire = |n: usize| u32::try_from(n).map_err(|_| FrameError::TooLarge { length, bytes_max });
    if length > bytes_max {
        return Err(FrameError::TooLarge { length, bytes_max });
    }
    let fields = [wire(length)?.to_le_bytes(), wire(header.len())?.to_le_bytes()];
    out.reserve(front);
    out.extend_from_slice(fields.as_flattened());
    out.extend_from_slice(header);
    out.resize(out.len() + front - PREFIX_BYTES - header.len(), 0);
    Ok(())
}

#[cfg(test)]
mod tests;
