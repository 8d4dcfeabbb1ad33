//! `DescribeLogDirs`: the data directory and the sizes of the replicas that the asked broker has.

use futures_util::{StreamExt as _, stream};
use kolk_io::door::Net;
use kolk_kafka::message::describe_log_dirs::{
    LogDir, Partition, Request, RequestTopic, Response, Topic as Answer,
};
use kolk_model::ids::TopicId;
use kolk_model::map::{Map, Set};

use crate::kafka::session::Context;

/// Topics that are looked at side by side.
const TOPICS_AT_ONCE: usize = 64;

/// Asks the owners. Behind a shard door it speaks of the shard's own replicas only, so that a sum over all
/// brokers is true.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let wanted = request.topics.map(wanted);
    let metadata = context.metadata();
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.contains_key(name));
    let topics: Vec<_> = metadata
        .topics_by_name()
        .filter(|topic| is_wanted(topic.name.as_str()))
        .map(|topic| (topic.name.to_string(), topic.id))
        .collect();
    let described = stream::iter(topics)
        .map(|(name, id)| describe(&context, name, id))
        .buffered(TOPICS_AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let topics = described.into_iter().filter_map(|mut topic| {
        if let Some(wanted) = wanted.as_ref().and_then(|wanted| wanted.get(&topic.name)) {
            topic.partitions.retain(|partition| wanted.contains(&partition.partition_index));
        }
        (!topic.partitions.is_empty()).then_some(topic)
    });
    let data = &context.view().start().data_dir;
    let space = kolk_io::host::limits::space(data);
    let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let dir = LogDir {
        log_dir: data.display().to_string(),
        topics: topics.collect(),
        total_bytes: space.map_or(-1, |space| bytes(space.total_bytes)),
        usable_bytes: space.map_or(-1, |space| bytes(space.free_bytes)),
        ..LogDir::default()
    };
    Response { results: vec![dir], ..Response::default() }
}

/// The partitions asked for by topic.
fn wanted(topics: Vec<RequestTopic>) -> Map<String, Set<i32>> {
    let mut wanted: Map<String, Set<i32>> = Map::new();
    for topic in topics {
        wanted.entry(topic.topic).or_default().extend(topic.partitions);
    }
    wanted
}

async fn describe<N: Net>(context: &Context<N>, name: String, id: TopicId) -> Answer {
    // A topic that was deleted meanwhile has no replicas.
    let states = match context.shard().describe_topic(id).await {
        Ok(described) => described.partitions,
        Err(_) => Vec::new(),
    };
    let own = states.iter().filter(|state| context.view().is_own(state.shard));
    let partitions = own.filter(|state| state.marks.is_some()).map(|state| Partition {
        partition_index: i32::try_from(state.partition.get()).unwrap_or(i32::MAX),
        partition_size: i64::try_from(state.size_bytes).unwrap_or(i64::MAX),
        offset_lag: 0,
        is_future_key: false,
    });
    Answer { partitions: partitions.collect(), name }
}
