//! Where replicas may be: the rules for replication factors and assignments that clients ask for. Apart because
//! three APIs ask for them. Replicas count nodes; the brokers that a shard door shows are shards of one node.

use kolk_io::door::Net;
use kolk_model::error::ErrorCode;
use kolk_model::map::Set;
use kolk_shard::request::Refusal;

use crate::kafka::session::Context;

/// Nodes there are.
const NODES: i16 = 1;

/// Says whether topics can have so many replicas; -1 = the default.
pub(crate) fn check_factor<N: Net>(context: &Context<N>, factor: i16) -> Result<i16, Refusal> {
    let refuse = |detail| Err(Refusal::new(ErrorCode::InvalidReplicationFactor, detail));
    match factor {
        -1 => Ok(NODES),
        ..=0 => refuse(format!("a replication factor is at least 1, not {factor}")),
        _ if factor > NODES => {
            let shards = context.metadata().placement().shards();
            refuse(format!(
                "replication factor {factor} needs as many nodes: there is 1 node, with {shards} shards that share its disks"
            ))
        }
        _ => Ok(factor),
    }
}

/// Says whether a partition's replicas can be on these brokers.
pub(crate) fn check<N: Net>(context: &Context<N>, replicas: &[i32]) -> Result<(), Refusal> {
    let brokers = context.view().brokers(context.local());
    let known: Set<i32> = brokers.iter().map(|broker| broker.id).collect();
    check_among(&known, replicas)
        .map_err(|detail| Refusal::new(ErrorCode::InvalidReplicaAssignment, detail))
}

fn check_among(known: &Set<i32>, replicas: &[i32]) -> Result<(), String> {
    if replicas.is_empty() {
        return Err("a partition needs at least one replica".to_owned());
    }
    let mut seen = Set::new();
    for broker in replicas {
        if !known.contains(broker) {
            return Err(format!("there is no broker {broker}"));
        }
        if !seen.insert(broker) {
            return Err(format!("broker {broker} is named twice for one partition"));
        }
    }
    match replicas {
        [one, other, ..] => Err(format!(
            "brokers {one} and {other} are shards of one node: replicas must be on different nodes"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_has_one_replica_on_a_broker_that_is_there() {
        let known = Set::from([1, 2]);
        assert_eq!(check_among(&known, &[2]), Ok(()));
        for (replicas, reason) in [
            (vec![], "at least one"),
            (vec![3], "no broker 3"),
            (vec![1, 1], "named twice"),
            (vec![1, 2], "shards of one node"),
        ] {
            let refused = check_among(&known, &replicas).unwrap_err();
            assert!(refused.contains(reason), "{replicas:?}: {refused}");
        }
    }
}
