//! Requests about groups, to and from headers.

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, UnionWIPOffset, Vector, WIPOffset};
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, PartitionId, TopicId, TopicName};
use kolk_model::limits::{REQUEST_PARTITIONS_MAX, REQUEST_TOPICS_MAX};
use kolk_model::offset::Offset;

use super::{
    CommitOffsets, FetchOffsets, GROUP_TEXT_BYTES_MAX, GroupHeartbeat, GroupOffset, OwnedPartitions,
};
use crate::frame_generated as wire;
use crate::group_generated as group;
use crate::ids_generated as ids;
use crate::request::Request;

type Builder = FlatBufferBuilder<'static>;
type CallOffset = (wire::Call, WIPOffset<UnionWIPOffset>);
type Tables<'a, T> = Vector<'a, ForwardsUOffset<T>>;
type TablesOffset<T> = WIPOffset<Vector<'static, ForwardsUOffset<T>>>;
type Fault = (ErrorCode, String);

fn invalid(detail: String) -> Fault {
    (ErrorCode::InvalidRequest, detail)
}

fn text(text: &str) -> Result<String, Fault> {
    if text.len() > GROUP_TEXT_BYTES_MAX {
        return Err(invalid(format!("an id of {} bytes is too long", text.len())));
    }
    Ok(text.to_owned())
}

fn optional(given: Option<&str>) -> Result<Option<String>, Fault> {
    given.map(text).transpose()
}

fn bounded(what: &str, count: usize, most: usize) -> Result<(), Fault> {
    if count <= most {
        return Ok(());
    }
    Err(invalid(format!("{count} {what} in one request, at most {most} are accepted")))
}

/// Reads a call about groups; `None` if it is another one.
pub(crate) fn read(root: &wire::Request<'_>) -> Result<Option<Request>, Fault> {
    if root.call_as_list_groups().is_some() {
        return Ok(Some(Request::ListGroups));
    }
    if let Some(call) = root.call_as_describe_group() {
        return Ok(Some(Request::DescribeGroup(text(call.group())?)));
    }
    if let Some(call) = root.call_as_delete_group() {
        return Ok(Some(Request::DeleteGroup(text(call.group())?)));
    }
    if let Some(call) = root.call_as_commit_offsets() {
        let commit = CommitOffsets {
            group: text(call.group())?,
            member: text(call.member().unwrap_or_default())?,
            instance: optional(call.instance())?,
            epoch: call.epoch(),
            offsets: read_offsets(call.offsets())?,
        };
        return Ok(Some(Request::CommitOffsets(commit)));
    }
    if let Some(call) = root.call_as_fetch_offsets() {
        let fetch = FetchOffsets {
            group: text(call.group())?,
            member: text(call.member().unwrap_or_default())?,
            epoch: call.epoch(),
        };
        return Ok(Some(Request::FetchOffsets(fetch)));
    }
    match root.call_as_group_heartbeat() {
        Some(call) => read_heartbeat(&call).map(Request::GroupHeartbeat).map(Some),
        None => Ok(None),
    }
}

fn read_offsets(
    offsets: Option<Tables<'_, group::GroupOffset<'_>>>,
) -> Result<Vec<GroupOffset>, Fault> {
    bounded("offsets", offsets.map_or(0, |list| list.len()), REQUEST_PARTITIONS_MAX)?;
    let one = |one: group::GroupOffset<'_>| {
        Ok(GroupOffset {
            topic: TopicName::new(one.topic())
                .map_err(|error| (ErrorCode::InvalidTopic, error.to_string()))?,
            partition: PartitionId::new(one.partition()),
            offset: Offset::from_wire(one.offset())
                .ok_or_else(|| invalid("an offset below 0".to_owned()))?,
            leader_epoch: LeaderEpoch::from_wire(one.leader_epoch()),
            metadata: one.metadata().unwrap_or_default().to_owned(),
        })
    };
    offsets.into_iter().flatten().map(one).collect()
}

fn read_heartbeat(call: &group::GroupHeartbeat<'_>) -> Result<GroupHeartbeat, Fault> {
    let topics = call.topics();
    bounded("topics", topics.map_or(0, |list| list.len()), REQUEST_TOPICS_MAX)?;
    let topics = topics.map(|list| list.iter().map(text).collect::<Result<_, _>>()).transpose()?;
    let owned = call.owned();
    bounded("topics", owned.map_or(0, |list| list.len()), REQUEST_TOPICS_MAX)?;
    let partitions: usize =
        owned.into_iter().flatten().map(|one| one.partitions().map_or(0, |all| all.len())).sum();
    bounded("partitions", partitions, REQUEST_PARTITIONS_MAX)?;
    Ok(GroupHeartbeat {
        group: text(call.group())?,
        member: text(call.member())?,
        epoch: call.epoch(),
        instance: optional(call.instance())?,
        rack: optional(call.rack())?,
        rebalance_timeout_ms: Some(call.rebalance_timeout_ms()).filter(|ms| *ms > 0),
        topics,
        pattern: optional(call.pattern())?,
        assignor: optional(call.assignor())?,
        owned: owned.map(read_owned),
    })
}

pub(super) fn read_owned(owned: Tables<'_, group::OwnedPartitions<'_>>) -> Vec<OwnedPartitions> {
    let one = |one: group::OwnedPartitions<'_>| OwnedPartitions {
        topic: TopicId::new(one.topic().0),
        partitions: one.partitions().into_iter().flatten().collect(),
    };
    owned.iter().map(one).collect()
}

/// Writes a call about groups; `None` if it is another one.
pub(crate) fn write(b: &mut Builder, request: &Request) -> Option<CallOffset> {
    Some(match request {
        Request::ListGroups => {
            let call = group::ListGroups::create(b, &group::ListGroupsArgs {});
            (wire::Call::ListGroups, call.as_union_value())
        }
        Request::DescribeGroup(id) => {
            let id = Some(b.create_string(id));
            let call = group::DescribeGroup::create(b, &group::DescribeGroupArgs { group: id });
            (wire::Call::DescribeGroup, call.as_union_value())
        }
        Request::DeleteGroup(id) => {
            let id = Some(b.create_string(id));
            let call = group::DeleteGroup::create(b, &group::DeleteGroupArgs { group: id });
            (wire::Call::DeleteGroup, call.as_union_value())
        }
        Request::CommitOffsets(call) => {
            let offsets = Some(write_offsets(b, &call.offsets));
            let args = group::CommitOffsetsArgs {
                group: Some(b.create_string(&call.group)),
                member: Some(b.create_string(&call.member)),
                instance: call.instance.as_ref().map(|text| b.create_string(text)),
                epoch: call.epoch,
                offsets,
            };
            let call = group::CommitOffsets::create(b, &args);
            (wire::Call::CommitOffsets, call.as_union_value())
        }
        Request::FetchOffsets(call) => {
            let args = group::FetchOffsetsArgs {
                group: Some(b.create_string(&call.group)),
                member: Some(b.create_string(&call.member)),
                epoch: call.epoch,
            };
            let call = group::FetchOffsets::create(b, &args);
            (wire::Call::FetchOffsets, call.as_union_value())
        }
        Request::GroupHeartbeat(call) => write_heartbeat(b, call),
        _ => return None,
    })
}

pub(super) fn write_offsets(
    b: &mut Builder,
    offsets: &[GroupOffset],
) -> TablesOffset<group::GroupOffset<'static>> {
    let mut all = Vec::with_capacity(offsets.len());
    for one in offsets {
        let args = group::GroupOffsetArgs {
            topic: Some(b.create_string(one.topic.as_str())),
            partition: one.partition.get(),
            offset: one.offset.to_wire(),
            leader_epoch: one.leader_epoch.map_or(-1, LeaderEpoch::to_wire),
            metadata: Some(b.create_string(&one.metadata)),
        };
        all.push(group::GroupOffset::create(b, &args));
    }
    b.create_vector(&all)
}

pub(super) fn write_owned(
    b: &mut Builder,
    owned: &[OwnedPartitions],
) -> TablesOffset<group::OwnedPartitions<'static>> {
    let mut all = Vec::with_capacity(owned.len());
    for one in owned {
        let partitions = Some(b.create_vector(&one.partitions));
        let topic = ids::TopicId(one.topic.get());
        let args = group::OwnedPartitionsArgs { topic: Some(&topic), partitions };
        all.push(group::OwnedPartitions::create(b, &args));
    }
    b.create_vector(&all)
}

fn write_heartbeat(b: &mut Builder, call: &GroupHeartbeat) -> CallOffset {
    let topics = call.topics.as_ref().map(|topics| {
        let names: Vec<_> = topics.iter().map(|topic| b.create_string(topic)).collect();
        b.create_vector(&names)
    });
    let owned = call.owned.as_ref().map(|owned| write_owned(b, owned));
    let args = group::GroupHeartbeatArgs {
        group: Some(b.create_string(&call.group)),
        member: Some(b.create_string(&call.member)),
        epoch: call.epoch,
        instance: call.instance.as_ref().map(|text| b.create_string(text)),
        rack: call.rack.as_ref().map(|text| b.create_string(text)),
        rebalance_timeout_ms: call.rebalance_timeout_ms.unwrap_or(0),
        topics,
        pattern: call.pattern.as_ref().map(|text| b.create_string(text)),
        assignor: call.assignor.as_ref().map(|text| b.create_string(text)),
        owned,
    };
    (wire::Call::GroupHeartbeat, group::GroupHeartbeat::create(b, &args).as_union_value())
}
