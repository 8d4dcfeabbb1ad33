//! The answers about groups.

use flatbuffers::{Vector, WIPOffset};
use kolk_model::error::ErrorCode;

use super::{AnswerOffset, Builder, text, wire_offset, write_door};
use crate::frame_generated as wire;
use crate::group_generated as group;
use crate::reply::group::{
    CommittedOffset, DescribedGroup, GroupReply, JoinRefusal, JoinedGroup, ListedGroup, SyncedGroup,
};

pub(super) fn write_group_answer(b: &mut Builder, reply: &GroupReply) -> AnswerOffset {
    match reply {
        GroupReply::Join(Ok(joined)) => write_join(b, joined),
        GroupReply::Join(Err(refused)) => write_join_refusal(b, refused),
        GroupReply::Sync(synced) => write_sync(b, synced),
        GroupReply::Heartbeat => {
            let answer = group::GroupHeartbeatReply::create(b, &group::GroupHeartbeatReplyArgs {});
            (wire::Answer::GroupHeartbeatReply, answer.as_union_value())
        }
        GroupReply::Leave(codes) => {
            let errors = Some(write_codes(b, codes));
            let answer = group::LeaveGroupReply::create(b, &group::LeaveGroupReplyArgs { errors });
            (wire::Answer::LeaveGroupReply, answer.as_union_value())
        }
        GroupReply::CommitOffsets(codes) => {
            let args = group::CommitOffsetsReplyArgs { errors: Some(write_codes(b, codes)) };
            let answer = group::CommitOffsetsReply::create(b, &args);
            (wire::Answer::CommitOffsetsReply, answer.as_union_value())
        }
        GroupReply::FetchOffsets(offsets) => write_offsets(b, offsets),
        GroupReply::Find(door) => {
            let door = Some(write_door(b, door));
            let answer = group::FindGroupReply::create(b, &group::FindGroupReplyArgs { door });
            (wire::Answer::FindGroupReply, answer.as_union_value())
        }
        GroupReply::List(groups) => write_list(b, groups),
        GroupReply::Describe(described) => write_description(b, described),
        GroupReply::Delete => {
            let answer = group::DeleteGroupReply::create(b, &group::DeleteGroupReplyArgs {});
            (wire::Answer::DeleteGroupReply, answer.as_union_value())
        }
    }
}

fn write_join(b: &mut Builder, joined: &JoinedGroup) -> AnswerOffset {
    let mut members = Vec::with_capacity(joined.members.len());
    for one in &joined.members {
        let args = group::GroupMemberArgs {
            member: Some(b.create_string(&one.member)),
            instance: one.instance.as_ref().map(|instance| b.create_string(instance)),
            metadata: Some(b.create_vector(&one.metadata)),
        };
        members.push(group::GroupMember::create(b, &args));
    }
    let args = group::JoinGroupReplyArgs {
        member: text(b, &joined.member),
        generation: joined.generation.cast_signed(),
        protocol_type: text(b, &joined.protocol_type),
        protocol: text(b, &joined.protocol),
        leader: text(b, &joined.leader),
        skip_assignment: joined.skip_assignment,
        members: Some(b.create_vector(&members)),
        ..Default::default()
    };
    (wire::Answer::JoinGroupReply, group::JoinGroupReply::create(b, &args).as_union_value())
}

fn write_join_refusal(b: &mut Builder, refused: &JoinRefusal) -> AnswerOffset {
    let args = group::JoinGroupReplyArgs {
        error: refused.refusal.code.to_wire(),
        message: text(b, &refused.refusal.detail),
        member: text(b, &refused.member),
        ..Default::default()
    };
    (wire::Answer::JoinGroupReply, group::JoinGroupReply::create(b, &args).as_union_value())
}

fn write_sync(b: &mut Builder, synced: &SyncedGroup) -> AnswerOffset {
    let args = group::SyncGroupReplyArgs {
        protocol_type: text(b, &synced.protocol_type),
        protocol: text(b, &synced.protocol),
        assignment: Some(b.create_vector(&synced.assignment)),
    };
    (wire::Answer::SyncGroupReply, group::SyncGroupReply::create(b, &args).as_union_value())
}

fn write_offsets(b: &mut Builder, offsets: &[CommittedOffset]) -> AnswerOffset {
    let mut tables = Vec::with_capacity(offsets.len());
    for one in offsets {
        let args = group::CommittedOffsetArgs {
            topic: Some(b.create_string(one.topic.as_str())),
            partition: one.partition.get(),
            error: one.error.to_wire(),
            offset: wire_offset(one.offset),
            leader_epoch: one.leader_epoch.map_or(-1, |epoch| epoch.to_wire()),
            metadata: text(b, &one.metadata),
        };
        tables.push(group::CommittedOffset::create(b, &args));
    }
    let offsets = Some(b.create_vector(&tables));
    let answer = group::FetchOffsetsReply::create(b, &group::FetchOffsetsReplyArgs { offsets });
    (wire::Answer::FetchOffsetsReply, answer.as_union_value())
}

fn write_list(b: &mut Builder, groups: &[ListedGroup]) -> AnswerOffset {
    let mut tables = Vec::with_capacity(groups.len());
    for one in groups {
        let args = group::ListedGroupArgs {
            group: Some(b.create_string(&one.group)),
            kind: Some(b.create_string(&one.kind)),
            state: Some(b.create_string(&one.state)),
            protocol_type: text(b, &one.protocol_type),
        };
        tables.push(group::ListedGroup::create(b, &args));
    }
    let groups = Some(b.create_vector(&tables));
    let answer = group::ListGroupsReply::create(b, &group::ListGroupsReplyArgs { groups });
    (wire::Answer::ListGroupsReply, answer.as_union_value())
}

fn write_description(b: &mut Builder, described: &DescribedGroup) -> AnswerOffset {
    let mut members = Vec::with_capacity(described.members.len());
    for one in &described.members {
        let args = group::DescribedMemberArgs {
            member: Some(b.create_string(&one.member)),
            instance: one.instance.as_ref().map(|instance| b.create_string(instance)),
            client_id: text(b, &one.client_id),
            client_host: text(b, &one.client_host),
            metadata: Some(b.create_vector(&one.metadata)),
            assignment: Some(b.create_vector(&one.assignment)),
        };
        members.push(group::DescribedMember::create(b, &args));
    }
    let args = group::DescribeGroupReplyArgs {
        kind: Some(b.create_string(&described.kind)),
        state: Some(b.create_string(&described.state)),
        protocol_type: text(b, &described.protocol_type),
        protocol: text(b, &described.protocol),
        members: Some(b.create_vector(&members)),
    };
    (wire::Answer::DescribeGroupReply, group::DescribeGroupReply::create(b, &args).as_union_value())
}

fn write_codes(b: &mut Builder, codes: &[ErrorCode]) -> WIPOffset<Vector<'static, i16>> {
    let numbers: Vec<i16> = codes.iter().map(|code| code.to_wire()).collect();
    b.create_vector(&numbers)
}
