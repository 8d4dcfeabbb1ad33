//! Becoming a member: join, as the leader assign, sync, find where to begin. Apart from the rest of the member's
//! life because it may be dropped at any wait and begun again.

use std::collections::BTreeMap;
use std::time::Duration;

use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicName};
use kolk_model::map::Map;
use kolk_model::offset::Offset;
use kolk_native::reply::group::{GroupReply, JoinRefusal, JoinedGroup, SyncedGroup};
use kolk_native::request::OffsetPlace;
use kolk_native::request::group::{FetchOffsets, GroupCall, GroupProtocol, JoinGroup, SyncGroup};
use tokio::time::Instant;

use super::super::super::fetcher::Target;
use super::super::assignor::{Assignor, Subscriber, assign};
use super::{Member, Watched, is_lost};
use crate::admin::groups::protocol::{
    CONSUMER, read_assignment, read_subscription, write_assignment, write_subscription,
};
use crate::admin::list_offsets;
use crate::backoff::Backoff;
use crate::cluster::{Cluster, unexpected};
use crate::consumer::Position;
use crate::error::ClientError;

impl Member {
    /// Joins until the group takes the member; gives its partitions, where each goes on, and whether that was
    /// committed. Fails only for good.
    pub(super) async fn join(&mut self) -> Result<Vec<(Target, Offset, bool)>, ClientError> {
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

    async fn try_join(&mut self) -> Result<Vec<(Target, Offset, bool)>, ClientError> {
        self.watched = None;
        let joined = self.ask_to_join().await?;
        self.who.member.clone_from(&joined.member);
        self.who.generation = Some(joined.generation);
        let leads = joined.leader == joined.member;
        let assignments = if leads { self.lead(&joined).await? } else { Vec::new() };
        let synced = self.sync(&joined, assignments).await?;
        let targets = read_assignment(&synced.assignment).ok_or_else(|| {
            ClientError::refused(
                ErrorCode::InconsistentGroupProtocol,
                "the group's leader sent an assignment that is none",
            )
        })?;
        self.places(targets).await
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

    /// Where each partition goes on: where the group has committed, else where the settings say. That place is
    /// made an offset here, so that it can be committed before the first record comes.
    async fn places(
        &self,
        targets: Vec<Target>,
    ) -> Result<Vec<(Target, Offset, bool)>, ClientError> {
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let cluster = &self.coordinator.cluster;
        let group = self.who.group.clone();
        let fetch =
            GroupCall::FetchOffsets(FetchOffsets { group, partitions: Some(targets.clone()) });
        let ask = || self.coordinator.ask(fetch.clone(), Duration::ZERO);
        let GroupReply::FetchOffsets(fetched) = cluster.retrying(ask).await? else {
            return Err(unexpected("fetch offsets"));
        };
        let mut committed: Map<Target, Offset> = Map::new();
        for one in fetched {
            if !one.error.is_ok() {
                return Err(ClientError::refused(one.error, ""));
            }
            if let Some(offset) = one.offset {
                committed.insert((one.topic, one.partition), offset);
            }
        }
        let mut asked: BTreeMap<TopicName, Vec<PartitionId>> = BTreeMap::new();
        for (topic, partition) in targets.iter().filter(|one| !committed.contains_key(*one)) {
            asked.entry(topic.clone()).or_default().push(*partition);
        }
        let mut begins: Map<Target, Offset> = Map::new();
        for (topic, partitions) in asked {
            let offsets = self.begins(&topic, &partitions).await?;
            let numbered = partitions.into_iter().zip(offsets);
            begins.extend(numbered.map(|(number, offset)| ((topic.clone(), number), offset)));
        }
        let place = |target: Target| match committed.get(&target) {
            Some(offset) => (target, *offset, true),
            None => {
                let begin = begins.get(&target).copied().unwrap_or_default();
                (target, begin, false)
            }
        };
        Ok(targets.into_iter().map(place).collect())
    }

    /// The offsets that the settings' start is in these partitions.
    async fn begins(
        &self,
        topic: &TopicName,
        partitions: &[PartitionId],
    ) -> Result<Vec<Offset>, ClientError> {
        let place = match self.settings.start {
            Position::Offset(offset) => return Ok(vec![offset; partitions.len()]),
            Position::Beginning => OffsetPlace::Beginning,
            Position::End => OffsetPlace::End,
            Position::Time(time) => OffsetPlace::At(time),
        };
        let found = self.list(topic, partitions, place).await?;
        if found.iter().all(Option::is_some) {
            return Ok(found.into_iter().flatten().collect());
        }
        // No record is that new: the next one will be.
        let ends = self.list(topic, partitions, OffsetPlace::End).await?;
        let each = found.into_iter().zip(ends);
        Ok(each.map(|(found, end)| found.or(end).unwrap_or_default()).collect())
    }

    async fn list(
        &self,
        topic: &TopicName,
        partitions: &[PartitionId],
        place: OffsetPlace,
    ) -> Result<Vec<Option<Offset>>, ClientError> {
        let queries: Vec<_> = partitions.iter().map(|partition| (*partition, place)).collect();
        let cluster = &self.coordinator.cluster;
        let ask = || async {
            let outcome = list_offsets(cluster, topic, &queries).await;
            if outcome.is_err() {
                cluster.forget(topic);
            }
            outcome
        };
        let listed = cluster.retrying(ask).await?;
        Ok(listed.into_iter().map(|listed| listed.offset).collect())
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
