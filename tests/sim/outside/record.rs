//! Records that say which they are: every byte of a value follows from its name, so that one wrong byte shows.

use crate::chance::mix;

/// Bytes before the filling: lane, number, length.
const HEAD_BYTES: usize = 16;
/// The header that names a tombstone, which has no value.
pub(crate) const HEADER: &str = "id";

/// Names a record for ever: whose it is, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordId {
    /// The producer's number.
    pub(crate) lane: u32,
    /// The record's number among that producer's, from 0.
    pub(crate) number: u64,
}

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.lane, self.number)
    }
}

impl RecordId {
    /// The value, `bytes` long or as long as its head.
    pub(crate) fn value(self, bytes: usize) -> Vec<u8> {
        let bytes = bytes.max(HEAD_BYTES);
        let mut value = Vec::with_capacity(bytes + 8);
        value.extend_from_slice(&self.lane.to_le_bytes());
        value.extend_from_slice(&self.number.to_le_bytes());
        value.extend_from_slice(&u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes());
        let mut state = mix(self.number ^ (u64::from(self.lane) << 48) ^ 0x5eed);
        while value.len() < bytes {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            value.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
        }
        value.truncate(bytes);
        value
    }

    /// Reads a value back; `None` where even one byte is not what its name asks for.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let (lane, rest) = value.split_first_chunk::<4>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (bytes, _) = rest.split_first_chunk::<4>()?;
        let id = Self { lane: u32::from_le_bytes(*lane), number: u64::from_le_bytes(*number) };
        let bytes = usize::try_from(u32::from_le_bytes(*bytes)).ok()?;
        (bytes == value.len() && id.value(bytes) == value).then_some(id)
    }

    /// Whether it is a tombstone in a topic with so many of them in a hundred records.
    pub(crate) const fn is_tombstone(self, percent: u64) -> bool {
        mix(self.number ^ ((self.lane as u64) << 40) ^ 0x70b5) % 100 < percent
    }

    /// The key of a compacted topic with so many keys in a partition.
    pub(crate) fn key(self, keys: u64) -> Vec<u8> {
        (mix(self.number ^ (u64::from(self.lane) << 32)) % keys.max(1)).to_le_bytes().to_vec()
    }
}
