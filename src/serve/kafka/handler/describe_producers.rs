//! `DescribeProducers`: the idempotent producers that partitions remember.

use kolk_io::door::Net;
use kolk_kafka::message::describe_producers::{
    Partition, Producer, Request, RequestTopic, Response, Topic as Answer,
};
use kolk_model::ids::{TopicId, TopicPartition};
use kolk_shard::request::Refusal;

use crate::kafka::admin::resources::told;
use crate::kafka::admin::side_by_side::side_by_side;
use crate::kafka::answer_room::{AnswerRoom, PART_BYTES};
use crate::kafka::names;
use crate::kafka::once::partitions_once;
use crate::kafka::session::Context;

/// Bytes of a producer in the answer.
const PRODUCER_BYTES: usize = 40;

/// Asks the owners side by side; each partition has a result of its own, once.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let (metadata, room) = (context.metadata(), AnswerRoom::new());
    let name = |topic: &RequestTopic| topic.name.clone();
    let asked = partitions_once(request.topics, name, |topic| &mut topic.partition_indexes);
    let asking = asked.iter().flat_map(|topic| {
        let known = names::topic(&metadata, &topic.name, TopicId::ZERO.get());
        let (context, room) = (&context, &room);
        topic.partition_indexes.iter().map(move |index| {
            let partition = known.and_then(|known| names::partition(known, *index));
            let partition = partition.map_err(|code| {
                Refusal::new(code, format!("there is no partition {} {index}", topic.name))
            });
            describe(context, room, *index, partition)
        })
    });
    let mut described = side_by_side(asking).await.into_iter();
    let mut topics = Vec::with_capacity(asked.len());
    for topic in asked {
        let partitions = described.by_ref().take(topic.partition_indexes.len()).collect();
        topics.push(Answer { name: topic.name, partitions });
    }
    Response { topics, ..Response::default() }
}

async fn describe<N: Net>(
    context: &Context<N>,
    room: &AnswerRoom,
    partition_index: i32,
    partition: Result<TopicPartition, Refusal>,
) -> Partition {
    let described = match room.check().and(partition) {
        Ok(partition) => context.shard().describe_producers(partition).await,
        Err(refusal) => Err(refusal),
    };
    let described = described.and_then(|producers| {
        room.take(PART_BYTES + producers.len() * PRODUCER_BYTES)?;
        Ok(producers)
    });
    let (error_code, error_message) = told(&described);
    let producers = described.unwrap_or_default().into_iter().map(|producer| Producer {
        producer_id: i64::try_from(producer.id.get()).unwrap_or(i64::MAX),
        producer_epoch: i32::from(producer.epoch.get()),
        last_sequence: i32::try_from(producer.last_sequence.get()).unwrap_or(i32::MAX),
        last_timestamp: producer.appended_at.get(),
        coordinator_epoch: -1,
        current_txn_start_offset: -1,
    });
    Partition { partition_index, error_code, error_message, active_producers: producers.collect() }
}
