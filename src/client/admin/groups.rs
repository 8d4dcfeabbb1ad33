//! Consumer groups, from outside: which there are, how far they are, and how that is changed.

pub(crate) mod protocol;

use std::time::Duration;

use kolk_model::ids::{PartitionId, TopicName};
use kolk_model::offset::Offset;
use kolk_native::reply::Reply;
use kolk_native::reply::group::{CommittedOffset, DescribedMember, GroupReply, ListedGroup};
use kolk_native::request::Request;
use kolk_native::request::group::{
    CommitOffsets, FetchOffsets, GroupCall, ListGroups, MemberOfGroup, OffsetToCommit,
};

use self::protocol::read_assignment;
use super::Admin;
use crate::cluster::unexpected;
use crate::error::ClientError;

/// A group as it is.
#[derive(Clone, Debug)]
pub struct GroupDescription {
    /// `classic` or `consumer`: which of Kafka's group protocols its members speak.
    pub kind: String,
    /// Its state, by Kafka's name: `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable`, …
    pub state: String,
    /// What its members are, `consumer` as a rule; empty if it has had none.
    pub protocol_type: String,
    /// The assignor in use; empty while there is none.
    pub assignor: String,
    /// Its members.
    pub members: Vec<MemberDescription>,
}

/// A member as it is.
#[derive(Clone, Debug)]
pub struct MemberDescription {
    /// Its id.
    pub member: String,
    /// Its static id, if it has one.
    pub instance: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// What it reads, in order; empty while the group is rebalanced, or where members are no consumers.
    pub assignment: Vec<(TopicName, PartitionId)>,
}

impl Admin {
    /// Every group, in the order of the ids.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn list_groups(&self) -> Result<Vec<ListedGroup>, ClientError> {
        match self.ask_group(GroupCall::List(ListGroups::default())).await? {
            GroupReply::List(mut groups) => {
                groups.sort_by(|a, b| a.group.cmp(&b.group));
                Ok(groups)
            }
            _ => Err(unexpected("list groups")),
        }
    }

    /// A group's state and members.
    ///
    /// # Errors
    /// `GroupIdNotFound`.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        let GroupReply::Describe(described) =
            self.ask_group(GroupCall::Describe(group.to_owned())).await?
        else {
            return Err(unexpected("describe group"));
        };
        let member = |member: DescribedMember| {
            let mut assignment = read_assignment(&member.assignment).unwrap_or_default();
            assignment.sort();
            MemberDescription {
                member: member.member,
                instance: member.instance,
                client_id: member.client_id,
                client_host: member.client_host,
                assignment,
            }
        };
        Ok(GroupDescription {
            kind: described.kind,
            state: described.state,
            protocol_type: described.protocol_type,
            assignor: described.protocol,
            members: described.members.into_iter().map(member).collect(),
        })
    }

    /// Deletes a group with its offsets.
    ///
    /// # Errors
    /// `GroupIdNotFound`, `NonEmptyGroup`.
    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        match self.ask_group(GroupCall::Delete(group.to_owned())).await? {
            GroupReply::Delete => Ok(()),
            _ => Err(unexpected("delete group")),
        }
    }

    /// Every offset that a group has committed, by topic and partition; none of a group that does not exist.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn committed_offsets(
        &self,
        group: &str,
    ) -> Result<Vec<CommittedOffset>, ClientError> {
        let fetch = FetchOffsets { group: group.to_owned(), partitions: None };
        match self.ask_group(GroupCall::FetchOffsets(fetch)).await? {
            GroupReply::FetchOffsets(mut offsets) => {
                offsets.retain(|one| one.offset.is_some());
                offsets.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
                Ok(offsets)
            }
            _ => Err(unexpected("fetch offsets")),
        }
    }

    /// Sets where a group goes on. It has no members, or does not exist yet.
    ///
    /// # Errors
    /// `UnknownMemberId` if it has members; otherwise the first partition's refusal, the others may be stored.
    pub async fn commit_offsets(
        &self,
        group: &str,
        offsets: &[(TopicName, PartitionId, Offset)],
    ) -> Result<(), ClientError> {
        let offsets = offsets.iter().map(|(topic, partition, offset)| OffsetToCommit {
            topic: topic.clone(),
            partition: *partition,
            offset: *offset,
            leader_epoch: None,
            metadata: String::new(),
        });
        let who = MemberOfGroup { group: group.to_owned(), ..MemberOfGroup::default() };
        let commit = CommitOffsets { who, offsets: offsets.collect() };
        match self.ask_group(GroupCall::CommitOffsets(commit)).await? {
            GroupReply::CommitOffsets(codes) => {
                match codes.into_iter().find(|code| !code.is_ok()) {
                    Some(code) => Err(ClientError::refused(code, "")),
                    None => Ok(()),
                }
            }
            _ => Err(unexpected("commit offsets")),
        }
    }

    /// Asks any broker, which hands the call to the group's owner. All of these calls may be repeated.
    async fn ask_group(&self, call: GroupCall) -> Result<GroupReply, ClientError> {
        let timeout: Duration = self.cluster.settings().request_timeout;
        let request = Request::Group(call);
        let ask = || async { self.cluster.any().await?.call(&request, timeout).await };
        match self.cluster.retrying(ask).await? {
            Reply::Group(reply) => Ok(reply),
            _ => Err(unexpected("a call about a group")),
        }
    }
}
