//! Chances of a run that a seed repeats: SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
//! Generators", OOPSLA 2014).

/// A source of chances.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The chances of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one, of all 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below `end`; 0 if that is 0. The bias is below end / 2^64.
    pub fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        crate::clock::float(self.next() >> 11) / crate::clock::float(1 << 53)
    }
}

/// A number that looks like chance and is always the same for the same input.
pub const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_chances_and_they_fill_their_range() {
        let (mut one, mut other) = (Chance::new(7), Chance::new(7));
        let mut seen = [0_u32; 10];
        let mut sum = 0.0;
        for _ in 0..10_000 {
            let chance = one.below(10);
            assert_eq!(chance, other.below(10));
            seen[usize::try_from(chance).unwrap()] += 1;
            sum += one.unit();
            other.unit();
        }
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
        assert!((0.48..0.52).contains(&(sum / 10_000.0)), "{sum}");
    }
}
