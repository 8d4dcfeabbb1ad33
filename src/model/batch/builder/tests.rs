//! What is built reads back, in every codec.

use proptest::prelude::*;

use super::*;
use crate::batch::records::Records;
use crate::batch::{BatchError, BatchView};
use crate::compression::decompress;
use crate::ids::{ProducerEpoch, ProducerId, Sequence};
use crate::offset::Offset;

const CAP: usize = 1 << 20;

type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

#[derive(Clone, Debug, PartialEq)]
struct Owned {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<OwnedHeader>,
}

fn part(bytes_max: usize) -> impl Strategy<Value = Vec<u8>> {
    // Runs of one byte compress, random bytes do not.
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..bytes_max),
        (any::<u8>(), 0..bytes_max).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

fn record() -> impl Strategy<Value = Owned> {
    let headers = prop::collection::vec((part(20), prop::option::of(part(40))), 0..4);
    let timestamp = prop_oneof![any::<i64>(), 1_700_000_000_000..1_800_000_000_000_i64];
    (timestamp, prop::option::of(part(100)), prop::option::of(part(3000)), headers)
        .prop_map(|(timestamp, key, value, headers)| Owned { timestamp, key, value, headers })
}

fn fill(builder: &mut BatchBuilder, records: &[Owned]) {
    for record in records {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| Header { key, value: value.as_deref() })
            .collect();
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let before = builder.len();
        let timestamp = TimestampMs::new(record.timestamp);
        builder.append(timestamp, key, value, &headers).unwrap();
        let most = BatchBuilder::record_bytes_max(key, value, &headers);
        assert!(builder.len() - before <= most, "{} > {most}", builder.len() - before);
    }
}

fn read_back(bytes: &[u8]) -> Vec<Owned> {
    let (batch, whole) = BatchView::parse(bytes).unwrap();
    assert_eq!(whole, bytes.len());
    batch.verify_crc().unwrap();
    batch.verify_records(CAP).unwrap();
    let plain = decompress(&batch, CAP).unwrap();
    let mut expected = Offset::ZERO;
    let mut records = Vec::new();
    let mut walk = Records::of_plain(&batch, &plain);
    for record in &mut walk {
        let record = record.unwrap();
        assert_eq!(record.offset, expected);
        expected = expected.next();
        records.push(Owned {
            timestamp: record.timestamp.get(),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record
                .headers
                .map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec)))
                .collect(),
        });
    }
    assert!(walk.rest().is_empty());
    records
}

proptest! {
    // A file of failures would land beside the crates, where only crates may be.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_read_back_in_every_codec(records in prop::collection::vec(record(), 1..20)) {
        for codec in Compression::ALL {
            let mut builder = BatchBuilder::new();
            fill(&mut builder, &records);
            let bytes = builder.build(codec).unwrap();
            let (batch, _) = BatchView::parse(&bytes).unwrap();
            prop_assert_eq!(batch.compression(), codec);
            prop_assert_eq!(batch.record_count() as usize, records.len());
            let newest = records.iter().map(|r| r.timestamp).max();
            prop_assert_eq!(Some(batch.max_timestamp().get()), newest);
            prop_assert_eq!(&read_back(&bytes), &records);
        }
    }
}

#[test]
fn a_batch_needs_a_record() {
    assert!(BatchBuilder::new().is_empty());
    assert_eq!(BatchBuilder::new().build(Compression::None), Err(BuildError::Empty));
    assert_eq!(BatchBuilder::new().build(Compression::Zstd), Err(BuildError::Empty));
}

#[test]
fn the_size_so_far_is_the_size_of_the_uncompressed_batch() {
    let mut builder = BatchBuilder::with_capacity(0);
    assert_eq!(builder.len(), HEADER_BYTES);
    for n in 0..300_u16 {
        builder.append(TimestampMs::new(0), None, Some(&n.to_be_bytes()), &[]).unwrap();
    }
    let (size, count) = (builder.len(), builder.record_count());
    assert_eq!((builder.build(Compression::None).unwrap().len(), count), (size, 300));
}

#[test]
fn an_unsealed_batch_lacks_only_its_crc() {
    for codec in Compression::ALL {
        let draft = || {
            let mut builder = BatchBuilder::new();
            builder.append(TimestampMs::new(5), None, Some(b"value"), &[]).unwrap();
            builder
        };
        let mut unsealed = draft().build_unsealed(codec).unwrap();
        assert!(BatchView::parse(&unsealed).unwrap().0.verify_crc().is_err(), "{codec}");
        seal(&mut unsealed);
        assert_eq!(unsealed, draft().build(codec).unwrap(), "{codec}");
    }
    assert_eq!(BatchBuilder::new().build_unsealed(Compression::None), Err(BuildError::Empty));
}

#[test]
fn a_buffer_is_used_again_without_a_trace_of_its_past() {
    let build = |buffer| {
        let mut builder = BatchBuilder::with_buffer(buffer);
        builder.append(TimestampMs::new(5), None, Some(b"value"), &[]).unwrap();
        builder.build(Compression::None).unwrap()
    };
    let first = build(BytesMut::from(&[0xff; 500][..]));
    let copy = first.to_vec();
    let address = first.as_ptr();
    let again = build(first.try_into_mut().unwrap());
    assert_eq!(again[..], copy);
    assert_eq!(again.as_ptr(), address);
}

#[test]
fn the_producer_is_in_the_header_of_compressed_batches_too() {
    for codec in Compression::ALL {
        let mut builder = BatchBuilder::new();
        builder.append(TimestampMs::new(5), None, Some(b"value"), &[]).unwrap();
        builder.set_producer(ProducerStamp {
            id: ProducerId::new(u64::MAX >> 1),
            epoch: ProducerEpoch::new(3),
            base_sequence: Sequence::MAX,
        });
        let bytes = builder.build(codec).unwrap();
        let (batch, _) = BatchView::parse(&bytes).unwrap();
        assert_eq!(batch.producer_id(), Some(ProducerId::new(u64::MAX >> 1)), "{codec}");
        assert_eq!(batch.producer_epoch(), Some(ProducerEpoch::new(3)), "{codec}");
        assert_eq!(batch.base_sequence(), Some(Sequence::MAX), "{codec}");
    }
}

#[test]
fn compressed_records_are_not_walked_in_place() {
    let mut builder = BatchBuilder::new();
    builder.append(TimestampMs::new(5), None, Some(b"value"), &[]).unwrap();
    let bytes = builder.build(Compression::Lz4).unwrap();
    let (batch, _) = BatchView::parse(&bytes).unwrap();
    let refused = Records::of(&batch).unwrap_err();
    assert_eq!(refused, BatchError::Compressed { codec: Compression::Lz4 });
}
