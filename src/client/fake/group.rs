//! The fake broker's consumer groups: each of one member, who leads it and gets what it assigns. Apart because it knows
//! nothing of topics.

use bytes::Bytes;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{NodeId, PartitionId, ShardId, TopicName};
use kolk_model::map::Map;
use kolk_model::offset::Offset;
use kolk_native::reply::group::{
    CommittedOffset, GroupMember, GroupReply, JoinedGroup, SyncedGroup,
};
use kolk_native::reply::{Door, Refusal, Reply};
use kolk_native::request::group::GroupCall;

/// What the groups were asked, and what they keep.
#[derive(Default)]
pub(crate) struct Groups {
    pub(crate) joins: u32,
    pub(crate) heartbeats: usize,
    pub(crate) leaves: usize,
    pub(crate) committed: Map<(TopicName, PartitionId), Offset>,
    /// What every fetch of offsets is refused with.
    pub(crate) refuse_offsets: Option<ErrorCode>,
}

const MEMBER: &str = "member";

impl Groups {
    pub(crate) fn answer(&mut self, call: GroupCall, port: u16) -> Reply {
        let answer = match call {
            GroupCall::Find(_) => GroupReply::Find(Door {
                node: NodeId::new(0),
                shard: ShardId::new(0),
                host: "127.0.0.1".to_owned(),
                port,
            }),
            GroupCall::Join(join) => {
                self.joins += 1;
                let Some(protocol) = join.protocols.into_iter().next() else {
                    return Reply::Refused(Refusal::new(ErrorCode::InconsistentGroupProtocol, ""));
                };
                let metadata = protocol.metadata;
                let member = GroupMember { member: MEMBER.to_owned(), instance: None, metadata };
                GroupReply::Join(Ok(JoinedGroup {
                    member: MEMBER.to_owned(),
                    generation: self.joins,
                    protocol: protocol.name,
                    leader: MEMBER.to_owned(),
                    members: vec![member],
                    ..JoinedGroup::default()
                }))
            }
            GroupCall::Sync(sync) => {
                let own = sync.assignments.into_iter().next();
                let assignment = own.map_or_else(Bytes::new, |(_, assignment)| assignment);
                GroupReply::Sync(SyncedGroup { assignment, ..SyncedGroup::default() })
            }
            GroupCall::Heartbeat(_) => {
                self.heartbeats += 1;
                GroupReply::Heartbeat
            }
            GroupCall::Leave(leave) => {
                self.leaves += 1;
                GroupReply::Leave(vec![ErrorCode::None; leave.members.len()])
            }
            GroupCall::CommitOffsets(commit) => {
                let codes = vec![ErrorCode::None; commit.offsets.len()];
                let offsets = commit.offsets.into_iter();
                self.committed.extend(offsets.map(|one| ((one.topic, one.partition), one.offset)));
                GroupReply::CommitOffsets(codes)
            }
            GroupCall::FetchOffsets(fetch) => {
                let error = self.refuse_offsets.unwrap_or(ErrorCode::None);
                let asked = fetch.partitions.unwrap_or_default().into_iter();
                let one = |(topic, partition): (TopicName, PartitionId)| CommittedOffset {
                    offset: self.committed.get(&(topic.clone(), partition)).copied(),
                    topic,
                    partition,
                    error,
                    leader_epoch: None,
                    metadata: String::new(),
                };
                GroupReply::FetchOffsets(asked.map(one).collect())
            }
            _ => return Reply::Refused(Refusal::new(ErrorCode::UnsupportedVersion, "")),
        };
        Reply::Group(answer)
    }
}
