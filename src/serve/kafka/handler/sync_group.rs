//! `SyncGroup`: the leader's assignment, and each member's share of it.

use bytes::Bytes;
use kolk_io::door::Net;
use kolk_kafka::message::sync_group::{Request, Response};
use kolk_model::error::ErrorCode;
use kolk_shard::group::answer::GroupAnswer;
use kolk_shard::group::ids::{Generation, GroupId, InstanceId, MemberId};
use kolk_shard::group::request::{GroupRequest, SyncGroup};

use crate::kafka::session::Context;

/// The version that must say what kind of group it believes in.
const PROTOCOL_GIVEN: i16 = 5;

/// Asks the coordinator.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let given = request.protocol_type.is_some() && request.protocol_name.is_some();
    if context.version() >= PROTOCOL_GIVEN && !given {
        return refused(ErrorCode::InconsistentGroupProtocol);
    }
    let shares = request.assignments.into_iter().map(|share| {
        // A slice would keep the whole frame.
        (MemberId::from(share.member_id), Bytes::copy_from_slice(&share.assignment))
    });
    let wanted = SyncGroup {
        group: GroupId::from(request.group_id),
        member: MemberId::from(request.member_id),
        instance: request.group_instance_id.map(InstanceId::from),
        generation: Generation::from_wire(request.generation_id),
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: shares.collect(),
    };
    let asked = context.shard().group(GroupRequest::Sync(wanted));
    match context.unless_over(asked).await {
        Some(GroupAnswer::Sync(Ok(synced))) => Response {
            protocol_type: synced.protocol_type,
            protocol_name: synced.protocol,
            assignment: synced.assignment,
            ..Response::default()
        },
        Some(GroupAnswer::Sync(Err(code))) => refused(code),
        _ => refused(ErrorCode::CoordinatorNotAvailable),
    }
}

fn refused(code: ErrorCode) -> Response {
    Response { error_code: code.on_kafka().to_wire(), ..Response::default() }
}
