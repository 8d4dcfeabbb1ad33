//! `DescribeGroups`: classic groups with their members.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use kolk_io::door::Net;
use kolk_kafka::message::describe_groups::{Group, Member, Request, Response};
use kolk_model::error::ErrorCode;
use kolk_shard::group::answer::{DescribedGroup, DescribedMember, GroupAnswer, GroupState};
use kolk_shard::group::ids::GroupId;
use kolk_shard::group::request::GroupRequest;

use crate::kafka::session::Context;

/// The version that has an error for a group that does not exist; before, such a group is "dead".
const NOT_FOUND: i16 = 6;
/// What everybody may do with a group where nothing is forbidden: a bit for each of Kafka's ACL operations.
pub(super) const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// Answers each group by itself.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let is_told = context.version() >= NOT_FOUND;
    let operations = match request.include_authorized_operations {
        true => GROUP_OPERATIONS,
        false => i32::MIN,
    };
    // All are asked before one is waited for.
    let groups: FuturesOrdered<_> = request
        .groups
        .into_iter()
        .map(|name| {
            let asked = context.shard().group(GroupRequest::Describe(GroupId::new(&name)));
            async move {
                let group = match asked.await {
                    GroupAnswer::Describe(Ok(described)) => described_group(described),
                    GroupAnswer::Describe(Err(code)) => refused(code, is_told),
                    _ => refused(ErrorCode::CoordinatorNotAvailable, is_told),
                };
                Group { group_id: name, authorized_operations: operations, ..group }
            }
        })
        .collect();
    Response { groups: groups.collect().await, ..Response::default() }
}

fn described_group(described: DescribedGroup) -> Group {
    Group {
        group_state: described.state.name().to_owned(),
        protocol_type: described.protocol_type,
        protocol_data: described.protocol,
        members: described.members.into_iter().map(member).collect(),
        ..Group::default()
    }
}

fn member(member: DescribedMember) -> Member {
    Member {
        member_id: member.member.to_string(),
        group_instance_id: member.instance.map(|instance| instance.to_string()),
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    }
}

fn refused(code: ErrorCode, is_told: bool) -> Group {
    let dead = GroupState::Dead.name().to_owned();
    match code {
        ErrorCode::GroupIdNotFound if !is_told => Group { group_state: dead, ..Group::default() },
        ErrorCode::GroupIdNotFound => Group {
            error_code: code.to_wire(),
            error_message: Some(code.hint().to_owned()),
            group_state: dead,
            ..Group::default()
        },
        code => Group { error_code: code.on_kafka().to_wire(), ..Group::default() },
    }
}
