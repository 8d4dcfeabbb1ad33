//! What every value begins with, so that its reader can tell its age, its place in its lane and whether it is whole.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..8 | when the record was due, ns of the run's clock, little endian |
//! | 8..16 | its number within its lane, from 0 |
//! | 16..20 | the lane: a key, or a partition as one producer sees it |
//! | 20..24 | CRC-32C of all other bytes |
//! | 24.. | the body |

use kolk_driver::clock::Moment;

/// Bytes before the body: the shortest record.
pub(crate) const STAMP_BYTES: usize = 24;
const CRC_AT: std::ops::Range<usize> = 20..24;

/// What a value begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) intended: Moment,
    pub(crate) sequence: u64,
    pub(crate) lane: u32,
}

impl Stamp {
    /// Writes itself over the first bytes of a value whose body is there; a value that is too short stays as it is.
    pub(crate) fn write(self, value: &mut [u8]) {
        let Some((head, body)) = value.split_at_mut_checked(STAMP_BYTES) else { return };
        let fields = self.intended.ns().to_le_bytes().into_iter();
        let fields = fields.chain(self.sequence.to_le_bytes()).chain(self.lane.to_le_bytes());
        for (byte, field) in head.iter_mut().zip(fields) {
            *byte = field;
        }
        let crc = crc(head, body).to_le_bytes();
        if let Some(place) = head.get_mut(CRC_AT) {
            place.copy_from_slice(&crc);
        }
    }

    /// Reads it and compares the checksum; `None` if that does not fit.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let (head, body) = value.split_at_checked(STAMP_BYTES)?;
        let (intended, rest) = head.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (lane, rest) = rest.split_first_chunk()?;
        let stored = u32::from_le_bytes(*rest.first_chunk()?);
        (stored == crc(head, body)).then(|| Self {
            intended: Moment::from_ns(u64::from_le_bytes(*intended)),
            sequence: u64::from_le_bytes(*sequence),
            lane: u32::from_le_bytes(*lane),
        })
    }
}

fn crc(head: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head.get(..CRC_AT.start).unwrap_or_default()), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_and_every_flipped_bit_is_seen() {
        let stamp = Stamp { intended: Moment::from_ns(123_456_789), sequence: 42, lane: 7 };
        let mut value = [b'x'; 40];
        stamp.write(&mut value);
        assert_eq!(Stamp::read(&value), Some(stamp));
        for bit in 0..value.len() * 8 {
            let mut rotten = value;
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Stamp::read(&rotten), None, "bit {bit}");
        }
        assert_eq!(Stamp::read(&value[..39]), None);
        assert_eq!(Stamp::read(&value[..10]), None);
    }
}
