//! `OffsetDelete`: forgets how far a group has read topics that it reads no longer.

use kolk_io::door::Net;
use kolk_kafka::message::offset_delete::{Partition, Request, Response, Topic as TopicAnswer};
use kolk_model::error::ErrorCode;
use kolk_shard::group::answer::GroupAnswer;
use kolk_shard::group::ids::GroupId;
use kolk_shard::group::request::{DeleteOffsets, GroupRequest, OffsetsOfTopic};

use crate::kafka::session::Context;

/// Answers every partition by itself, in the order of the request.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let topics: Vec<OffsetsOfTopic> = request
        .topics
        .into_iter()
        .map(|topic| OffsetsOfTopic {
            topic: topic.name.as_str().into(),
            partitions: topic.partitions.iter().map(|one| one.partition_index).collect(),
        })
        .collect();
    let group = GroupId::from(request.group_id);
    let wanted = DeleteOffsets { group, topics: topics.clone() };
    let codes = match context.shard().group(GroupRequest::DeleteOffsets(wanted)).await {
        GroupAnswer::DeleteOffsets(Ok(codes)) => codes,
        GroupAnswer::DeleteOffsets(Err(code)) => return refused(code),
        _ => return refused(ErrorCode::CoordinatorNotAvailable),
    };
    let answer = |(topic, codes): (OffsetsOfTopic, Vec<ErrorCode>)| TopicAnswer {
        name: topic.topic.to_string(),
        partitions: topic
            .partitions
            .into_iter()
            .zip(codes)
            .map(|(index, code)| Partition {
                partition_index: index,
                error_code: code.on_kafka().to_wire(),
            })
            .collect(),
    };
    let topics = topics.into_iter().zip(codes).map(answer).collect();
    Response { topics, ..Response::default() }
}

fn refused(code: ErrorCode) -> Response {
    Response { error_code: code.on_kafka().to_wire(), ..Response::default() }
}
