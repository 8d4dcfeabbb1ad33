//! Chance that repeats. Apart because all random tests draw from it.

/// SplitMix64 (Steele, Lea and Flood 2014): one number a case makes a failure repeatable.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound.max(1) as u64).unwrap()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[0]
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    /// True once in so many.
    pub(super) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// Often small, sometimes huge.
    pub(super) fn number(&mut self) -> i64 {
        let wide = self.roll().cast_signed();
        if self.one_in(2) { wide % 8 } else { wide }
    }
}
