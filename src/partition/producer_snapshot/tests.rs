//! Snapshots read back, and bytes of every other kind are refused.

use proptest::prelude::*;

use super::*;
use crate::producers::ProducerBatch;

fn point(offset: u64) -> SnapshotPoint {
    let partition = TopicPartition::new(TopicId::from_random(1, 2), PartitionId::new(3));
    SnapshotPoint { partition, offset: Offset::new(offset), epoch: LeaderEpoch::new(4) }
}

fn sample(producers: u64, batches: u32) -> (SnapshotPoint, Producers) {
    let mut states = Producers::new(1000);
    let mut end = 0;
    for i in 0..batches {
        for id in 0..producers {
            let batch = ProducerBatch {
                producer: ProducerId::new(id * 7),
                epoch: ProducerEpoch::new(2),
                first: Sequence::new(Sequence::MAX.get() - 3).advance(i * 2),
                sequences: 2,
            };
            states.record(&batch, Offset::new(end), TimestampMs::new(1_700_000_000_000));
            end += 2;
        }
    }
    (point(end), states)
}

#[test]
fn a_snapshot_reads_back_as_it_was() {
    for (producers, batches) in [(0, 0), (1, 1), (3, 4), (20, 9)] {
        let (point, states) = sample(producers, batches);
        let bytes = encode(&point, &states);
        assert!(bytes.len() <= bytes_max(states.count()));
        let read = decode(&bytes).unwrap();
        assert_eq!(read.point, point);
        let mut restored = Producers::new(1000);
        for (id, state) in read.states {
            restored.restore(id, state);
        }
        assert!(states.iter().eq(restored.iter()), "{producers} producers");
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_detected() {
    let (point, states) = sample(3, 4);
    let bytes = encode(&point, &states);
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << bit;
            assert!(decode(&damaged).is_err(), "bit {bit} of byte {index}");
        }
        assert!(decode(&bytes[..index]).is_err(), "cut at {index}");
    }
}

#[test]
fn bytes_of_version_1_stay_readable() {
    // Written by the first version; never change it, add another instead.
    let golden = include_bytes!("../../../tests/data/producer-snapshot-1.bin");
    let (point, states) = sample(3, 4);
    assert_eq!(decode(golden).unwrap().point, point);
    assert_eq!(encode(&point, &states), golden);
}

#[test]
fn a_newer_file_is_refused_by_its_version() {
    let (point, states) = sample(1, 1);
    let mut bytes = encode(&point, &states);
    bytes[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
    assert_eq!(decode(&bytes).unwrap_err(), SnapshotError::Newer { found: VERSION + 1 });
}

proptest! {
    // A file of failures would land beside the crates, where only crates may be.
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn fuzzed_snapshots_never_panic_and_keep_their_rules(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..5),
    ) {
        let (point, states) = sample(3, 4);
        let mut bytes = encode(&point, &states);
        for (index, value, kind) in edits {
            let at = 16 + index.index(bytes.len() - 16);
            match kind {
                0 => bytes[at] = value,
                1 => bytes.truncate(at.max(20)),
                _ => bytes.insert(at, value),
            }
        }
        let crc = checksum(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        if let Ok(read) = decode(&bytes) {
            for (_, state) in &read.states {
                prop_assert!((1..=5).contains(&state.batches().len()));
                for batch in state.batches() {
                    prop_assert!(batch.next_offset() <= read.point.offset);
                }
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes).is_err());
    }
}
