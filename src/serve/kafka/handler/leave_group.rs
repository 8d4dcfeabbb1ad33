//! `LeaveGroup`: members go, by themselves or taken out by a tool.

use kolk_io::door::Net;
use kolk_kafka::message::leave_group::{Member, Request, RequestMember, Response};
use kolk_model::error::ErrorCode;
use kolk_shard::group::answer::{GroupAnswer, Left};
use kolk_shard::group::ids::{GroupId, InstanceId, MemberId};
use kolk_shard::group::request::{GroupRequest, LeaveGroup, Leaving};

use crate::kafka::session::Context;

/// The version that names several members.
const SEVERAL: i16 = 3;

/// Asks the coordinator.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let several = context.version() >= SEVERAL;
    let members = if several {
        request.members
    } else {
        vec![RequestMember { member_id: request.member_id, ..RequestMember::default() }]
    };
    let leaving = members.into_iter().map(|member| Leaving {
        member: MemberId::from(member.member_id),
        instance: member.group_instance_id.map(InstanceId::from),
        reason: member.reason,
    });
    let group = GroupId::from(request.group_id);
    let wanted = LeaveGroup { group, members: leaving.collect() };
    match context.shard().group(GroupRequest::Leave(wanted)).await {
        GroupAnswer::Leave(Ok(left)) if several => {
            Response { members: left.into_iter().map(member).collect(), ..Response::default() }
        }
        GroupAnswer::Leave(Ok(left)) => {
            response(left.first().map_or(ErrorCode::UnknownMemberId, |left| left.code))
        }
        GroupAnswer::Leave(Err(code)) => response(code),
        _ => response(ErrorCode::CoordinatorNotAvailable),
    }
}

fn member(left: Left) -> Member {
    Member {
        member_id: left.member.to_string(),
        group_instance_id: left.instance.map(|instance| instance.to_string()),
        error_code: left.code.on_kafka().to_wire(),
    }
}

fn response(code: ErrorCode) -> Response {
    Response { error_code: code.on_kafka().to_wire(), ..Response::default() }
}
