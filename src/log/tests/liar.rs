//! Seeded twins of the fuzz targets, continued: bytes whose checksums are right and whose content is not. Bit rot does not make
//! them, a bug might; no reader panics on them, runs on for ever or believes what contradicts itself.

use std::collections::BTreeMap;

use bytes::Bytes;
use kolk_layout::field::{PAGE_BYTES, index};
use kolk_layout::journal::group::{
    GROUP_HEADER_BYTES, GroupBuilder, GroupPlace, RECORD_ENTRY_BYTES, Record,
};
use kolk_layout::journal::snapshot::{SNAPSHOT_HEADER_BYTES, Snapshot};
use kolk_layout::segment::index::SegmentIndex;
use kolk_model::checksum::{crc32c, crc32c_append};
use kolk_model::offset::{FilePosition, Offset};

use crate::recovery::history::{Step, find_groups, follow};
use crate::recovery::replay::{ReplayCounts, Replayed, replay};
use crate::tests::fuzz::{
    Chance, IDENTITY, chain, group, group_of, indexed, redo, snapshot, sound,
};

const CASES: u64 = 2_500;

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Overwrites one to five bytes of the range, now and then eight with one value.
fn scribble(chance: &mut Chance, bytes: &mut [u8]) {
    for _ in 0..=chance.below(5) {
        let at = chance.below(bytes.len());
        match chance.below(4) {
            0 => bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0xff),
            1 => bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0),
            _ => bytes[at] = u8::try_from(chance.below(256)).unwrap(),
        }
    }
}

/// What recovery relies on when it writes a log's pieces.
fn check(log: &Replayed, seed: u64) {
    if log.damage.is_some() {
        return;
    }
    for touched in log.finished.iter().chain([&log.active]) {
        assert!(touched.end <= touched.covered, "seed {seed}: {touched:?}");
        for piece in &touched.pieces {
            let sound = piece.start.is_multiple_of(PAGE_BYTES) && piece.end() <= touched.covered;
            assert!(sound, "seed {seed}: {touched:?}");
        }
        let apart = touched.pieces.windows(2).all(|two| two[0].end() <= two[1].start);
        assert!(apart, "seed {seed}: {touched:?}");
    }
}

#[test]
fn lying_snapshots_are_refused_or_replayed() {
    let valid = [snapshot(), sound()].map(|snapshot| snapshot.encode(IDENTITY));
    let mut accepted = 0;
    for (seed, valid) in (1..=CASES).zip(valid.iter().cycle()) {
        let (mut chance, mut bytes) = (Chance(seed), valid.clone());
        scribble(&mut chance, &mut bytes[SNAPSHOT_HEADER_BYTES..]);
        if chance.below(8) == 0 {
            // The group that it ends with.
            scribble(&mut chance, &mut bytes[16..24]);
        }
        let checksum = crc32c(&bytes[SNAPSHOT_HEADER_BYTES..]);
        put(&mut bytes, 56, &checksum.to_le_bytes());
        let checksum = crc32c(&bytes[..60]);
        put(&mut bytes, 60, &checksum.to_le_bytes());
        let Ok(read) = Snapshot::decode(IDENTITY, &bytes) else { continue };
        accepted += 1;
        assert_eq!(Snapshot::decode(IDENTITY, &read.encode(IDENTITY)), Ok(read.clone()));
        let (mut logs, mut counts) = (BTreeMap::new(), ReplayCounts::default());
        replay(follow(read, BTreeMap::new()), "journal/9/3", &mut logs, &mut counts);
        logs.values().for_each(|log| check(log, seed));
    }
    assert!(accepted > CASES / 10, "{accepted} were read: most lies are too clumsy");
}

/// Gives the group at the start of `bytes` the checksums that it should have.
fn seal(bytes: &mut [u8]) -> u32 {
    let directory = crc32c(&bytes[GROUP_HEADER_BYTES..GROUP_HEADER_BYTES + RECORD_ENTRY_BYTES]);
    put(bytes, 60, &directory.to_le_bytes());
    let seed = crc32c(&IDENTITY.seed.to_le_bytes());
    let seed = crc32c_append(seed, &IDENTITY.generation.to_le_bytes());
    let seed = crc32c_append(seed, &IDENTITY.shard.get().to_le_bytes());
    let checksum = crc32c_append(seed, &bytes[..GROUP_HEADER_BYTES - 4]);
    put(bytes, GROUP_HEADER_BYTES - 4, &checksum.to_le_bytes());
    checksum
}

/// A lie that agrees with itself: as many bytes, some pages further on.
fn shift(chance: &mut Chance, record: &mut Record) {
    let pages = PAGE_BYTES * (1 + chance.below(4) as u64);
    record.from = FilePosition::new(record.from.get() + pages);
    record.to = FilePosition::new(record.to.get() + pages);
}

#[test]
fn lying_groups_damage_their_log_and_no_memory() {
    let (mut damaged, mut whole) = (0, 0);
    for seed in 1..=CASES {
        let mut chance = Chance(seed);
        let (mut journal, mut previous) = (Vec::new(), 77);
        let (mut shifted, mut scribbled) = (None, false);
        for (sequence, (mut record, payload)) in (5..).zip(chain()) {
            if chance.below(8) == 0 {
                shift(&mut chance, &mut record);
                shifted = shifted.or(Some(record.next_offset));
            }
            let (mut bytes, _) = group_of(sequence, previous, &record, &payload);
            if chance.below(8) == 0 {
                let (from, to) = (GROUP_HEADER_BYTES, GROUP_HEADER_BYTES + RECORD_ENTRY_BYTES);
                scribble(&mut chance, &mut bytes[from..to]);
                scribbled = true;
            }
            if chance.below(8) == 0 {
                // The numbers of the group itself.
                scribble(&mut chance, &mut bytes[16..40]);
                scribbled = true;
            }
            previous = seal(&mut bytes);
            journal.extend_from_slice(&bytes);
        }
        let mut found = BTreeMap::new();
        find_groups(IDENTITY, &Bytes::from(journal), &mut found).unwrap();
        let history = follow(sound(), found);
        assert!(history.steps.len() <= 8, "seed {seed}: {} steps of 4 groups", history.steps.len());
        let (mut logs, mut counts) = (BTreeMap::new(), ReplayCounts::default());
        replay(history, "journal/9/3", &mut logs, &mut counts);
        logs.values().for_each(|log| check(log, seed));
        if let Some(offset) = shifted.filter(|_| !scribbled) {
            let believed = logs.values().any(|log| log.next_offset >= offset);
            assert!(!believed, "seed {seed}: a gap in the segment is passed over");
        }
        damaged += u64::from(logs.values().any(|log| log.damage.is_some()));
        whole += u64::from(logs.values().all(|log| log.damage.is_none()));
    }
    assert!(damaged > CASES / 10, "{damaged} were damaged");
    assert!(whole > CASES / 10, "{whole} were whole: nothing was looked at");
}

/// A number in one group may claim that 2^60 others were acknowledged, or all that there can be: they are one gap.
#[test]
fn a_gap_costs_the_same_whatever_its_length() {
    let (near, _) = group(5, 77, b"near");
    for far in [1 << 60, u64::MAX] {
        let place = GroupPlace {
            sequence: far,
            durable_sequence: far - 1,
            low_water: 1,
            previous_checksum: 0,
        };
        let mut builder = GroupBuilder::default();
        builder.push(&redo(4), 4, crc32c(b"away"));
        let mut bytes = builder.head(IDENTITY, place).0.to_vec();
        bytes.extend_from_slice(b"away");
        bytes.resize(index(builder.total_bytes()), 0);
        let mut found = BTreeMap::new();
        find_groups(IDENTITY, &Bytes::from([&near[..], &bytes].concat()), &mut found).unwrap();
        let history = follow(snapshot(), found);
        let lost = history.steps.iter().find_map(|step| match step {
            Step::Lost { first, last } => Some((*first, *last)),
            Step::Records(..) => None,
        });
        assert_eq!((history.steps.len(), lost), (3, Some((6, far - 1))));
    }
}

#[test]
fn lying_indexes_are_refused_or_answer() {
    let (whole, _) = indexed(60);
    let valid = whole.encode();
    let mut accepted = 0;
    for seed in 1..=CASES {
        let (mut chance, mut bytes) = (Chance(seed), valid.clone());
        let entry = 48 + 32 * chance.below((bytes.len() - 48) / 32);
        // Position and length are decided by the other entries as well: few such lies are believed.
        let from = entry + 12 * chance.below(2);
        scribble(&mut chance, &mut bytes[from..entry + 32]);
        let checksum = crc32c(&bytes[48..]);
        put(&mut bytes, 36, &checksum.to_le_bytes());
        let checksum = crc32c(&bytes[..44]);
        put(&mut bytes, 44, &checksum.to_le_bytes());
        let Ok(read) = SegmentIndex::decode(Offset::ZERO, &bytes) else { continue };
        accepted += 1;
        for run in read.runs().iter() {
            let offset = read.run_offset(run);
            let found = read.run_of_offset(offset).and_then(|at| read.runs().get(at));
            assert!(found.is_some(), "seed {seed}: nothing for {offset}");
            let found = read.run_of_time(run.max_timestamp).map(|at| read.runs().get(at));
            assert!(found.is_none_or(|run| run.is_some()), "seed {seed}");
            assert!(read.upto(run.end()).covered() <= run.end(), "seed {seed}");
        }
    }
    assert!(accepted > CASES / 10, "{accepted} were read");
}
