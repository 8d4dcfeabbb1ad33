//! `OffsetCommit`: stores how far a group has read. Offsets of partitions that do not exist are refused here,
//! the others are for the coordinator.

use kolk_io::door::Net;
use kolk_kafka::message::offset_commit::{
    Partition, Request, RequestPartition, Response, Topic as TopicAnswer,
};
use kolk_model::error::ErrorCode;
use kolk_model::ids::LeaderEpoch;
use kolk_model::offset::Offset;
use kolk_shard::group::answer::GroupAnswer;
use kolk_shard::group::ids::{GroupId, InstanceId, MemberId};
use kolk_shard::group::request::{CommitOffsets, GroupRequest, OffsetToCommit};
use kolk_shard::request::Topic;

use crate::kafka::names;
use crate::kafka::session::Context;

/// The version that knows the errors of the newer group protocol.
const STALE_EPOCH: i16 = 9;

/// Answers every partition by itself, in the order of the request.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let metadata = context.metadata();
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut offsets = Vec::new();
    for asked in request.topics {
        let known = names::topic(&metadata, &asked.name, asked.topic_id);
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for partition in asked.partitions {
            let index = partition.partition_index;
            let offset = known.and_then(|topic| offset(topic, partition));
            partitions.push((index, offset.as_ref().err().copied()));
            offsets.extend(offset);
        }
        topics.push((asked.name, asked.topic_id, partitions));
    }
    let committed = if offsets.is_empty() {
        Ok(Vec::new())
    } else {
        let wanted = CommitOffsets {
            group: GroupId::from(request.group_id),
            member: MemberId::from(request.member_id),
            instance: request.group_instance_id.map(InstanceId::from),
            generation_or_epoch: request.generation_id_or_member_epoch,
            retention_ms: u64::try_from(request.retention_time_ms).ok(),
            knows_stale_epoch: context.version() >= STALE_EPOCH,
            offsets,
        };
        match context.shard().group(GroupRequest::CommitOffsets(wanted)).await {
            GroupAnswer::CommitOffsets(answer) => answer,
            _ => Err(ErrorCode::CoordinatorNotAvailable),
        }
    };
    let all = committed.as_ref().err().copied();
    let mut codes = committed.unwrap_or_default().into_iter();
    let mut answer = |(index, refused): (i32, Option<ErrorCode>)| {
        let code = refused.or(all).or_else(|| codes.next());
        let code = code.unwrap_or(ErrorCode::UnknownServerError).on_kafka();
        Partition { partition_index: index, error_code: code.to_wire() }
    };
    let topics = topics.into_iter().map(|(name, topic_id, partitions)| TopicAnswer {
        name,
        topic_id,
        partitions: partitions.into_iter().map(&mut answer).collect(),
    });
    Response { topics: topics.collect(), ..Response::default() }
}

fn offset(topic: &Topic, asked: RequestPartition) -> Result<OffsetToCommit, ErrorCode> {
    let partition = names::partition(topic, asked.partition_index)?;
    Ok(OffsetToCommit {
        topic: topic.name.clone(),
        topic_id: topic.id,
        partition: partition.partition,
        offset: Offset::from_wire(asked.committed_offset).ok_or(ErrorCode::InvalidRequest)?,
        leader_epoch: LeaderEpoch::from_wire(asked.committed_leader_epoch),
        metadata: asked.committed_metadata.unwrap_or_default(),
    })
}
