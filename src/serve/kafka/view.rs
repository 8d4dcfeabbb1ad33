//! What the two Kafka doors show of the node. Every id and every address in an answer comes from here, so
//! that an answer never mixes the doors: behind the node door there is one broker, behind the shard door
//! each shard is one.

use std::net::IpAddr;
use std::rc::Rc;

use kolk_model::ids::{ShardId, TopicPartition};
use kolk_shard::metadata::Metadata;

use crate::kafka::start_facts::StartFacts;

/// Broker ids of a node: the node door's, and one for each of at most 1,023 shards.
const IDS_PER_NODE: u32 = 1_024;

/// Where clients are told to find a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// The host; `None` = the address each connected to.
    pub host: Option<String>,
    /// The port.
    pub port: u16,
}

/// The Kafka doors of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaIdentity {
    /// The node's number.
    pub node_id: u32,
    /// The node door, if it is open.
    pub node: Option<Advertised>,
    /// The shard doors by shard, if they are open.
    pub shards: Vec<Advertised>,
    /// What the broker was started with.
    pub start: StartFacts,
}

/// Which door a client came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoorKind {
    /// The node is one broker.
    Node,
    /// Every shard is a broker of its own.
    Shard,
}

/// A broker as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrokerAddress {
    pub(crate) id: i32,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// The node through one of its doors, on one shard.
#[derive(Debug, Clone)]
pub(crate) struct View {
    identity: Rc<KafkaIdentity>,
    kind: DoorKind,
    shard: ShardId,
}

impl View {
    /// The view of clients who came to `shard` through a door of this kind.
    pub(crate) const fn new(identity: Rc<KafkaIdentity>, kind: DoorKind, shard: ShardId) -> Self {
        Self { identity, kind, shard }
    }

    /// What the broker was started with.
    pub(crate) fn start(&self) -> &StartFacts {
        &self.identity.start
    }

    /// Which door it is.
    pub(crate) const fn kind(&self) -> DoorKind {
        self.kind
    }

    /// The broker that was asked.
    pub(crate) fn own_id(&self) -> i32 {
        self.broker_of(self.shard)
    }

    /// The broker that stands for a shard: leader of its partitions, coordinator of its groups.
    pub(crate) fn broker_of(&self, shard: ShardId) -> i32 {
        let first = self.identity.node_id.saturating_mul(IDS_PER_NODE);
        let id = match self.kind {
            DoorKind::Node => first,
            DoorKind::Shard => first.saturating_add(1 + u32::from(shard.get())),
        };
        i32::try_from(id).unwrap_or(i32::MAX)
    }

    /// The broker to which changes of the cluster are sent. Any would carry them out.
    pub(crate) fn controller(&self, metadata: &Metadata) -> i32 {
        self.broker_of(metadata.controller())
    }

    /// The leader of a partition.
    pub(crate) fn leader(&self, metadata: &Metadata, partition: TopicPartition) -> i32 {
        self.broker_of(metadata.owner(partition))
    }

    /// Whether the broker that was asked is the one that has what `owner` owns. For answers that speak of
    /// the broker's own: a sum over all brokers of a door counts everything once.
    pub(crate) fn is_own(&self, owner: ShardId) -> bool {
        match self.kind {
            DoorKind::Node => true,
            DoorKind::Shard => owner == self.shard,
        }
    }

    /// Every broker, for a client that connected to `local`.
    pub(crate) fn brokers(&self, local: IpAddr) -> Vec<BrokerAddress> {
        let shards = (0..).map(ShardId::new);
        let doors: Vec<_> = match self.kind {
            DoorKind::Node => self.identity.node.iter().map(|door| (self.shard, door)).collect(),
            DoorKind::Shard => shards.zip(&self.identity.shards).collect(),
        };
        let broker = |(shard, door): (ShardId, &Advertised)| BrokerAddress {
            id: self.broker_of(shard),
            host: host(door, local),
            port: door.port,
        };
        doors.into_iter().map(broker).collect()
    }

    /// The broker that stands for a shard, with its address.
    pub(crate) fn address_of(&self, shard: ShardId, local: IpAddr) -> Option<BrokerAddress> {
        let door = match self.kind {
            DoorKind::Node => self.identity.node.as_ref(),
            DoorKind::Shard => self.identity.shards.get(usize::from(shard.get())),
        }?;
        Some(BrokerAddress { id: self.broker_of(shard), host: host(door, local), port: door.port })
    }
}

fn host(door: &Advertised, local: IpAddr) -> String {
    door.host.clone().unwrap_or_else(|| local.to_canonical().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(kind: DoorKind) -> View {
        let door = |host: Option<&str>, port| Advertised { host: host.map(str::to_owned), port };
        let identity = KafkaIdentity {
            node_id: 2,
            node: Some(door(Some("kolk.example"), 9092)),
            shards: vec![door(None, 28092), door(None, 28093), door(None, 28094)],
            start: StartFacts::default(),
        };
        View::new(Rc::new(identity), kind, ShardId::new(1))
    }

    #[test]
    fn the_node_door_shows_one_broker() {
        let view = view(DoorKind::Node);
        let brokers = view.brokers("10.0.0.1".parse().unwrap());
        let only = BrokerAddress { id: 2_048, host: "kolk.example".to_owned(), port: 9092 };
        assert_eq!(brokers, [only]);
        assert_eq!(view.broker_of(ShardId::new(0)), 2_048);
        assert_eq!(view.own_id(), 2_048);
        assert!(view.is_own(ShardId::new(2)));
    }

    #[test]
    fn the_shard_door_shows_a_broker_for_each_shard() {
        let view = view(DoorKind::Shard);
        let brokers = view.brokers("::ffff:10.0.0.1".parse().unwrap());
        let shown: Vec<_> = brokers.iter().map(|b| (b.id, b.host.as_str(), b.port)).collect();
        let expected =
            [(2_049, "10.0.0.1", 28092), (2_050, "10.0.0.1", 28093), (2_051, "10.0.0.1", 28094)];
        assert_eq!(shown, expected);
        assert_eq!(view.own_id(), 2_050);
        assert!(view.is_own(ShardId::new(1)) && !view.is_own(ShardId::new(2)));
        let local = "fe80::1".parse().unwrap();
        assert_eq!(view.address_of(ShardId::new(2), local).unwrap().host, "fe80::1");
        assert_eq!(view.address_of(ShardId::new(3), local), None);
    }

    #[test]
    fn the_highest_ids_stay_below_two_to_the_thirtieth() {
        let identity = KafkaIdentity {
            node_id: 1_000_000,
            node: None,
            shards: Vec::new(),
            start: StartFacts::default(),
        };
        let view = View::new(Rc::new(identity), DoorKind::Shard, ShardId::new(511));
        assert!(view.own_id() < 1 << 30);
    }
}
