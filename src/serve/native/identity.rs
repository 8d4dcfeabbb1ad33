//! What the broker says of itself on the native wire.

use std::net::IpAddr;

use kolk_model::ids::{NodeId, ShardId};

/// The node and its doors, as clients are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The broker's version.
    pub broker_version: &'static str,
    /// The node's number.
    pub node_id: u32,
    /// The host that clients are told; `None` = the address each connected to.
    pub advertise: Option<String>,
    /// The port of every shard's own native door, by shard.
    pub shard_ports: Vec<u16>,
    /// When the broker was started, for its uptime; monotonic, in ns.
    pub started_ns: u64,
}

impl Identity {
    pub(crate) const fn node(&self) -> NodeId {
        NodeId::new(self.node_id)
    }

    /// The host to tell a client that connected to `local`.
    #[must_use]
    pub fn host(&self, local: IpAddr) -> String {
        self.advertise.clone().unwrap_or_else(|| local.to_canonical().to_string())
    }

    /// The doors in the order of the shards.
    pub(crate) fn doors(&self) -> impl Iterator<Item = (ShardId, u16)> {
        (0..).map(ShardId::new).zip(self.shard_ports.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_the_address_it_connected_to() {
        let mut identity = Identity {
            broker_version: "0",
            node_id: 0,
            advertise: None,
            shard_ports: vec![7, 8],
            started_ns: 0,
        };
        assert_eq!(identity.host("192.168.0.7".parse().unwrap()), "192.168.0.7");
        assert_eq!(identity.host("::ffff:10.0.0.1".parse().unwrap()), "10.0.0.1");
        identity.advertise = Some("kolk.example".to_owned());
        assert_eq!(identity.host("192.168.0.7".parse().unwrap()), "kolk.example");
        let doors: Vec<_> = identity.doors().collect();
        assert_eq!(doors, [(ShardId::new(0), 7), (ShardId::new(1), 8)]);
    }
}
