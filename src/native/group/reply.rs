//! Replies about groups, to and from headers.

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, UnionWIPOffset, Vector, WIPOffset};
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, PartitionId, TopicName};
use kolk_model::offset::Offset;

use super::request::{read_owned, write_offsets, write_owned};
use super::{
    CommitOffsetsReply, DescribeGroupReply, GroupHeartbeatReply, GroupListing, GroupMember,
    GroupOffset,
};
use crate::frame_generated as wire;
use crate::group_generated as group;
use crate::reply::{Reply, ReplyError};

type Builder = FlatBufferBuilder<'static>;
type AnswerOffset = (wire::Answer, WIPOffset<UnionWIPOffset>);
type Tables<'a, T> = Vector<'a, ForwardsUOffset<T>>;

fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

/// Reads an answer about groups; `None` if it is another one.
pub(crate) fn read(root: &wire::Reply<'_>) -> Result<Option<Reply>, ReplyError> {
    if let Some(answer) = root.answer_as_list_groups_reply() {
        let one = |one: group::GroupListing<'_>| GroupListing {
            group: one.group().to_owned(),
            state: text(one.state()),
            kind: text(one.kind()),
            protocol_type: text(one.protocol_type()),
        };
        let groups = answer.groups().into_iter().flatten().map(one).collect();
        return Ok(Some(Reply::ListGroups(groups)));
    }
    if let Some(answer) = root.answer_as_describe_group_reply() {
        return read_description(&answer).map(Reply::DescribeGroup).map(Some);
    }
    if root.answer_as_delete_group_reply().is_some() {
        return Ok(Some(Reply::DeleteGroup));
    }
    if let Some(answer) = root.answer_as_commit_offsets_reply() {
        let code = |number| ErrorCode::from_wire(number).unwrap_or(ErrorCode::UnknownServerError);
        let codes = answer.codes().into_iter().flatten().map(code).collect();
        return Ok(Some(Reply::CommitOffsets(CommitOffsetsReply { codes })));
    }
    if let Some(answer) = root.answer_as_fetch_offsets_reply() {
        return read_offsets(answer.offsets()).map(Reply::FetchOffsets).map(Some);
    }
    Ok(root.answer_as_group_heartbeat_reply().map(|answer| {
        Reply::GroupHeartbeat(GroupHeartbeatReply {
            member: text(answer.member()),
            epoch: answer.epoch(),
            heartbeat_interval_ms: answer.heartbeat_interval_ms(),
            assignment: answer.assignment().map(read_owned),
        })
    }))
}

fn read_description(
    answer: &group::DescribeGroupReply<'_>,
) -> Result<DescribeGroupReply, ReplyError> {
    let share = |share: group::GroupShare<'_>| {
        (share.topic().to_owned(), share.partitions().into_iter().flatten().collect())
    };
    let member = |member: group::GroupMember<'_>| GroupMember {
        member: member.member().to_owned(),
        instance: member.instance().map(str::to_owned),
        client_id: text(member.client_id()),
        client_host: text(member.client_host()),
        epoch: member.epoch(),
        reads: member.reads().into_iter().flatten().map(share).collect(),
    };
    Ok(DescribeGroupReply {
        state: text(answer.state()),
        kind: text(answer.kind()),
        protocol_type: text(answer.protocol_type()),
        protocol: text(answer.protocol()),
        members: answer.members().into_iter().flatten().map(member).collect(),
        offsets: read_offsets(answer.offsets())?,
    })
}

fn read_offsets(
    offsets: Option<Tables<'_, group::GroupOffset<'_>>>,
) -> Result<Vec<GroupOffset>, ReplyError> {
    let malformed = |fault| ReplyError::Malformed { fault };
    let one = |one: group::GroupOffset<'_>| {
        Ok(GroupOffset {
            topic: TopicName::new(one.topic()).map_err(|_| malformed("a topic's name is none"))?,
            partition: PartitionId::new(one.partition()),
            offset: Offset::from_wire(one.offset()).ok_or(malformed("an offset below 0"))?,
            leader_epoch: LeaderEpoch::from_wire(one.leader_epoch()),
            metadata: text(one.metadata()),
        })
    };
    offsets.into_iter().flatten().map(one).collect()
}

/// Writes an answer about groups; `None` if it is another one.
pub(crate) fn write(b: &mut Builder, reply: &Reply) -> Option<AnswerOffset> {
    Some(match reply {
        Reply::ListGroups(groups) => write_list(b, groups),
        Reply::DescribeGroup(reply) => write_description(b, reply),
        Reply::DeleteGroup => {
            let answer = group::DeleteGroupReply::create(b, &group::DeleteGroupReplyArgs {});
            (wire::Answer::DeleteGroupReply, answer.as_union_value())
        }
        Reply::CommitOffsets(reply) => {
            let codes: Vec<i16> = reply.codes.iter().map(|code| code.to_wire()).collect();
            let args = group::CommitOffsetsReplyArgs { codes: Some(b.create_vector(&codes)) };
            let answer = group::CommitOffsetsReply::create(b, &args);
            (wire::Answer::CommitOffsetsReply, answer.as_union_value())
        }
        Reply::FetchOffsets(offsets) => {
            let offsets = Some(write_offsets(b, offsets));
            let args = group::FetchOffsetsReplyArgs { offsets };
            let answer = group::FetchOffsetsReply::create(b, &args);
            (wire::Answer::FetchOffsetsReply, answer.as_union_value())
        }
        Reply::GroupHeartbeat(reply) => {
            let assignment = reply.assignment.as_ref().map(|owned| write_owned(b, owned));
            let args = group::GroupHeartbeatReplyArgs {
                member: Some(b.create_string(&reply.member)),
                epoch: reply.epoch,
                heartbeat_interval_ms: reply.heartbeat_interval_ms,
                assignment,
            };
            let answer = group::GroupHeartbeatReply::create(b, &args);
            (wire::Answer::GroupHeartbeatReply, answer.as_union_value())
        }
        _ => return None,
    })
}

fn write_list(b: &mut Builder, groups: &[GroupListing]) -> AnswerOffset {
    let mut all = Vec::with_capacity(groups.len());
    for one in groups {
        let args = group::GroupListingArgs {
            group: Some(b.create_string(&one.group)),
            state: Some(b.create_string(&one.state)),
            kind: Some(b.create_string(&one.kind)),
            protocol_type: Some(b.create_string(&one.protocol_type)),
        };
        all.push(group::GroupListing::create(b, &args));
    }
    let args = group::ListGroupsReplyArgs { groups: Some(b.create_vector(&all)) };
    (wire::Answer::ListGroupsReply, group::ListGroupsReply::create(b, &args).as_union_value())
}

fn write_description(b: &mut Builder, reply: &DescribeGroupReply) -> AnswerOffset {
    let mut members = Vec::with_capacity(reply.members.len());
    for member in &reply.members {
        let mut reads = Vec::with_capacity(member.reads.len());
        for (topic, partitions) in &member.reads {
            let args = group::GroupShareArgs {
                topic: Some(b.create_string(topic)),
                partitions: Some(b.create_vector(partitions)),
            };
            reads.push(group::GroupShare::create(b, &args));
        }
        let reads = Some(b.create_vector(&reads));
        let args = group::GroupMemberArgs {
            member: Some(b.create_string(&member.member)),
            instance: member.instance.as_ref().map(|text| b.create_string(text)),
            client_id: Some(b.create_string(&member.client_id)),
            client_host: Some(b.create_string(&member.client_host)),
            epoch: member.epoch,
            reads,
        };
        members.push(group::GroupMember::create(b, &args));
    }
    let members = Some(b.create_vector(&members));
    let offsets = Some(write_offsets(b, &reply.offsets));
    let args = group::DescribeGroupReplyArgs {
        state: Some(b.create_string(&reply.state)),
        kind: Some(b.create_string(&reply.kind)),
        protocol_type: Some(b.create_string(&reply.protocol_type)),
        protocol: Some(b.create_string(&reply.protocol)),
        members,
        offsets,
    };
    let answer = group::DescribeGroupReply::create(b, &args);
    (wire::Answer::DescribeGroupReply, answer.as_union_value())
}
