//! Bodies of records: made once from a seed, handed out in turn. So many that no block a compressor looks at repeats, with a
//! stated part that compresses away.

use kolk_driver::chance::Chance;
use kolk_driver::clock::{float, whole};
use serde::{Deserialize, Serialize};

/// Bytes of all bodies together, at least: several times the largest batch that a compressor sees.
const POOL_BYTES: usize = 4 << 20;
/// What a compressor sees at a time when the figure in the report is taken: a usual batch.
const BLOCK_BYTES: usize = 64 << 10;
/// A cell has random bytes first, then words.
const CELL_BYTES: usize = 32;
const WORDS: &[u8] = b"the quick brown broker jumps over the lazy partition and syncs ";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// What bodies look like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum BodyShape {
    /// Random bytes, of which this part is replaced by words: 0 = nothing compresses, 1 = nearly all of it does.
    Mixed { compressible: f64 },
    /// Objects with the same keys and different values, as applications log them.
    Json,
}

/// The pool.
#[derive(Debug)]
pub(crate) struct Bodies {
    bytes: Vec<u8>,
    body_bytes: usize,
}

impl Bodies {
    /// Makes bodies of so many bytes.
    pub(crate) fn new(shape: BodyShape, body_bytes: usize, seed: u64) -> Self {
        let count = POOL_BYTES.div_ceil(body_bytes.max(1));
        let mut chance = Chance::new(seed);
        let mut bytes = Vec::with_capacity(count * body_bytes);
        for _ in 0..count {
            let end = bytes.len() + body_bytes;
            match shape {
                BodyShape::Mixed { compressible } => {
                    mixed(&mut bytes, end, compressible, &mut chance)
                }
                BodyShape::Json => json(&mut bytes, end, &mut chance),
            }
        }
        Self { bytes, body_bytes }
    }

    /// The n-th body; they come round again.
    pub(crate) fn get(&self, number: u64) -> &[u8] {
        if self.body_bytes == 0 {
            return &[];
        }
        let count = self.bytes.len() / self.body_bytes;
        let at = usize::try_from(number % count.max(1) as u64).unwrap_or(0) * self.body_bytes;
        self.bytes.get(at..at + self.body_bytes).unwrap_or_default()
    }

    /// Compressed by plain: what LZ4 leaves of blocks of a usual batch.
    pub(crate) fn lz4_ratio(&self) -> f64 {
        let blocks = self.bytes.chunks(BLOCK_BYTES).take(64);
        let (mut plain, mut compressed) = (0, 0);
        for block in blocks {
            plain += block.len() as u64;
            compressed += lz4_flex::block::compress(block).len() as u64;
        }
        if plain == 0 { 1.0 } else { float(compressed) / float(plain) }
    }
}

fn mixed(bytes: &mut Vec<u8>, end: usize, compressible: f64, chance: &mut Chance) {
    let cell = float(CELL_BYTES as u64);
    while bytes.len() < end {
        // Chance decides the odd byte, so that the mean is exact.
        let random = cell * (1.0 - compressible.clamp(0.0, 1.0)) + chance.unit();
        let random = usize::try_from(whole(random.floor())).unwrap_or(CELL_BYTES).min(CELL_BYTES);
        let cell_end = (bytes.len() + CELL_BYTES).min(end);
        let random_end = (bytes.len() + random).min(cell_end);
        while bytes.len() < random_end {
            let eight = chance.next().to_le_bytes();
            let take = (random_end - bytes.len()).min(eight.len());
            bytes.extend_from_slice(eight.get(..take).unwrap_or_default());
        }
        let words = WORDS.get(..cell_end - bytes.len()).unwrap_or_default();
        bytes.extend_from_slice(words);
    }
}

fn json(bytes: &mut Vec<u8>, end: usize, chance: &mut Chance) {
    const PAGES: [&str; 5] = ["home", "search", "item", "cart", "checkout"];
    const AGENTS: [&str; 4] = ["Firefox/145.0", "Chrome/143.0", "Safari/26.1", "kolk-app/7.4"];
    let pick = |chance: &mut Chance, from: &[&str]| {
        let index = usize::try_from(chance.below(from.len() as u64)).unwrap_or(0);
        from.get(index).copied().unwrap_or_default().to_owned()
    };
    let object = format!(
        "{{\"user\":{},\"session\":\"{:016x}\",\"page\":\"/{}/{}\",\"agent\":\"{}\",\"ms\":{},\"referrer\":\"/{}\",\"trace\":\"",
        chance.below(10_000_000),
        chance.next(),
        pick(chance, &PAGES),
        chance.below(1_000_000),
        pick(chance, &AGENTS),
        chance.below(3_000),
        pick(chance, &PAGES),
    );
    let room = end - bytes.len();
    bytes.extend_from_slice(object.as_bytes().get(..room.min(object.len())).unwrap_or_default());
    while bytes.len() + 2 < end {
        let digit = HEX.get(usize::try_from(chance.next() >> 60).unwrap_or(0));
        bytes.push(digit.copied().unwrap_or(b'0'));
    }
    let close = b"\"}".get(..end - bytes.len()).unwrap_or_default();
    bytes.extend_from_slice(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_compress_does_and_the_rest_does_not() {
        for (compressible, low, high) in [(0.0, 0.99, 1.02), (0.5, 0.5, 0.68), (0.9, 0.1, 0.33)] {
            let ratio = Bodies::new(BodyShape::Mixed { compressible }, 1_000, 1).lz4_ratio();
            assert!((low..high).contains(&ratio), "{compressible} compresses to {ratio}");
        }
        let json = Bodies::new(BodyShape::Json, 276, 1).lz4_ratio();
        assert!((0.3..0.8).contains(&json), "JSON compresses to {json}");
    }

    #[test]
    fn no_body_repeats_within_the_pool_and_a_seed_repeats_all_of_it() {
        for shape in [BodyShape::Mixed { compressible: 0.5 }, BodyShape::Json] {
            let (bodies, same) = (Bodies::new(shape, 200, 3), Bodies::new(shape, 200, 3));
            let count = bodies.bytes.len() as u64 / 200;
            let mut all: Vec<&[u8]> = (0..count).map(|number| bodies.get(number)).collect();
            assert!(all.iter().all(|body| body.len() == 200));
            assert_eq!((bodies.get(5), bodies.get(count)), (same.get(5), same.get(0)));
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len() as u64, count, "{shape:?} repeats");
        }
    }

    #[test]
    fn a_record_may_have_no_body_or_a_short_one() {
        for body_bytes in [0, 1, 7] {
            let bodies = Bodies::new(BodyShape::Json, body_bytes, 1);
            assert_eq!(bodies.get(12_345).len(), body_bytes);
        }
    }
}
