//! `AlterReplicaLogDirs`: a node has one data directory; a move to where a replica is succeeds at once.

use std::path::Path;

use kolk_io::door::Net;
use kolk_kafka::message::alter_replica_log_dirs::{Partition, Request, Response, Topic as Answer};
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;
use kolk_model::map::Map;

use crate::kafka::names;
use crate::kafka::session::Context;

/// Answers from the shard's own copy.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let metadata = context.metadata();
    let data = &context.view().start().data_dir;
    let mut topics: Map<String, Vec<Partition>> = Map::new();
    for dir in request.dirs {
        let is_there = Path::new(&dir.path) == data.as_path();
        for asked in dir.topics {
            let topic = names::topic(&metadata, &asked.name, TopicId::ZERO.get());
            let partitions = asked.partitions.into_iter().map(|partition_index| {
                let found = topic.and_then(|topic| names::partition(topic, partition_index));
                let code = match found {
                    _ if !is_there => ErrorCode::LogDirNotFound,
                    Ok(_) => ErrorCode::None,
                    Err(code) => code,
                };
                Partition { partition_index, error_code: code.to_wire() }
            });
            topics.entry(asked.name).or_default().extend(partitions);
        }
    }
    let results = topics.into_iter();
    let results = results.map(|(topic_name, partitions)| Answer { topic_name, partitions });
    Response { results: results.collect(), ..Response::default() }
}
