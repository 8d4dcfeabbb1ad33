//! `CreatePartitions`: each topic by itself; answered when every shard serves the new partitions.

use kolk_io::door::Net;
use kolk_kafka::message::create_partitions::{Request, RequestTopic, Response, Topic as Answer};
use kolk_model::error::ErrorCode;
use kolk_model::map::Set;
use kolk_shard::request::{AddPartitionsOp, Intent, Refusal};

use crate::kafka::admin::deadline::within;
use crate::kafka::admin::replicas;
use crate::kafka::admin::resources::{named_twice, told};
use crate::kafka::admin::side_by_side::side_by_side;
use crate::kafka::names;
use crate::kafka::session::Context;

/// Adds partitions to topics side by side. A topic that is named twice is left alone.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let intent = if request.validate_only { Intent::Validate } else { Intent::Carry };
    let twice: Set<String> = named_twice(request.topics.iter().map(|topic| topic.name.as_str()))
        .into_iter()
        .map(str::to_owned)
        .collect();
    let wanted = request.topics.iter().filter(|topic| !twice.contains(&topic.name));
    let adding = wanted.map(|topic| {
        let op = read(&context, topic, intent);
        add(context.clone(), topic.name.clone(), op, request.timeout_ms)
    });
    let mut results = side_by_side(adding).await;
    results.extend(twice.into_iter().map(|name| {
        answer(name, &Err(Refusal::new(ErrorCode::InvalidRequest, "the topic is named twice")))
    }));
    Response { results, ..Response::default() }
}

fn read<N: Net>(
    context: &Context<N>,
    asked: &RequestTopic,
    intent: Intent,
) -> Result<AddPartitionsOp, Refusal> {
    let metadata = context.metadata();
    let Some(topic) = metadata.topic_named(&asked.name) else {
        let detail = format!("there is no topic '{}'", asked.name);
        return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, detail));
    };
    if names::is_internal(topic) {
        let detail =
            format!("'{}' keeps its partitions: groups are found by their number", topic.name);
        return Err(Refusal::new(ErrorCode::InvalidRequest, detail));
    }
    let existing = topic.partitions;
    let partitions = u32::try_from(asked.count).ok().filter(|count| *count > existing);
    let Some(partitions) = partitions else {
        let detail =
            format!("'{}' has {existing} partitions, {} are not more", topic.name, asked.count);
        return Err(Refusal::new(ErrorCode::InvalidPartitions, detail));
    };
    if let Some(assignments) = &asked.assignments {
        let added = partitions - existing;
        if u32::try_from(assignments.len()) != Ok(added) {
            let detail =
                format!("{} assignments for {added} partitions that are added", assignments.len());
            return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, detail));
        }
        for assignment in assignments {
            replicas::check(context, &assignment.broker_ids)?;
        }
    }
    Ok(AddPartitionsOp { topic: topic.id, partitions, intent })
}

async fn add<N: Net>(
    context: Context<N>,
    name: String,
    op: Result<AddPartitionsOp, Refusal>,
    timeout_ms: i32,
) -> Answer {
    let added = match op {
        Ok(op) => within(&context, timeout_ms, context.shard().add_partitions(op)).await,
        Err(refusal) => Err(refusal),
    };
    answer(name, &added)
}

fn answer(name: String, added: &Result<(), Refusal>) -> Answer {
    let (error_code, error_message) = told(added);
    Answer { name, error_code, error_message }
}
