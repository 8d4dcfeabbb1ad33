//! The small files that a start reads whole: `CURRENT`, journal snapshot, catalogue, producer snapshot and compaction
//! checkpoint. The first byte chooses the format and whether its checksums are made right. What was read is written again and
//! must read back the same.
#![no_main]
#![allow(missing_docs, reason = "a program for the fuzzer")]

use kolk_coord::catalogue::Catalogue;
use kolk_layout::journal::current::Current;
use kolk_layout::journal::group::JournalIdentity;
use kolk_layout::journal::snapshot::{SNAPSHOT_HEADER_BYTES, Snapshot};
use kolk_layout::segment::compacted::CompactionPoint;
use kolk_model::checksum::{crc32c, crc32c_append};
use kolk_model::ids::ShardId;
use kolk_partition::producer_snapshot;
use kolk_partition::producers::Producers;
use libfuzzer_sys::fuzz_target;

const IDENTITY: JournalIdentity =
    JournalIdentity { generation: 9, shard: ShardId::new(3), seed: 0x1234_5678 };

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let (format, right, mut file) = (choice & 0x0f, choice & 0x80 != 0, bytes.to_vec());
    match format {
        0 => {
            if right {
                checksum_at_the_end(&mut file);
            }
            there_and_back(&file, Current::decode, Current::encode);
        }
        1 => {
            if right {
                snapshot(&mut file);
            }
            let (decode, encode) =
                (|file: &[u8]| Snapshot::decode(IDENTITY, file), |s: &Snapshot| s.encode(IDENTITY));
            there_and_back(&file, decode, encode);
        }
        2 => {
            if right {
                checksum_after_the_version(&mut file);
            }
            there_and_back(&file, Catalogue::decode, Catalogue::encode);
        }
        3 => {
            if right {
                checksum_after_the_version(&mut file);
            }
            producers(&file);
        }
        _ => {
            if right {
                checksum_at_the_end(&mut file);
            }
            there_and_back(&file, CompactionPoint::decode, CompactionPoint::encode);
        }
    }
});

fn there_and_back<V: PartialEq + std::fmt::Debug, E: PartialEq + std::fmt::Debug>(
    file: &[u8],
    decode: impl Fn(&[u8]) -> Result<V, E>,
    encode: impl Fn(&V) -> Vec<u8>,
) {
    if let Ok(read) = decode(file) {
        assert_eq!(decode(&encode(&read)), Ok(read));
    }
}

fn producers(file: &[u8]) {
    let Ok(read) = producer_snapshot::decode(file) else { return };
    let mut producers = Producers::new(usize::MAX);
    for (id, state) in &read.states {
        assert!((1..=5).contains(&state.batches().len()), "{state:?}");
        producers.restore(*id, state.clone());
    }
    let again = producer_snapshot::encode(&read.point, &producers);
    assert_eq!(again, file, "there is one way to write it");
}

fn checksum_at_the_end(file: &mut [u8]) {
    if let Some(end) = file.len().checked_sub(4) {
        let checksum = crc32c(&file[..end]);
        file[end..].copy_from_slice(&checksum.to_le_bytes());
    }
}

fn checksum_after_the_version(file: &mut [u8]) {
    if file.len() >= 16 {
        let checksum = crc32c_append(crc32c(&file[..12]), &file[16..]);
        file[12..16].copy_from_slice(&checksum.to_le_bytes());
    }
}

fn snapshot(file: &mut [u8]) {
    if file.len() < SNAPSHOT_HEADER_BYTES {
        return;
    }
    let (head, body) = file.split_at_mut(SNAPSHOT_HEADER_BYTES);
    head[6..8].copy_from_slice(&IDENTITY.shard.get().to_le_bytes());
    head[8..16].copy_from_slice(&IDENTITY.generation.to_le_bytes());
    head[32..40].copy_from_slice(&(body.len() as u64).to_le_bytes());
    head[40..44].copy_from_slice(&IDENTITY.seed.to_le_bytes());
    head[56..60].copy_from_slice(&crc32c(body).to_le_bytes());
    let checksum = crc32c(&head[..60]);
    head[60..].copy_from_slice(&checksum.to_le_bytes());
}
