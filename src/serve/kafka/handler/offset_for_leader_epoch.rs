//! `OffsetForLeaderEpoch`: where the records of a leader epoch end, by which consumers find out that a log
//! is not the one they read from (KIP-320).

use kolk_io::door::Net;
use kolk_kafka::message::offset_for_leader_epoch::{Partition, Request, Response, Topic};
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, TopicId};
use kolk_shard::request::EpochEnd;

use crate::kafka::admin::side_by_side::side_by_side;
use crate::kafka::names;
use crate::kafka::session::Context;

/// Answers every partition by itself; an epoch that the log does not know has neither epoch nor end.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let metadata = context.metadata();
    let asking = request.topics.iter().flat_map(|topic| {
        let known = names::topic(&metadata, &topic.topic, TopicId::ZERO.get());
        let (metadata, context) = (&metadata, &context);
        topic.partitions.iter().map(move |part| {
            let checked = known.and_then(|known| {
                let partition = names::partition(known, part.partition)?;
                let claimed = part.current_leader_epoch;
                names::check_epoch(metadata, known, partition.partition, claimed)?;
                Ok(partition)
            });
            let (index, epoch) = (part.partition, LeaderEpoch::from_wire(part.leader_epoch));
            let shard = context.shard().clone();
            async move {
                let end = match (checked, epoch) {
                    (Err(code), _) => Err(code),
                    (Ok(_), None) => Ok(None),
                    (Ok(partition), Some(epoch)) => {
                        let end = shard.epoch_end(partition, epoch).await;
                        end.map_err(|refusal| refusal.code)
                    }
                };
                answer(index, end)
            }
        })
    });
    let mut ends = side_by_side(asking).await.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let partitions = ends.by_ref().take(topic.partitions.len()).collect();
        topics.push(Topic { topic: topic.topic, partitions });
    }
    Response { topics, ..Response::default() }
}

fn answer(index: i32, end: Result<Option<EpochEnd>, ErrorCode>) -> Partition {
    let mut answer =
        Partition { partition: index, leader_epoch: -1, end_offset: -1, ..Partition::default() };
    match end {
        Ok(Some(end)) => {
            answer.leader_epoch = end.epoch.to_wire();
            answer.end_offset = end.end.to_wire();
        }
        Ok(None) => {}
        Err(code) => answer.error_code = code.on_kafka().to_wire(),
    }
    answer
}
