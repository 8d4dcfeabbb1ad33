//! Record batches as a broker, its compaction and a consumer treat them. The first byte chooses the cap on decompressed bytes
//! and whether the checksum is made right: a liar who counts well is the one who gets far.
#![no_main]
#![allow(missing_docs, reason = "a program for the fuzzer")]

use kolk_model::batch::compacted::{Fate, hollow, rebuild};
use kolk_model::batch::{self, BatchView, HEADER_BYTES, LENGTH_PREFIX_BYTES};
use kolk_model::compression::decompress;
use kolk_model::records::Records;
use kolk_model::time::TimestampMs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if choice & 1 == 1 && bytes.len() >= HEADER_BYTES {
        let length = u32::try_from(bytes.len() - LENGTH_PREFIX_BYTES).unwrap_or(u32::MAX);
        bytes[8..LENGTH_PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
        batch::seal(&mut bytes);
    }
    let bytes_max = [100, 4_096, 1 << 16, 1 << 20][usize::from(choice >> 1 & 3)];
    for view in batch::batches(&bytes) {
        let Ok(view) = view else { break };
        read(&view, bytes_max);
    }
});

fn read(view: &BatchView<'_>, bytes_max: usize) {
    let verified = view.verify_records(bytes_max);
    let plain = decompress(view, bytes_max);
    let Ok(plain) = plain else {
        assert!(verified.is_err(), "verified, but {plain:?}");
        return;
    };
    let cap = bytes_max.max(view.as_bytes().len());
    assert!(plain.len() <= cap, "{} bytes came out, {cap} are allowed", plain.len());
    let records = Records::of_plain(view, &plain).map_while(Result::ok);
    let walked = records.map(|record| record.headers.count()).count();
    if verified.is_ok() {
        assert_eq!(walked, view.record_count() as usize);
        compact(view, &plain, walked);
    }
    let mut patched = view.as_bytes().to_vec();
    batch::patch_append_time(&mut patched, TimestampMs::new(1));
    let patched = BatchView::parse(&patched).expect("a patched batch is one").0;
    assert_eq!(patched.verify_crc(), Ok(()));
}

/// Every second record goes; what is left must be as whole as before.
fn compact(view: &BatchView<'_>, plain: &[u8], count: usize) {
    let fates: Vec<_> =
        (0..count).map(|n| if n % 2 == 0 { Fate::Keep } else { Fate::Drop }).collect();
    for horizon in [None, Some(TimestampMs::new(7))] {
        let rebuilt = rebuild(view, plain, &fates, horizon).expect("verified records");
        let found = BatchView::parse(&rebuilt).expect("a compacted batch is one").0;
        assert_eq!(found.verify_crc(), Ok(()));
        assert_eq!(found.next_offset(), view.next_offset());
        let plain = decompress(&found, usize::MAX).expect("it was packed just now");
        let kept = Records::of_plain(&found, &plain).map_while(Result::ok).count();
        assert_eq!(kept, count.div_ceil(2));
    }
    let empty = hollow(view);
    assert_eq!(BatchView::parse(&empty).expect("it is one").0.next_offset(), view.next_offset());
}
