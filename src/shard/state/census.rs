//! How many clients are connected to the node, in all and from each address. Kept by one shard for all, since
//! a limit of the node is no limit of any one of its shards.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::request::{CrowdLimits, Crowded};

/// The clients of the node.
#[derive(Debug, Default)]
pub(crate) struct Census {
    clients: u32,
    by_address: BTreeMap<IpAddr, u32>,
}

impl Census {
    /// Counts another client in, unless there are too many.
    pub(crate) fn enter(&mut self, address: IpAddr, limits: CrowdLimits) -> Result<(), Crowded> {
        if self.clients >= limits.clients_max {
            return Err(Crowded::Node);
        }
        let same = self.by_address.entry(address).or_default();
        if *same >= limits.same_address_max {
            // Not 0, so the entry was there before.
            return Err(Crowded::Address);
        }
        *same += 1;
        self.clients += 1;
        Ok(())
    }

    /// A client that was counted is gone.
    pub(crate) fn leave(&mut self, address: IpAddr) {
        let Some(same) = self.by_address.get_mut(&address) else { return };
        self.clients -= 1;
        *same -= 1;
        if *same == 0 {
            self.by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_places_come_back() {
        let limits = CrowdLimits { clients_max: 3, same_address_max: 2 };
        let [one, other]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let mut census = Census::default();
        assert_eq!(census.enter(one, limits), Ok(()));
        assert_eq!(census.enter(one, limits), Ok(()));
        assert_eq!(census.enter(one, limits), Err(Crowded::Address));
        assert_eq!(census.enter(other, limits), Ok(()));
        assert_eq!(census.enter(other, limits), Err(Crowded::Node));
        census.leave(one);
        assert_eq!(census.enter(other, limits), Ok(()));
        [one, other, other].into_iter().for_each(|address| census.leave(address));
        assert!(census.clients == 0 && census.by_address.is_empty());
    }
}
