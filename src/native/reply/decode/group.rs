//! The answers about groups.

use bytes::Bytes;
use flatbuffers::Vector;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, PartitionId};
use kolk_model::offset::Offset;

use super::{malformed, read_code, read_door, read_name, read_refusal, text};
use crate::frame_generated as wire;
use crate::group_generated as group;
use crate::reply::ReplyError;
use crate::reply::group::{
    CommittedOffset, DescribedGroup, DescribedMember, GroupMember, GroupReply, JoinRefusal,
    JoinedGroup, ListedGroup, SyncedGroup,
};

/// The answer, if it is one about groups.
pub(super) fn read_group_answer(root: &wire::Reply<'_>) -> Option<Result<GroupReply, ReplyError>> {
    if root.answer_as_group_heartbeat_reply().is_some() {
        return Some(Ok(GroupReply::Heartbeat));
    }
    if let Some(answer) = root.answer_as_commit_offsets_reply() {
        return Some(Ok(GroupReply::CommitOffsets(read_codes(answer.errors()))));
    }
    if let Some(answer) = root.answer_as_fetch_offsets_reply() {
        return Some(read_offsets(&answer).map(GroupReply::FetchOffsets));
    }
    if let Some(answer) = root.answer_as_join_group_reply() {
        return Some(read_join(&answer).map(GroupReply::Join));
    }
    if let Some(answer) = root.answer_as_sync_group_reply() {
        return Some(Ok(GroupReply::Sync(SyncedGroup {
            protocol_type: text(answer.protocol_type()),
            protocol: text(answer.protocol()),
            assignment: opaque(answer.assignment()),
        })));
    }
    if let Some(answer) = root.answer_as_leave_group_reply() {
        return Some(Ok(GroupReply::Leave(read_codes(answer.errors()))));
    }
    if let Some(answer) = root.answer_as_find_group_reply() {
        return Some(Ok(GroupReply::Find(read_door(&answer.door()))));
    }
    if let Some(answer) = root.answer_as_list_groups_reply() {
        let groups = answer.groups().into_iter().flatten().map(|one| ListedGroup {
            group: one.group().to_owned(),
            kind: one.kind().to_owned(),
            state: one.state().to_owned(),
            protocol_type: text(one.protocol_type()),
        });
        return Some(Ok(GroupReply::List(groups.collect())));
    }
    if let Some(answer) = root.answer_as_describe_group_reply() {
        return Some(Ok(GroupReply::Describe(read_description(&answer))));
    }
    root.answer_as_delete_group_reply().map(|_| Ok(GroupReply::Delete))
}

fn read_join(
    answer: &group::JoinGroupReply<'_>,
) -> Result<Result<JoinedGroup, JoinRefusal>, ReplyError> {
    let member = text(answer.member());
    if let Some(refusal) = read_refusal(answer.error(), answer.message()) {
        return Ok(Err(JoinRefusal { refusal, member }));
    }
    let generation = answer.generation();
    let members = answer.members().into_iter().flatten().map(|one| GroupMember {
        member: one.member().to_owned(),
        instance: one.instance().map(str::to_owned),
        metadata: opaque(one.metadata()),
    });
    Ok(Ok(JoinedGroup {
        member,
        generation: u32::try_from(generation).map_err(|_| malformed("a generation is below 0"))?,
        protocol_type: text(answer.protocol_type()),
        protocol: text(answer.protocol()),
        leader: text(answer.leader()),
        skip_assignment: answer.skip_assignment(),
        members: members.collect(),
    }))
}

fn read_offsets(answer: &group::FetchOffsetsReply<'_>) -> Result<Vec<CommittedOffset>, ReplyError> {
    let read = |one: group::CommittedOffset<'_>| {
        Ok(CommittedOffset {
            topic: read_name(one.topic())?,
            partition: PartitionId::new(one.partition()),
            error: read_code(one.error()).unwrap_or(ErrorCode::None),
            offset: Offset::from_wire(one.offset()),
            leader_epoch: LeaderEpoch::from_wire(one.leader_epoch()),
            metadata: text(one.metadata()),
        })
    };
    answer.offsets().into_iter().flatten().map(read).collect()
}

fn read_description(answer: &group::DescribeGroupReply<'_>) -> DescribedGroup {
    let members = answer.members().into_iter().flatten().map(|one| DescribedMember {
        member: one.member().to_owned(),
        instance: one.instance().map(str::to_owned),
        client_id: text(one.client_id()),
        client_host: text(one.client_host()),
        metadata: opaque(one.metadata()),
        assignment: opaque(one.assignment()),
    });
    DescribedGroup {
        kind: answer.kind().to_owned(),
        state: answer.state().to_owned(),
        protocol_type: text(answer.protocol_type()),
        protocol: text(answer.protocol()),
        members: members.collect(),
    }
}

fn read_codes(codes: Option<Vector<'_, i16>>) -> Vec<ErrorCode> {
    let codes = codes.into_iter().flatten();
    codes.map(|code| read_code(code).unwrap_or(ErrorCode::None)).collect()
}

/// A copy: the frame is far larger than what is kept of it.
fn opaque(bytes: Option<Vector<'_, u8>>) -> Bytes {
    bytes.map_or_else(Bytes::new, |bytes| Bytes::copy_from_slice(bytes.bytes()))
}
