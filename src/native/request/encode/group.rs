//! The calls about groups.

use flatbuffers::{ForwardsUOffset, Vector, WIPOffset};

use super::{Builder, CallOffset};
use crate::frame_generated as wire;
use crate::group_generated as group;
use crate::request::group::{
    CommitOffsets, FetchOffsets, GroupCall, JoinGroup, LeaveGroup, ListGroups, MemberOfGroup,
    SyncGroup,
};

type Text = Option<WIPOffset<&'static str>>;
type Texts = WIPOffset<Vector<'static, ForwardsUOffset<&'static str>>>;

pub(super) fn write_group_call(b: &mut Builder, call: &GroupCall) -> CallOffset {
    match call {
        GroupCall::Join(call) => write_join(b, call),
        GroupCall::Sync(call) => write_sync(b, call),
        GroupCall::Heartbeat(who) => {
            let (group, member, instance) = write_who(b, who);
            let generation = wire_generation(who.generation);
            let args = group::GroupHeartbeatArgs { group, member, instance, generation };
            let call = group::GroupHeartbeat::create(b, &args);
            (wire::Call::GroupHeartbeat, call.as_union_value())
        }
        GroupCall::Leave(call) => write_leave(b, call),
        GroupCall::CommitOffsets(call) => write_commit(b, call),
        GroupCall::FetchOffsets(call) => write_fetch(b, call),
        GroupCall::List(call) => write_list(b, call),
        GroupCall::Find(name) => {
            let group = Some(b.create_string(name));
            let call = group::FindGroup::create(b, &group::FindGroupArgs { group });
            (wire::Call::FindGroup, call.as_union_value())
        }
        GroupCall::Describe(name) => {
            let group = Some(b.create_string(name));
            let call = group::DescribeGroup::create(b, &group::DescribeGroupArgs { group });
            (wire::Call::DescribeGroup, call.as_union_value())
        }
        GroupCall::Delete(name) => {
            let group = Some(b.create_string(name));
            let call = group::DeleteGroup::create(b, &group::DeleteGroupArgs { group });
            (wire::Call::DeleteGroup, call.as_union_value())
        }
    }
}

fn write_join(b: &mut Builder, call: &JoinGroup) -> CallOffset {
    let mut protocols = Vec::with_capacity(call.protocols.len());
    for protocol in &call.protocols {
        let args = group::GroupProtocolArgs {
            name: Some(b.create_string(&protocol.name)),
            metadata: Some(b.create_vector(&protocol.metadata)),
        };
        protocols.push(group::GroupProtocol::create(b, &args));
    }
    let args = group::JoinGroupArgs {
        group: Some(b.create_string(&call.group)),
        member: text(b, &call.member),
        instance: call.instance.as_ref().map(|instance| b.create_string(instance)),
        session_timeout_ms: call.session_timeout_ms,
        rebalance_timeout_ms: call.rebalance_timeout_ms,
        protocol_type: Some(b.create_string(&call.protocol_type)),
        protocols: Some(b.create_vector(&protocols)),
        reason: text(b, &call.reason),
    };
    (wire::Call::JoinGroup, group::JoinGroup::create(b, &args).as_union_value())
}

fn write_sync(b: &mut Builder, call: &SyncGroup) -> CallOffset {
    let mut assignments = Vec::with_capacity(call.assignments.len());
    for (member, assignment) in &call.assignments {
        let args = group::GroupAssignmentArgs {
            member: Some(b.create_string(member)),
            assignment: Some(b.create_vector(assignment)),
        };
        assignments.push(group::GroupAssignment::create(b, &args));
    }
    let (group, member, instance) = write_who(b, &call.who);
    let args = group::SyncGroupArgs {
        group,
        member,
        instance,
        generation: wire_generation(call.who.generation),
        protocol_type: text(b, &call.protocol_type),
        protocol: text(b, &call.protocol),
        assignments: Some(b.create_vector(&assignments)),
    };
    (wire::Call::SyncGroup, group::SyncGroup::create(b, &args).as_union_value())
}

fn write_leave(b: &mut Builder, call: &LeaveGroup) -> CallOffset {
    let mut members = Vec::with_capacity(call.members.len());
    for one in &call.members {
        let args = group::LeavingMemberArgs {
            member: text(b, &one.member),
            instance: one.instance.as_ref().map(|instance| b.create_string(instance)),
            reason: text(b, &one.reason),
        };
        members.push(group::LeavingMember::create(b, &args));
    }
    let args = group::LeaveGroupArgs {
        group: Some(b.create_string(&call.group)),
        members: Some(b.create_vector(&members)),
    };
    (wire::Call::LeaveGroup, group::LeaveGroup::create(b, &args).as_union_value())
}

fn write_commit(b: &mut Builder, call: &CommitOffsets) -> CallOffset {
    let mut offsets = Vec::with_capacity(call.offsets.len());
    for one in &call.offsets {
        let args = group::OffsetToCommitArgs {
            topic: Some(b.create_string(one.topic.as_str())),
            partition: one.partition.get(),
            offset: one.offset.to_wire(),
            leader_epoch: one.leader_epoch.map_or(-1, |epoch| epoch.to_wire()),
            metadata: text(b, &one.metadata),
        };
        offsets.push(group::OffsetToCommit::create(b, &args));
    }
    let (group, member, instance) = write_who(b, &call.who);
    let args = group::CommitOffsetsArgs {
        group,
        member,
        instance,
        generation: wire_generation(call.who.generation),
        offsets: Some(b.create_vector(&offsets)),
    };
    (wire::Call::CommitOffsets, group::CommitOffsets::create(b, &args).as_union_value())
}

fn write_fetch(b: &mut Builder, call: &FetchOffsets) -> CallOffset {
    let partitions = call.partitions.as_ref().map(|asked| {
        let mut partitions = Vec::with_capacity(asked.len());
        for (topic, partition) in asked {
            let topic = Some(b.create_string(topic.as_str()));
            let args = group::OffsetWantedArgs { topic, partition: partition.get() };
            partitions.push(group::OffsetWanted::create(b, &args));
        }
        b.create_vector(&partitions)
    });
    let group = Some(b.create_string(&call.group));
    let call = group::FetchOffsets::create(b, &group::FetchOffsetsArgs { group, partitions });
    (wire::Call::FetchOffsets, call.as_union_value())
}

fn write_list(b: &mut Builder, call: &ListGroups) -> CallOffset {
    let args = group::ListGroupsArgs {
        states: Some(texts(b, &call.states)),
        kinds: Some(texts(b, &call.kinds)),
    };
    (wire::Call::ListGroups, group::ListGroups::create(b, &args).as_union_value())
}

/// Group, member and static id of whoever asks.
fn write_who(b: &mut Builder, who: &MemberOfGroup) -> (Text, Text, Text) {
    let group = Some(b.create_string(&who.group));
    // Written even if empty: some calls require it.
    let member = Some(b.create_string(&who.member));
    let instance = who.instance.as_ref().map(|instance| b.create_string(instance));
    (group, member, instance)
}

fn wire_generation(generation: Option<u32>) -> i32 {
    generation.and_then(|generation| i32::try_from(generation).ok()).unwrap_or(-1)
}

fn texts(b: &mut Builder, texts: &[String]) -> Texts {
    let texts: Vec<_> = texts.iter().map(|text| b.create_string(text)).collect();
    b.create_vector(&texts)
}

/// An empty text is left out.
fn text(b: &mut Builder, text: &str) -> Text {
    (!text.is_empty()).then(|| b.create_string(text))
}
