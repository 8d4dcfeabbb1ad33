//! A shard on which no more requests may wait: what it must hear reaches it all the same.

use kolk_partition::effect::WaiterId;

use super::*;
use crate::request::{AddPartitionsOp, AlterTopicOp, ConfigChange};

fn small() -> ShardSettings {
    ShardSettings { waiters_max: 64, ..settings() }
}

/// Takes every waiter that a shard has left.
fn crowd(shard: &Shard<SimIo>) -> Vec<WaiterId> {
    std::iter::from_fn(|| shard.state.waiters.open_bell().ok()).collect()
}

fn uncrowd(shard: &Shard<SimIo>, taken: Vec<WaiterId>) {
    assert!(taken.len() > 32, "the shard was busy anyway: {}", taken.len());
    taken.into_iter().for_each(|waiter| shard.state.waiters.close(waiter));
}

#[test]
fn a_change_reaches_a_shard_on_which_no_more_may_wait() {
    for seed in 0..3 {
        Sim::new(seed).run(move |io| async move {
            let node = Node::start_with(io, 2, small()).await;
            let deleted = node.create("deleted", 2).await;
            let grown = node.create("grown", 2).await;
            let altered = node.create("altered", 2).await;
            let taken = crowd(node.shard(1));
            let intent = Intent::Carry;
            let more = AddPartitionsOp { topic: grown, partitions: 6, intent };
            let (name, value) = ("max.message.bytes".to_owned(), "300".to_owned());
            let changes = vec![ConfigChange::Set { name, value }];
            let alter = AlterTopicOp { topic: altered, changes, intent };
            let answers = [
                node.shard(0).delete_topic(deleted).await,
                node.shard(0).add_partitions(more).await,
                node.shard(0).alter_topic(alter).await,
            ];
            uncrowd(node.shard(1), taken);
            node.io.sleep(Duration::from_secs(1)).await;
            for shard in &node.shards {
                for partition in 0..2 {
                    let gone = produce(shard, at(deleted, partition), &["x"]).await;
                    assert_eq!(code(gone), ErrorCode::UnknownTopicId);
                    let long = produce(shard, at(altered, partition), &[&"x".repeat(400)]).await;
                    assert_eq!(code(long), ErrorCode::MessageTooLarge);
                }
                for partition in 0..6 {
                    produce(shard, at(grown, partition), &["x"]).await.unwrap();
                }
            }
            assert_eq!(answers, [Ok(()), Ok(()), Ok(())]);
        });
    }
}
