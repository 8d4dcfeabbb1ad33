//! What a group is made of, of either of Kafka's protocols. Apart because one of them has to be put into the words
//! of the other: clients read one form of assignment.

use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};
use kolk_io::door::Net;
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;
use kolk_native::reply::Reply;
use kolk_native::reply::group::{DescribedGroup, DescribedMember, GroupReply};
use kolk_shard::group::answer::{self, DescribedConsumers, GroupAnswer, GroupKind};
use kolk_shard::group::ids::GroupId;
use kolk_shard::group::request::GroupRequest;
use kolk_shard::metadata::Metadata;

use super::refused;
use crate::native::calls::Calls;

/// What the members of a consumer group are, as members of classic groups say it.
const CONSUMER: &str = "consumer";

impl<N: Net> Calls<N> {
    pub(super) async fn describe(self: Rc<Self>, group: &str) -> Reply {
        let group = GroupId::new(group);
        match self.shard.group(GroupRequest::Describe(group.clone())).await {
            GroupAnswer::Describe(Ok(found)) => return described(classic(found)),
            GroupAnswer::Describe(Err(ErrorCode::GroupIdNotFound)) => {}
            GroupAnswer::Describe(Err(code)) => return refused(code),
            _ => return refused(ErrorCode::CoordinatorNotAvailable),
        }
        // There is none of the classic protocol: perhaps there is one of the other.
        match self.shard.group(GroupRequest::ConsumerDescribe(group)).await {
            GroupAnswer::ConsumerDescribe(Ok(found)) => {
                described(consumers(&self.shard.metadata(), found))
            }
            GroupAnswer::ConsumerDescribe(Err(code)) => refused(code),
            _ => refused(ErrorCode::CoordinatorNotAvailable),
        }
    }
}

fn described(group: DescribedGroup) -> Reply {
    Reply::Group(GroupReply::Describe(group))
}

fn classic(group: answer::DescribedGroup) -> DescribedGroup {
    let members = group.members.into_iter().map(|member| DescribedMember {
        member: member.member.to_string(),
        instance: member.instance.map(|instance| instance.to_string()),
        client_id: member.client_id,
        client_host: member.client_host,
        metadata: member.metadata,
        assignment: member.assignment,
    });
    DescribedGroup {
        kind: GroupKind::Classic.name().to_owned(),
        state: group.state.name().to_owned(),
        protocol_type: group.protocol_type,
        protocol: group.protocol,
        members: members.collect(),
    }
}

fn consumers(metadata: &Metadata, group: DescribedConsumers) -> DescribedGroup {
    let members = group.members.into_iter().map(|member| DescribedMember {
        member: member.member.to_string(),
        instance: member.instance.map(|instance| instance.to_string()),
        client_id: member.client_id,
        client_host: member.client_host,
        metadata: Bytes::new(),
        assignment: assignment(metadata, &member.assigned),
    });
    DescribedGroup {
        kind: GroupKind::Consumer.name().to_owned(),
        state: group.state.name().to_owned(),
        protocol_type: CONSUMER.to_owned(),
        protocol: group.assignor,
        members: members.collect(),
    }
}

/// An assignment as consumers of classic groups get it: `version i16 · [topic text · partitions [i32]] · user bytes`,
/// big-endian, counts i32, length of a text i16. Topics that are gone are left out.
fn assignment(metadata: &Metadata, assigned: &[(TopicId, Vec<i32>)]) -> Bytes {
    let named: Vec<_> = assigned
        .iter()
        .filter_map(|(id, partitions)| Some((metadata.topic(*id)?.name.as_str(), partitions)))
        .collect();
    let count = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(count(named.len()));
    for (topic, partitions) in named {
        // A topic's name has 249 bytes at most.
        out.put_i16(i16::try_from(topic.len()).unwrap_or(i16::MAX));
        out.put_slice(topic.as_bytes());
        out.put_i32(count(partitions.len()));
        partitions.iter().for_each(|partition| out.put_i32(*partition));
    }
    out.put_i32(-1);
    out.freeze()
}
