//! `ListGroups`: the groups that the broker coordinates which was asked.

use kolk_io::door::Net;
use kolk_kafka::message::list_groups::{Group, Request, Response};
use kolk_shard::group::answer::ListedGroup;
use kolk_shard::group::request::ListFilter;
use kolk_shard::shard::GroupsOf;

use crate::kafka::session::Context;
use crate::kafka::view::DoorKind;

/// Asks the coordinators: of all shards behind the node door, of the one that was asked behind its own.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let filter = ListFilter { states: request.states_filter, types: request.types_filter };
    let of = match context.view().kind() {
        DoorKind::Node => GroupsOf::Node,
        DoorKind::Shard => GroupsOf::Shard,
    };
    match context.shard().list_groups(filter, of).await {
        Ok(listed) => {
            Response { groups: listed.into_iter().map(group).collect(), ..Response::default() }
        }
        Err(code) => Response { error_code: code.on_kafka().to_wire(), ..Response::default() },
    }
}

fn group(listed: ListedGroup) -> Group {
    Group {
        group_id: listed.group.to_string(),
        protocol_type: listed.protocol_type,
        group_state: listed.state.name().to_owned(),
        group_type: listed.kind.name().to_owned(),
    }
}
