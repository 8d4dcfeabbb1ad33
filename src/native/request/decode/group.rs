//! The calls about groups. What is opaque to the broker is copied out of the frame: it outlives it by far.

use bytes::Bytes;
use flatbuffers::Vector;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, PartitionId};
use kolk_model::limits::{GROUP_TEXT_BYTES_MAX, REQUEST_PARTITIONS_MAX};
use kolk_model::offset::Offset;

use super::{Fault, bounded, invalid, listed, read_name};
use crate::frame_generated as wire;
use crate::group_generated as group;
use crate::request::group::{
    CommitOffsets, FetchOffsets, GroupCall, GroupProtocol, JoinGroup, LeaveGroup, LeavingMember,
    ListGroups, MemberOfGroup, OffsetToCommit, SyncGroup,
};

/// The call, if it is one about groups.
pub(super) fn read_group_call(root: &wire::Request<'_>) -> Option<Result<GroupCall, Fault>> {
    if let Some(call) = root.call_as_group_heartbeat() {
        let who = member(call.group(), Some(call.member()), call.instance(), call.generation());
        return Some(who.map(GroupCall::Heartbeat));
    }
    if let Some(call) = root.call_as_commit_offsets() {
        return Some(read_commit(&call).map(GroupCall::CommitOffsets));
    }
    if let Some(call) = root.call_as_fetch_offsets() {
        return Some(read_fetch(&call).map(GroupCall::FetchOffsets));
    }
    if let Some(call) = root.call_as_join_group() {
        return Some(read_join(&call).map(GroupCall::Join));
    }
    if let Some(call) = root.call_as_sync_group() {
        return Some(read_sync(&call).map(GroupCall::Sync));
    }
    if let Some(call) = root.call_as_leave_group() {
        return Some(read_leave(&call).map(GroupCall::Leave));
    }
    if let Some(call) = root.call_as_find_group() {
        return Some(text(call.group()).map(GroupCall::Find));
    }
    if let Some(call) = root.call_as_list_groups() {
        return Some(read_list(&call).map(GroupCall::List));
    }
    if let Some(call) = root.call_as_describe_group() {
        return Some(text(call.group()).map(GroupCall::Describe));
    }
    let call = root.call_as_delete_group()?;
    Some(text(call.group()).map(GroupCall::Delete))
}

fn read_join(call: &group::JoinGroup<'_>) -> Result<JoinGroup, Fault> {
    let protocols = listed(call.protocols())?.into_iter().flatten();
    let protocols = protocols.map(|protocol| {
        Ok(GroupProtocol { name: text(protocol.name())?, metadata: opaque(protocol.metadata()) })
    });
    Ok(JoinGroup {
        group: text(call.group())?,
        member: text(call.member().unwrap_or_default())?,
        instance: call.instance().map(text).transpose()?,
        session_timeout_ms: call.session_timeout_ms(),
        rebalance_timeout_ms: call.rebalance_timeout_ms(),
        protocol_type: text(call.protocol_type())?,
        protocols: protocols.collect::<Result<_, Fault>>()?,
        reason: text(call.reason().unwrap_or_default())?,
    })
}

fn read_sync(call: &group::SyncGroup<'_>) -> Result<SyncGroup, Fault> {
    let assignments = listed(call.assignments())?.into_iter().flatten();
    let assignments = assignments.map(|one| Ok((text(one.member())?, opaque(one.assignment()))));
    Ok(SyncGroup {
        who: member(call.group(), Some(call.member()), call.instance(), call.generation())?,
        protocol_type: text(call.protocol_type().unwrap_or_default())?,
        protocol: text(call.protocol().unwrap_or_default())?,
        assignments: assignments.collect::<Result<_, Fault>>()?,
    })
}

fn read_leave(call: &group::LeaveGroup<'_>) -> Result<LeaveGroup, Fault> {
    let members = listed(call.members())?.into_iter().flatten();
    let members = members.map(|one| {
        Ok(LeavingMember {
            member: text(one.member().unwrap_or_default())?,
            instance: one.instance().map(text).transpose()?,
            reason: text(one.reason().unwrap_or_default())?,
        })
    });
    Ok(LeaveGroup { group: text(call.group())?, members: members.collect::<Result<_, Fault>>()? })
}

fn read_commit(call: &group::CommitOffsets<'_>) -> Result<CommitOffsets, Fault> {
    let offsets = listed(call.offsets())?.into_iter().flatten();
    let offsets = offsets.map(|one| {
        let offset = one.offset();
        Ok(OffsetToCommit {
            topic: read_name(one.topic())?,
            partition: PartitionId::new(one.partition()),
            offset: Offset::from_wire(offset)
                .ok_or_else(|| invalid(format!("offset {offset} does not exist")))?,
            leader_epoch: LeaderEpoch::from_wire(one.leader_epoch()),
            metadata: text(one.metadata().unwrap_or_default())?,
        })
    });
    Ok(CommitOffsets {
        who: member(call.group(), call.member(), call.instance(), call.generation())?,
        offsets: offsets.collect::<Result<_, Fault>>()?,
    })
}

fn read_fetch(call: &group::FetchOffsets<'_>) -> Result<FetchOffsets, Fault> {
    let partitions = match listed(call.partitions())? {
        None => None,
        Some(partitions) => {
            let one = |one: group::OffsetWanted<'_>| {
                Ok((read_name(one.topic())?, PartitionId::new(one.partition())))
            };
            Some(partitions.iter().map(one).collect::<Result<_, Fault>>()?)
        }
    };
    Ok(FetchOffsets { group: text(call.group())?, partitions })
}

fn read_list(call: &group::ListGroups<'_>) -> Result<ListGroups, Fault> {
    let names = |names: Option<Vector<'_, flatbuffers::ForwardsUOffset<&str>>>| {
        bounded("names", names.map_or(0, |names| names.len()), REQUEST_PARTITIONS_MAX)?;
        names.into_iter().flatten().map(text).collect::<Result<Vec<_>, Fault>>()
    };
    Ok(ListGroups { states: names(call.states())?, kinds: names(call.kinds())? })
}

fn member(
    group: &str,
    member: Option<&str>,
    instance: Option<&str>,
    generation: i32,
) -> Result<MemberOfGroup, Fault> {
    Ok(MemberOfGroup {
        group: text(group)?,
        member: text(member.unwrap_or_default())?,
        instance: instance.map(text).transpose()?,
        generation: u32::try_from(generation).ok(),
    })
}

fn text(text: &str) -> Result<String, Fault> {
    if text.len() <= GROUP_TEXT_BYTES_MAX {
        return Ok(text.to_owned());
    }
    let detail = format!("a text of {} bytes is too long for a group", text.len());
    Err((ErrorCode::InvalidRequest, detail))
}

fn opaque(bytes: Option<Vector<'_, u8>>) -> Bytes {
    bytes.map_or_else(Bytes::new, |bytes| Bytes::copy_from_slice(bytes.bytes()))
}
