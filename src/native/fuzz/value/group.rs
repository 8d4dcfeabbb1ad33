//! Random conversations of groups.

use bytes::Bytes;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{NodeId, PartitionId, ShardId};

use super::Dice;
use crate::reply::Door;
use crate::reply::group::{
    CommittedOffset, DescribedGroup, DescribedMember, GroupMember, GroupReply, JoinRefusal,
    JoinedGroup, ListedGroup, SyncedGroup,
};
use crate::request::group::{
    CommitOffsets, FetchOffsets, GroupCall, GroupProtocol, JoinGroup, LeaveGroup, LeavingMember,
    ListGroups, MemberOfGroup, OffsetToCommit, SyncGroup,
};

impl Dice {
    fn opaque(&mut self) -> Bytes {
        (0..self.below(30)).map(|_| self.byte()).collect()
    }

    fn member_of_group(&mut self) -> MemberOfGroup {
        MemberOfGroup {
            group: self.text(),
            member: self.text(),
            instance: self.maybe(Self::text),
            generation: self.maybe(|d| d.u32() >> 1),
        }
    }

    pub(super) fn group_call(&mut self) -> GroupCall {
        match self.below(10) {
            0 => GroupCall::Find(self.text()),
            1 => GroupCall::Join(JoinGroup {
                group: self.text(),
                member: self.text(),
                instance: self.maybe(Self::text),
                session_timeout_ms: self.u32(),
                rebalance_timeout_ms: self.u32(),
                protocol_type: self.text(),
                protocols: self.many(|d| GroupProtocol { name: d.text(), metadata: d.opaque() }),
                reason: self.text(),
            }),
            2 => GroupCall::Sync(SyncGroup {
                who: self.member_of_group(),
                protocol_type: self.text(),
                protocol: self.text(),
                assignments: self.many(|d| (d.text(), d.opaque())),
            }),
            3 => GroupCall::Heartbeat(self.member_of_group()),
            4 => GroupCall::Leave(LeaveGroup {
                group: self.text(),
                members: self.many(|d| LeavingMember {
                    member: d.text(),
                    instance: d.maybe(Self::text),
                    reason: d.text(),
                }),
            }),
            5 => GroupCall::CommitOffsets(CommitOffsets {
                who: self.member_of_group(),
                offsets: self.many(|d| OffsetToCommit {
                    topic: d.name(),
                    partition: PartitionId::new(d.u32()),
                    offset: d.offset(),
                    leader_epoch: d.maybe(Self::epoch),
                    metadata: d.text(),
                }),
            }),
            6 => GroupCall::FetchOffsets(FetchOffsets {
                group: self.text(),
                partitions: self.maybe(|d| d.many(|d| (d.name(), PartitionId::new(d.u32())))),
            }),
            7 => GroupCall::List(ListGroups {
                states: self.many(Self::text),
                kinds: self.many(Self::text),
            }),
            8 => GroupCall::Describe(self.text()),
            _ => GroupCall::Delete(self.text()),
        }
    }

    fn outcome_code(&mut self) -> ErrorCode {
        self.maybe(Self::code).unwrap_or(ErrorCode::None)
    }

    pub(super) fn group_reply(&mut self) -> GroupReply {
        match self.below(10) {
            0 => GroupReply::Find(Door {
                node: NodeId::new(self.u32()),
                shard: ShardId::new(self.u16()),
                host: self.text(),
                port: self.u16(),
            }),
            1 => GroupReply::Join(self.joined()),
            2 => GroupReply::Sync(SyncedGroup {
                protocol_type: self.text(),
                protocol: self.text(),
                assignment: self.opaque(),
            }),
            3 => GroupReply::Heartbeat,
            4 => GroupReply::Leave(self.many(Self::outcome_code)),
            5 => GroupReply::CommitOffsets(self.many(Self::outcome_code)),
            6 => GroupReply::FetchOffsets(self.many(|d| CommittedOffset {
                topic: d.name(),
                partition: PartitionId::new(d.u32()),
                error: d.outcome_code(),
                offset: d.maybe(Self::offset),
                leader_epoch: d.maybe(Self::epoch),
                metadata: d.text(),
            })),
            7 => GroupReply::List(self.many(|d| ListedGroup {
                group: d.text(),
                kind: d.text(),
                state: d.text(),
                protocol_type: d.text(),
            })),
            8 => GroupReply::Describe(DescribedGroup {
                kind: self.text(),
                state: self.text(),
                protocol_type: self.text(),
                protocol: self.text(),
                members: self.many(|d| DescribedMember {
                    member: d.text(),
                    instance: d.maybe(Self::text),
                    client_id: d.text(),
                    client_host: d.text(),
                    metadata: d.opaque(),
                    assignment: d.opaque(),
                }),
            }),
            _ => GroupReply::Delete,
        }
    }

    fn joined(&mut self) -> Result<JoinedGroup, JoinRefusal> {
        if self.flag() {
            return Err(JoinRefusal { refusal: self.refusal(), member: self.text() });
        }
        Ok(JoinedGroup {
            member: self.text(),
            generation: self.u32() >> 1,
            protocol_type: self.text(),
            protocol: self.text(),
            leader: self.text(),
            skip_assignment: self.flag(),
            members: self.many(|d| GroupMember {
                member: d.text(),
                instance: d.maybe(Self::text),
                metadata: d.opaque(),
            }),
        })
    }
}
