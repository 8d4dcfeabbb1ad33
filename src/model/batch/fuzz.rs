//! Hostile batches: seeded mutations of whole ones, bombs, foreign framings. Apart from the tests of single
//! rules because here only one thing is asked: that nothing panics, hangs or grows.

use std::io::Read;

use crate::batch::builder::BatchBuilder;
use crate::batch::records::{Header, Records};
use crate::batch::verify;
use crate::batch::{self, BatchError, BatchView};
use crate::compression::{self, Compression, decompress};
use crate::time::TimestampMs;

/// SplitMix64 (Steele, Lea and Flood 2014): one number a case makes a failure repeatable.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound.max(1) as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[0]
    }
}

fn valid(dice: &mut Dice) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for _ in 0..=dice.below(5) {
        let value: Vec<u8> = (0..dice.below(200)).map(|_| dice.byte() & 7).collect();
        let headers = [Header::new("name", b"text"), Header { key: b"", value: None }];
        let key = (dice.below(2) == 0).then_some(&b"key"[..]);
        let headers = &headers[..dice.below(3)];
        builder
            .append(TimestampMs::new(dice.roll().cast_signed()), key, Some(&value), headers)
            .unwrap();
    }
    builder.build(Compression::ALL[dice.below(5)]).unwrap().to_vec()
}

fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..=dice.below(4) {
        let place = dice.below(bytes.len());
        match dice.below(6) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, dice.byte()),
            2 if !bytes.is_empty() => bytes[place] ^= 1 << dice.below(8),
            3 if !bytes.is_empty() => bytes[place] = [0, 0x7f, 0x80, 0xff][dice.below(4)],
            4 if !bytes.is_empty() => {
                // The header is where lies are most dangerous.
                let place = place % bytes.len().min(batch::HEADER_BYTES);
                bytes[place] = dice.byte();
            }
            _ => {
                let from = dice.below(bytes.len());
                let piece = bytes[from.min(place)..from.max(place)].to_vec();
                bytes.extend_from_slice(&piece);
            }
        }
    }
}

/// Everything a broker or consumer does with foreign bytes. Nothing in here may panic.
fn use_batch(bytes: &[u8], cap: usize) -> Option<usize> {
    for view in batch::batches(bytes) {
        let Ok(view) = view else { return None };
        let crc = view.verify_crc();
        let verified = view.verify_records(cap);
        let plain = decompress(&view, cap);
        if let Ok(plain) = &plain {
            assert!(plain.len() <= cap.max(bytes.len()));
            let walked = Records::of_plain(&view, plain)
                .map(|record| record.map(|record| record.headers.count()))
                .filter(Result::is_ok)
                .count();
            assert!(verified.is_err() || walked == view.record_count() as usize, "{view:?}");
        } else {
            assert!(verified.is_err(), "verified, but {plain:?}");
        }
        let mut patched = view.as_bytes().to_vec();
        batch::patch_append_time(&mut patched, TimestampMs::new(1));
        assert!(BatchView::parse(&patched).unwrap().0.verify_crc().is_ok());
        let _debug = format!("{view:?} {crc:?} {verified:?}");
    }
    Some(bytes.len())
}

#[test]
fn mutated_batches_never_panic() {
    for seed in 0..6000 {
        let mut dice = Dice(seed);
        let mut bytes = valid(&mut dice);
        assert_eq!(use_batch(&bytes, 1 << 20), Some(bytes.len()), "seed {seed}");
        mutate(&mut dice, &mut bytes);
        println!("seed {seed}");
        use_batch(&bytes, 4096);
    }
}

#[test]
fn random_bytes_after_a_valid_header_never_panic() {
    for seed in 0..3000 {
        let mut dice = Dice(seed);
        let mut bytes = valid(&mut dice);
        let (view, _) = BatchView::parse(&bytes).unwrap();
        let from = bytes.len() - dice.below(view.records_bytes().len());
        for byte in &mut bytes[from..] {
            *byte = dice.byte();
        }
        println!("seed {seed}");
        use_batch(&bytes, 1 << 16);
    }
}

fn bomb(codec: Compression, value_bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.append(TimestampMs::new(0), None, Some(&vec![0; value_bytes]), &[]).unwrap();
    builder.build(codec).unwrap().to_vec()
}

#[test]
fn bombs_are_refused_at_the_cap() {
    let (cap, value_bytes) = (100_000, 8 << 20);
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let bytes = bomb(codec, value_bytes);
        assert!(bytes.len() < value_bytes / 20, "{codec}: {} bytes are no bomb", bytes.len());
        let (view, _) = BatchView::parse(&bytes).unwrap();
        let refused = BatchError::DecompressedTooLarge { bytes_max: cap };
        assert_eq!(view.verify_records(cap), Err(refused.clone()), "{codec}");
        assert_eq!(decompress(&view, cap).unwrap_err(), refused, "{codec}");
        view.verify_records(value_bytes + 100).unwrap();
    }
}

#[test]
fn the_counting_sink_takes_one_window_beyond_its_cap_at_most() {
    /// One record that never ends; counts what was taken from it.
    struct Endless(usize);
    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            out.fill(0x7e);
            if self.0 == 0 {
                out[..9].copy_from_slice(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0x01]);
                out[9..14].copy_from_slice(&[0xfe, 0xff, 0xff, 0x7f, 0]);
            }
            self.0 += out.len();
            Ok(out.len())
        }
    }
    let mut endless = Endless(0);
    let cap = 1_000_000;
    let error = verify::verify_stream(&mut endless, 1, &mut { cap }, |_| {}).unwrap_err();
    assert_eq!(error.0, 0);
    assert!(matches!(error.1, verify::StreamFault::TooLarge));
    assert!(endless.0 <= cap + verify::WINDOW_BYTES, "{} bytes were taken", endless.0);
}

#[test]
fn raw_snappy_is_read_too() {
    let plain_batch = {
        let mut builder = BatchBuilder::new();
        builder.append(TimestampMs::new(0), None, Some(&[7; 5000]), &[]).unwrap();
        builder.build(Compression::None).unwrap()
    };
    let (view, _) = BatchView::parse(&plain_batch).unwrap();
    let packed = snap::raw::Encoder::new().compress_vec(view.records_bytes()).unwrap();
    let mut bytes = plain_batch[..batch::HEADER_BYTES].to_vec();
    bytes.extend_from_slice(&packed);
    let length = u32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] = Compression::Snappy.id();
    let (raw, _) = BatchView::parse(&bytes).unwrap();
    raw.verify_records(1 << 20).unwrap();
    assert_eq!(decompress(&raw, 1 << 20).unwrap(), view.records_bytes());
}

#[test]
fn a_snappy_block_that_announces_more_than_it_can_hold_is_refused() {
    // Raw snappy: varint 60,000,000, then two bytes.
    let hostile = [0x80, 0x8e, 0xce, 0x1c, 0x00, 0x00];
    let mut reader = compression::reader(Compression::Snappy, &hostile).unwrap();
    assert!(reader.read(&mut [0; 16]).is_err());
    let framed = [b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".as_slice(), &[0, 0, 0, 6], &hostile].concat();
    let mut reader = compression::reader(Compression::Snappy, &framed).unwrap();
    assert!(reader.read(&mut [0; 16]).is_err());
}

#[test]
fn two_snappy_streams_back_to_back_read_as_one() {
    let mut packed = Vec::new();
    compression::compress(Compression::Snappy, b"one", &mut packed).unwrap();
    compression::compress(Compression::Snappy, b" two", &mut packed).unwrap();
    let mut plain = String::new();
    compression::reader(Compression::Snappy, &packed).unwrap().read_to_string(&mut plain).unwrap();
    assert_eq!(plain, "one two");
}
