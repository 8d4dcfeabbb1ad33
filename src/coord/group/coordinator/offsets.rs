//! Committing, forgetting and expiring offsets.

use std::ops::Bound;
use std::sync::Arc;

use kolk_model::error::ErrorCode;
use kolk_model::time::TimestampMs;

use super::{Coordinator, Group};
use crate::group::answer::{FetchedOffsets, GroupState};
use crate::group::desk::{Timer, WallTrust};
use crate::group::ids::GroupId;
use crate::group::offsets::Offsets;
use crate::group::record::{OffsetValue, Record, RecordKey};
use crate::group::request::{CommitOffsets, DeleteOffsets, FetchOffsets};

/// Groups looked through for old offsets before anything else gets its turn.
const EXPIRY_GROUPS_MAX: usize = 1_000;
/// How soon the next of them are looked through, in ms.
const EXPIRY_PAUSE_MS: u64 = 20;

impl Coordinator {
    pub(super) fn commit_offsets(
        &mut self,
        request: CommitOffsets,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        match self.groups.get_mut(&request.group) {
            Some(Group { consumer: Some(group), .. }) => {
                let (epoch, knows) = (request.generation_or_epoch, request.knows_stale_epoch);
                group.check_commit(&request.member, epoch, knows)?;
            }
            Some(group) => group.classic.check_commit(&mut self.desk, &request)?,
            None if request.generation_or_epoch < 0 => {
                if self.groups.len() >= self.desk.settings.groups_max {
                    return Err(ErrorCode::InvalidCommitOffsetSize);
                }
            }
            None if request.knows_stale_epoch => return Err(ErrorCode::GroupIdNotFound),
            None => return Err(ErrorCode::IllegalGeneration),
        }
        let id = request.group;
        let now = self.desk.moment.wall;
        let expires_at = request.retention_ms.map(|ms| now.saturating_forward(ms));
        let mut topic_before: Option<Arc<str>> = None;
        let mut codes = Vec::with_capacity(request.offsets.len());
        for offset in request.offsets {
            // Offsets of a topic come together, so that they share its name.
            let known = topic_before.filter(|topic| **topic == *offset.topic.as_str());
            let topic = known.unwrap_or_else(|| Arc::from(offset.topic.as_str()));
            let value = OffsetValue {
                offset: offset.offset,
                // The version that stores an expiry has no leader epoch, nor have the requests that ask for one.
                leader_epoch: offset.leader_epoch.filter(|_| expires_at.is_none()),
                metadata: offset.metadata,
                committed_at: now,
                expires_at,
            };
            let partition = offset.partition.get().cast_signed();
            let code = self.commit_one(&id, &topic, partition, value);
            topic_before = Some(topic);
            codes.push(code.err().unwrap_or(ErrorCode::None));
        }
        Ok(codes)
    }

    fn commit_one(
        &mut self,
        id: &GroupId,
        topic: &Arc<str>,
        partition: i32,
        value: OffsetValue,
    ) -> Result<(), ErrorCode> {
        if value.metadata.len() > self.desk.settings.offset_metadata_bytes_max {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        let room = self.offsets < self.desk.settings.offsets_max;
        let known = self.groups.get(id).is_some_and(|group| group.offsets.has(topic, partition));
        if !room && !known {
            return Err(ErrorCode::InvalidCommitOffsetSize);
        }
        let key = RecordKey::Offset { group: id.clone(), topic: Arc::clone(topic), partition };
        self.desk.write(Record { key: key.encode(), value: Some(value.encode()) });
        self.set_offset(id, topic, partition, value);
        Ok(())
    }

    pub(super) fn fetch_offsets(
        &self,
        request: FetchOffsets,
    ) -> Result<Vec<FetchedOffsets>, ErrorCode> {
        let Some(group) = self.groups.get(&request.group) else {
            return Ok(Offsets::default().fetch(request.topics));
        };
        if let Some(consumers) = &group.consumer {
            consumers.check_fetch(request.member.as_ref(), request.member_epoch)?;
        }
        Ok(group.offsets.fetch(request.topics))
    }

    pub(super) fn set_offset(
        &mut self,
        id: &GroupId,
        topic: &Arc<str>,
        partition: i32,
        value: OffsetValue,
    ) {
        let group = self.groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone()));
        self.offsets += usize::from(group.offsets.set(topic, partition, value));
    }

    /// Forgets an offset; says whether there was one.
    pub(super) fn remove_offset(&mut self, id: &GroupId, topic: &str, partition: i32) -> bool {
        let Some(group) = self.groups.get_mut(id) else { return false };
        let removed = group.offsets.remove(topic, partition);
        self.offsets -= usize::from(removed);
        removed
    }

    pub(super) fn delete_offsets(
        &mut self,
        request: DeleteOffsets,
    ) -> Result<Vec<Vec<ErrorCode>>, ErrorCode> {
        let id = request.group;
        let group = self.groups.get(&id).ok_or(ErrorCode::GroupIdNotFound)?;
        if group.consumer.is_none() && !group.is_empty() && !group.classic.is_of_consumers() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let mut codes = Vec::with_capacity(request.topics.len());
        for asked in request.topics {
            let group = self.groups.get(&id);
            let in_use = group.is_some_and(|group| group.is_subscribed_to(&asked.topic));
            if in_use {
                codes.push(vec![ErrorCode::GroupSubscribedToTopic; asked.partitions.len()]);
                continue;
            }
            for partition in &asked.partitions {
                self.forget_offset(&id, &asked.topic, *partition);
            }
            codes.push(vec![ErrorCode::None; asked.partitions.len()]);
        }
        Ok(codes)
    }

    /// Forgets an offset, and writes that down.
    fn forget_offset(&mut self, id: &GroupId, topic: &Arc<str>, partition: i32) {
        if self.remove_offset(id, topic, partition) {
            let topic = Arc::clone(topic);
            let key = RecordKey::Offset { group: id.clone(), topic, partition };
            self.desk.write(key.tombstone());
        }
        // As a reader of the log sees it: a group of offsets alone goes with the last of them.
        if self.groups.get(id).is_some_and(Group::is_nothing) {
            self.groups.remove(id);
        }
    }

    /// A topic is gone: so are its offsets.
    pub fn topic_deleted(&mut self, topic: &str) {
        let ids: Vec<GroupId> = self.groups.keys().cloned().collect();
        let name: Arc<str> = Arc::from(topic);
        for id in ids {
            let Some(group) = self.groups.get(&id) else { continue };
            for partition in group.offsets.partitions(topic) {
                self.forget_offset(&id, &name, partition);
            }
        }
    }

    pub(super) fn expect_expiry(&mut self, ms: u64) {
        let at = self.desk.after_ms(ms);
        self.desk.set_timer(&mut self.expiry_timer, at, Timer::Expiry);
    }

    /// Forgets offsets that nobody uses for too long, and groups of which nothing is left then.
    pub(super) fn expire_offsets(&mut self) {
        self.expiry_timer = None;
        if self.desk.moment.trust == WallTrust::Doubted {
            return self.expect_expiry(self.desk.settings.offsets_retention_check_interval_ms);
        }
        let from = self.expiry_after.take();
        let from = from.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.groups.range::<GroupId, _>((from, Bound::Unbounded));
        let ids: Vec<GroupId> = next.take(EXPIRY_GROUPS_MAX).map(|(id, _)| id.clone()).collect();
        for id in &ids {
            self.expire_group(id);
        }
        if ids.len() == EXPIRY_GROUPS_MAX {
            self.expiry_after = ids.last().cloned();
            self.expect_expiry(EXPIRY_PAUSE_MS);
        } else {
            self.expect_expiry(self.desk.settings.offsets_retention_check_interval_ms);
        }
    }

    fn expire_group(&mut self, id: &GroupId) {
        let Some(group) = self.groups.get(id) else { return };
        let before = self.desk.moment.wall.saturating_back(self.desk.settings.offsets_retention_ms);
        let now = self.desk.moment.wall;
        let old = group.offsets.iter().filter(|(topic, _, value)| {
            !group.is_subscribed_to(topic)
                && match (value.expires_at, unused_since(group, value)) {
                    (_, None) => false,
                    (Some(at), Some(_)) => at <= now,
                    (None, Some(since)) => since <= before,
                }
        });
        let old: Vec<_> = old.map(|(topic, partition, _)| (Arc::clone(topic), partition)).collect();
        for (topic, partition) in old {
            self.forget_offset(id, &topic, partition);
        }
        let nothing_left = self.groups.get(id).is_some_and(|group| {
            group.offsets.is_empty() && group.is_empty() && group.classic.is_idle()
        });
        if nothing_left {
            self.bury(id);
        }
    }
}

/// Since when an offset is not in use: for a group whose members went, since then; for one that never had any,
/// or whose members read other topics, since it was committed. `None` = it may be in use.
fn unused_since(group: &Group, value: &OffsetValue) -> Option<TimestampMs> {
    if group.consumer.is_some() {
        return Some(value.committed_at);
    }
    let group = &group.classic;
    if group.protocol_type().is_none() {
        return Some(value.committed_at);
    }
    match group.state() {
        GroupState::Empty => Some(group.since().unwrap_or(value.committed_at)),
        GroupState::Stable if group.is_of_consumers() && group.knows_subscriptions() => {
            Some(value.committed_at)
        }
        _ => None,
    }
}
