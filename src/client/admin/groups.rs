//! Groups, as tools see them.

use kolk_native::reply::{DescribeGroupReply, GroupListing, Reply};
use kolk_native::request::{CommitOffsets, GroupOffset, Request};

use super::Admin;
use crate::cluster::unexpected;
use crate::error::ClientError;

impl Admin {
    /// Every group, in the order of the ids.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        match self.ask(&Request::ListGroups).await? {
            Reply::ListGroups(groups) => Ok(groups),
            _ => Err(unexpected("list groups")),
        }
    }

    /// A group with its members and everything it has committed.
    ///
    /// # Errors
    /// `GroupIdNotFound`.
    pub async fn describe_group(&self, group: &str) -> Result<DescribeGroupReply, ClientError> {
        match self.ask(&Request::DescribeGroup(group.to_owned())).await? {
            Reply::DescribeGroup(described) => Ok(described),
            _ => Err(unexpected("describe group")),
        }
    }

    /// Deletes a group without members, with its offsets.
    ///
    /// # Errors
    /// `GroupIdNotFound`, `NonEmptyGroup`.
    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        let reply = self.ask(&Request::DeleteGroup(group.to_owned())).await?;
        matches!(reply, Reply::DeleteGroup).then_some(()).ok_or(unexpected("delete group"))
    }

    /// Stores offsets of a group without members, all of them or, if one is refused, those before and after it.
    ///
    /// # Errors
    /// `UnknownMemberId` while the group has members; the first refusal of an offset.
    pub async fn commit_offsets(
        &self,
        group: &str,
        offsets: Vec<GroupOffset>,
    ) -> Result<(), ClientError> {
        let request = Request::CommitOffsets(CommitOffsets {
            group: group.to_owned(),
            member: String::new(),
            instance: None,
            epoch: -1,
            offsets,
        });
        let Reply::CommitOffsets(reply) = self.ask(&request).await? else {
            return Err(unexpected("commit offsets"));
        };
        match reply.codes.into_iter().find(|code| !code.is_ok()) {
            Some(code) => Err(ClientError::refused(code, code.hint())),
            None => Ok(()),
        }
    }

    /// Asks any broker: each knows the way to a group's coordinator. All that is asked here may be asked twice.
    async fn ask(&self, request: &Request) -> Result<Reply, ClientError> {
        let timeout = self.cluster.settings().request_timeout;
        let ask = || async { self.cluster.any().await?.call(request, timeout).await };
        self.cluster.retrying(ask).await
    }
}
