//! Becoming a member: join, as the leader assign, sync. Apart from the rest of the member's life because it may be
//! dropped at any wait and begun again.

use std::collections::BTreeMap;
use std::time::Duration;

use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicName;
use kolk_native::reply::group::{GroupReply, JoinRefusal, JoinedGroup, SyncedGroup};
use kolk_native::request::group::{GroupCall, GroupProtocol, JoinGroup, SyncGroup};
use tokio::time::Instant;

use super::super::super::fetcher::Target;
use super::super::assignor::{Assignor, Subscriber, assign};
use super::{Member, Watched, is_lost};
use crate::admin::groups::protocol::{
    CONSUMER, read_assignment, read_subscription, write_assignment, write_subscription,
};
use crate::backoff::Backoff;
use crate::cluster::{Cluster, unexpected};
use crate::error::ClientError;

impl Member {
    /// Joins until the group takes the member; gives its partitions. Fails only for good.
    pub(super) async fn join(&mut self) -> Result<Vec<Target>, ClientError> {
        let mut backoff = Backoff::new(self.coordinator.cluster.settings());
        let mut failures = 0;
        loop {
            let error = match self.try_join().await {
                Ok(assigned) => return Ok(assigned),
                Err(error) => error,
            };
            match error.code() {
                // Somebody came or went meanwhile, or this is the id to come back with.
                Some(ErrorCode::RebalanceInProgress | ErrorCode::MemberIdRequired) => {
                    failures = 0;
                    continue;
                }
                Some(code) if is_lost(code) => {
                    if code == ErrorCode::UnknownMemberId {
                        self.who.member.clear();
                    }
                    self.who.generation = None;
                }
                _ if error.retriable() => {}
                _ => return Err(error),
            }
            tracing::debug!(%error, "group not joined");
            tokio::time::sleep(backoff.pause(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    async fn try_join(&mut self) -> Result<Vec<Target>, ClientError> {
        self.watched = None;
        let joined = self.ask_to_join().await?;
        self.who.member.clone_from(&joined.member);
        self.who.generation = Some(joined.generation);
        let leads = joined.leader == joined.member;
        let assignments = if leads { self.lead(&joined).await? } else { Vec::new() };
        let synced = self.sync(&joined, assignments).await?;
        read_assignment(&synced.assignment).ok_or_else(|| {
            ClientError::refused(
                ErrorCode::InconsistentGroupProtocol,
                "the group's leader sent an assignment that is none",
            )
        })
    }

    async fn ask_to_join(&mut self) -> Result<JoinedGroup, ClientError> {
        let metadata = write_subscription(&self.topics);
        let protocols = self.settings.assignors.iter().map(|assignor| GroupProtocol {
            name: assignor.name().to_owned(),
            metadata: metadata.clone(),
        });
        let wait = self.settings.max_poll_interval;
        let join = GroupCall::Join(JoinGroup {
            group: self.who.group.clone(),
            member: self.who.member.clone(),
            instance: self.who.instance.clone(),
            session_timeout_ms: ms(self.settings.session_timeout),
            rebalance_timeout_ms: ms(wait),
            protocol_type: CONSUMER.to_owned(),
            protocols: protocols.collect(),
            reason: String::new(),
        });
        match self.coordinator.ask(join, wait).await? {
            GroupReply::Join(Ok(joined)) => Ok(joined),
            GroupReply::Join(Err(JoinRefusal { refusal, member })) => {
                if refusal.code == ErrorCode::MemberIdRequired {
                    self.who.member = member;
                }
                Err(refusal.into())
            }
            _ => Err(unexpected("join group")),
        }
    }

    /// What the leader gives everybody; nothing if the group has its assignment already.
    async fn lead(
        &mut self,
        joined: &JoinedGroup,
    ) -> Result<Vec<(String, bytes::Bytes)>, ClientError> {
        let members: Vec<_> = joined
            .members
            .iter()
            .map(|member| Subscriber {
                member: member.member.clone(),
                instance: member.instance.clone(),
                // Whoever can't be understood gets nothing.
                topics: read_subscription(&member.metadata).unwrap_or_default(),
            })
            .collect();
        let mut topics: Vec<_> = members.iter().flat_map(|one| one.topics.clone()).collect();
        topics.sort();
        topics.dedup();
        let cluster = &self.coordinator.cluster;
        let counts = cluster.retrying(|| partition_counts(cluster, &topics)).await?;
        self.watched = Some(Watched { topics, counts: counts.clone(), looked: Instant::now() });
        if joined.skip_assignment {
            return Ok(Vec::new());
        }
        let assignor = Assignor::named(&joined.protocol).ok_or_else(|| {
            let why = format!("the group uses '{}', which is not known here", joined.protocol);
            ClientError::refused(ErrorCode::InconsistentGroupProtocol, &why)
        })?;
        let shares = assign(assignor, members, &counts).into_iter();
        Ok(shares.map(|(member, targets)| (member, write_assignment(&targets))).collect())
    }

    async fn sync(
        &self,
        joined: &JoinedGroup,
        assignments: Vec<(String, bytes::Bytes)>,
    ) -> Result<SyncedGroup, ClientError> {
        let sync = GroupCall::Sync(SyncGroup {
            who: self.who.clone(),
            protocol_type: joined.protocol_type.clone(),
            protocol: joined.protocol.clone(),
            assignments,
        });
        match self.coordinator.ask(sync, self.settings.max_poll_interval).await? {
            GroupReply::Sync(synced) => Ok(synced),
            _ => Err(unexpected("sync group")),
        }
    }
}

/// The numbers of partitions of those topics that exist.
pub(super) async fn partition_counts(
    cluster: &Cluster,
    topics: &[TopicName],
) -> Result<BTreeMap<TopicName, u32>, ClientError> {
    let view = cluster.refresh(Some(topics)).await?;
    let count = |topic: &TopicName| {
        let known = view.topics.get(topic)?;
        Some((topic.clone(), u32::try_from(known.partitions.len()).ok()?))
    };
    Ok(topics.iter().filter_map(count).collect())
}

fn ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
