//! `AlterPartitionReassignments`: there is one node, so the only place for a replica is where it is.

use kolk_io::door::Net;
use kolk_kafka::message::alter_partition_reassignments::{
    Partition, Request, RequestPartition, RequestTopic, Response, Topic as Answer,
};
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;
use kolk_shard::request::{Refusal, Topic};

use crate::kafka::admin::replicas;
use crate::kafka::admin::resources::told;
use crate::kafka::names;
use crate::kafka::session::Context;

/// A move to the present replica set is done at once; there is never one to cancel.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let responses = request.topics.into_iter().map(|topic| answer(&context, topic));
    Response {
        responses: responses.collect(),
        allow_replication_factor_change: request.allow_replication_factor_change,
        ..Response::default()
    }
}

fn answer<N: Net>(context: &Context<N>, asked: RequestTopic) -> Answer {
    let metadata = context.metadata();
    let topic = names::topic(&metadata, &asked.name, TopicId::ZERO.get());
    let partitions = asked.partitions.iter().map(|partition| {
        let moved = topic
            .map_err(|code| Refusal::new(code, "there is no such topic"))
            .and_then(|topic| reassign(context, topic, partition));
        let (error_code, error_message) = told(&moved);
        Partition { partition_index: partition.partition_index, error_code, error_message }
    });
    Answer { partitions: partitions.collect(), name: asked.name }
}

fn reassign<N: Net>(
    context: &Context<N>,
    topic: &Topic,
    asked: &RequestPartition,
) -> Result<(), Refusal> {
    let found = names::partition(topic, asked.partition_index);
    let partition = found.map_err(|code| Refusal::new(code, "there is no such partition"))?;
    let Some(wanted) = &asked.replicas else {
        let detail = "no reassignment of the partition is under way";
        return Err(Refusal::new(ErrorCode::NoReassignmentInProgress, detail));
    };
    replicas::check(context, wanted)?;
    let owner = context.view().leader(&context.metadata(), partition);
    if wanted.as_slice() == [owner] {
        return Ok(());
    }
    let detail = format!(
        "the replica is on broker {owner}; which shard of a node has it follows from the topic's id and the number of shards"
    );
    Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, detail))
}
