//! How values lie on the wire: numbers, lengths, strings, arrays, tags. Apart because it is where hostile bytes
//! are turned away: no length is believed before the bytes are there, and nothing panics.

mod reader;
mod text;
mod writer;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;

pub use reader::{Reader, Tag};
pub use text::Text;
pub use writer::Writer;

/// Elements of all arrays of one message together. Beyond: [`DecodeError::TooManyElements`].
pub const ELEMENTS_MAX: usize = 1_000_000;

/// Tagged fields of one message together. Beyond: [`DecodeError::TooManyTags`].
pub const TAGS_MAX: usize = 10_000;

/// Bytes of a string, in both forms. Beyond, a reader refuses and a writer cuts.
pub const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// Room made for an array before its elements are read; beyond, it grows with what really is there.
pub(crate) const CAPACITY_MAX: usize = 1_000;

/// Sixteen bytes that name a topic or a directory; all zero for none.
pub type Uuid = [u8; 16];

/// The version of an API that a message is written in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(i16);

impl Version {
    /// The version of that number.
    #[inline]
    #[must_use]
    pub const fn new(number: i16) -> Self {
        Self(number)
    }

    /// Its number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> i16 {
        self.0
    }
}

impl PartialEq<i16> for Version {
    #[inline]
    fn eq(&self, number: &i16) -> bool {
        self.0 == *number
    }
}

impl PartialOrd<i16> for Version {
    #[inline]
    fn partial_cmp(&self, number: &i16) -> Option<Ordering> {
        self.0.partial_cmp(number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a version writes lengths (KIP-482).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Lengths are an `i16` for strings and an `i32` for arrays and bytes, -1 for null. No tags.
    Classic,
    /// A length is an unsigned varint of itself plus one, 0 for null. Each part ends with tags.
    Compact,
}

/// Why bytes are not the message they should be. The peer is at fault, trying again is useless, and as the place
/// of the next field is unknown the connection must be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A value is longer than what is left of the frame, or of the tag it lies in.
    #[error("{needed} bytes are needed at byte {position}, {remaining} are left")]
    Truncated {
        /// Where the value begins, counted from the frame's first byte after its length field.
        position: usize,
        /// Bytes of the value.
        needed: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// A length below -1.
    #[error("a length of {length} at byte {position}")]
    NegativeLength {
        /// Where the length begins.
        position: usize,
        /// What it says.
        length: i32,
    },
    /// A null where the version knows none.
    #[error("a null at byte {position}, where none may be")]
    UnexpectedNull {
        /// Where its length begins.
        position: usize,
    },
    /// An array of more elements than the bytes that are left can hold, or more elements in a message than [`ELEMENTS_MAX`].
    #[error("{count} elements at byte {position} are more than the {count_max} that can be")]
    TooManyElements {
        /// Where the length begins.
        position: usize,
        /// What it says.
        count: usize,
        /// What would be accepted there.
        count_max: usize,
    },
    /// More tagged fields in a message than [`TAGS_MAX`].
    #[error("{count} tags at byte {position} are more than the {count_max} that can be")]
    TooManyTags {
        /// Where their number begins.
        position: usize,
        /// What it says.
        count: usize,
        /// What would be accepted there.
        count_max: usize,
    },
    /// A tagged field that is shorter than it says.
    #[error("{excess} bytes are left of the tag that ends at byte {position}")]
    TagExcess {
        /// Where the tag ends.
        position: usize,
        /// Bytes that nobody reads.
        excess: usize,
    },
    /// A string longer than [`STRING_BYTES_MAX`].
    #[error("a string of {length} bytes at byte {position}")]
    StringTooLong {
        /// Where its length begins.
        position: usize,
        /// What it says.
        length: usize,
    },
    /// A string that is not UTF-8.
    #[error("the string at byte {position} is not UTF-8")]
    NotUtf8 {
        /// Where its first byte is.
        position: usize,
    },
    /// A varint of more than 32 bits.
    #[error("the varint at byte {position} has more than 32 bits")]
    VarintTooLong {
        /// Where it begins.
        position: usize,
    },
}
