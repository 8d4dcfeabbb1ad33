//! The simulator's only source of chance: one seeded stream (SplitMix64, Steele et al. 2014).

/// A seeded stream of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns a number below `bound`, which must not be zero.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is below 2^-40 for every bound used here.
        self.next() % bound
    }

    /// Returns an index below `count`, which must not be zero.
    pub(super) fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap_or(0)
    }

    /// Answers yes with a probability of `percent` in a hundred.
    pub(super) const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Mixes 64 bits: every input bit changes about half of the output bits.
pub(super) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
