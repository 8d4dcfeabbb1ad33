//! `DescribeTopicPartitions`: topics and their partitions in the order of the names, a page at a time.

use kolk_io::door::Net;
use kolk_kafka::message::describe_topic_partitions::{
    Cursor, Partition, Request, Response, Topic as Answer,
};
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicName, TopicPartition};
use kolk_model::map::Set;
use kolk_shard::metadata::Metadata;
use kolk_shard::request::Topic;

use super::metadata::TOPIC_OPERATIONS;
use crate::kafka::names;
use crate::kafka::session::Context;
use crate::kafka::view::View;

/// Partitions of one page at most (Kafka's `max.request.partition.size.limit`).
const PARTITIONS_MAX: u32 = 2_000;

/// Answers from the shard's own copy, beginning where the cursor stands.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let metadata = context.metadata();
    let limit = u32::try_from(request.response_partition_limit).unwrap_or(0);
    let mut page = Page {
        metadata: &metadata,
        view: context.view(),
        left: limit.clamp(1, PARTITIONS_MAX),
        topics: Vec::new(),
    };
    let asked: Set<String> = if request.topics.is_empty() {
        metadata.topics_by_name().map(|topic| topic.name.to_string()).collect()
    } else {
        request.topics.into_iter().map(|topic| topic.name).collect()
    };
    let (from_name, from_partition) = request.cursor.map_or((String::new(), 0), |cursor| {
        (cursor.topic_name, u32::try_from(cursor.partition_index).unwrap_or(0))
    });
    let next_cursor = asked.range(from_name.clone()..).find_map(|name| {
        let first = if *name == from_name { from_partition } else { 0 };
        page.add(name, first)
    });
    Response { topics: page.topics, next_cursor, ..Response::default() }
}

/// The answer as it grows.
struct Page<'a> {
    metadata: &'a Metadata,
    view: &'a View,
    /// Partitions that still fit.
    left: u32,
    topics: Vec<Answer>,
}

impl Page<'_> {
    /// Adds a topic from its partition `first` on; gives where the next page begins if this one is full.
    fn add(&mut self, name: &str, first: u32) -> Option<Cursor> {
        let cursor = |partition: u32| Cursor {
            topic_name: name.to_owned(),
            partition_index: i32::try_from(partition).unwrap_or(i32::MAX),
        };
        if self.left == 0 {
            return Some(cursor(first));
        }
        let Some(topic) = self.metadata.topic_named(name) else {
            let code = match TopicName::new(name) {
                Ok(_) => ErrorCode::UnknownTopicOrPartition,
                Err(_) => ErrorCode::InvalidTopic,
            };
            self.topics.push(Answer {
                error_code: code.to_wire(),
                name: Some(name.to_owned()),
                ..Answer::default()
            });
            return None;
        };
        let end = topic.partitions.min(first.saturating_add(self.left));
        let partitions: Vec<_> =
            (first..end).map(|number| self.partition(topic, PartitionId::new(number))).collect();
        self.left -= u32::try_from(partitions.len()).unwrap_or(self.left);
        self.topics.push(Answer {
            error_code: ErrorCode::None.to_wire(),
            name: Some(name.to_owned()),
            topic_id: topic.id.get(),
            is_internal: names::is_internal(topic),
            partitions,
            topic_authorized_operations: TOPIC_OPERATIONS,
        });
        (end < topic.partitions).then(|| cursor(end))
    }

    fn partition(&self, topic: &Topic, number: PartitionId) -> Partition {
        let id = TopicPartition::new(topic.id, number);
        let replica = self.view.leader(self.metadata, id);
        let offline = self.metadata.offline(id).is_some();
        let code = if offline { ErrorCode::LeaderNotAvailable } else { ErrorCode::None };
        Partition {
            error_code: code.to_wire(),
            partition_index: i32::try_from(number.get()).unwrap_or(i32::MAX),
            leader_id: if offline { -1 } else { replica },
            leader_epoch: self.metadata.leader_epoch(topic, number).to_wire(),
            replica_nodes: vec![replica],
            isr_nodes: if offline { Vec::new() } else { vec![replica] },
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            offline_replicas: if offline { vec![replica] } else { Vec::new() },
        }
    }
}
