//! Hostile bytes for every decoder. One question: nothing panics, and memory stays a small multiple of what came.

use bytes::Bytes;

use super::codecs::{CODECS, Codec};
use super::dice::Dice;
use super::memory::taken;
use super::table::Api;
use super::walk::{Manner, Side, Walked, tables, varint, walk};
use crate::api::ApiKey;
use crate::wire::{DecodeError, ELEMENTS_MAX, TAGS_MAX};

/// Cases of each API and version, for requests and for answers: only the former come from strangers.
const REQUESTS: u64 = 2_000;
const RESPONSES: u64 = 200;

/// Bytes held at most for each byte received: the largest part of a message has some 25 times the bytes of its
/// shortest form, and a vector that grows is there twice for a moment.
const MEMORY_FACTOR: usize = 64;

/// Bytes held at most for nothing.
const MEMORY_FLOOR: usize = 256;

/// Ways to hurt.
#[derive(Clone, Copy, Debug)]
enum Attack {
    Random,
    Mutated,
    Truncated,
    Count,
    Tags,
}

const ATTACKS: [Attack; 5] =
    [Attack::Random, Attack::Mutated, Attack::Truncated, Attack::Count, Attack::Tags];

fn attacked(attack: Attack, api: &Api, side: Side, version: i16, dice: &mut Dice) -> Vec<u8> {
    let Walked { mut bytes, counts } = walk(api, side, version, Manner::Loose, dice);
    let compact = api.flexible.is_some_and(|flexible| flexible.contains(version));
    match attack {
        Attack::Random => {
            let length = dice.below(200);
            return dice.bytes(length);
        }
        Attack::Mutated => {
            for _ in 0..=dice.below(4) {
                let at = dice.below(bytes.len());
                let byte = if dice.one_in(3) { 0xff } else { dice.byte() };
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
        }
        Attack::Truncated => bytes.truncate(dice.below(bytes.len())),
        Attack::Count => {
            let count = [1 << 28, ELEMENTS_MAX, usize::from(u16::MAX), 40][dice.below(4)];
            let lie = match compact {
                true => varint(count),
                false => u32::try_from(count).unwrap().to_be_bytes().to_vec(),
            };
            if let Some(at) = counts.get(dice.below(counts.len())) {
                bytes.truncate(*at);
                bytes.extend(lie);
                let filling = dice.below(200);
                bytes.resize(bytes.len() + filling, 1);
            }
        }
        Attack::Tags => {
            // In place of the last tags: a flood, some of it there.
            bytes.pop();
            bytes.extend(varint([TAGS_MAX, TAGS_MAX + 1, 1 << 28][dice.below(3)]));
            for tag in 0..dice.below(100) {
                bytes.extend(varint(tag));
                bytes.push(0);
            }
        }
    }
    bytes
}

fn check(codec: &Codec, side: Side, version: i16, bytes: Vec<u8>, place: &str) {
    let bytes = Bytes::from(bytes);
    let (read, taken) = taken(|| codec.read(side, &bytes, version));
    let memory_max = MEMORY_FLOOR + MEMORY_FACTOR * bytes.len();
    assert!(taken.bytes <= memory_max, "{place}: {taken:?} for {} bytes, {read:?}", bytes.len());
}

#[test]
fn no_bytes_make_a_decoder_panic_or_grow() {
    for (table, codec) in tables().iter().zip(CODECS) {
        for (side, cases) in [(Side::Request, REQUESTS), (Side::Response, RESPONSES)] {
            for version in table.versions.min..=table.versions.max {
                for seed in 0..cases {
                    let mut dice = Dice::new(seed);
                    let attack = ATTACKS[dice.below(ATTACKS.len())];
                    let bytes = attacked(attack, table, side, version, &mut dice);
                    let place =
                        format!("{} v{version} {side:?} {attack:?} seed {seed}", table.name);
                    check(codec, side, version, bytes, &place);
                }
            }
        }
    }
}

#[test]
fn a_message_that_is_cut_off_is_never_read() {
    for (table, codec) in tables().iter().zip(CODECS) {
        for side in [Side::Request, Side::Response] {
            for version in table.versions.min..=table.versions.max {
                for seed in 0..10 {
                    let mut dice = Dice::new(seed);
                    let bytes = walk(table, side, version, Manner::Loose, &mut dice).bytes;
                    let bytes = Bytes::from(bytes);
                    for end in 0..bytes.len() {
                        let read = codec.read(side, &bytes.slice(..end), version);
                        let place = format!("{} v{version} {side:?} seed {seed}", table.name);
                        assert!(read.is_err(), "{place}: {end} of {} bytes", bytes.len());
                    }
                }
            }
        }
    }
}

/// Twelve bytes that made another decoder ask for 25 GB: a produce request with 2^28 topics.
#[test]
fn a_long_array_in_a_short_frame_costs_nothing() {
    let produce = CODECS.iter().find(|codec| codec.api == ApiKey::Produce).unwrap();
    let bytes = b"\x00\x00\x01\x00\x00\x00\x01\x81\x80\x80\x80\x01";
    let bytes = Bytes::from_static(bytes);
    let (read, taken) = taken(|| produce.read(Side::Request, &bytes, 9));
    let (position, count, count_max) = (7, 1 << 28, 0);
    assert_eq!(read, Err(DecodeError::TooManyElements { position, count, count_max }));
    assert_eq!(taken.count, 0, "it was refused only after memory was asked for");
}

/// As many of the smallest elements as fit, in the message whose element grows most: a string of no bytes takes one
/// byte on the wire and three words in memory.
#[test]
fn the_densest_message_takes_a_bounded_multiple() {
    let groups = CODECS.iter().find(|codec| codec.api == ApiKey::DescribeGroups).unwrap();
    for (count, whole) in
        [(1_000, true), (100_001, true), (ELEMENTS_MAX, true), (ELEMENTS_MAX + 1, false)]
    {
        let mut bytes = varint(count + 1);
        bytes.resize(bytes.len() + count, 1);
        bytes.extend([0, 0]);
        let length = bytes.len();
        let bytes = Bytes::from(bytes);
        let (read, taken) = taken(|| groups.read(Side::Request, &bytes, 5));
        assert_eq!(read.is_ok(), whole, "{count}: {read:?}");
        assert!(taken.bytes <= MEMORY_FACTOR * length, "{count}: {taken:?}");
    }
}
