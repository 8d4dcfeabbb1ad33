//! `Heartbeat`: a member of a classic group lives.

use kolk_io::door::Net;
use kolk_kafka::message::heartbeat::{Request, Response};
use kolk_model::error::ErrorCode;
use kolk_shard::group::answer::GroupAnswer;
use kolk_shard::group::ids::{Generation, GroupId, InstanceId, MemberId};
use kolk_shard::group::request::{GroupRequest, Heartbeat};

use crate::kafka::session::Context;

/// Asks the coordinator.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let wanted = Heartbeat {
        group: GroupId::from(request.group_id),
        member: MemberId::from(request.member_id),
        instance: request.group_instance_id.map(InstanceId::from),
        generation: Generation::from_wire(request.generation_id),
    };
    let code = match context.shard().group(GroupRequest::Heartbeat(wanted)).await {
        GroupAnswer::Heartbeat(Ok(())) => ErrorCode::None,
        GroupAnswer::Heartbeat(Err(code)) => code,
        _ => ErrorCode::CoordinatorNotAvailable,
    };
    Response { error_code: code.on_kafka().to_wire(), ..Response::default() }
}
