//! What the native calls about groups do: the same coordinators as the Kafka wire's, asked in the same words.

use std::future::Future;
use std::pin::Pin;

use kolk_io::door::Net;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicName};
use kolk_native::reply::{
    CommitOffsetsReply, DescribeGroupReply, GroupHeartbeatReply, GroupListing, GroupMember,
    GroupOffset, OwnedPartitions, Refusal, Reply,
};
use kolk_native::request::{CommitOffsets, FetchOffsets, GroupHeartbeat, Request};
use kolk_shard::group::answer::{
    DescribedConsumers, DescribedGroup, FetchedOffsets, GroupAnswer, Heard,
};
use kolk_shard::group::ids::{GroupId, InstanceId, MemberId};
use kolk_shard::group::request::{self as ask, Client, GroupRequest, ListFilter, OffsetToCommit};
use kolk_shard::metadata::Metadata;
use kolk_shard::shard::{GroupsOf, Shard};

/// The reply to come.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Reply, Refusal>>>>;

/// Begins a call about groups. What it asks of a coordinator is asked now, in the order of the calls.
pub(super) fn begin<N: Net>(shard: &Shard<N>, client: &Client, request: Request) -> Answering {
    match request {
        Request::ListGroups => Box::pin(list(shard.clone())),
        Request::DescribeGroup(group) => Box::pin(describe(shard.clone(), GroupId::from(group))),
        Request::DeleteGroup(group) => {
            let asked = shard.group(GroupRequest::Delete(GroupId::from(group)));
            Box::pin(async move {
                match asked.await {
                    GroupAnswer::Delete(deleted) => {
                        deleted.map(|()| Reply::DeleteGroup).map_err(refusal)
                    }
                    _ => Err(unavailable()),
                }
            })
        }
        Request::CommitOffsets(call) => commit(shard, call),
        Request::FetchOffsets(FetchOffsets { group, member, epoch }) => {
            let member = Some(MemberId::from(member)).filter(|member| !member.is_empty());
            let asked = offsets(shard, GroupId::from(group), member, epoch);
            Box::pin(async move { asked.await.map(Reply::FetchOffsets) })
        }
        Request::GroupHeartbeat(call) => heartbeat(shard, client, call),
        _ => Box::pin(async { Err(unavailable()) }),
    }
}

fn refusal(code: ErrorCode) -> Refusal {
    Refusal::new(code, code.hint())
}

fn unavailable() -> Refusal {
    refusal(ErrorCode::CoordinatorNotAvailable)
}

async fn list<N: Net>(shard: Shard<N>) -> Result<Reply, Refusal> {
    let listed = shard.list_groups(ListFilter::default(), GroupsOf::Node).await;
    let mut groups = listed.map_err(refusal)?;
    groups.sort_by(|a, b| a.group.cmp(&b.group));
    let one = |one: kolk_shard::group::answer::ListedGroup| GroupListing {
        group: one.group.to_string(),
        state: one.state.name().to_owned(),
        kind: one.kind.name().to_owned(),
        protocol_type: one.protocol_type,
    };
    Ok(Reply::ListGroups(groups.into_iter().map(one).collect()))
}

async fn describe<N: Net>(shard: Shard<N>, group: GroupId) -> Result<Reply, Refusal> {
    let metadata = shard.metadata();
    let reply = match shard.group(GroupRequest::Describe(group.clone())).await {
        GroupAnswer::Describe(Ok(described)) => classic(described),
        GroupAnswer::Describe(Err(ErrorCode::GroupIdNotFound)) => {
            match shard.group(GroupRequest::ConsumerDescribe(group.clone())).await {
                GroupAnswer::ConsumerDescribe(described) => {
                    consumers(&metadata, described.map_err(refusal)?)
                }
                _ => return Err(unavailable()),
            }
        }
        GroupAnswer::Describe(Err(code)) => return Err(refusal(code)),
        _ => return Err(unavailable()),
    };
    let offsets = offsets(&shard, group, None, -1).await?;
    Ok(Reply::DescribeGroup(DescribeGroupReply { offsets, ..reply }))
}

fn classic(described: DescribedGroup) -> DescribeGroupReply {
    let members = described.members.into_iter().map(|member| GroupMember {
        member: member.member.to_string(),
        instance: member.instance.map(|instance| instance.to_string()),
        client_id: member.client_id,
        client_host: member.client_host,
        epoch: -1,
        reads: read_assignment(&member.assignment).unwrap_or_default(),
    });
    DescribeGroupReply {
        state: described.state.name().to_owned(),
        kind: "classic".to_owned(),
        protocol_type: described.protocol_type,
        protocol: described.protocol,
        members: members.collect(),
        offsets: Vec::new(),
    }
}

/// A consumer's assignment as its leader wrote it (Kafka's consumer protocol): `version 2 · topics`, each topic
/// `length 2 · name · count 4 · partitions 4 each`.
fn read_assignment(bytes: &[u8]) -> Option<Vec<(String, Vec<u32>)>> {
    fn array<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
        let (head, more) = rest.split_first_chunk::<N>()?;
        *rest = more;
        Some(head)
    }
    let mut rest = bytes;
    let _version: &[u8; 2] = array(&mut rest)?;
    let mut topics = Vec::new();
    for _ in 0..i32::from_be_bytes(*array(&mut rest)?) {
        let length = usize::try_from(i16::from_be_bytes(*array(&mut rest)?)).ok()?;
        let (name, more) = rest.split_at_checked(length)?;
        rest = more;
        let mut partitions = Vec::new();
        for _ in 0..i32::from_be_bytes(*array(&mut rest)?) {
            partitions.push(u32::from_be_bytes(*array(&mut rest)?));
        }
        topics.push((std::str::from_utf8(name).ok()?.to_owned(), partitions));
    }
    Some(topics)
}

fn consumers(metadata: &Metadata, described: DescribedConsumers) -> DescribeGroupReply {
    let members = described.members.into_iter().map(|member| GroupMember {
        member: member.member.to_string(),
        instance: member.instance.map(|instance| instance.to_string()),
        client_id: member.client_id,
        client_host: member.client_host,
        epoch: member.epoch,
        reads: member
            .assigned
            .into_iter()
            .filter_map(|(topic, partitions)| {
                let name = metadata.topic(topic)?.name.to_string();
                Some((name, partitions.into_iter().map(i32::cast_unsigned).collect()))
            })
            .collect(),
    });
    DescribeGroupReply {
        state: described.state.name().to_owned(),
        kind: "consumer".to_owned(),
        protocol_type: "consumer".to_owned(),
        protocol: described.assignor,
        members: members.collect(),
        offsets: Vec::new(),
    }
}

fn offsets<N: Net>(
    shard: &Shard<N>,
    group: GroupId,
    member: Option<MemberId>,
    member_epoch: i32,
) -> impl Future<Output = Result<Vec<GroupOffset>, Refusal>> + use<N> {
    let asked = shard.group(GroupRequest::FetchOffsets(ask::FetchOffsets {
        group,
        member,
        member_epoch,
        topics: None,
        require_stable: true,
    }));
    async move {
        match asked.await {
            GroupAnswer::FetchOffsets(fetched) => {
                Ok(fetched.map_err(refusal)?.into_iter().flat_map(topic_offsets).collect())
            }
            _ => Err(unavailable()),
        }
    }
}

fn topic_offsets(fetched: FetchedOffsets) -> Vec<GroupOffset> {
    let Ok(topic) = TopicName::new(&fetched.topic) else { return Vec::new() };
    let one = |one: kolk_shard::group::answer::FetchedOffset| {
        let committed = one.committed?;
        Some(GroupOffset {
            topic: topic.clone(),
            partition: PartitionId::new(one.partition.cast_unsigned()),
            offset: committed.offset,
            leader_epoch: committed.leader_epoch,
            metadata: committed.metadata,
        })
    };
    fetched.partitions.into_iter().filter_map(one).collect()
}

/// Offsets of partitions that do not exist are refused here, the others are for the coordinator.
fn commit<N: Net>(shard: &Shard<N>, call: CommitOffsets) -> Answering {
    let metadata = shard.metadata();
    let exists = |offset: &GroupOffset| {
        let topic = metadata.topic_named(offset.topic.as_str());
        topic.is_some_and(|topic| offset.partition.get() < topic.partitions)
    };
    let known: Vec<bool> = call.offsets.iter().map(exists).collect();
    let wanted = call.offsets.into_iter().zip(&known).filter(|(_, known)| **known);
    let offsets = wanted.map(|(offset, _)| OffsetToCommit {
        topic: offset.topic,
        partition: offset.partition,
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata,
    });
    let asked = shard.group(GroupRequest::CommitOffsets(ask::CommitOffsets {
        group: GroupId::from(call.group),
        member: MemberId::from(call.member),
        instance: call.instance.map(InstanceId::from),
        generation_or_epoch: call.epoch,
        retention_ms: None,
        knows_stale_epoch: true,
        offsets: offsets.collect(),
    }));
    Box::pin(async move {
        let GroupAnswer::CommitOffsets(stored) = asked.await else { return Err(unavailable()) };
        let mut stored = stored.map_err(refusal)?.into_iter();
        let code = |known: bool| match known {
            true => stored.next().unwrap_or(ErrorCode::UnknownServerError),
            false => ErrorCode::UnknownTopicOrPartition,
        };
        Ok(Reply::CommitOffsets(CommitOffsetsReply {
            codes: known.into_iter().map(code).collect(),
        }))
    })
}

fn heartbeat<N: Net>(shard: &Shard<N>, client: &Client, call: GroupHeartbeat) -> Answering {
    let config = shard.metadata().group_config(&call.group);
    let owned = call.owned.map(|owned| {
        let signed = |one: OwnedPartitions| {
            (one.topic, one.partitions.into_iter().map(u32::cast_signed).collect())
        };
        owned.into_iter().map(signed).collect()
    });
    let asked = shard.group(GroupRequest::ConsumerHeartbeat(ask::ConsumerHeartbeat {
        group: GroupId::from(call.group),
        member: MemberId::from(call.member),
        epoch: call.epoch,
        instance: call.instance.map(InstanceId::from),
        rack: call.rack,
        client: client.clone(),
        rebalance_timeout_ms: call.rebalance_timeout_ms,
        topics: call.topics,
        pattern: call.pattern,
        assignor: call.assignor,
        owned,
        session_timeout_ms: config.consumer_session_timeout_ms,
        heartbeat_interval_ms: config.consumer_heartbeat_interval_ms,
    }));
    Box::pin(async move {
        match asked.await {
            GroupAnswer::ConsumerHeartbeat(Ok(heard)) => Ok(Reply::GroupHeartbeat(told(heard))),
            GroupAnswer::ConsumerHeartbeat(Err(why)) => Err(Refusal::new(why.code, why.why)),
            _ => Err(unavailable()),
        }
    })
}

fn told(heard: Heard) -> GroupHeartbeatReply {
    let owned = |(topic, partitions): (_, Vec<i32>)| OwnedPartitions {
        topic,
        partitions: partitions.into_iter().map(i32::cast_unsigned).collect(),
    };
    GroupHeartbeatReply {
        member: heard.member.to_string(),
        epoch: heard.epoch,
        heartbeat_interval_ms: heard.heartbeat_interval_ms,
        assignment: heard.assignment.map(|all| all.into_iter().map(owned).collect()),
    }
}
