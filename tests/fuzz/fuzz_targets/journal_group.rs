//! A journal file as a start reads it: its groups are found, followed from a snapshot and replayed. The first byte chooses
//! which checksums are made right, so that what they guard is met too.
#![no_main]
#![allow(missing_docs, reason = "a program for the fuzzer")]

use std::collections::BTreeMap;

use bytes::Bytes;
use kolk_layout::field::{PAGE_BYTES, page_ceil};
use kolk_layout::journal::group::{
    GROUP_HEADER_BYTES, GROUP_MAGIC, JournalIdentity, RECORD_ENTRY_BYTES,
};
use kolk_layout::journal::snapshot::{LogSnapshot, Snapshot, SnapshotKind};
use kolk_log::recovery::history::{Step, find_groups, follow};
use kolk_log::recovery::replay::{ReplayCounts, Replayed, replay};
use kolk_model::checksum::{crc32c, crc32c_append};
use kolk_model::ids::{LeaderEpoch, PartitionId, ShardId, TopicId, TopicPartition};
use kolk_model::offset::{FilePosition, Offset};
use libfuzzer_sys::fuzz_target;

const IDENTITY: JournalIdentity =
    JournalIdentity { generation: 9, shard: ShardId::new(3), seed: 0x1234_5678 };

/// Bits of the first byte.
const HEADERS: u8 = 1;
const DIRECTORIES: u8 = 2;
const PAYLOADS: u8 = 4;
const CHAIN: u8 = 8;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let mut file = bytes.to_vec();
    make_right(&mut file, *choice);
    let length = file.len();
    let mut found = BTreeMap::new();
    if find_groups(IDENTITY, &Bytes::from(file), &mut found).is_err() {
        return;
    }
    let history = follow(snapshot(), found);
    assert!(history.steps.len() <= 2 * (length / 4096 + 1), "{} steps", history.steps.len());
    let lost = history.steps.iter().any(|step| !matches!(step, Step::Records(..)));
    let (mut logs, mut counts) = (BTreeMap::new(), ReplayCounts::default());
    replay(history, "journal/9/3", &mut logs, &mut counts);
    let known = logs.get(&log_id()).expect("the log of the snapshot is there");
    assert!(!lost || known.damage.is_some() || counts.groups > 0, "a lost group is passed over");
    logs.values().for_each(check);
});

/// What `recovery` relies on when it writes the pieces.
fn check(log: &Replayed) {
    if log.damage.is_some() {
        return;
    }
    for touched in log.finished.iter().chain([&log.active]) {
        assert!(touched.end <= touched.covered, "{touched:?}");
        for piece in &touched.pieces {
            assert!(piece.start.is_multiple_of(PAGE_BYTES) && piece.end() <= touched.covered);
        }
        let apart = touched.pieces.windows(2).all(|two| two[0].end() <= two[1].start);
        assert!(apart, "{touched:?}");
    }
    assert!(log.epochs.is_sorted_by_key(|epoch| epoch.epoch), "{:?}", log.epochs);
}

fn log_id() -> TopicPartition {
    TopicPartition { topic: TopicId::new([5; 16]), partition: PartitionId::new(1) }
}

fn snapshot() -> Snapshot {
    let log = LogSnapshot {
        id: log_id(),
        epoch: LeaderEpoch::new(2),
        log_start: Offset::ZERO,
        segment: Offset::ZERO,
        flushed: FilePosition::ZERO,
        end: FilePosition::ZERO,
        covered: FilePosition::ZERO,
        next_offset: Offset::ZERO,
        epochs: Vec::new(),
        damage: None,
        tail: Vec::new(),
    };
    Snapshot { sequence: 4, checksum: 77, kind: SnapshotKind::Running, boot: 1, logs: vec![log] }
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn make_right(file: &mut [u8], choice: u8) {
    let (mut position, mut previous, mut sequence) = (0, 77_u32, 5_u64);
    while position + GROUP_HEADER_BYTES <= file.len() {
        let group = &mut file[position..];
        if group[..4] != GROUP_MAGIC.to_le_bytes() {
            position += 4096;
            continue;
        }
        if choice & CHAIN != 0 {
            put(group, 16, &sequence.to_le_bytes());
            put(group, 24, &(sequence - 1).to_le_bytes());
            put(group, 32, &1_u64.to_le_bytes());
            put(group, 40, &previous.to_le_bytes());
            sequence += 1;
        }
        let records = u32_at(group, 44) % 64;
        let payload_at = GROUP_HEADER_BYTES + records * RECORD_ENTRY_BYTES;
        let mut total = 4096;
        if choice & HEADERS != 0 && payload_at <= group.len() {
            let payload_bytes = u32_at(group, 52) % (group.len() - payload_at + 1);
            total = page_ceil((payload_at + payload_bytes) as u64) as usize;
            put(group, 4, &[1, 0, 3, 0]);
            put(group, 8, &IDENTITY.generation.to_le_bytes());
            put(group, 44, &(records as u32).to_le_bytes());
            put(group, 48, &((payload_at - GROUP_HEADER_BYTES) as u32).to_le_bytes());
            put(group, 52, &(payload_bytes as u32).to_le_bytes());
            put(group, 56, &(total as u32).to_le_bytes());
            if choice & PAYLOADS != 0 {
                payloads(group, payload_at, payload_bytes);
            }
            if choice & DIRECTORIES != 0 {
                let checksum = crc32c(&group[GROUP_HEADER_BYTES..payload_at]);
                put(group, 60, &checksum.to_le_bytes());
            }
            let seed = crc32c(&IDENTITY.seed.to_le_bytes());
            let seed = crc32c_append(seed, &IDENTITY.generation.to_le_bytes());
            let seed = crc32c_append(seed, &IDENTITY.shard.get().to_le_bytes());
            previous = crc32c_append(seed, &group[..68]);
            put(group, 68, &previous.to_le_bytes());
        }
        position += total;
    }
}

/// Payloads lie where their entries say, as far as there is room, and have the checksums that these say.
fn payloads(group: &mut [u8], payload_at: usize, payload_bytes: usize) {
    for entry in (GROUP_HEADER_BYTES..payload_at).step_by(RECORD_ENTRY_BYTES) {
        let at = u32_at(group, entry + 64) % (payload_bytes + 1);
        let len = u32_at(group, entry + 68) % (payload_bytes - at + 1);
        put(group, entry + 64, &(at as u32).to_le_bytes());
        put(group, entry + 68, &(len as u32).to_le_bytes());
        let checksum = crc32c(&group[payload_at + at..payload_at + at + len]);
        put(group, entry + 72, &checksum.to_le_bytes());
    }
}
