//! `ElectLeaders`: there is one replica of each partition, and it leads; no election is ever needed.

use kolk_io::door::Net;
use kolk_kafka::message::elect_leaders::{
    Partition, Request, RequestTopic, Response, Topic as Answer,
};
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;
use kolk_shard::metadata::Metadata;

use crate::kafka::names;
use crate::kafka::session::Context;

/// Says of each partition that its leader is the right one. Asked for all partitions it names none, as Kafka
/// names only those that had an election then.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let metadata = context.metadata();
    let topics = request.topic_partitions.unwrap_or_default();
    let results = topics.into_iter().map(|topic| answer(&metadata, topic));
    Response { replica_election_results: results.collect(), ..Response::default() }
}

fn answer(metadata: &Metadata, asked: RequestTopic) -> Answer {
    let topic = names::topic(metadata, &asked.topic, TopicId::ZERO.get());
    let partition = |index: &i32| {
        let found = topic.and_then(|topic| names::partition(topic, *index));
        let (code, reason) = match found {
            Err(code) => (code, "there is no such partition"),
            Ok(found) if metadata.offline(found).is_some() => {
                (ErrorCode::EligibleLeadersNotAvailable, "the only replica is offline")
            }
            Ok(_) => (ErrorCode::ElectionNotNeeded, "the only replica leads"),
        };
        Partition {
            partition_id: *index,
            error_code: code.to_wire(),
            error_message: Some(reason.to_owned()),
        }
    };
    Answer {
        partition_result: asked.partitions.iter().map(partition).collect(),
        topic: asked.topic,
    }
}
