//! `JoinGroup`: becoming a member of a classic group. The answer waits until the group has its members.

use bytes::Bytes;
use kolk_io::door::Net;
use kolk_kafka::message::join_group::{Member, Request, Response};
use kolk_model::error::ErrorCode;
use kolk_shard::group::answer::{GroupAnswer, JoinRefused, Joined};
use kolk_shard::group::ids::{GroupId, InstanceId, MemberId};
use kolk_shard::group::request::{GroupRequest, JoinGroup, Protocol};

use crate::kafka::session::Context;

/// The version that sends members back for their id.
const MEMBER_ID_REQUIRED: i16 = 4;
/// The version whose leaders can be told that there is an assignment already.
const SKIP_ASSIGNMENT: i16 = 9;

/// Asks the coordinator.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let member_id = request.member_id.clone();
    let asked = context.shard().group(GroupRequest::Join(wanted(&context, request)));
    match context.unless_over(asked).await {
        Some(GroupAnswer::Join(Ok(joined))) => joined_response(joined),
        Some(GroupAnswer::Join(Err(JoinRefused { code, member }))) => {
            refused(code, member.as_str())
        }
        _ => refused(ErrorCode::CoordinatorNotAvailable, &member_id),
    }
}

fn wanted<N: Net>(context: &Context<N>, request: Request) -> JoinGroup {
    let ms = |ms: i32| u32::try_from(ms).unwrap_or(0);
    let rebalance_timeout_ms = match request.rebalance_timeout_ms {
        // Version 0 has one time for both.
        none if none < 0 => request.session_timeout_ms,
        given => given,
    };
    let protocols = request.protocols.into_iter().map(|protocol| Protocol {
        name: protocol.name,
        // A slice would keep the whole frame.
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    });
    JoinGroup {
        group: GroupId::from(request.group_id),
        member: MemberId::from(request.member_id),
        instance: request.group_instance_id.map(InstanceId::from),
        client: context.group_client(),
        session_timeout_ms: ms(request.session_timeout_ms),
        rebalance_timeout_ms: ms(rebalance_timeout_ms),
        protocol_type: request.protocol_type,
        protocols: protocols.collect(),
        knows_member_id_required: context.version() >= MEMBER_ID_REQUIRED,
        knows_skip_assignment: context.version() >= SKIP_ASSIGNMENT,
        reason: request.reason,
    }
}

fn joined_response(joined: Joined) -> Response {
    let members = joined.members.into_iter().map(|member| Member {
        member_id: member.member.to_string(),
        group_instance_id: member.instance.map(|instance| instance.to_string()),
        metadata: member.metadata,
    });
    Response {
        generation_id: joined.generation.to_wire(),
        protocol_type: joined.protocol_type,
        protocol_name: joined.protocol,
        leader: joined.leader.to_string(),
        skip_assignment: joined.skip_assignment,
        member_id: joined.member.to_string(),
        members: members.collect(),
        ..Response::default()
    }
}

fn refused(code: ErrorCode, member: &str) -> Response {
    Response {
        error_code: code.on_kafka().to_wire(),
        member_id: member.to_owned(),
        ..Response::default()
    }
}
