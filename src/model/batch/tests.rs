//! The header as bytes, and every way in which it can be wrong.

use super::*;
use crate::batch::records::Records;

/// Two records of an idempotent producer, computed by hand from Kafka's format description. The CRC was
/// computed with an independent bit-by-bit implementation.
#[rustfmt::skip]
const GOLDEN: [u8; 90] = [
    0, 0, 0, 0, 0, 0, 0, 0,                         // base offset 0
    0, 0, 0, 0x4e,                                  // 78 bytes follow
    0xff, 0xff, 0xff, 0xff,                         // leader epoch -1
    2,                                              // magic
    0x0f, 0x6b, 0x37, 0x22,                         // crc
    0, 0,                                           // attributes
    0, 0, 0, 1,                                     // last offset delta
    0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00,       // base timestamp 1,700,000,000,000
    0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x69, 0x2c,       // max timestamp 300 ms later
    0, 0, 0, 0, 0, 0, 0x03, 0xe8,                   // producer id 1000
    0, 2,                                           // producer epoch
    0, 0, 0, 7,                                     // base sequence
    0, 0, 0, 2,                                     // two records
    0x1a, 0, 0, 0, 0x04, b'k', b'1', 0x0a, b'h', b'e', b'l', b'l', b'o', 0,
    0x1c, 0, 0xd8, 0x04, 0x02, 0x01, 0x01,          // 300 ms, offset delta 1, no key, no value
    0x04, 0x02, b'h', 0x02, 0x01, 0x02, b'n', 0x01, // headers h = 01, n = null
];

#[test]
fn the_golden_batch_reads_as_kafka_says() {
    let (batch, whole) = BatchView::parse(&GOLDEN).unwrap();
    assert_eq!(whole, 90);
    batch.verify_crc().unwrap();
    batch.verify_records(0).unwrap();
    assert_eq!(batch.base_offset(), Offset::ZERO);
    assert_eq!(batch.next_offset(), Offset::new(2));
    assert_eq!(batch.leader_epoch(), None);
    assert_eq!(batch.record_count(), 2);
    assert_eq!(batch.compression(), Compression::None);
    assert_eq!(batch.attributes().timestamp_type(), TimestampType::CreateTime);
    assert!(!batch.attributes().is_control() && !batch.attributes().is_transactional());
    assert_eq!(batch.base_timestamp(), TimestampMs::new(1_700_000_000_000));
    assert_eq!(batch.max_timestamp(), TimestampMs::new(1_700_000_000_300));
    assert_eq!(batch.producer_id(), Some(ProducerId::new(1000)));
    assert_eq!(batch.producer_epoch(), Some(ProducerEpoch::new(2)));
    assert_eq!(batch.base_sequence(), Some(Sequence::new(7)));

    let records: Vec<_> = Records::of(&batch).unwrap().map(Result::unwrap).collect();
    assert_eq!(records[0].key, Some(&b"k1"[..]));
    assert_eq!(records[0].value, Some(&b"hello"[..]));
    assert!(records[0].headers.is_empty());
    assert_eq!(records[1].offset, Offset::new(1));
    assert_eq!(records[1].timestamp, TimestampMs::new(1_700_000_000_300));
    assert_eq!((records[1].key, records[1].value), (None, None));
    let headers: Vec<_> = records[1].headers.map(|h| (h.key, h.value)).collect();
    assert_eq!(headers, [(&b"h"[..], Some(&[1_u8][..])), (&b"n"[..], None)]);
}

#[test]
fn the_builder_writes_the_golden_batch() {
    use crate::batch::builder::BatchBuilder;
    use crate::batch::records::Header;
    let mut builder = BatchBuilder::new();
    builder.append(TimestampMs::new(1_700_000_000_000), Some(b"k1"), Some(b"hello"), &[]).unwrap();
    let headers = [Header::new("h", &[1]), Header { key: b"n", value: None }];
    builder.append(TimestampMs::new(1_700_000_000_300), None, None, &headers).unwrap();
    builder.set_producer(golden_producer());
    assert_eq!(builder.build(Compression::None).unwrap()[..], GOLDEN);
}

fn golden_producer() -> ProducerStamp {
    ProducerStamp {
        id: ProducerId::new(1000),
        epoch: ProducerEpoch::new(2),
        base_sequence: Sequence::new(7),
    }
}

/// The golden batch with some bytes overwritten.
fn golden_with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = GOLDEN.to_vec();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    batch
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let count = |count, last_offset_delta| BatchError::Count {
        count,
        last_offset_delta,
        records_bytes: 29,
    };
    let producer = |id, epoch, sequence| BatchError::Producer { id, epoch, sequence };
    let cases: [(usize, &[u8], BatchError); 14] = [
        (at::LENGTH, &[0, 0, 0, 48], BatchError::LengthTooSmall { length: 48 }),
        (at::LENGTH, &[0xff; 4], BatchError::LengthTooSmall { length: -1 }),
        (at::LENGTH, &[0x80, 0, 0, 0], BatchError::LengthTooSmall { length: i32::MIN }),
        (at::LENGTH, &[0, 0, 0, 79], BatchError::Truncated { needed: 91, available: 90 }),
        (at::MAGIC, &[1], BatchError::Magic { magic: 1 }),
        (at::ATTRIBUTES, &[0, 5], BatchError::UnknownCompression { id: 5 }),
        (at::RECORD_COUNT, &[0, 0, 0, 0], count(0, 1)),
        (at::RECORD_COUNT, &[0xff; 4], count(-1, 1)),
        (at::RECORD_COUNT, &[0, 0, 0, 5], count(5, 1)),
        (at::LAST_OFFSET_DELTA, &[0, 0, 0, 0], count(2, 0)),
        (at::BASE_OFFSET, &[0xff; 8], BatchError::BaseOffset { base_offset: -1 }),
        (
            at::BASE_OFFSET,
            &i64::MAX.to_be_bytes(),
            BatchError::BaseOffset { base_offset: i64::MAX },
        ),
        (at::PRODUCER_EPOCH, &[0xff; 2], producer(1000, -1, 7)),
        (at::BASE_SEQUENCE, &[0xff; 4], producer(1000, 2, -1)),
    ];
    for (at, bytes, expected) in cases {
        let batch = golden_with(at, bytes);
        assert_eq!(BatchView::parse(&batch).unwrap_err(), expected, "{bytes:?} at {at}");
    }
    let crowd = golden_with(at::LAST_OFFSET_DELTA, &[0, 0, 0, 4]);
    let mut crowd = crowd;
    crowd[at::RECORD_COUNT + 3] = 5;
    assert_eq!(BatchView::parse(&crowd).unwrap_err(), count(5, 4), "29 bytes hold 4 records");
}

#[test]
fn every_cut_is_reported_as_truncated() {
    for cut in 0..GOLDEN.len() {
        let needed = if cut < 12 { 61 } else { 90 };
        assert_eq!(
            BatchView::parse(&GOLDEN[..cut]).unwrap_err(),
            BatchError::Truncated { needed, available: cut }
        );
    }
}

#[test]
fn a_compacted_batch_parses_but_no_client_may_send_it() {
    let batch = golden_with(at::LAST_OFFSET_DELTA, &[0, 0, 0, 9]);
    let (batch, _) = BatchView::parse(&batch).unwrap();
    assert_eq!(batch.next_offset(), Offset::new(10));
    let refused = batch.verify_records(0).unwrap_err();
    assert_eq!(refused, BatchError::Count { count: 2, last_offset_delta: 9, records_bytes: 29 });
}

#[test]
fn a_librdkafka_batch_without_producer_is_accepted_whatever_its_sequence() {
    let mut batch = golden_with(at::PRODUCER_ID, &[0xff; 10]);
    batch[at::BASE_SEQUENCE..at::RECORD_COUNT].fill(0);
    let (batch, _) = BatchView::parse(&batch).unwrap();
    assert_eq!(batch.producer_id(), None);
    assert_eq!(batch.producer_epoch(), None);
    assert_eq!(batch.base_sequence(), None);
}

#[test]
fn every_flipped_bit_under_the_crc_is_seen() {
    for (byte, golden) in GOLDEN.iter().enumerate().skip(CRC_FROM) {
        for bit in 0..8 {
            let batch = golden_with(byte, &[golden ^ 1 << bit]);
            let seen = BatchView::parse(&batch).and_then(|(batch, _)| batch.verify_crc());
            assert!(seen.is_err(), "bit {bit} of byte {byte}");
        }
    }
}

#[test]
fn records_that_break_the_format_are_refused_with_their_index() {
    use RecordFault::{Header, Length, OffsetDelta, Trailing, Truncated, Varint};
    let cases: [(usize, &[u8], u32, RecordFault); 11] = [
        (61, &[0x18], 0, Length), // shorter than its parts
        (61, &[0x1c], 0, Length), // longer than its parts
        (61, &[0x01], 0, Length), // -1
        (61, &[0x7e], 0, Length), // far beyond the batch, but headers end earlier
        (64, &[0x02], 0, OffsetDelta { found: 1 }),
        (79, &[0x00], 1, OffsetDelta { found: 0 }),
        (65, &[0x7e], 0, Length), // the key is longer than the record
        (74, &[0x01], 0, Header), // header count -1
        (83, &[0x01], 1, Header), // header key length -1
        (82, &[0x02], 1, Length), // one header, bytes for two
        (75, &[0xff, 0xff, 0xff, 0xff, 0xff], 1, Varint),
    ];
    for (at, bytes, index, fault) in cases {
        let batch = golden_with(at, bytes);
        let (batch, _) = BatchView::parse(&batch).unwrap();
        assert_eq!(
            batch.verify_records(0),
            Err(BatchError::Record { index, fault }),
            "{bytes:?} at {at}"
        );
    }
    let mut longer = golden_with(at::LENGTH, &[0, 0, 0, 0x4f]);
    longer.push(0);
    let (batch, _) = BatchView::parse(&longer).unwrap();
    assert_eq!(batch.verify_records(0), Err(BatchError::Record { index: 2, fault: Trailing }));
    let mut shorter = golden_with(at::LENGTH, &[0, 0, 0, 0x4d]);
    shorter.pop();
    let (batch, _) = BatchView::parse(&shorter).unwrap();
    assert_eq!(batch.verify_records(0), Err(BatchError::Record { index: 1, fault: Truncated }));
    assert_eq!(Records::of(&batch).unwrap().filter(Result::is_err).count(), 1);
}

#[test]
fn stamping_changes_offset_and_epoch_and_nothing_else() {
    let (batch, _) = BatchView::parse(&GOLDEN).unwrap();
    let head = stamp_head(&batch, Offset::new(0x0102_0304), LeaderEpoch::new(9));
    let stamped = [&head[..], &GOLDEN[HEAD_BYTES..]].concat();
    let (stamped, _) = BatchView::parse(&stamped).unwrap();
    stamped.verify_crc().unwrap();
    assert_eq!(stamped.base_offset(), Offset::new(0x0102_0304));
    assert_eq!(stamped.leader_epoch(), Some(LeaderEpoch::new(9)));
    assert_eq!(stamped.as_bytes()[8..12], GOLDEN[8..12]);
    assert_eq!(stamped.as_bytes()[16], MAGIC);
}

#[test]
fn append_time_becomes_every_records_time() {
    let mut bytes = GOLDEN.to_vec();
    patch_append_time(&mut bytes, TimestampMs::new(42));
    let (batch, _) = BatchView::parse(&bytes).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!(batch.attributes().timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(batch.max_timestamp(), TimestampMs::new(42));
    assert_eq!(batch.base_timestamp(), TimestampMs::new(1_700_000_000_000));
    for record in Records::of(&batch).unwrap() {
        assert_eq!(record.unwrap().timestamp, TimestampMs::new(42));
    }
}

#[test]
fn a_producer_can_be_replaced() {
    let mut bytes = GOLDEN.to_vec();
    let producer = ProducerStamp {
        id: ProducerId::new(5),
        epoch: ProducerEpoch::new(0),
        base_sequence: Sequence::new(0),
    };
    patch_producer(&mut bytes, producer);
    let (batch, _) = BatchView::parse(&bytes).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!(batch.producer_id(), Some(ProducerId::new(5)));
    patch_producer(&mut bytes, golden_producer());
    assert_eq!(bytes, GOLDEN);
}

#[test]
fn patching_less_than_a_header_does_nothing() {
    let mut short = vec![7; HEADER_BYTES - 1];
    patch_append_time(&mut short, TimestampMs::new(1));
    patch_producer(&mut short, golden_producer());
    assert_eq!(short, vec![7; HEADER_BYTES - 1]);
}

#[test]
fn batches_back_to_back_are_walked_until_the_first_error() {
    let mut bytes = [GOLDEN, GOLDEN].concat();
    assert_eq!(batches(&bytes).filter(Result::is_ok).count(), 2);
    bytes.extend_from_slice(&GOLDEN[..70]);
    let mut walk = batches(&bytes);
    assert!(walk.next().unwrap().is_ok());
    assert!(walk.next().unwrap().is_ok());
    assert_eq!(walk.rest().len(), 70);
    assert_eq!(
        walk.next().unwrap().unwrap_err(),
        BatchError::Truncated { needed: 90, available: 70 }
    );
    assert!(walk.next().is_none());
    assert!(batches(&[]).next().is_none());
}
