//! `meta/clock`: what time it was when a broker last believed its wall clock. Pure bytes; written by rename.
//! `schemas/disk/clock.md` draws the table.

use kolk_model::checksum::crc32c;

use crate::field::{Fields, PutFields, Short};

const CLOCK_MAGIC: u32 = u32::from_le_bytes(*b"KLKT");
/// Version written, and the newest read.
pub const CLOCK_VERSION: u16 = 1;
/// Largest file accepted, in bytes.
pub const CLOCK_BYTES_MAX: usize = 4096;

/// The content of `meta/clock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownTime {
    /// The wall clock, in nanoseconds since 1970-01-01 UTC.
    pub wall_ns: u64,
}

/// Why `meta/clock` can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// Torn, truncated or rotten. It is written by rename, so this is never a crash's doing. Nothing is lost by its removal but the
    /// time itself.
    #[error("meta/clock is damaged")]
    Damaged,
    /// Written by a newer kolk.
    #[error("meta/clock has version {found}, newest known {CLOCK_VERSION}")]
    VersionNewer {
        /// Version found.
        found: u16,
    },
}

impl From<Short> for ClockError {
    fn from(_: Short) -> Self {
        Self::Damaged
    }
}

impl KnownTime {
    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20);
        out.put_u32(CLOCK_MAGIC);
        out.put_u16(CLOCK_VERSION);
        out.put_u16(0);
        out.put_u64(self.wall_ns);
        let checksum = crc32c(&out);
        out.put_u32(checksum);
        out
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`ClockError`].
    pub fn decode(file: &[u8]) -> Result<Self, ClockError> {
        let mut fields = Fields::new(file);
        let (magic, version, _reserved) = (fields.u32()?, fields.u16()?, fields.u16()?);
        if magic != CLOCK_MAGIC {
            return Err(ClockError::Damaged);
        }
        if version > CLOCK_VERSION {
            return Err(ClockError::VersionNewer { found: version });
        }
        let (wall_ns, checksum) = (fields.u64()?, fields.u32()?);
        let head = file.get(..file.len().saturating_sub(4)).ok_or(Short)?;
        if fields.left() != 0 || crc32c(head) != checksum {
            return Err(ClockError::Damaged);
        }
        Ok(Self { wall_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_table() {
        let bytes = KnownTime { wall_ns: 0x0102_0304_0506_0708 }.encode();
        let head = [b'K', b'L', b'K', b'T', 1, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1];
        assert_eq!(bytes.get(..16), Some(&head[..]));
        assert_eq!(bytes.get(16..), Some(&crc32c(&head).to_le_bytes()[..]));
    }

    #[test]
    fn what_was_written_is_read_and_a_flipped_bit_or_another_length_is_not() {
        let known = KnownTime { wall_ns: 1_767_225_600_000_000_000 };
        let bytes = known.encode();
        assert_eq!(KnownTime::decode(&bytes), Ok(known));
        for at in 0..bytes.len() * 8 {
            let mut rotten = bytes.clone();
            if let Some(byte) = rotten.get_mut(at / 8) {
                *byte ^= 1 << (at % 8);
            }
            assert!(KnownTime::decode(&rotten).is_err(), "bit {at}");
        }
        for len in 0..bytes.len() {
            assert_eq!(KnownTime::decode(&bytes[..len]), Err(ClockError::Damaged), "{len} bytes");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(KnownTime::decode(&longer), Err(ClockError::Damaged));
    }

    #[test]
    fn a_newer_version_is_refused_as_such() {
        let mut bytes = KnownTime { wall_ns: 1 }.encode();
        bytes[4] = 2;
        assert_eq!(KnownTime::decode(&bytes), Err(ClockError::VersionNewer { found: 2 }));
    }
}
