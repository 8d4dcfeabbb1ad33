//! `ConsumerGroupHeartbeat`: joins, keeps and leaves a group that the coordinator assigns for (KIP-848).

use kolk_io::door::Net;
use kolk_kafka::message::consumer_group_heartbeat::{
    Assignment, Request, Response, TopicPartitions,
};
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;
use kolk_shard::group::answer::{GroupAnswer, Heard};
use kolk_shard::group::ids::{GroupId, InstanceId, MemberId};
use kolk_shard::group::request::{ConsumerHeartbeat, GroupRequest};

use crate::kafka::session::Context;

/// The version from which a client chooses its own id.
const OWN_ID: i16 = 1;

/// Asks the coordinator.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    if context.version() >= OWN_ID && request.member_id.is_empty() {
        return refused(ErrorCode::InvalidRequest, "the member's id is empty".to_owned());
    }
    let asked = context.shard().group(GroupRequest::ConsumerHeartbeat(wanted(&context, request)));
    match asked.await {
        GroupAnswer::ConsumerHeartbeat(Ok(heard)) => response(heard),
        GroupAnswer::ConsumerHeartbeat(Err(why)) => refused(why.code, why.why),
        _ => {
            let code = ErrorCode::CoordinatorNotAvailable;
            refused(code, code.hint().to_owned())
        }
    }
}

fn wanted<N: Net>(context: &Context<N>, request: Request) -> ConsumerHeartbeat {
    let config = context.metadata().group_config(&request.group_id);
    let owned = request.topic_partitions.map(|topics| {
        topics.into_iter().map(|one| (TopicId::new(one.topic_id), one.partitions)).collect()
    });
    ConsumerHeartbeat {
        group: GroupId::from(request.group_id),
        member: MemberId::from(request.member_id),
        epoch: request.member_epoch,
        instance: request.instance_id.map(InstanceId::from),
        rack: request.rack_id,
        client: context.group_client(),
        rebalance_timeout_ms: u32::try_from(request.rebalance_timeout_ms).ok(),
        topics: request.subscribed_topic_names,
        pattern: request.subscribed_topic_regex,
        assignor: request.server_assignor,
        owned,
        session_timeout_ms: config.consumer_session_timeout_ms,
        heartbeat_interval_ms: config.consumer_heartbeat_interval_ms,
    }
}

fn response(heard: Heard) -> Response {
    let assignment = heard.assignment.map(|topics| Assignment {
        topic_partitions: topics
            .into_iter()
            .map(|(topic, partitions)| TopicPartitions { topic_id: topic.get(), partitions })
            .collect(),
    });
    Response {
        member_id: Some(heard.member.to_string()),
        member_epoch: heard.epoch,
        heartbeat_interval_ms: i32::try_from(heard.heartbeat_interval_ms).unwrap_or(i32::MAX),
        assignment,
        ..Response::default()
    }
}

fn refused(code: ErrorCode, why: String) -> Response {
    Response {
        error_code: code.on_kafka().to_wire(),
        error_message: Some(why),
        ..Response::default()
    }
}
