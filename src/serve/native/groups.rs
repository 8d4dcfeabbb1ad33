//! The calls about consumer groups: to the group's coordinator on whichever shard, and its answer back. Apart
//! from the other calls because they share nothing with them.

mod describe;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use kolk_io::door::Net;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicName};
use kolk_model::map::{Map, Set};
use kolk_native::reply::group::{
    CommittedOffset, GroupMember, GroupReply, JoinRefusal, JoinedGroup, ListedGroup, SyncedGroup,
};
use kolk_native::reply::{Door, Refusal, Reply};
use kolk_native::request::group::{
    CommitOffsets, FetchOffsets, GroupCall, JoinGroup, LeaveGroup, ListGroups, MemberOfGroup,
    SyncGroup,
};
use kolk_shard::group::answer::{self, FetchedOffsets, GroupAnswer, JoinRefused, Joined};
use kolk_shard::group::ids::{Generation, GroupId, InstanceId, MemberId};
use kolk_shard::group::request::{self, Client, GroupRequest, ListFilter, OffsetsOfTopic};
use kolk_shard::shard::GroupsOf;

use super::calls::{Begun, Calls};
use super::translate;
use kolk_connection::outbox::Outbox;

/// Who asks about groups, and how it reaches this node.
pub(crate) struct Asker {
    pub(crate) client: Rc<Client>,
    pub(crate) host: Rc<str>,
}

impl<N: Net> Calls<N> {
    /// Begins a call about a group: it is with the coordinator when this returns, so calls of one connection
    /// take effect in their order.
    pub(super) fn group(
        self: Rc<Self>,
        begun: Begun,
        call: GroupCall,
        asker: Asker,
        outbox: &Outbox,
    ) {
        let request = match call {
            GroupCall::Find(group) => {
                let calls = Rc::clone(&self);
                let found = async move { calls.find_group(&group, &asker.host).await };
                return self.later(begun, outbox, found);
            }
            GroupCall::List(ListGroups { states, kinds }) => {
                let filter = ListFilter { states, types: kinds };
                let listing = self.shard.list_groups(filter, GroupsOf::Node);
                return self.later(begun, outbox, async move {
                    match listing.await {
                        Ok(groups) => Reply::Group(GroupReply::List(listed(groups))),
                        Err(code) => refused(code),
                    }
                });
            }
            GroupCall::CommitOffsets(commit) => return self.commit(begun, commit, outbox),
            GroupCall::Join(join) => GroupRequest::Join(joining(join, &asker.client)),
            GroupCall::Sync(sync) => GroupRequest::Sync(syncing(sync)),
            GroupCall::Heartbeat(who) => GroupRequest::Heartbeat(request::Heartbeat {
                generation: generation(&who),
                instance: who.instance.map(InstanceId::from),
                group: GroupId::from(who.group),
                member: MemberId::from(who.member),
            }),
            GroupCall::Leave(leave) => GroupRequest::Leave(leaving(leave)),
            GroupCall::FetchOffsets(fetch) => GroupRequest::FetchOffsets(fetching(fetch)),
            GroupCall::Describe(group) => {
                let calls = Rc::clone(&self);
                return self.later(begun, outbox, async move { calls.describe(&group).await });
            }
            GroupCall::Delete(group) => GroupRequest::Delete(GroupId::from(group)),
        };
        let asked = unless_over(self.shard.group(request), outbox);
        self.later(begun, outbox, async move {
            match asked.await {
                Some(answer) => reply(answer),
                None => refused(ErrorCode::CoordinatorNotAvailable),
            }
        });
    }

    async fn find_group(&self, group: &str, host: &str) -> Reply {
        let owner = match self.shard.find_group(&GroupId::new(group)).await {
            Ok(owner) => owner,
            Err(refusal) => return Reply::Refused(translate::refusal(refusal)),
        };
        match self.identity.doors().find(|(shard, _)| *shard == owner) {
            Some((shard, port)) => {
                let (node, host) = (self.identity.node(), host.to_owned());
                Reply::Group(GroupReply::Find(Door { node, shard, host, port }))
            }
            None => refused(ErrorCode::CoordinatorNotAvailable),
        }
    }

    /// Offsets of partitions that do not exist are refused here, the others are for the coordinator.
    fn commit(self: Rc<Self>, begun: Begun, commit: CommitOffsets, outbox: &Outbox) {
        let metadata = self.shard.metadata();
        let (mut refusals, mut offsets) = (Vec::with_capacity(commit.offsets.len()), Vec::new());
        for offset in commit.offsets {
            let topic = metadata.topic_named(offset.topic.as_str());
            let Some(topic) = topic.filter(|topic| offset.partition.get() < topic.partitions)
            else {
                refusals.push(Some(ErrorCode::UnknownTopicOrPartition));
                continue;
            };
            refusals.push(None);
            offsets.push(request::OffsetToCommit {
                topic: offset.topic,
                topic_id: topic.id,
                partition: offset.partition,
                offset: offset.offset,
                leader_epoch: offset.leader_epoch,
                metadata: offset.metadata,
            });
        }
        // With nothing left to store the member is checked all the same.
        let generation_or_epoch = generation(&commit.who).map_or(-1, Generation::to_wire);
        let asked = self.shard.group(GroupRequest::CommitOffsets(request::CommitOffsets {
            group: GroupId::from(commit.who.group),
            member: MemberId::from(commit.who.member),
            instance: commit.who.instance.map(InstanceId::from),
            generation_or_epoch,
            retention_ms: None,
            knows_stale_epoch: true,
            offsets,
        }));
        self.later(begun, outbox, async move {
            let mut codes = match asked.await {
                GroupAnswer::CommitOffsets(Ok(codes)) => codes.into_iter(),
                GroupAnswer::CommitOffsets(Err(code)) => return refused(code),
                _ => return refused(ErrorCode::CoordinatorNotAvailable),
            };
            let code = |refusal: Option<ErrorCode>| refusal.or_else(|| codes.next());
            let codes = refusals.into_iter().map(code);
            let codes = codes.map(|code| code.unwrap_or(ErrorCode::UnknownServerError));
            Reply::Group(GroupReply::CommitOffsets(codes.collect()))
        });
    }
}

/// Waits for what may take its time, a rebalance; `None` when the broker stops or the client ends its side before.
fn unless_over<F: Future>(
    wait: F,
    outbox: &Outbox,
) -> impl Future<Output = Option<F::Output>> + use<F> {
    let is_waiting_over = outbox.is_waiting_over();
    async move {
        let mut wait = pin!(wait);
        poll_fn(|context| match wait.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if is_waiting_over.get() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

fn generation(who: &MemberOfGroup) -> Option<Generation> {
    who.generation.map(Generation::new)
}

fn joining(join: JoinGroup, client: &Client) -> request::JoinGroup {
    let protocols = join.protocols.into_iter();
    let protocols = protocols
        .map(|protocol| request::Protocol { name: protocol.name, metadata: protocol.metadata });
    request::JoinGroup {
        group: GroupId::from(join.group),
        member: MemberId::from(join.member),
        instance: join.instance.map(InstanceId::from),
        client: client.clone(),
        session_timeout_ms: join.session_timeout_ms,
        rebalance_timeout_ms: join.rebalance_timeout_ms,
        protocol_type: join.protocol_type,
        protocols: protocols.collect(),
        knows_member_id_required: true,
        knows_skip_assignment: true,
        reason: Some(join.reason).filter(|reason| !reason.is_empty()),
    }
}

fn syncing(sync: SyncGroup) -> request::SyncGroup {
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let shares = sync.assignments.into_iter();
    request::SyncGroup {
        generation: generation(&sync.who),
        group: GroupId::from(sync.who.group),
        member: MemberId::from(sync.who.member),
        instance: sync.who.instance.map(InstanceId::from),
        protocol_type: given(sync.protocol_type),
        protocol: given(sync.protocol),
        assignments: shares.map(|(member, share)| (MemberId::from(member), share)).collect(),
    }
}

fn leaving(leave: LeaveGroup) -> request::LeaveGroup {
    let members = leave.members.into_iter().map(|one| request::Leaving {
        member: MemberId::from(one.member),
        instance: one.instance.map(InstanceId::from),
        reason: Some(one.reason).filter(|reason| !reason.is_empty()),
    });
    request::LeaveGroup { group: GroupId::from(leave.group), members: members.collect() }
}

fn fetching(fetch: FetchOffsets) -> request::FetchOffsets {
    let topics = fetch.partitions.map(|partitions| {
        let mut topics: Map<TopicName, Vec<i32>> = Map::new();
        // Each once: a number is short, and the words committed with an offset may be long.
        let mut seen = Set::new();
        for (topic, partition) in partitions {
            // A number beyond the wire's has no offset, as -1 has none.
            let number = i32::try_from(partition.get()).unwrap_or(-1);
            if seen.insert((topic.clone(), number)) {
                topics.entry(topic).or_default().push(number);
            }
        }
        let one = |(topic, partitions): (TopicName, Vec<i32>)| OffsetsOfTopic {
            topic: Arc::from(topic.as_str()),
            partitions,
        };
        topics.into_iter().map(one).collect()
    });
    request::FetchOffsets {
        group: GroupId::from(fetch.group),
        member: None,
        member_epoch: -1,
        topics,
        require_stable: true,
    }
}

fn reply(answer: GroupAnswer) -> Reply {
    let reply = match answer {
        GroupAnswer::Join(joined) => GroupReply::Join(joined.map_or_else(
            |JoinRefused { code, member }| {
                let refusal = Refusal::new(code, code.hint());
                Err(JoinRefusal { refusal, member: member.to_string() })
            },
            |joined| Ok(self::joined(joined)),
        )),
        GroupAnswer::Sync(Ok(synced)) => GroupReply::Sync(SyncedGroup {
            protocol_type: synced.protocol_type.unwrap_or_default(),
            protocol: synced.protocol.unwrap_or_default(),
            assignment: synced.assignment,
        }),
        GroupAnswer::Heartbeat(Ok(())) => GroupReply::Heartbeat,
        GroupAnswer::Leave(Ok(left)) => {
            GroupReply::Leave(left.into_iter().map(|one| one.code).collect())
        }
        GroupAnswer::FetchOffsets(Ok(topics)) => {
            GroupReply::FetchOffsets(topics.into_iter().flat_map(committed).collect())
        }
        GroupAnswer::Delete(Ok(())) => GroupReply::Delete,
        GroupAnswer::Sync(Err(code))
        | GroupAnswer::Heartbeat(Err(code))
        | GroupAnswer::Leave(Err(code))
        | GroupAnswer::FetchOffsets(Err(code))
        | GroupAnswer::Delete(Err(code)) => return refused(code),
        _ => return refused(ErrorCode::CoordinatorNotAvailable),
    };
    Reply::Group(reply)
}

fn joined(joined: Joined) -> JoinedGroup {
    let members = joined.members.into_iter().map(|member| GroupMember {
        member: member.member.to_string(),
        instance: member.instance.map(|instance| instance.to_string()),
        metadata: member.metadata,
    });
    JoinedGroup {
        member: joined.member.to_string(),
        generation: joined.generation.get(),
        protocol_type: joined.protocol_type.unwrap_or_default(),
        protocol: joined.protocol.unwrap_or_default(),
        leader: joined.leader.to_string(),
        skip_assignment: joined.skip_assignment,
        members: members.collect(),
    }
}

/// The offsets of a topic. One whose name or number can't be was not committed here, and is left out.
fn committed(fetched: FetchedOffsets) -> impl Iterator<Item = CommittedOffset> {
    let topic = TopicName::new(&fetched.topic).ok();
    fetched.partitions.into_iter().filter_map(move |one| {
        let stored = one.committed;
        Some(CommittedOffset {
            topic: topic.clone()?,
            partition: PartitionId::new(u32::try_from(one.partition).ok()?),
            error: one.code,
            offset: stored.as_ref().map(|stored| stored.offset),
            leader_epoch: stored.as_ref().and_then(|stored| stored.leader_epoch),
            metadata: stored.map(|stored| stored.metadata).unwrap_or_default(),
        })
    })
}

fn listed(groups: Vec<answer::ListedGroup>) -> Vec<ListedGroup> {
    let one = |group: answer::ListedGroup| ListedGroup {
        group: group.group.to_string(),
        kind: group.kind.name().to_owned(),
        state: group.state.name().to_owned(),
        protocol_type: group.protocol_type,
    };
    groups.into_iter().map(one).collect()
}

fn refused(code: ErrorCode) -> Reply {
    Reply::Refused(Refusal::new(code, code.hint()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_fetched_once() {
        let one = |topic: &str, number| (TopicName::new(topic).unwrap(), PartitionId::new(number));
        let partitions = [vec![one("b", 1); 500], vec![one("a", 0), one("b", 0), one("b", 1)]];
        let fetch = FetchOffsets { group: "g".to_owned(), partitions: Some(partitions.concat()) };
        let topics = fetching(fetch).topics.unwrap();
        let asked: Vec<_> = topics.iter().map(|t| (&*t.topic, t.partitions.clone())).collect();
        assert_eq!(asked, [("a", vec![0]), ("b", vec![1, 0])]);
    }
}
