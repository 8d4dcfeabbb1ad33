//! Chance for tests: seeded, so that a failure can be had again. The seed is printed at a failure.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// The sequence of this seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// The seed in the environment variable, or one of the clock.
    pub(crate) fn from_environment(variable: &str) -> Self {
        let given = std::env::var(variable).ok().and_then(|text| text.parse().ok());
        Self::seeded(given.unwrap_or_else(|| {
            let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::from(clock.subsec_nanos()) ^ (clock.as_secs() << 20)
        }))
    }

    /// What to give to have the same sequence again.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "an empty range has no number");
        let bound = u64::try_from(bound).expect("a usize has at most 64 bits");
        usize::try_from(self.next() % bound).expect("below a usize")
    }

    /// That many random bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}
