//! What every value begins with, so that its reader can tell its age, its place in its lane and whether it is whole.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..8 | when the record was due, ns of the run's clock, little endian |
//! | 8..16 | its number within its lane, from 0 |
//! | 16..20 | the lane: a key, or a partition as one producer sees it |
//! | 20..24 | CRC-32C of all other bytes |
//! | 24.. | the body |
//!
//! A record with no room for that has a short stamp. Its number has its low bits alone: a reader knows which one is due and
//! takes the nearest that fits, so that only a gap of 32,768 records in one lane could be taken for another.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..4 | when it was due, µs of the run's clock, which the run must not outlast: 71 minutes |
//! | 4..6 | the low 16 bits of its number |
//! | 6..8 | the lane, of which there may be 65,536 |
//! | 8..10 | the low half of the CRC-32C of all other bytes |
//! | 10.. | zeros |

use std::ops::Range;

use kolk_driver::clock::Moment;

/// Bytes before the body of all but the smallest records.
const LONG_BYTES: usize = 24;
/// The shortest record.
pub(crate) const RECORD_BYTES_MIN: usize = 10;
/// What short stamps have room for.
pub(crate) const SHORT_LANES_MAX: u32 = 1 << 16;
pub(crate) const SHORT_SECONDS_MAX: f64 = 4_200.0;

const LONG_CRC: Range<usize> = 20..24;
const SHORT_CRC: Range<usize> = 8..10;
const NS_PER_US: u64 = 1_000;

/// Bytes before the body of a record of so many.
pub(crate) const fn stamp_bytes(record_bytes: usize) -> usize {
    if is_short(record_bytes) { record_bytes } else { LONG_BYTES }
}

/// Whether a record of so many bytes has a short stamp.
pub(crate) const fn is_short(record_bytes: usize) -> bool {
    record_bytes < LONG_BYTES
}

/// What a value begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) intended: Moment,
    pub(crate) sequence: u64,
    pub(crate) lane: u32,
}

/// What of a stamp can be read without knowing its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) intended: Moment,
    pub(crate) lane: u32,
    sequence: Sequence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sequence {
    Whole(u64),
    Low(u16),
}

impl Stamp {
    /// Writes itself over the first bytes of a value whose body is there; a value that is too short stays as it is.
    pub(crate) fn write(self, value: &mut [u8]) {
        let (ns, lane) = (self.intended.ns(), u64::from(self.lane));
        let crc_at = if is_short(value.len()) {
            let fields = low::<4>(ns / NS_PER_US).chain(low::<2>(self.sequence));
            put(value, fields.chain(low::<2>(lane)));
            SHORT_CRC
        } else {
            put(value, low::<8>(ns).chain(low::<8>(self.sequence)).chain(low::<4>(lane)));
            LONG_CRC
        };
        let crc = crc(value, &crc_at).to_le_bytes();
        if let Some(place) = value.get_mut(crc_at) {
            put(place, crc.into_iter());
        }
    }

    /// Reads it and compares the checksum; `None` if that does not fit.
    pub(crate) fn read(value: &[u8]) -> Option<Read> {
        let crc_at = if is_short(value.len()) { SHORT_CRC } else { LONG_CRC };
        let stored = value.get(crc_at.clone())?;
        if !crc(value, &crc_at).to_le_bytes().starts_with(stored) {
            return None;
        }
        if is_short(value.len()) {
            let (us, rest) = value.split_first_chunk()?;
            let (sequence, rest) = rest.split_first_chunk()?;
            return Some(Read {
                intended: Moment::from_ns(u64::from(u32::from_le_bytes(*us)) * NS_PER_US),
                sequence: Sequence::Low(u16::from_le_bytes(*sequence)),
                lane: u32::from(u16::from_le_bytes(*rest.first_chunk()?)),
            });
        }
        let (ns, rest) = value.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        Some(Read {
            intended: Moment::from_ns(u64::from_le_bytes(*ns)),
            sequence: Sequence::Whole(u64::from_le_bytes(*sequence)),
            lane: u32::from_le_bytes(*rest.first_chunk()?),
        })
    }
}

impl Read {
    /// Its number within its lane, of which `next` is due.
    pub(crate) fn sequence(self, next: u64) -> u64 {
        let low = match self.sequence {
            Sequence::Whole(sequence) => return sequence,
            Sequence::Low(low) => low,
        };
        let ahead = low.wrapping_sub(u16::try_from(next & 0xffff).unwrap_or(0));
        // None is before the first.
        next.checked_add_signed(i64::from(ahead.cast_signed())).unwrap_or(u64::from(low))
    }
}

/// The low bytes of a number.
fn low<const COUNT: usize>(number: u64) -> impl Iterator<Item = u8> {
    number.to_le_bytes().into_iter().take(COUNT)
}

fn put(place: &mut [u8], bytes: impl Iterator<Item = u8>) {
    place.iter_mut().zip(bytes).for_each(|(byte, field)| *byte = field);
}

/// Of all bytes but its own.
fn crc(value: &[u8], own: &Range<usize>) -> u32 {
    let before = crc32c::crc32c(value.get(..own.start).unwrap_or_default());
    crc32c::crc32c_append(before, value.get(own.end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_and_every_flipped_bit_is_seen() {
        let stamp = Stamp { intended: Moment::from_ns(123_456_000), sequence: 42, lane: 7 };
        for record_bytes in [10, 17, 23, 24, 40] {
            let mut value = vec![b'x'; record_bytes];
            stamp.write(&mut value);
            let read = Stamp::read(&value).unwrap();
            let of = (read.intended, read.sequence(40), read.lane);
            assert_eq!(of, (stamp.intended, stamp.sequence, stamp.lane), "{record_bytes}");
            for bit in 0..value.len() * 8 {
                let mut rotten = value.clone();
                rotten[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Stamp::read(&rotten), None, "bit {bit} of {record_bytes}");
            }
            assert_eq!(Stamp::read(&value[..record_bytes - 1]), None, "{record_bytes}");
        }
        assert_eq!(Stamp::read(&[0; 9]), None);
    }

    #[test]
    fn the_number_of_a_short_stamp_is_the_nearest_to_what_is_due() {
        let read = |sequence| {
            let mut value = [0; RECORD_BYTES_MIN];
            Stamp { intended: Moment::from_ns(0), sequence, lane: 0 }.write(&mut value);
            Stamp::read(&value).unwrap()
        };
        for sequence in [0_u64, 1, 65_535, 65_536, 1_000_000, u64::from(u32::MAX) + 5] {
            for next in [sequence.saturating_sub(30_000), sequence, sequence + 30_000] {
                assert_eq!(read(sequence).sequence(next), sequence, "{next} was due");
            }
        }
        assert_eq!(read(65_530).sequence(2), 65_530, "none is before the first");
        assert_eq!(read(40_000).sequence(100_000), 105_536, "60,000 late is taken for 5,536 early");
    }
}
