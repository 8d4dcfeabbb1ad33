//! Builds the reply to a metadata request from the shard's copy of what exists.

use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicName, TopicPartition};
use kolk_model::map::Set;
use kolk_native::reply::{Door, MetadataReply, PartitionOwner, TopicMetadata, TopicPlaces};
use kolk_native::request::MetadataQuery;
use kolk_shard::metadata::Metadata;

use super::identity::Identity;

/// The reply to `query`, for a client that reaches this node as `host`.
pub(crate) fn metadata_reply(
    query: &MetadataQuery,
    metadata: &Metadata,
    identity: &Identity,
    host: &str,
) -> MetadataReply {
    let doors = identity.doors().map(|(shard, port)| Door {
        node: identity.node(),
        shard,
        host: host.to_owned(),
        port,
    });
    let topics = match &query.topics {
        // Each once: a name is short, and a topic may have many partitions.
        Some(names) => {
            let mut seen = Set::new();
            let names = names.iter().filter(|name| seen.insert(name.as_str()));
            names.map(|name| topic(name, metadata)).collect()
        }
        None => metadata
            .topics_by_name()
            .filter(|known| metadata.is_everywhere(known.id))
            .map(|known| topic(&known.name, metadata))
            .collect(),
    };
    MetadataReply {
        cluster_id: metadata.cluster().to_string(),
        controller_door: metadata.controller().get(),
        doors: doors.collect(),
        topics,
    }
}

fn topic(name: &TopicName, metadata: &Metadata) -> TopicMetadata {
    // One that is on its way may have to go again: nobody is sent there yet.
    let known = metadata.topic_named(name.as_str());
    let Some(topic) = known.filter(|topic| metadata.is_everywhere(topic.id)) else {
        let outcome = Err(ErrorCode::UnknownTopicOrPartition);
        return TopicMetadata { name: name.clone(), outcome };
    };
    let partitions = (0..topic.partitions).map(PartitionId::new).map(|number| {
        let partition = TopicPartition::new(topic.id, number);
        PartitionOwner {
            door: metadata.owner(partition).get(),
            leader_epoch: metadata.leader_epoch(topic, number),
            error: metadata.offline(partition).map_or(ErrorCode::None, |refusal| refusal.code),
        }
    });
    let places = TopicPlaces { id: topic.id, partitions: partitions.collect() };
    TopicMetadata { name: name.clone(), outcome: Ok(places) }
}
