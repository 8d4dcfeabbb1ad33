//! Batches as compaction leaves them: with some of their records, or with none. Base offset, last offset, leader epoch, producer
//! and compression stay those of the original, so that offsets and sequences keep their meaning.

pub mod key_map;
pub mod need;
pub mod verdict;

use bytes::{BufMut, Bytes};

use crate::batch::varint::{Cursor, Scratch, Source, read_i32, read_i64, size_i64};
use crate::batch::{
    BatchError, BatchView, COMPRESSION_BITS, DELETE_HORIZON_BIT, LENGTH_PREFIX_BYTES, RecordFault,
    at, put, seal,
};
use crate::compression;
use crate::time::{TimestampMs, TimestampType};

/// Whether a record stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Keep,
    /// It goes.
    Drop,
}

/// The batch with only those records whose fate is to stay; `fates` has one entry for each record of `plain`, the decompressed
/// records, and at least one stays. With `horizon` the batch says when its tombstones may go: Kafka keeps that in the base
/// timestamp, so the records' deltas are written anew.
///
/// # Errors
/// [`BatchError::Record`] where `plain` is malformed, [`BatchError::Decompress`] where the codec refuses to pack it again.
pub fn rebuild(
    view: &BatchView<'_>,
    plain: &[u8],
    fates: &[Fate],
    horizon: Option<TimestampMs>,
) -> Result<Bytes, BatchError> {
    let before = view.base_timestamp();
    let base = horizon.unwrap_or(before);
    let mut records = Vec::with_capacity(plain.len());
    let mut walk = Cursor { rest: plain };
    let (mut count, mut newest) = (0_i32, i64::MIN);
    for (index, fate) in (0..).zip(fates) {
        let fault = |fault| BatchError::Record { index, fault };
        let raw = RawRecord::read(&mut walk).map_err(fault)?;
        if *fate == Fate::Drop {
            continue;
        }
        count += 1;
        let created = before.get().wrapping_add(raw.timestamp_delta);
        newest = newest.max(created);
        raw.write(created.wrapping_sub(base.get()), &mut records).map_err(fault)?;
    }
    let codec = view.compression();
    let mut batch = view.header.to_vec();
    compression::compress(codec, &records, &mut batch)
        .map_err(|_| BatchError::Decompress { codec })?;
    let bits = view.attribute_bits() | if horizon.is_some() { DELETE_HORIZON_BIT } else { 0 };
    put(&mut batch, at::ATTRIBUTES, bits.to_be_bytes());
    put(&mut batch, at::BASE_TIMESTAMP, base.get().to_be_bytes());
    if view.attributes().timestamp_type() == TimestampType::CreateTime {
        put(&mut batch, at::MAX_TIMESTAMP, newest.to_be_bytes());
    }
    put(&mut batch, at::RECORD_COUNT, count.to_be_bytes());
    Ok(finish(batch))
}

/// The batch without its records: it keeps the place of its offsets and its producer's sequences.
#[must_use]
pub fn hollow(view: &BatchView<'_>) -> Bytes {
    let mut batch = view.header.to_vec();
    let bits = view.attribute_bits() & !(COMPRESSION_BITS | DELETE_HORIZON_BIT);
    put(&mut batch, at::ATTRIBUTES, bits.to_be_bytes());
    put(&mut batch, at::BASE_TIMESTAMP, view.max_timestamp().get().to_be_bytes());
    put(&mut batch, at::RECORD_COUNT, 0_i32.to_be_bytes());
    finish(batch)
}

fn finish(mut batch: Vec<u8>) -> Bytes {
    let length = i32::try_from(batch.len() - LENGTH_PREFIX_BYTES).unwrap_or(i32::MAX);
    put(&mut batch, at::LENGTH, length.to_be_bytes());
    seal(&mut batch);
    batch.into()
}

/// A record whose timestamp can be moved; the rest of it is not looked at.
struct RawRecord<'a> {
    attributes: u8,
    timestamp_delta: i64,
    rest: &'a [u8],
}

impl<'a> RawRecord<'a> {
    fn read(walk: &mut Cursor<'a>) -> Result<Self, RecordFault> {
        let length = usize::try_from(read_i32(walk)?).map_err(|_| RecordFault::Length)?;
        let mut record = Cursor { rest: walk.take(length)? };
        let attributes = record.byte()?;
        let timestamp_delta = read_i64(&mut record)?;
        Ok(Self { attributes, timestamp_delta, rest: record.rest })
    }

    fn write(&self, timestamp_delta: i64, out: &mut Vec<u8>) -> Result<(), RecordFault> {
        let length = 1 + size_i64(timestamp_delta) + self.rest.len();
        let mut front = Scratch::new();
        front.put_i32(i32::try_from(length).map_err(|_| RecordFault::Length)?);
        front.put_byte(self.attributes);
        front.put_i64(timestamp_delta);
        out.put_slice(front.as_bytes());
        out.put_slice(self.rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{HEADER_BYTES, ProducerStamp};
    use crate::batch_builder::BatchBuilder;
    use crate::compression::{Compression, decompress};
    use crate::ids::{ProducerEpoch, ProducerId, Sequence};
    use crate::records::{Header, Records};

    fn original(codec: Compression) -> Bytes {
        let mut builder = BatchBuilder::new();
        for n in 0..5_u8 {
            let time = TimestampMs::new(1_000 + 7 * i64::from(n % 3));
            let value = vec![n; 20];
            let value = (n != 3).then_some(value.as_slice());
            builder.append(time, Some(&[n]), value, &[Header::new("h", &[n])]).unwrap();
        }
        builder.set_producer(ProducerStamp {
            id: ProducerId::new(4),
            epoch: ProducerEpoch::new(1),
            base_sequence: Sequence::new(30),
        });
        builder.build(codec).unwrap()
    }

    fn check_place(found: &BatchView<'_>, original: &BatchView<'_>) {
        found.verify_crc().unwrap();
        assert_eq!(found.base_offset(), original.base_offset());
        assert_eq!(found.next_offset(), original.next_offset());
        assert_eq!(found.producer_id(), original.producer_id());
        assert_eq!(found.base_sequence(), original.base_sequence());
    }

    fn check_kept(codec: Compression, horizon: Option<TimestampMs>) {
        let bytes = original(codec);
        let view = BatchView::parse(&bytes).unwrap().0;
        let plain = decompress(&view, 1 << 20).unwrap();
        let fates = [Fate::Drop, Fate::Keep, Fate::Drop, Fate::Keep, Fate::Keep];
        let rebuilt = rebuild(&view, &plain, &fates, horizon).unwrap();
        let found = BatchView::parse(&rebuilt).unwrap().0;
        check_place(&found, &view);
        assert_eq!(found.compression(), codec);
        assert_eq!((found.record_count(), found.delete_horizon()), (3, horizon));
        assert_eq!(found.max_timestamp().get(), 1_007);
        let again = decompress(&found, 1 << 20).unwrap();
        let left: Vec<_> = Records::of_plain(&found, &again).map(Result::unwrap).collect();
        let all = Records::of_plain(&view, &plain).map(Result::unwrap).zip(fates);
        let kept: Vec<_> =
            all.filter(|(_, fate)| *fate == Fate::Keep).map(|(record, _)| record).collect();
        assert_eq!(left, kept);
        // A second time, with the horizon that it has.
        let fates = [Fate::Keep, Fate::Drop, Fate::Keep];
        let twice = rebuild(&found, &again, &fates, None).unwrap();
        let twice = BatchView::parse(&twice).unwrap().0;
        assert_eq!((twice.record_count(), twice.delete_horizon()), (2, horizon));
    }

    #[test]
    fn kept_records_are_the_same_at_their_offsets_in_every_codec() {
        for codec in Compression::ALL {
            for horizon in [None, Some(1_700_000_000_000), Some(0)] {
                check_kept(codec, horizon.map(TimestampMs::new));
            }
        }
    }

    #[test]
    fn a_hollow_batch_keeps_offsets_and_sequences_and_is_no_producers_batch() {
        let bytes = original(Compression::Zstd);
        let view = BatchView::parse(&bytes).unwrap().0;
        let hollow = hollow(&view);
        let (found, length) = BatchView::parse(&hollow).unwrap();
        check_place(&found, &view);
        assert_eq!((length, found.record_count()), (HEADER_BYTES, 0));
        assert_eq!(Records::of(&found).unwrap().count(), 0);
        assert!(found.verify_records(1 << 20).is_err());
    }

    #[test]
    fn malformed_records_are_an_error() {
        let bytes = original(Compression::None);
        let view = BatchView::parse(&bytes).unwrap().0;
        let cut = &view.records_bytes()[..40];
        assert!(rebuild(&view, cut, &[Fate::Keep; 5], None).is_err());
    }
}
