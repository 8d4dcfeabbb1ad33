//! Committing, forgetting and expiring offsets.

use std::ops::Bound;
use std::sync::Arc;

use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicId};
use kolk_model::map::Map;
use kolk_model::time::TimestampMs;

use super::{Coordinator, Group};
use crate::group::answer::{FetchedOffsets, GroupState};
use crate::group::desk::{Progress, Timer, WallTrust};
use crate::group::ids::GroupId;
use crate::group::offsets::Offsets;
use crate::group::record::{OffsetValue, Record, RecordKey};
use crate::group::request::{
    CommitOffsets, DeleteOffsets, FetchOffsets, OffsetToCommit, OffsetsOfTopic,
};

use crate::group::topics::Topics;
use crate::topic::Topic;

/// Codes of the entries of a commit, and for each that can be stored the last one of its partition.
type Checked = (Vec<ErrorCode>, Vec<Option<usize>>);

/// Offsets forgotten before their records are appended.
const FORGOTTEN_MAX: usize = 4_096;
/// The numbers of an offset's record: its partition, both versions, lengths, epoch, time, the topic's id.
const OFFSET_BYTES: usize = 64;
/// Groups looked through for old offsets before anything else gets its turn.
const EXPIRY_GROUPS_MAX: usize = 1_000;
/// How soon the next of them are looked through, in ms.
const EXPIRY_PAUSE_MS: u64 = 20;

impl Coordinator {
    pub(super) fn commit_offsets(
        &mut self,
        topics: &dyn Topics,
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
        let (mut codes, last) = self.check_entries(topics, &id, &request.offsets)?;
        let mut topic_before: Option<Arc<str>> = None;
        for (index, offset) in request.offsets.into_iter().enumerate() {
            if last.get(index).is_none_or(|last| *last != Some(index)) {
                continue;
            }
            // Offsets of a topic come together, so that they share its name.
            let known = topic_before.filter(|topic| **topic == *offset.topic.as_str());
            let topic = known.unwrap_or_else(|| Arc::from(offset.topic.as_str()));
            let value = OffsetValue {
                offset: offset.offset,
                // The version that stores an expiry has neither leader epoch nor topic id, nor have the requests that ask for one.
                leader_epoch: offset.leader_epoch.filter(|_| expires_at.is_none()),
                metadata: offset.metadata,
                committed_at: now,
                expires_at,
                topic_id: Some(offset.topic_id).filter(|_| expires_at.is_none()),
            };
            let partition = offset.partition.get().cast_signed();
            let code = self.commit_one(&id, &topic, partition, value);
            topic_before = Some(topic);
            if let (Err(code), Some(own)) = (code, codes.get_mut(index)) {
                *own = code;
            }
        }
        // Where a partition has no room, none of its entries was stored.
        for (index, last) in last.into_iter().enumerate() {
            let told = last.and_then(|last| codes.get(last).copied());
            if let (Some(told), Some(own)) = (told, codes.get_mut(index)) {
                *own = told;
            }
        }
        Ok(codes)
    }

    /// What each entry of a commit is told if its partition is stored, and which entry that is: the last one that can be.
    /// Kafka writes a record for each and reads the last; here others are not written, so that a request's records are no
    /// more than partitions. The bound is on all of them together, and all are refused beyond it, as in Kafka, whose records of
    /// a commit are one batch: a client would take some for stored otherwise.
    fn check_entries(
        &self,
        topics: &dyn Topics,
        id: &GroupId,
        offsets: &[OffsetToCommit],
    ) -> Result<Checked, ErrorCode> {
        let mut codes = vec![ErrorCode::None; offsets.len()];
        let mut last_of: Map<(&str, PartitionId), usize> = Map::new();
        for (index, (offset, code)) in offsets.iter().zip(&mut codes).enumerate() {
            let topic = topics.with_id(offset.topic_id);
            if topic.is_none_or(|topic| topic.name != offset.topic) {
                *code = ErrorCode::UnknownTopicOrPartition;
            } else if offset.metadata.len() > self.desk.settings.offset_metadata_bytes_max {
                *code = ErrorCode::OffsetMetadataTooLarge;
            } else {
                last_of.insert((offset.topic.as_str(), offset.partition), index);
            }
        }
        let stored = last_of.values().filter_map(|index| offsets.get(*index));
        let bytes: usize = stored
            .map(|offset| record_bytes(id, offset.topic.as_str()) + offset.metadata.len())
            .sum();
        if bytes > self.desk.settings.commit_bytes_max {
            return Err(ErrorCode::InvalidCommitOffsetSize);
        }
        let last = offsets.iter().zip(&codes).map(|(offset, code)| {
            let partition = (offset.topic.as_str(), offset.partition);
            if code.is_ok() { last_of.get(&partition).copied() } else { None }
        });
        let last = last.collect();
        Ok((codes, last))
    }

    fn commit_one(
        &mut self,
        id: &GroupId,
        topic: &Arc<str>,
        partition: i32,
        value: OffsetValue,
    ) -> Result<(), ErrorCode> {
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
        let bytes = |asked: &OffsetsOfTopic| {
            let has = |partition: &&i32| group.offsets.has(&asked.topic, **partition);
            asked.partitions.iter().filter(has).count() * record_bytes(&id, &asked.topic)
        };
        if request.topics.iter().map(bytes).sum::<usize>() > self.desk.settings.commit_bytes_max {
            return Err(ErrorCode::InvalidRequest);
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

    /// A topic is gone: so are its offsets, some of them with each call. Those of another topic that has its name by now stay.
    pub fn topic_deleted(&mut self, topic: &str, topic_id: TopicId) -> Progress {
        let of_group = |(id, group): (&GroupId, &Group)| {
            let gone = group.offsets.of_topic(topic).filter(|(_, value)| {
                value.topic_id.is_none_or(|committed_for| committed_for == topic_id)
            });
            gone.map(|(partition, _)| (id.clone(), partition)).collect::<Vec<_>>()
        };
        let old: Vec<_> = self.groups.iter().flat_map(of_group).take(FORGOTTEN_MAX).collect();
        let progress = progress(&old);
        let name: Arc<str> = Arc::from(topic);
        for (id, partition) in old {
            self.forget_offset(&id, &name, partition);
        }
        progress
    }

    /// Forgets offsets whose topic is gone, some of them with each call: a crash, or an append that failed, may have come
    /// between a topic's end and the records that say it of its offsets, and another topic of the name must not inherit them.
    /// To be asked for before [`Coordinator::loaded`], with the topics that there are: each that offsets were ever
    /// committed for is among them, or was deleted.
    pub fn forget_lost(&mut self, topics: &dyn Topics) -> Progress {
        let before = self.lost_after.take();
        let from = before.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.groups.range::<GroupId, _>((from, Bound::Unbounded));
        let ids: Vec<GroupId> = next.take(EXPIRY_GROUPS_MAX).map(|(id, _)| id.clone()).collect();
        let mut seen = 0;
        while let Some(id) = ids.get(seen)
            && !self.desk.is_full()
            && self.forget_lost_of(topics, id) == Progress::Done
        {
            seen += 1;
        }
        if seen == ids.len() && seen < EXPIRY_GROUPS_MAX {
            return Progress::Done;
        }
        let last = seen.checked_sub(1).and_then(|last| ids.get(last).cloned());
        self.lost_after = last.or(before);
        Progress::More
    }

    fn forget_lost_of(&mut self, topics: &dyn Topics, id: &GroupId) -> Progress {
        let Some(group) = self.groups.get(id) else { return Progress::Done };
        let lost = group.offsets.iter().filter(|(topic, _, value)| {
            let is_its = |topic: &Topic| value.topic_id.is_none_or(|id| id == topic.id);
            !topics.named(topic).is_some_and(is_its)
        });
        let lost = lost.map(|(topic, partition, _)| (Arc::clone(topic), partition));
        let lost: Vec<_> = lost.take(FORGOTTEN_MAX).collect();
        let progress = progress(&lost);
        for (topic, partition) in lost {
            self.forget_offset(id, &topic, partition);
        }
        progress
    }

    /// Forgets offsets of a group that is about to be deleted, until the rest of it goes at once.
    pub(super) fn begin_delete(&mut self, id: &GroupId) -> Progress {
        let Some(group) = self.groups.get(id).filter(|group| group.is_empty()) else {
            return Progress::Done;
        };
        if group.offsets.len() <= FORGOTTEN_MAX {
            return Progress::Done;
        }
        let first = group.offsets.iter().take(FORGOTTEN_MAX);
        let first: Vec<_> =
            first.map(|(topic, partition, _)| (Arc::clone(topic), partition)).collect();
        for (topic, partition) in first {
            self.forget_offset(id, &topic, partition);
        }
        Progress::More
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
        let before = self.expiry_after.take();
        let from = before.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.groups.range::<GroupId, _>((from, Bound::Unbounded));
        let ids: Vec<GroupId> = next.take(EXPIRY_GROUPS_MAX).map(|(id, _)| id.clone()).collect();
        let mut seen = 0;
        while let Some(id) = ids.get(seen)
            && !self.desk.is_full()
            && self.expire_group(id) == Progress::Done
        {
            seen += 1;
        }
        if seen < ids.len() || seen == EXPIRY_GROUPS_MAX {
            let last = seen.checked_sub(1).and_then(|last| ids.get(last).cloned());
            self.expiry_after = last.or(before);
            self.expect_expiry(EXPIRY_PAUSE_MS);
        } else {
            self.expect_expiry(self.desk.settings.offsets_retention_check_interval_ms);
        }
    }

    /// Forgets what is old of a group, and the group if nothing is left then.
    fn expire_group(&mut self, id: &GroupId) -> Progress {
        let Some(group) = self.groups.get(id) else { return Progress::Done };
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
        let old = old.map(|(topic, partition, _)| (Arc::clone(topic), partition));
        let old: Vec<_> = old.take(FORGOTTEN_MAX).collect();
        let progress = progress(&old);
        for (topic, partition) in old {
            self.forget_offset(id, &topic, partition);
        }
        let nothing_left = self.groups.get(id).is_some_and(|group| {
            group.offsets.is_empty() && group.is_empty() && group.classic.is_idle()
        });
        if nothing_left {
            self.bury(id);
        }
        progress
    }
}

/// Whether so many were found to be forgotten that there may be more.
const fn progress<T>(found: &[T]) -> Progress {
    if found.len() == FORGOTTEN_MAX { Progress::More } else { Progress::Done }
}

/// Roughly what an offset's record takes beside its words.
fn record_bytes(group: &GroupId, topic: &str) -> usize {
    group.as_str().len() + topic.len() + OFFSET_BYTES
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
