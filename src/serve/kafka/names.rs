//! From the topics and epochs that a request names to those that exist.

use std::sync::Arc;

use kolk_kafka::wire::Uuid;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, PartitionId, TopicId, TopicPartition};
use kolk_shard::metadata::Metadata;
use kolk_shard::request::Topic;

/// The topic that a request means: by its id if it gives one, else by its name.
pub(crate) fn topic<'a>(
    metadata: &'a Metadata,
    name: &str,
    id: Uuid,
) -> Result<&'a Arc<Topic>, ErrorCode> {
    if id == TopicId::ZERO.get() {
        return metadata.topic_named(name).ok_or(ErrorCode::UnknownTopicOrPartition);
    }
    metadata.topic(TopicId::new(id)).ok_or(ErrorCode::UnknownTopicId)
}

/// The partition of a topic that a request means.
pub(crate) fn partition(topic: &Topic, index: i32) -> Result<TopicPartition, ErrorCode> {
    match u32::try_from(index) {
        Ok(number) if number < topic.partitions => {
            Ok(TopicPartition::new(topic.id, PartitionId::new(number)))
        }
        _ => Err(ErrorCode::UnknownTopicOrPartition),
    }
}

/// Whether the leader epoch that a client believes in is the partition's (KIP-320); -1 claims nothing.
pub(crate) fn check_epoch(
    metadata: &Metadata,
    topic: &Topic,
    partition: PartitionId,
    claimed: i32,
) -> Result<(), ErrorCode> {
    let Some(claimed) = LeaderEpoch::from_wire(claimed) else { return Ok(()) };
    match claimed.cmp(&metadata.leader_epoch(topic, partition)) {
        std::cmp::Ordering::Less => Err(ErrorCode::FencedLeaderEpoch),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(ErrorCode::UnknownLeaderEpoch),
    }
}

/// Whether a topic is one that only the broker itself writes.
pub(crate) fn is_internal(topic: &Topic) -> bool {
    is_internal_name(topic.name.as_str())
}

/// As [`is_internal`], of a topic that may not exist.
pub(crate) fn is_internal_name(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state")
}
