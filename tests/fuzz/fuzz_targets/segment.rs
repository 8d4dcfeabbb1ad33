//! A segment and its index. The first byte chooses which of the two the bytes are and whether checksums are made right. A scan
//! must come to the same end however its bytes are cut into pieces; an index must answer whatever is asked.
#![no_main]
#![allow(missing_docs, reason = "a program for the fuzzer")]

use kolk_layout::segment::index::{INDEX_ENTRY_BYTES, SegmentIndex};
use kolk_layout::segment::scan::{Offsets, Scan, ScanError, Scanned};
use kolk_model::batch::{BatchView, HEADER_BYTES, LENGTH_PREFIX_BYTES, seal};
use kolk_model::checksum::crc32c;
use kolk_model::offset::{FilePosition, Offset};
use kolk_model::time::TimestampMs;
use libfuzzer_sys::fuzz_target;

const INDEX_HEADER_BYTES: usize = 48;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let (right, mut file) = (choice & 2 != 0, bytes.to_vec());
    if choice & 1 == 0 {
        if right {
            right_index(&mut file);
        }
        index(&file);
    } else {
        if right {
            right_batches(&mut file);
        }
        let offsets = if choice & 4 == 0 { Offsets::Contiguous } else { Offsets::Rising };
        scan(&file, offsets, usize::from(choice >> 3) + 1);
    }
});

fn index(file: &[u8]) {
    let base = Offset::new(file.get(8).copied().unwrap_or_default().into());
    let Ok(index) = SegmentIndex::decode(base, file) else { return };
    assert_eq!(SegmentIndex::decode(base, &index.encode()).as_ref(), Ok(&index));
    let runs = index.runs();
    for at in [0, runs.len() / 2, runs.len().saturating_sub(1), runs.len()] {
        let Some(run) = runs.get(at) else { continue };
        assert!(run.end() <= index.covered());
        let found = index.run_of_offset(index.run_offset(run));
        assert!(found.is_some_and(|found| found < runs.len()));
        let found = index.run_of_time(run.max_timestamp);
        assert!(found.is_none_or(|found| found < runs.len()));
        let part = index.upto(run.end());
        assert!(part.covered() <= run.end(), "{} of {}", part.covered(), run.end());
    }
    assert_eq!(index.run_of_time(TimestampMs::new(i64::MAX)).filter(|at| *at >= runs.len()), None);
}

type End = (FilePosition, Offset, Option<ScanError>, Vec<u8>);

fn scan(segment: &[u8], offsets: Offsets, piece_bytes: usize) {
    let whole = scanned(segment, offsets, segment.len().max(1));
    let pieces = scanned(segment, offsets, piece_bytes * 61);
    assert_eq!(whole, pieces, "cut into pieces of {} bytes", piece_bytes * 61);
}

/// Where a scan ends that sees `piece_bytes` more each time, what it says, and the index that it makes.
fn scanned(segment: &[u8], offsets: Offsets, piece_bytes: usize) -> End {
    let mut scan = Scan::new(0, Offset::ZERO).with_offsets(offsets);
    let mut index = SegmentIndex::new(Offset::ZERO, 256);
    let (mut from, mut to, mut fault) = (0, 0, None);
    while to < segment.len() && fault.is_none() {
        to = segment.len().min(to + piece_bytes);
        match scan.batches(&segment[from..to], |batch, next| index.push(batch, next)) {
            Ok(Scanned::Consumed(bytes)) => from += bytes as usize,
            Err(error) => fault = Some(error),
        }
    }
    assert_eq!(index.covered(), scan.position().get());
    (scan.position(), scan.next_offset(), fault, index.encode())
}

fn right_index(file: &mut [u8]) {
    if file.len() < INDEX_HEADER_BYTES {
        return;
    }
    let (head, entries) = file.split_at_mut(INDEX_HEADER_BYTES);
    let mut position = 0_u64;
    for entry in entries.chunks_exact_mut(INDEX_ENTRY_BYTES) {
        entry[..8].copy_from_slice(&position.to_le_bytes());
        position += u64::from(u32::from_le_bytes(entry[8..12].try_into().expect("four bytes")));
    }
    head[9..16].fill(0);
    head[24..32].copy_from_slice(&((entries.len() / INDEX_ENTRY_BYTES) as u64).to_le_bytes());
    head[36..40].copy_from_slice(&crc32c(entries).to_le_bytes());
    let checksum = crc32c(&head[..44]);
    head[44..].copy_from_slice(&checksum.to_le_bytes());
}

/// Every batch gets the offset that follows, an epoch and its checksum.
fn right_batches(segment: &mut [u8]) {
    let (mut at, mut offset) = (0, 0_u64);
    while let Some(rest) = segment.get_mut(at..).filter(|rest| rest.len() >= HEADER_BYTES) {
        rest[..8].copy_from_slice(&offset.to_be_bytes());
        rest[12..16].copy_from_slice(&[0, 0, 0, 1]);
        let Ok((view, length)) = BatchView::parse(rest) else { return };
        offset = view.next_offset().get();
        assert!(length >= LENGTH_PREFIX_BYTES);
        seal(&mut rest[..length]);
        at += length;
    }
}
