//! Which partition a record goes to. Apart because records of one key must land where Kafka's own clients
//! put them.

use std::sync::atomic::{AtomicUsize, Ordering};

use kolk_model::ids::PartitionId;

use crate::backoff::chance::Chance;

/// MurmurHash2, 32 bits, with the seed of Kafka's default partitioner (Austin Appleby, public domain;
/// `org.apache.kafka.common.utils.Utils.murmur2`).
#[must_use]
pub fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    // Kafka's lengths are 31-bit numbers.
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (shift, byte) in [0, 8, 16].into_iter().zip(tail) {
            hash ^= u32::from(*byte) << shift;
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key, as Kafka's clients choose it.
#[must_use]
pub fn partition_of_key(key: &[u8], partitions: u32) -> PartitionId {
    PartitionId::new((murmur2(key) & 0x7fff_ffff) % partitions.max(1))
}

/// Spreads records without a key: stays with a partition for about a batch, then goes on to the next
/// (KIP-794 without its load estimate), so that batches fill up.
#[derive(Debug)]
pub(crate) struct Sticky {
    partition: AtomicUsize,
    bytes: AtomicUsize,
    batch_bytes: usize,
}

impl Sticky {
    /// Begins anywhere, so that many producers do not begin together.
    pub(crate) fn new(batch_bytes: usize) -> Self {
        // A modulus by the number of partitions follows.
        let first = usize::try_from(Chance::new().roll() >> 33).unwrap_or(0);
        Self { partition: AtomicUsize::new(first), bytes: AtomicUsize::new(0), batch_bytes }
    }

    /// The place in the list of partitions for a record of so many bytes.
    pub(crate) fn place(&self, record_bytes: usize, partitions: usize) -> usize {
        let place = self.partition.load(Ordering::Relaxed);
        let before = self.bytes.fetch_add(record_bytes, Ordering::Relaxed);
        // Whoever crosses the line moves on; a race costs a slightly uneven spread at worst.
        if before < self.batch_bytes && before + record_bytes >= self.batch_bytes {
            self.bytes.store(0, Ordering::Relaxed);
            self.partition.store(place.wrapping_add(1), Ordering::Relaxed);
        }
        place % partitions.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_kafkas_values() {
        // From Kafka's own UtilsTest.testMurmur2, there as signed numbers.
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        }
    }

    #[test]
    fn keys_keep_their_partition_and_use_them_all() {
        let mut used = std::collections::BTreeSet::new();
        for n in 0..1000 {
            let key = format!("user-{n}");
            let partition = partition_of_key(key.as_bytes(), 7);
            assert_eq!(partition, partition_of_key(key.as_bytes(), 7));
            used.insert(partition);
        }
        assert_eq!(used.len(), 7);
        assert_eq!(partition_of_key(b"x", 0), PartitionId::new(0));
    }

    #[test]
    fn records_without_key_stay_for_a_batch_and_then_move_on() {
        let sticky = Sticky::new(1000);
        let first = sticky.place(100, 4);
        for _ in 0..9 {
            assert_eq!(sticky.place(100, 4), first);
        }
        assert_eq!(sticky.place(100, 4), (first + 1) % 4);
        let mut counts = [0; 4];
        for _ in 0..4000 {
            counts[sticky.place(100, 4)] += 1;
        }
        assert!(counts.iter().all(|count| (990..=1010).contains(count)), "{counts:?}");
    }
}
