//! `DescribeGroups`: classic groups with their members.

use kolk_io::door::Net;
use kolk_kafka::message::describe_groups::{Group, Member, Request, Response};
use kolk_model::error::ErrorCode;
use kolk_shard::group::answer::{DescribedGroup, DescribedMember, GroupAnswer, GroupState};
use kolk_shard::group::ids::GroupId;
use kolk_shard::group::request::GroupRequest;

use crate::kafka::admin::side_by_side::side_by_side;
use crate::kafka::answer_room::{AnswerRoom, PART_BYTES};
use crate::kafka::once::once;
use crate::kafka::session::Context;

/// The version that has an error for a group that does not exist; before, such a group is "dead".
const NOT_FOUND: i16 = 6;
/// What everybody may do with a group where nothing is forbidden: a bit for each of Kafka's ACL operations.
pub(super) const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// Answers each group by itself, and once.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let room = AnswerRoom::new();
    let is_told = context.version() >= NOT_FOUND;
    let operations = match request.include_authorized_operations {
        true => GROUP_OPERATIONS,
        false => i32::MIN,
    };
    let (context, room) = (&context, &room);
    let describing = once(request.groups, Clone::clone).into_iter().map(|name| async move {
        let described = match room.check() {
            Ok(()) => describe(context, &name).await.and_then(|group| {
                let fits = room.take(bytes(&group));
                fits.map(|()| group).map_err(|refusal| refusal.code)
            }),
            Err(refusal) => Err(refusal.code),
        };
        let group = described.unwrap_or_else(|code| refused(code, is_told));
        Group { group_id: name, authorized_operations: operations, ..group }
    });
    Response { groups: side_by_side(describing).await, ..Response::default() }
}

async fn describe<N: Net>(context: &Context<N>, name: &str) -> Result<Group, ErrorCode> {
    match context.shard().group(GroupRequest::Describe(GroupId::new(name))).await {
        GroupAnswer::Describe(described) => described.map(described_group),
        _ => Err(ErrorCode::CoordinatorNotAvailable),
    }
}

/// Bytes of a group in the answer, about.
fn bytes(group: &Group) -> usize {
    let member = |member: &Member| {
        let instance = member.group_instance_id.as_ref().map_or(0, String::len);
        let texts = member.member_id.len() + member.client_id.len() + member.client_host.len();
        let given = member.member_metadata.len() + member.member_assignment.len();
        PART_BYTES + instance + texts + given
    };
    PART_BYTES + group.members.iter().map(member).sum::<usize>()
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
