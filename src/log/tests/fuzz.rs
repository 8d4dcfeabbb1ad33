//! Seeded twins of the fuzz targets: the decoders of every format of this crate meet random and mutated bytes, and neither
//! panic nor accept what they should not.

use std::collections::BTreeMap;

use bytes::Bytes;
use kolk_model::checksum::crc32c;
use kolk_model::ids::{LeaderEpoch, PartitionId, ShardId, TopicId, TopicPartition};
use kolk_model::offset::{FilePosition, Offset};
use kolk_model::time::TimestampMs;

use crate::log::parse_segment_name;
use crate::recovery::history::{find_groups, follow};
use crate::recovery::replay::{ReplayCounts, replay};
use crate::tests::life::batch_of;
use kolk_layout::field::index;
use kolk_layout::journal::current::Current;
use kolk_layout::journal::group::{
    GroupBuilder, GroupPlace, JournalIdentity, Record, RecordKind, parse_header, parse_records,
};
use kolk_layout::journal::held::{self, HeldError, HeldLog};
use kolk_layout::journal::snapshot::{EpochStart, LogSnapshot, Snapshot, SnapshotKind};
use kolk_layout::segment::compacted::{CheckpointError, CompactionPoint, Swap};
use kolk_layout::segment::index::{IndexedBatch, SegmentIndex};
use kolk_layout::segment::scan::Scan;

const CASES: u64 = 2_500;

pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        index(self.next()) % bound.max(1)
    }

    /// Flips, overwrites, cuts or extends.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.next() % 5 {
                0 => bytes.truncate(at),
                1 => bytes.extend_from_slice(&self.next().to_le_bytes()),
                2 => bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0xff),
                _ => {
                    let mask = 1 << (self.next() % 8);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= mask;
                    }
                }
            }
        }
    }
}

/// Runs `case` with mutations of `valid` and with noise; `case` says whether the bytes were accepted.
fn check(seed: u64, valid: &[u8], mut case: impl FnMut(&[u8]) -> bool) {
    assert!(case(valid), "the untouched bytes are accepted");
    let mut chance = Chance(seed);
    for number in 0..CASES {
        let mut bytes = if number % 10 == 0 {
            (0..chance.below(400)).map(|_| chance.next().to_le_bytes()[0]).collect()
        } else {
            valid.to_vec()
        };
        chance.mutate(&mut bytes);
        let untouched = bytes.starts_with(valid);
        let accepted = case(&bytes);
        assert!(!accepted || untouched, "seed {seed}, case {number}: damaged bytes were accepted");
    }
}

pub(crate) const IDENTITY: JournalIdentity =
    JournalIdentity { generation: 9, shard: ShardId::new(3), seed: 0x1234_5678 };

fn log_id() -> TopicPartition {
    TopicPartition { topic: TopicId::new([5; 16]), partition: PartitionId::new(1) }
}

/// A redo record of so many bytes at the start of a segment.
pub(crate) fn redo(payload_bytes: u64) -> Record {
    Record {
        log: log_id(),
        kind: RecordKind::Redo,
        segment: Offset::ZERO,
        from: FilePosition::ZERO,
        to: FilePosition::new(payload_bytes),
        end: FilePosition::new(payload_bytes),
        next_offset: Offset::new(1),
    }
}

/// A group with one redo record of `payload`, padded to its pages.
pub(crate) fn group(sequence: u64, previous_checksum: u32, payload: &[u8]) -> (Vec<u8>, u32) {
    group_of(sequence, previous_checksum, &redo(payload.len() as u64), payload)
}

/// A group with one record and its payload, padded to its pages.
pub(crate) fn group_of(
    sequence: u64,
    previous_checksum: u32,
    record: &Record,
    payload: &[u8],
) -> (Vec<u8>, u32) {
    let mut builder = GroupBuilder::default();
    builder.push(record, payload.len(), crc32c(payload));
    let place =
        GroupPlace { sequence, durable_sequence: sequence - 1, low_water: 1, previous_checksum };
    let (head, checksum) = builder.head(IDENTITY, place);
    let mut bytes = head.to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(index(builder.total_bytes()), 0);
    (bytes, checksum)
}

pub(crate) fn snapshot() -> Snapshot {
    let log = LogSnapshot {
        id: log_id(),
        epoch: LeaderEpoch::new(2),
        log_start: Offset::new(1),
        segment: Offset::ZERO,
        flushed: FilePosition::new(4096),
        end: FilePosition::new(4196),
        covered: FilePosition::new(4200),
        next_offset: Offset::new(10),
        epochs: vec![EpochStart { epoch: LeaderEpoch::new(1), start: Offset::ZERO }],
        damage: Some("bit rot".to_owned()),
        tail: vec![9; 104],
    };
    Snapshot { sequence: 4, checksum: 77, kind: SnapshotKind::Running, boot: 1, logs: vec![log] }
}

/// A snapshot whose log is not offline: only such a log is replayed.
pub(crate) fn sound() -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.logs.iter_mut().for_each(|log| log.damage = None);
    snapshot
}

/// What four groups say of the log of the snapshot: each goes on where the one before ends, the second one by an extent.
pub(crate) fn chain() -> [(Record, Vec<u8>); 4] {
    let record = |kind, from: u64, to: u64, next: u64| Record {
        kind,
        from: FilePosition::new(from),
        to: FilePosition::new(to),
        end: FilePosition::new(to),
        next_offset: Offset::new(next),
        ..redo(0)
    };
    let redo = |from, next| (record(RecordKind::Redo, from, from + 5_000, next), vec![1; 5_000]);
    let extent = (record(RecordKind::Extent, 8_192, 12_288, 12), Vec::new());
    [redo(4_200, 11), extent, redo(12_288, 13), redo(17_288, 14)]
}

#[test]
fn a_damaged_group_is_never_read_as_whole() {
    let (valid, _) = group(5, 1, &[7; 300]);
    let content = 72 + 80 + 300;
    check(1, &valid[..content], |bytes| {
        let mut padded = bytes.to_vec();
        padded.resize(8192, 0);
        let group = Bytes::from(padded);
        parse_header(IDENTITY, &group).is_ok_and(|header| {
            let records = parse_records(&header, &group);
            records.is_ok_and(|records| records.iter().all(|record| record.payload.is_some()))
        })
    });
}

#[test]
fn a_group_of_another_run_is_no_group() {
    let (valid, _) = group(5, 1, b"x");
    for other in [
        JournalIdentity { generation: 8, ..IDENTITY },
        JournalIdentity { shard: ShardId::new(2), ..IDENTITY },
        JournalIdentity { seed: 1, ..IDENTITY },
    ] {
        assert!(parse_header(other, &valid).is_err(), "{other:?}");
    }
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let valid = snapshot().encode(IDENTITY);
    assert_eq!(Snapshot::decode(IDENTITY, &valid).unwrap(), snapshot());
    check(2, &valid, |bytes| Snapshot::decode(IDENTITY, bytes).is_ok());
}

#[test]
fn a_damaged_current_is_refused() {
    let valid = Current { generation: 3, seed: 4, shards: 2, files: 16 };
    assert_eq!(Current::decode(&valid.encode()).unwrap(), valid);
    let valid = valid.encode();
    check(3, &valid, |bytes| bytes.len() == valid.len() && Current::decode(bytes).is_ok());
}

#[test]
fn a_damaged_list_of_held_logs_is_refused() {
    let run = |generation| Current { generation, seed: 4, shards: 2, files: 16 };
    let logs: Vec<_> = (3..5).map(|n| HeldLog { id: log_id(), run: run(n) }).collect();
    let valid = held::encode(&logs);
    assert_eq!(held::decode(&valid).as_ref(), Ok(&logs));
    check(8, &valid, |bytes| held::decode(bytes).as_ref() == Ok(&logs));
    let newer = [&valid[..4], &[2, 0], &valid[6..]].concat();
    assert_eq!(held::decode(&newer), Err(HeldError::VersionNewer { found: 2 }));
}

pub(crate) fn indexed(count: u64) -> (SegmentIndex, Vec<u8>) {
    let (mut index, mut segment) = (SegmentIndex::new(Offset::ZERO, 4096), Vec::new());
    let mut scan = Scan::new(0, Offset::ZERO);
    let mut base = 0_u64;
    for stamp in 1..=count {
        let mut batch = batch_of(100 + index_of(stamp * 97 % 900), stamp).to_vec();
        batch[..8].copy_from_slice(&base.to_be_bytes());
        batch[12..16].copy_from_slice(&1_u32.to_be_bytes());
        scan.batches(&batch, |found: &IndexedBatch<'_>, next| {
            index.push(found, next);
            base = next.get();
        })
        .unwrap();
        segment.extend_from_slice(&batch);
    }
    (index, segment)
}

fn index_of(value: u64) -> usize {
    index(value)
}

#[test]
fn a_damaged_index_is_refused() {
    let (index, segment) = indexed(60);
    let valid = index.encode();
    assert_eq!(index.covered(), segment.len() as u64);
    assert_eq!(SegmentIndex::decode(Offset::ZERO, &valid).unwrap(), index);
    check(4, &valid, |bytes| SegmentIndex::decode(Offset::ZERO, bytes).is_ok());
}

#[test]
fn a_damaged_segment_does_not_scan_to_its_end() {
    let (_, segment) = indexed(12);
    check(5, &segment, |bytes| {
        let mut scan = Scan::new(0, Offset::ZERO);
        let scanned = scan.batches(bytes, |_, _| {});
        scanned.is_ok() && scan.position().get() >= segment.len() as u64
    });
}

#[test]
fn the_index_finds_offsets_and_times() {
    let (index, _) = indexed(60);
    for run in index.runs().iter() {
        let first = index.run_offset(run);
        let found = index.run_of_offset(first).and_then(|at| index.runs().get(at));
        assert_eq!(found, Some(run));
        let at = index.run_of_time(run.max_timestamp).unwrap();
        assert!(index.runs().get(at).unwrap().max_timestamp >= run.max_timestamp);
        assert!(at == 0 || index.runs().get(at - 1).unwrap().max_timestamp < run.max_timestamp);
    }
    assert_eq!(index.run_of_time(TimestampMs::new(i64::MAX)), None);
    let half = index.upto(index.covered() / 2);
    assert!(half.covered() <= index.covered() / 2 && half.covered() > 0);
    assert!(half.next_offset() < index.next_offset());
    let closed = index.upto(index.covered());
    assert_eq!(closed.runs().len(), index.runs().len() - 1, "the last one may still grow");
}

#[test]
fn damaged_journals_replay_without_a_panic() {
    let mut journal = Vec::new();
    let mut checksum = 77;
    for (sequence, (record, payload)) in (5..).zip(chain()) {
        let (bytes, sum) = group_of(sequence, checksum, &record, &payload);
        journal.extend_from_slice(&bytes);
        checksum = sum;
    }
    let (mut chance, mut damaged, mut whole) = (Chance(6), 0, 0);
    for _ in 0..CASES {
        let mut bytes = journal.clone();
        chance.mutate(&mut bytes);
        let mut found = BTreeMap::new();
        find_groups(IDENTITY, &Bytes::from(bytes), &mut found).unwrap();
        let history = follow(sound(), found);
        let (mut logs, mut counts) = (BTreeMap::new(), ReplayCounts::default());
        replay(history, "journal/9/3", &mut logs, &mut counts);
        let log = logs.remove(&log_id()).unwrap();
        assert!(logs.is_empty());
        // What was appended, or less of it where a torn end was cut.
        let next = log.next_offset.get();
        assert!(log.damage.is_some() || (10..=14).contains(&next), "ends at {next}");
        damaged += u64::from(log.damage.is_some());
        whole += u64::from(next == 14);
    }
    assert!(damaged > CASES / 10 && whole > 0, "{damaged} damaged, {whole} whole");
}

#[test]
fn a_torn_group_is_counted() {
    let (first, sum) = group(5, 77, &[1; 500]);
    let (mut torn, _) = group(6, sum, &[2; 500]);
    if let Some(byte) = torn.get_mut(300) {
        *byte ^= 1;
    }
    let mut found = BTreeMap::new();
    find_groups(IDENTITY, &Bytes::from([first, torn].concat()), &mut found).unwrap();
    let history = follow(snapshot(), found);
    assert_eq!((history.steps.len(), history.torn), (1, 1));
}

#[test]
fn a_damaged_compaction_checkpoint_is_refused() {
    let (clean_below, next_offset) = (Offset::new(70), Offset::new(90));
    let swap = Some(Swap { base: Offset::new(40), next_offset, bytes: 5_000 });
    let point = CompactionPoint { clean_below, rising_below: next_offset, swap };
    let valid = point.encode();
    assert_eq!(CompactionPoint::decode(&valid), Ok(point));
    check(7, &valid, |bytes| CompactionPoint::decode(bytes) == Ok(point));
    let newer = [&valid[..4], &[2, 0], &valid[6..]].concat();
    assert_eq!(
        CompactionPoint::decode(&newer),
        Err(CheckpointError::VersionNewer { found: 2 }),
        "and the file is left alone"
    );
}

#[test]
fn names_of_segments_are_parsed_strictly() {
    for (name, base) in [
        ("00000000000000000042.log", Some(42)),
        ("42.log", None),
        ("+0000000000000000042.log", None),
        ("00000000000000000042.index", None),
        ("99999999999999999999.log", None),
    ] {
        assert_eq!(parse_segment_name(name), base.map(Offset::new), "{name}");
    }
}
