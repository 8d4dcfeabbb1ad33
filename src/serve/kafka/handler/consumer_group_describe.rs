//! `ConsumerGroupDescribe`: groups of the consumer protocol with their members (KIP-848).

use kolk_io::door::Net;
use kolk_kafka::message::consumer_group_describe::{
    Assignment, Group, Member, Request, Response, TopicPartitions,
};
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;
use kolk_shard::group::answer::{DescribedConsumer, DescribedConsumers, GroupAnswer, GroupKind};
use kolk_shard::group::ids::GroupId;
use kolk_shard::group::request::GroupRequest;
use kolk_shard::metadata::Metadata;

use super::describe_groups::GROUP_OPERATIONS;
use crate::kafka::admin::side_by_side::side_by_side;
use crate::kafka::answer_room::{AnswerRoom, PART_BYTES};
use crate::kafka::once::once;
use crate::kafka::session::Context;

/// Kafka's numbers of the protocol that a member speaks.
const fn member_type(kind: GroupKind) -> i8 {
    match kind {
        GroupKind::Classic => 0,
        GroupKind::Consumer => 1,
    }
}

/// Answers each group by itself, and once.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let room = AnswerRoom::new();
    let metadata = context.metadata();
    let operations = match request.include_authorized_operations {
        true => GROUP_OPERATIONS,
        false => i32::MIN,
    };
    let (context, metadata, room) = (&context, &metadata, &room);
    let describing = once(request.group_ids, Clone::clone).into_iter().map(|name| async move {
        let described = match room.check() {
            Ok(()) => describe(context, metadata, &name).await,
            Err(refusal) => Err((refusal.code, refusal.detail)),
        };
        let fitting = described.and_then(|group| {
            let fits = room.take(bytes(&group));
            fits.map(|()| group).map_err(|refusal| (refusal.code, refusal.detail))
        });
        let group = fitting.unwrap_or_else(|(code, why)| refused(code, why));
        Group { group_id: name, authorized_operations: operations, ..group }
    });
    Response { groups: side_by_side(describing).await, ..Response::default() }
}

async fn describe<N: Net>(
    context: &Context<N>,
    metadata: &Metadata,
    name: &str,
) -> Result<Group, (ErrorCode, String)> {
    let code = match context.shard().group(GroupRequest::ConsumerDescribe(GroupId::new(name))).await
    {
        GroupAnswer::ConsumerDescribe(Ok(described)) => {
            return Ok(described_group(metadata, described));
        }
        GroupAnswer::ConsumerDescribe(Err(code)) => code,
        _ => ErrorCode::CoordinatorNotAvailable,
    };
    Err((code, code.hint().to_owned()))
}

/// Bytes of a group in the answer, about.
fn bytes(group: &Group) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let topics = |assignment: &Assignment| {
        let topic = |topic: &TopicPartitions| {
            PART_BYTES + topic.topic_name.len() + topic.partitions.len() * size_of::<i32>()
        };
        assignment.topic_partitions.iter().map(topic).sum::<usize>()
    };
    let member = |member: &Member| {
        let names = member.subscribed_topic_names.iter().map(|name| 2 + name.len());
        let given = length(&member.instance_id)
            + length(&member.rack_id)
            + length(&member.subscribed_topic_regex)
            + names.sum::<usize>();
        let texts = member.member_id.len() + member.client_id.len() + member.client_host.len();
        let assigned = topics(&member.assignment) + topics(&member.target_assignment);
        PART_BYTES + texts + given + assigned
    };
    PART_BYTES + group.members.iter().map(member).sum::<usize>()
}

fn described_group(metadata: &Metadata, described: DescribedConsumers) -> Group {
    let members = described.members.into_iter().map(|one| member(metadata, one)).collect();
    Group {
        group_state: described.state.name().to_owned(),
        group_epoch: described.epoch,
        assignment_epoch: described.target_epoch,
        assignor_name: described.assignor,
        members,
        ..Group::default()
    }
}

fn member(metadata: &Metadata, member: DescribedConsumer) -> Member {
    Member {
        member_id: member.member.to_string(),
        instance_id: member.instance.map(|instance| instance.to_string()),
        rack_id: member.rack,
        member_epoch: member.epoch,
        client_id: member.client_id,
        client_host: member.client_host,
        subscribed_topic_names: member.topics,
        subscribed_topic_regex: member.pattern,
        assignment: assignment(metadata, member.assigned),
        target_assignment: assignment(metadata, member.target),
        member_type: member_type(member.kind),
    }
}

/// Topics that are gone are left out.
fn assignment(metadata: &Metadata, topics: Vec<(TopicId, Vec<i32>)>) -> Assignment {
    let named = topics.into_iter().filter_map(|(id, partitions)| {
        let topic_name = metadata.topic(id)?.name.to_string();
        Some(TopicPartitions { topic_id: id.get(), topic_name, partitions })
    });
    Assignment { topic_partitions: named.collect() }
}

fn refused(code: ErrorCode, why: String) -> Group {
    Group { error_code: code.on_kafka().to_wire(), error_message: Some(why), ..Group::default() }
}
