//! `DescribeQuorum`: one node keeps the metadata, and it is the only voter.

use kolk_io::door::Net;
use kolk_kafka::message::describe_quorum::{
    Listener, Node, Partition, ReplicaState, Request, RequestTopic, Response, Topic as Answer,
};
use kolk_model::error::ErrorCode;

use crate::kafka::once::once;
use crate::kafka::session::Context;

/// Where Kafka keeps what the catalogue keeps here.
const TOPIC: &str = "__cluster_metadata";

/// Answers for Kafka's one partition of metadata. The catalogue is a file that is replaced as a whole, so there
/// is no offset to tell: the voter has all there is.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let name = |topic: &RequestTopic| topic.topic_name.clone();
    let topics = once(request.topics, name).into_iter().map(|topic| answer(&context, topic));
    let topics = topics.collect();
    let controller = context.view().controller(&context.metadata());
    let brokers = context.view().brokers(context.local()).into_iter();
    let nodes = brokers.filter(|broker| broker.id == controller).map(|broker| {
        let listener =
            Listener { name: "PLAINTEXT".to_owned(), host: broker.host, port: broker.port };
        Node { node_id: broker.id, listeners: vec![listener] }
    });
    Response { topics, nodes: nodes.collect(), ..Response::default() }
}

fn answer<N: Net>(context: &Context<N>, asked: RequestTopic) -> Answer {
    let leader_id = context.view().controller(&context.metadata());
    let now = context.shard().io().wall_clock().as_ms();
    let asked_once = once(asked.partitions, |partition| partition.partition_index);
    let partitions = asked_once.iter().map(|partition| {
        let partition_index = partition.partition_index;
        if asked.topic_name != TOPIC || partition_index != 0 {
            let error_code = ErrorCode::UnknownTopicOrPartition.to_wire();
            return Partition {
                partition_index,
                error_code,
                leader_id: -1,
                ..Partition::default()
            };
        }
        let voter = ReplicaState {
            replica_id: leader_id,
            last_fetch_timestamp: -1,
            last_caught_up_timestamp: now,
            ..ReplicaState::default()
        };
        let current_voters = vec![voter];
        Partition { partition_index, leader_id, current_voters, ..Partition::default() }
    });
    Answer { partitions: partitions.collect(), topic_name: asked.topic_name }
}
