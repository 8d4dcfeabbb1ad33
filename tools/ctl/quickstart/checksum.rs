//! A checksum over records that does not depend on their order: partitions come back one after another.

use kolk_model::checksum::{crc32c, crc32c_append};

/// Count and checksum of a set of records; equal sets give equal sums, and a record lost, doubled or changed gives
/// another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordSum {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) checksum: u64,
}

impl RecordSum {
    /// Adds a record.
    pub(crate) fn add(&mut self, key: Option<&[u8]>, value: &[u8]) {
        let key = key.unwrap_or_default();
        let length = u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX);
        let key_sum = u64::from(crc32c(key));
        let whole = u64::from(crc32c_append(crc32c(key), value));
        self.records += 1;
        self.bytes += length;
        // Two records must not cancel out or swap parts, so each is mixed before it is added.
        self.checksum = self.checksum.wrapping_add(mix(whole << 32 | key_sum ^ length));
    }
}

/// The finaliser of splitmix64: every bit of the input moves every bit of the sum.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(records: &[(&str, &str)]) -> RecordSum {
        let mut sum = RecordSum::default();
        for (key, value) in records {
            sum.add(Some(key.as_bytes()), value.as_bytes());
        }
        sum
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let whole = sum(&[("a", "1"), ("b", "2"), ("a", "3")]);
        assert_eq!(whole, sum(&[("a", "3"), ("a", "1"), ("b", "2")]));
        for other in [
            &[("a", "1"), ("b", "2")][..],
            &[("a", "1"), ("b", "2"), ("a", "3"), ("a", "3")],
            &[("a", "1"), ("b", "2"), ("a", "4")],
            &[("b", "1"), ("a", "2"), ("a", "3")],
            &[("", "a1"), ("b", "2"), ("a", "3")],
        ] {
            assert_ne!(whole, sum(other), "{other:?}");
        }
    }
}
