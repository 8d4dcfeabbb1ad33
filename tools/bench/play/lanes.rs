//! Which lane the next record belongs to: a key, or without keys a partition as one client sees it. A lane has one client and
//! one partition, so that its records have one order, and its reader can check it.

use kolk_driver::chance::{Chance, mix};
use serde::{Deserialize, Serialize};

/// How keys are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    /// Different ones.
    pub(crate) count: u32,
    /// The exponent of Zipf's law; 0 = all alike.
    #[serde(default)]
    pub(crate) zipf: f64,
}

/// How many producers share how many partitions, with how many clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) producer: u32,
    pub(crate) producers: u32,
    /// Of all producers, at least one each.
    pub(crate) clients: u32,
    pub(crate) partitions: u32,
}

impl Share {
    /// Clients of this producer.
    pub(crate) fn own_clients(self) -> u32 {
        self.clients.saturating_sub(self.producer).div_ceil(self.producers.max(1)).max(1)
    }

    /// Lanes that each producer's numbers leave room for, without keys.
    fn stride(self) -> u32 {
        self.partitions.max(self.clients.div_ceil(self.producers.max(1)))
    }
}

/// One producer's lanes.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    share: Share,
    keyed: bool,
    /// With keys: how likely a rank is at most this one; a rank's key is rank × producers + producer.
    up_to: Vec<f64>,
    chance: Chance,
    turn: u32,
}

/// A lane that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) number: u32,
    pub(crate) partition: u32,
    /// Of its producer's clients.
    pub(crate) client: u32,
}

/// Lanes of all producers together.
pub(crate) fn count(keys: Option<Keys>, share: Share) -> u32 {
    keys.map_or(share.producers.saturating_mul(share.stride()), |keys| keys.count)
}

impl Lanes {
    pub(crate) fn new(keys: Option<Keys>, share: Share, seed: u64) -> Self {
        let mut up_to = Vec::new();
        if let Some(keys) = keys {
            let own = keys.count.saturating_sub(share.producer).div_ceil(share.producers.max(1));
            let weight = |rank: u32| 1.0 / (f64::from(rank) + 1.0).powf(keys.zipf);
            let mut sum = 0.0;
            for rank in 0..own.max(1) {
                sum += weight(rank);
                up_to.push(sum);
            }
        }
        let chance = Chance::new(seed ^ (u64::from(share.producer) << 32));
        Self { share, keyed: keys.is_some(), up_to, chance, turn: share.producer }
    }

    /// The next record's lane.
    pub(crate) fn choose(&mut self) -> Lane {
        if self.keyed {
            let total = self.up_to.last().copied().unwrap_or(0.0);
            let at = self.chance.unit() * total;
            let rank = self.up_to.partition_point(|up_to| *up_to <= at);
            return self.of_rank(u32::try_from(rank).unwrap_or(0));
        }
        // Partitions take turns, and clients too: whichever there are more of has a lane each.
        self.turn = (self.turn + 1) % self.share.partitions.max(self.share.own_clients());
        self.of_turn(self.turn)
    }

    /// A lane of each client, as far as there are keys.
    pub(crate) fn of_each_client(&self) -> Vec<Lane> {
        let clients = self.share.own_clients();
        if self.keyed {
            let keys = u32::try_from(self.up_to.len()).unwrap_or(u32::MAX);
            return (0..clients.min(keys)).map(|rank| self.of_rank(rank)).collect();
        }
        (0..clients).map(|turn| self.of_turn(turn)).collect()
    }

    fn of_rank(&self, rank: u32) -> Lane {
        let Share { producer, producers, partitions, .. } = self.share;
        let number = rank.saturating_mul(producers).saturating_add(producer);
        let partition = mix(u64::from(number)) % u64::from(partitions.max(1));
        let partition = u32::try_from(partition).unwrap_or(0);
        Lane { number, partition, client: rank % self.share.own_clients() }
    }

    fn of_turn(&self, turn: u32) -> Lane {
        let (partition, client) =
            (turn % self.share.partitions.max(1), turn % self.share.own_clients());
        let number = self.share.producer.saturating_mul(self.share.stride()).saturating_add(turn);
        Lane { number, partition, client }
    }

    /// The key's bytes; none without keys.
    pub(crate) fn key(&self, lane: Lane) -> Option<[u8; 8]> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.keyed.then(|| {
            let mut key = *b"00000000";
            for (at, byte) in key.iter_mut().rev().enumerate() {
                let digit = (lane.number >> (4 * at)) & 15;
                *byte = HEX.get(digit as usize).copied().unwrap_or(b'0');
            }
            key
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use kolk_driver::clock::float;

    /// The part of all records that the most frequent `top` of `count` keys get by Zipf's law.
    fn zipf_part(count: u32, exponent: f64, top: u32) -> f64 {
        let weight = |rank: u32| 1.0 / (f64::from(rank) + 1.0).powf(exponent);
        let sum = |end: u32| (0..end).map(weight).sum::<f64>();
        sum(top) / sum(count)
    }

    const SHARE: Share = Share { producer: 1, producers: 2, clients: 2, partitions: 4 };

    #[test]
    fn without_keys_partitions_take_turns_and_each_is_a_lane_of_its_producer() {
        let mut lanes = Lanes::new(None, SHARE, 1);
        let chosen: Vec<Lane> = (0..8).map(|_| lanes.choose()).collect();
        let partitions: Vec<u32> = chosen.iter().map(|lane| lane.partition).collect();
        assert_eq!(partitions, [2, 3, 0, 1, 2, 3, 0, 1]);
        assert!(chosen.iter().all(|lane| lane.number == 4 + lane.partition));
        assert_eq!((lanes.key(chosen[0]), count(None, SHARE)), (None, 8));
    }

    /// Every lane has one client and one partition; gives the clients and partitions that were seen.
    fn seen(keys: Option<Keys>, clients: u32, partitions: u32) -> (usize, usize) {
        let mut of_lane = BTreeMap::new();
        for producer in 0..3 {
            let share = Share { producer, producers: 3, clients, partitions };
            let mut lanes = Lanes::new(keys, share, 1);
            let each: BTreeSet<_> = lanes.of_each_client().iter().map(|lane| lane.client).collect();
            assert_eq!(each.len(), share.own_clients() as usize, "{share:?}");
            let each = lanes.of_each_client();
            for lane in each.into_iter().chain((0..20_000).map(|_| lanes.choose())) {
                assert!(lane.number < count(keys, share), "{lane:?} of {share:?}");
                assert!(lane.client < share.own_clients(), "{lane:?} of {share:?}");
                let own = (producer, lane.client, lane.partition);
                assert_eq!(*of_lane.entry(lane.number).or_insert(own), own, "{lane:?}");
            }
        }
        let clients: BTreeSet<_> = of_lane.values().map(|own| (own.0, own.1)).collect();
        let partitions: BTreeSet<_> = of_lane.values().map(|own| own.2).collect();
        (clients.len(), partitions.len())
    }

    #[test]
    fn every_client_and_every_partition_has_lanes_and_no_lane_has_two() {
        let keys = Some(Keys { count: 5_000, zipf: 0.0 });
        for (clients, partitions) in [(3, 8), (10, 8), (100, 7), (1_000, 8), (3, 1), (50, 1)] {
            for keys in [None, keys] {
                let seen = seen(keys, clients, partitions);
                assert_eq!(seen, (clients as usize, partitions as usize), "{keys:?}");
            }
        }
    }

    #[test]
    fn a_key_has_one_producer_and_one_partition() {
        let keys = Some(Keys { count: 101, zipf: 0.0 });
        let mut partition_of = BTreeMap::new();
        for producer in 0..2 {
            let mut lanes = Lanes::new(keys, Share { producer, ..SHARE }, 1);
            for _ in 0..5_000 {
                let lane = lanes.choose();
                assert_eq!(lane.number % 2, producer, "the producer of key {}", lane.number);
                let partition = *partition_of.entry(lane.number).or_insert(lane.partition);
                assert_eq!(partition, lane.partition, "the partition of key {}", lane.number);
            }
        }
        assert_eq!(
            partition_of.keys().copied().collect::<Vec<u32>>(),
            (0..101).collect::<Vec<_>>()
        );
        let lanes = Lanes::new(keys, SHARE, 1);
        assert_eq!(lanes.key(Lane { number: 0x64, partition: 0, client: 0 }), Some(*b"00000064"));
    }

    #[test]
    fn zipf_gives_few_keys_most_records() {
        let keys = Some(Keys { count: 1_000, zipf: 0.99 });
        let mut lanes =
            Lanes::new(keys, Share { producer: 0, producers: 1, clients: 1, partitions: 4 }, 1);
        let top = (0..20_000).filter(|_| lanes.choose().number < 10).count();
        let (seen, expected) = (float(top as u64) / 20_000.0, zipf_part(1_000, 0.99, 10));
        assert!((seen - expected).abs() < 0.02, "{seen} instead of {expected}");
        assert!(expected > 0.3, "{expected}");
    }
}
