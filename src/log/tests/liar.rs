//! Seeded twins of the fuzz targets, continued: bytes whose checksums are right and whose content is not. Bit rot does not make
//! them, a bug might; no reader panics on them, runs on for ever or believes what contradicts itself.

use std::collections::BTreeMap;

use bytes::Bytes;
use kolk_layout::field::{PAGE_BYTES, index};
use kolk_layout::journal::group::{
    GROUP_HEADER_BYTES, GroupBuilder, GroupPlace, RECORD_ENTRY_BYTES,
};
use kolk_layout::journal::snapshot::{SNAPSHOT_HEADER_BYTES, Snapshot};
use kolk_layout::segment::index::SegmentIndex;
use kolk_model::checksum::{crc32c, crc32c_append};
use kolk_model::offset::Offset;

use crate::recovery::history::{Step, find_groups, follow};
use crate::recovery::replay::{ReplayCounts, Replayed, replay};
use crate::tests::fuzz::{Chance, IDENTITY, group, indexed, redo, snapshot};

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
    let valid = snapshot().encode(IDENTITY);
    let mut accepted = 0;
    for seed in 1..=CASES {
        let (mut chance, mut bytes) = (Chance(seed), valid.clone());
        scribble(&mut chance, &mut bytes[SNAPSHOT_HEADER_BYTES..]);
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

#[test]
fn lying_groups_damage_their_log_and_no_memory() {
    let mut damaged = 0;
    for seed in 1..=CASES {
        let mut chance = Chance(seed);
        let (mut journal, mut previous) = (Vec::new(), 77);
        for sequence in 5..9 {
            let (mut bytes, _) = group(sequence, previous, &[1; 5000]);
            if chance.below(3) == 0 {
                let (from, to) = (GROUP_HEADER_BYTES, GROUP_HEADER_BYTES + RECORD_ENTRY_BYTES);
                scribble(&mut chance, &mut bytes[from..to]);
            }
            if chance.below(8) == 0 {
                // The numbers of the group itself.
                scribble(&mut chance, &mut bytes[16..40]);
            }
            previous = seal(&mut bytes);
            journal.extend_from_slice(&bytes);
        }
        let mut found = BTreeMap::new();
        find_groups(IDENTITY, &Bytes::from(journal), &mut found).unwrap();
        let history = follow(snapshot(), found);
        assert!(history.steps.len() <= 8, "seed {seed}: {} steps of 4 groups", history.steps.len());
        let (mut logs, mut counts) = (BTreeMap::new(), ReplayCounts::default());
        replay(history, "journal/9/3", &mut logs, &mut counts);
        logs.values().for_each(|log| check(log, seed));
        damaged += u64::from(logs.values().any(|log| log.damage.is_some()));
    }
    assert!(damaged > CASES / 10, "{damaged} were damaged");
}

/// A number in one group may claim that 2^60 others were acknowledged: they are one gap.
#[test]
fn a_gap_costs_the_same_whatever_its_length() {
    let far = 1 << 60;
    let (near, _) = group(5, 77, b"near");
    let place =
        GroupPlace { sequence: far, durable_sequence: far - 1, low_water: 1, previous_checksum: 0 };
    let mut builder = GroupBuilder::default();
    builder.push(&redo(4), 4, crc32c(b"away"));
    let (mut bytes, _) = builder.head(IDENTITY, place);
    bytes.extend_from_slice(b"away");
    bytes.resize(index(builder.total_bytes()), 0);
    let mut found = BTreeMap::new();
    find_groups(IDENTITY, &Bytes::from([near, bytes].concat()), &mut found).unwrap();
    let history = follow(snapshot(), found);
    let lost = history.steps.iter().find_map(|step| match step {
        Step::Lost { first, last } => Some((*first, *last)),
        Step::Records(..) => None,
    });
    assert_eq!((history.steps.len(), lost), (3, Some((6, far - 1))));
}

#[test]
fn lying_indexes_are_refused_or_answer() {
    let (whole, _) = indexed(60);
    let valid = whole.encode();
    let mut accepted = 0;
    for seed in 1..=CASES {
        let (mut chance, mut bytes) = (Chance(seed), valid.clone());
        let entry = 48 + 32 * chance.below((bytes.len() - 48) / 32);
        // Not the position: it is the one field that the entries before decide.
        scribble(&mut chance, &mut bytes[entry + 12..entry + 32]);
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
