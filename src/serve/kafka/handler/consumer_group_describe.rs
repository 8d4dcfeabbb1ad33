//! `ConsumerGroupDescribe`: groups of the consumer protocol with their members (KIP-848).

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
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
use crate::kafka::session::Context;

/// Kafka's numbers of the protocol that a member speaks.
const fn member_type(kind: GroupKind) -> i8 {
    match kind {
        GroupKind::Classic => 0,
        GroupKind::Consumer => 1,
    }
}

/// Answers each group by itself.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let metadata = context.metadata();
    let operations = match request.include_authorized_operations {
        true => GROUP_OPERATIONS,
        false => i32::MIN,
    };
    // All are asked before one is waited for.
    let groups: FuturesOrdered<_> = request
        .group_ids
        .into_iter()
        .map(|name| {
            let asked = context.shard().group(GroupRequest::ConsumerDescribe(GroupId::new(&name)));
            let metadata = &metadata;
            async move {
                let group = match asked.await {
                    GroupAnswer::ConsumerDescribe(Ok(described)) => {
                        described_group(metadata, described)
                    }
                    GroupAnswer::ConsumerDescribe(Err(code)) => refused(code),
                    _ => refused(ErrorCode::CoordinatorNotAvailable),
                };
                Group { group_id: name, authorized_operations: operations, ..group }
            }
        })
        .collect();
    Response { groups: groups.collect().await, ..Response::default() }
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

fn refused(code: ErrorCode) -> Group {
    Group {
        error_code: code.on_kafka().to_wire(),
        error_message: Some(code.hint().to_owned()),
        ..Group::default()
    }
}
