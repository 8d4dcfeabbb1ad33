//! The newest offset of each key, in bounded memory. Keys are told apart by a keyed 128-bit hash: its key is random for each
//! pass, so that nobody can choose two keys that collide, and by chance they do once in 2^64 keys.

use crate::offset::Offset;

/// A hash and an offset plus one; 0 there is an empty slot.
type Slot = [u64; 3];

const SLOT_BYTES: usize = size_of::<Slot>();
/// Slots of a new map.
const SLOTS_MIN: usize = 1 << 10;
const EMPTY: Slot = [0; 3];

/// Key hash to newest offset.
#[derive(Debug)]
pub struct KeyMap {
    seed: (u64, u64),
    slots: Vec<Slot>,
    count: usize,
    slots_max: usize,
}

/// The map takes no further key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl KeyMap {
    /// An empty map that grows up to about `bytes_max`.
    #[must_use]
    pub fn new(seed: (u64, u64), bytes_max: u64) -> Self {
        let slots_max = usize::try_from(bytes_max).unwrap_or(usize::MAX) / SLOT_BYTES;
        let slots_max = slots_max.max(8);
        // The largest power of two that fits.
        let slots_max = 1 << slots_max.ilog2();
        Self { seed, slots: vec![EMPTY; SLOTS_MIN.min(slots_max)], count: 0, slots_max }
    }

    /// Notes that `key` has a record at `offset`, which is above all offsets noted before.
    ///
    /// # Errors
    /// [`Full`] if the key is another one and there is no room for it.
    pub fn note(&mut self, key: &[u8], offset: Offset) -> Result<(), Full> {
        let hash = sip_hash(self.seed, key);
        let at = find(&self.slots, hash);
        if let Some(slot) = self.slots.get_mut(at).filter(|slot| slot[2] != 0) {
            slot[2] = offset.get() + 1;
            return Ok(());
        }
        // Three quarters full: searches stay short.
        if (self.count + 1) * 4 > self.slots.len() * 3 {
            if self.slots.len() * 2 > self.slots_max {
                return Err(Full);
            }
            self.grow();
        }
        let at = find(&self.slots, hash);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = [hash.0, hash.1, offset.get() + 1];
            self.count += 1;
        }
        Ok(())
    }

    /// The newest offset noted for `key`.
    #[must_use]
    pub fn newest(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots.get(find(&self.slots, sip_hash(self.seed, key)))?;
        slot[2].checked_sub(1).map(Offset::new)
    }

    /// How many keys it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn grow(&mut self) {
        let larger = vec![EMPTY; self.slots.len() * 2];
        let before = std::mem::replace(&mut self.slots, larger);
        for slot in before.into_iter().filter(|slot| slot[2] != 0) {
            let at = find(&self.slots, (slot[0], slot[1]));
            if let Some(free) = self.slots.get_mut(at) {
                *free = slot;
            }
        }
    }
}

/// The slot of that hash, or the free one where it belongs. There always is a free one; the number of slots is a power of two.
fn find(slots: &[Slot], hash: (u64, u64)) -> usize {
    let mask = slots.len() - 1;
    let mut at = usize::try_from(hash.0 & mask as u64).unwrap_or(0);
    while let Some(slot) = slots.get(at) {
        if slot[2] == 0 || (slot[0], slot[1]) == hash {
            break;
        }
        at = (at + 1) & mask;
    }
    at
}

/// SipHash-2-4 with 128 bits (Aumasson and Bernstein, "SipHash: a fast short-input PRF", with the variant of their reference
/// code).
fn sip_hash(seed: (u64, u64), data: &[u8]) -> (u64, u64) {
    let mut v = [
        seed.0 ^ 0x736f_6d65_7073_6575,
        seed.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        seed.0 ^ 0x6c79_6765_6e65_7261,
        seed.1 ^ 0x7465_6462_7974_6573,
    ];
    let absorb = |v: &mut [u64; 4], word: u64| {
        v[3] ^= word;
        rounds(v, 2);
        v[0] ^= word;
    };
    let (words, tail) = data.as_chunks::<8>();
    for word in words {
        absorb(&mut v, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    if let Some(target) = last.get_mut(..tail.len()) {
        target.copy_from_slice(tail);
    }
    last[7] = (data.len() as u64).to_le_bytes()[0];
    absorb(&mut v, u64::from_le_bytes(last));
    v[2] ^= 0xee;
    rounds(&mut v, 4);
    let low = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    rounds(&mut v, 4);
    (low, v[0] ^ v[1] ^ v[2] ^ v[3])
}

fn rounds(v: &mut [u64; 4], count: u32) {
    let [mut a, mut b, mut c, mut d] = *v;
    for _ in 0..count {
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
    }
    *v = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_reference() {
        let bytes: Vec<u8> = (0..16).collect();
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let seed = (word(0), word(8));
        let hash = |data: &[u8]| {
            let (low, high) = sip_hash(seed, data);
            [low.to_le_bytes(), high.to_le_bytes()].concat()
        };
        let empty = [
            0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55,
            0x02, 0x93,
        ];
        assert_eq!(hash(&[]), empty);
        let zero = [
            0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22,
            0xfc, 0x45,
        ];
        assert_eq!(hash(&[0]), zero);
    }

    #[test]
    fn the_newest_offset_of_every_key_is_found_and_the_bound_holds() {
        let mut map = KeyMap::new((1, 2), 96 << 10);
        let mut taken = 0;
        for n in 0..10_000_u64 {
            let key = format!("key-{n}");
            if map.note(key.as_bytes(), Offset::new(n)).is_err() {
                break;
            }
            taken = n + 1;
        }
        assert_eq!(taken, 3 << 10, "three quarters of 4,096 slots");
        assert_eq!(map.len(), 3 << 10);
        assert_eq!(map.note(b"one more", Offset::new(20_000)), Err(Full));
        map.note(b"key-5", Offset::new(20_001)).unwrap();
        for n in 0..taken {
            let newest = if n == 5 { 20_001 } else { n };
            assert_eq!(map.newest(format!("key-{n}").as_bytes()), Some(Offset::new(newest)));
        }
        assert_eq!(map.newest(b"one more"), None);
    }
}
