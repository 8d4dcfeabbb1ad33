//! `OffsetFetch`: how far groups have read. Until version 7 of one group, since then of several at once.

use std::sync::Arc;

use kolk_io::door::Net;
use kolk_kafka::message::offset_fetch::{
    Group, GroupPartition, GroupTopic, Partition, Request, RequestGroup, RequestGroupTopic,
    Response, Topic as TopicAnswer,
};
use kolk_kafka::wire::Uuid;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, TopicId};
use kolk_shard::group::answer::{FetchedOffset, FetchedOffsets, GroupAnswer};
use kolk_shard::group::ids::{GroupId, MemberId};
use kolk_shard::group::request::{FetchOffsets, GroupRequest, OffsetsOfTopic};
use kolk_shard::metadata::Metadata;

use crate::kafka::admin::side_by_side::side_by_side;
use crate::kafka::answer_room::{AnswerRoom, PART_BYTES};
use crate::kafka::names;
use crate::kafka::once::{once, partitions_once};
use crate::kafka::session::Context;

/// The version that asks of several groups.
const SEVERAL: i16 = 8;
/// The version that names topics by their ids.
const BY_ID: i16 = 10;
/// The version that has an error for the whole group.
const GROUP_ERROR: i16 = 2;

/// Answers each group by itself, and each partition of it once.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    if context.version() >= SEVERAL {
        let (stable, room) = (request.require_stable, AnswerRoom::new());
        let groups = once(request.groups, |group| group.group_id.clone()).into_iter();
        let fetching = groups.map(|group| {
            let group_id = group.group_id.clone();
            let asked = room.check().map(|()| fetch(&context, group, stable));
            let room = &room;
            async move {
                let fitting = match asked {
                    Ok(asked) => {
                        let group = asked.await;
                        room.take(bytes(&group)).map(|()| group)
                    }
                    Err(refusal) => Err(refusal),
                };
                fitting.unwrap_or_else(|refusal| {
                    let error_code = refusal.code.on_kafka().to_wire();
                    Group { group_id, error_code, ..Group::default() }
                })
            }
        });
        return Response { groups: side_by_side(fetching).await, ..Response::default() };
    }
    let topics = request.topics.map(|topics| {
        let topic = |topic: kolk_kafka::message::offset_fetch::RequestTopic| RequestGroupTopic {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..RequestGroupTopic::default()
        };
        each_once(topics.into_iter().map(topic).collect::<Vec<_>>())
    });
    let asked = topics.clone().unwrap_or_default();
    let group = RequestGroup {
        group_id: request.group_id,
        topics,
        member_epoch: -1,
        ..RequestGroup::default()
    };
    let fetched = fetch(&context, group, request.require_stable).await;
    let code = fetched.error_code;
    let topics = if code == 0 {
        fetched.topics.into_iter().map(old_topic).collect()
    } else if context.version() < GROUP_ERROR {
        asked.into_iter().map(|topic| refused_topic(topic, code)).collect()
    } else {
        Vec::new()
    };
    Response { topics, error_code: code, ..Response::default() }
}

/// Asks the coordinator now; the future waits for its answer.
fn fetch<N: Net>(
    context: &Context<N>,
    group: RequestGroup,
    require_stable: bool,
) -> impl Future<Output = Group> + use<N> {
    let metadata = context.metadata();
    let by_id = context.version() >= BY_ID;
    let mut unknown = Vec::new();
    let topics = group.topics.map(|topics| {
        let topics = each_once(topics);
        let mut known = Vec::with_capacity(topics.len());
        for topic in topics {
            match by_id.then(|| names::topic(&metadata, "", topic.topic_id)) {
                None => known.push((Arc::from(topic.name.as_str()), topic.partition_indexes)),
                Some(Ok(found)) => {
                    known.push((Arc::from(found.name.as_str()), topic.partition_indexes));
                }
                Some(Err(_)) => unknown.push(unknown_topic(topic)),
            }
        }
        let wanted = |(topic, partitions)| OffsetsOfTopic { topic, partitions };
        known.into_iter().map(wanted).collect::<Vec<_>>()
    });
    let asked = context.shard().group(GroupRequest::FetchOffsets(FetchOffsets {
        group: GroupId::new(&group.group_id),
        member: group.member_id.map(MemberId::from),
        member_epoch: group.member_epoch,
        topics,
        require_stable,
    }));
    async move {
        let (topics, code) = match asked.await {
            GroupAnswer::FetchOffsets(Ok(fetched)) => {
                let known = fetched.into_iter().filter_map(|one| topic(&metadata, by_id, one));
                (known.chain(unknown).collect(), ErrorCode::None)
            }
            GroupAnswer::FetchOffsets(Err(code)) => (Vec::new(), code),
            _ => (Vec::new(), ErrorCode::CoordinatorNotAvailable),
        };
        let error_code = code.on_kafka().to_wire();
        Group { group_id: group.group_id, topics, error_code }
    }
}

fn each_once(topics: Vec<RequestGroupTopic>) -> Vec<RequestGroupTopic> {
    let key = |topic: &RequestGroupTopic| (topic.topic_id, topic.name.clone());
    partitions_once(topics, key, |topic| &mut topic.partition_indexes)
}

/// Bytes of a group in the answer, about.
fn bytes(group: &Group) -> usize {
    let partition = |partition: &GroupPartition| {
        PART_BYTES + partition.metadata.as_ref().map_or(0, String::len)
    };
    let topic = |topic: &GroupTopic| {
        PART_BYTES + topic.name.len() + topic.partitions.iter().map(partition).sum::<usize>()
    };
    PART_BYTES + group.topics.iter().map(topic).sum::<usize>()
}

/// A topic of an answer; none where ids are wanted and the topic is gone.
fn topic(metadata: &Metadata, by_id: bool, fetched: FetchedOffsets) -> Option<GroupTopic> {
    let id: Uuid = match by_id {
        true => metadata.topic_named(&fetched.topic)?.id.get(),
        false => TopicId::ZERO.get(),
    };
    Some(GroupTopic {
        name: fetched.topic.to_string(),
        topic_id: id,
        partitions: fetched.partitions.into_iter().map(partition).collect(),
    })
}

fn partition(fetched: FetchedOffset) -> GroupPartition {
    let empty = GroupPartition {
        partition_index: fetched.partition,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        error_code: fetched.code.on_kafka().to_wire(),
    };
    match fetched.committed {
        None => empty,
        Some(committed) => GroupPartition {
            committed_offset: committed.offset.to_wire(),
            committed_leader_epoch: committed.leader_epoch.map_or(-1, LeaderEpoch::to_wire),
            metadata: Some(committed.metadata),
            ..empty
        },
    }
}

fn unknown_topic(topic: RequestGroupTopic) -> GroupTopic {
    let refused = |index| FetchedOffset {
        partition: index,
        committed: None,
        code: ErrorCode::UnknownTopicId,
    };
    GroupTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.into_iter().map(refused).map(partition).collect(),
    }
}

fn old_topic(topic: GroupTopic) -> TopicAnswer {
    let old = |partition: GroupPartition| Partition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    TopicAnswer { name: topic.name, partitions: topic.partitions.into_iter().map(old).collect() }
}

/// Before there was an error for the whole group, each partition had it.
fn refused_topic(topic: RequestGroupTopic, code: i16) -> TopicAnswer {
    let refused = |index| Partition {
        partition_index: index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        error_code: code,
    };
    let partitions = topic.partition_indexes.into_iter().map(refused).collect();
    TopicAnswer { name: topic.name, partitions }
}
