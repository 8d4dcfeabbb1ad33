//! A group of the consumer protocol (KIP-848): members say by heartbeats what they read, the coordinator says
//! what each is to have, and each goes there by itself: it gives up first, then it gets.
//!
//! Three epochs: that of the group rises with every change of members, subscriptions or topics; the target
//! assignment is computed for one of them; a member is in the one that it has reached. Every change gives a
//! record at once, so that the log gives the whole group.
//!
//! Members of the classic protocol may be in the group, too, while it goes from one protocol to the other: the
//! coordinator stands in for their leader, and their generation is their epoch.

use std::sync::Arc;

use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;
use kolk_model::map::{Map, Set};

use crate::group::answer::{
    DescribedConsumer, DescribedConsumers, GroupKind, GroupState, HeartbeatRefused,
};
use crate::group::desk::{Desk, Timer};
use crate::group::ids::{GroupId, InstanceId, MemberId};
use crate::group::record::consumer_value::{
    Assignment, CurrentValue, EpochValue, PatternValue, Progress, SubscriberValue,
    encode_target_epoch,
};
use crate::group::record::{Record, RecordKey};

mod assignor;
mod classic;
mod heartbeat;
mod leave;
mod migration;
mod reconcile;
mod replay;
mod session;
mod target;

pub(super) use heartbeat::check as check_heartbeat;
pub(super) use leave::{Duty, Stay};
pub(super) use migration::Migrant;

/// The epoch of a static member that is away for a while.
const AWAY: i32 = -2;

/// One group.
#[derive(Clone, Debug)]
pub(super) struct ConsumerGroup {
    id: GroupId,
    epoch: i32,
    topics_hash: i64,
    target_epoch: i32,
    members: Map<MemberId, Consumer>,
    instances: Map<InstanceId, MemberId>,
    targets: Map<MemberId, Assignment>,
    /// Who has a partition, or has not given it up yet.
    owners: Map<(TopicId, i32), MemberId>,
    patterns: Map<String, PatternValue>,
    /// The version of the topics that the group has heeded.
    topics_seen: Option<u64>,
    /// How long members may be silent, as last told.
    session_timeout_ms: u32,
    bytes: usize,
}

/// One member.
#[derive(Clone, Debug, Default)]
struct Consumer {
    says: SubscriberValue,
    has: CurrentValue,
    silent_at_ms: u64,
    session_timer: Option<u64>,
    /// Until when it must have given up what it is asked to.
    revoke_timer: Option<u64>,
    /// Until when it must have joined again, if it was asked to (classic).
    rejoin_timer: Option<u64>,
    /// Until when it must have asked for its assignment after it joined (classic).
    resync_timer: Option<u64>,
}

type Refused = HeartbeatRefused;

impl ConsumerGroup {
    pub(super) const fn new(id: GroupId, session_timeout_ms: u32) -> Self {
        Self {
            id,
            epoch: 0,
            topics_hash: 0,
            target_epoch: 0,
            members: Map::new(),
            instances: Map::new(),
            targets: Map::new(),
            owners: Map::new(),
            patterns: Map::new(),
            topics_seen: None,
            session_timeout_ms,
            bytes: 0,
        }
    }

    fn member_key(&self, id: &MemberId, kind: fn(GroupId, MemberId) -> RecordKey) -> RecordKey {
        kind(self.id.clone(), id.clone())
    }

    /// Raises the group's epoch, and writes it down.
    fn bump(&mut self, desk: &mut Desk) {
        self.epoch += 1;
        self.record_epoch(desk);
    }

    fn record_epoch(&self, desk: &mut Desk) {
        let value = EpochValue { epoch: self.epoch, topics_hash: self.topics_hash };
        desk.write(RecordKey::ConsumerGroup(self.id.clone()).with(value.encode()));
    }

    /// Keeps what a member has, and who owns which partition.
    fn set_current(&mut self, id: &MemberId, has: CurrentValue) {
        let Some(member) = self.members.get_mut(id) else { return };
        let before = std::mem::replace(&mut member.has, has);
        let now = member.has.clone();
        for partition in partitions(&before) {
            if self.owners.get(&partition) == Some(id) {
                self.owners.remove(&partition);
            }
        }
        for partition in partitions(&now) {
            self.owners.insert(partition, id.clone());
        }
    }

    /// A member, who may be new.
    fn known(&mut self, id: &MemberId) -> &mut Consumer {
        let bytes = &mut self.bytes;
        self.members.entry(id.clone()).or_insert_with(|| {
            let member = Consumer::default();
            *bytes += subscriber_bytes(&member.says);
            member
        })
    }

    /// Keeps what a member says of itself, who may be new.
    fn set_says(&mut self, id: &MemberId, says: SubscriberValue) {
        self.bytes += subscriber_bytes(&says);
        let member = self.known(id);
        let before = subscriber_bytes(&member.says);
        self.bytes -= before;
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(before) = &member.says.instance
            && self.instances.get(before) == Some(id)
        {
            self.instances.remove(before);
        }
        if let Some(instance) = &says.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        member.says = says;
    }

    /// Takes a member out of everything but the log.
    fn forget(&mut self, desk: &mut Desk, id: &MemberId) -> Option<Consumer> {
        self.set_current(id, CurrentValue::default());
        self.targets.remove(id);
        let mut member = self.members.remove(id)?;
        self.bytes -= subscriber_bytes(&member.says);
        if let Some(instance) = &member.says.instance
            && self.instances.get(instance) == Some(id)
        {
            self.instances.remove(instance);
        }
        desk.end_timer(&mut member.session_timer, Timer::Session(self.id.clone(), id.clone()));
        desk.end_timer(&mut member.revoke_timer, Timer::Revoke(self.id.clone(), id.clone()));
        member.end_classic_timers(desk, &self.id, id);
        Some(member)
    }

    /// Ends every timer, and gives the tombstones of all records: the group goes.
    pub(super) fn close(&mut self, desk: &mut Desk) -> Vec<Record> {
        let mut records = Vec::new();
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            for kind in [RecordKey::Current, RecordKey::Target, RecordKey::Subscriber] {
                records.push(self.member_key(&id, kind).tombstone());
            }
            self.forget(desk, &id);
        }
        for pattern in self.patterns.keys() {
            records.push(RecordKey::Pattern(self.id.clone(), pattern.clone()).tombstone());
        }
        records.push(RecordKey::TargetEpoch(self.id.clone()).tombstone());
        records.push(RecordKey::ConsumerGroup(self.id.clone()).tombstone());
        records
    }

    /// Starts the members' sessions after a load.
    pub(super) fn loaded(&mut self, desk: &mut Desk) {
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            self.hear_of(desk, &id);
            self.set_revoke_timer(desk, &id);
        }
    }

    /// Whether the one who commits may: a member in its epoch, or anybody while there are no members.
    pub(super) fn check_commit(
        &self,
        member: &MemberId,
        epoch: i32,
        knows_stale_epoch: bool,
    ) -> Result<(), ErrorCode> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let known = self.members.get(member).ok_or(ErrorCode::UnknownMemberId)?;
        if !knows_stale_epoch && known.says.classic.is_none() {
            return Err(ErrorCode::UnsupportedVersion);
        }
        known.check_epoch(epoch)
    }

    /// Whether the one who asks for offsets may: a member in its epoch, or somebody who is none.
    pub(super) fn check_fetch(
        &self,
        member: Option<&MemberId>,
        epoch: i32,
    ) -> Result<(), ErrorCode> {
        let member = match member {
            None => return Ok(()),
            Some(member) if member.is_empty() && epoch < 0 => return Ok(()),
            Some(member) => member,
        };
        self.members.get(member).ok_or(ErrorCode::UnknownMemberId)?.check_epoch(epoch)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| {
            let by_pattern = || {
                let pattern = member.says.pattern.as_deref()?;
                Some(self.patterns.get(pattern)?.topics.contains(topic))
            };
            member.says.topics.iter().any(|named| named == topic) || by_pattern() == Some(true)
        })
    }

    pub(super) fn state(&self) -> GroupState {
        if self.members.is_empty() {
            return GroupState::Empty;
        }
        if self.epoch > self.target_epoch {
            return GroupState::Assigning;
        }
        let arrived = |member: &Consumer| {
            let away = member.has.epoch == AWAY;
            away || member.has.progress == Progress::Stable && member.has.epoch == self.target_epoch
        };
        if self.members.values().all(arrived) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    pub(super) fn describe(&self) -> DescribedConsumers {
        let none = Assignment::new();
        let member = |(id, member): (&MemberId, &Consumer)| DescribedConsumer {
            member: id.clone(),
            instance: member.says.instance.clone(),
            rack: member.says.rack.clone(),
            epoch: member.has.epoch,
            client_id: member.says.client.id.clone(),
            client_host: member.says.client.host.clone(),
            topics: member.says.topics.clone(),
            pattern: member.says.pattern.clone(),
            assigned: listed(&member.has.assigned),
            target: listed(self.targets.get(id).unwrap_or(&none)),
            kind: match member.says.classic {
                Some(_) => GroupKind::Classic,
                None => GroupKind::Consumer,
            },
        };
        DescribedConsumers {
            state: self.state(),
            epoch: self.epoch,
            target_epoch: self.target_epoch,
            assignor: self.assignor().name().to_owned(),
            members: self.members.iter().map(member).collect(),
        }
    }

    fn record_target_epoch(&self, desk: &mut Desk) {
        let key = RecordKey::TargetEpoch(self.id.clone());
        desk.write(key.with(encode_target_epoch(self.target_epoch)));
    }
}

impl Consumer {
    fn end_classic_timers(&mut self, desk: &mut Desk, group: &GroupId, id: &MemberId) {
        desk.end_timer(&mut self.rejoin_timer, Timer::Rejoin(group.clone(), id.clone()));
        desk.end_timer(&mut self.resync_timer, Timer::Resync(group.clone(), id.clone()));
    }

    /// Whether the member is in the epoch that it speaks of; a classic one calls that its generation.
    fn check_epoch(&self, epoch: i32) -> Result<(), ErrorCode> {
        match self.says.classic {
            _ if self.has.epoch == epoch => Ok(()),
            Some(_) => Err(ErrorCode::IllegalGeneration),
            None => Err(ErrorCode::StaleMemberEpoch),
        }
    }
}

/// An assignment as answers give it.
fn listed(assignment: &Assignment) -> Vec<(TopicId, Vec<i32>)> {
    let one =
        |(topic, partitions): (&TopicId, &Set<i32>)| (*topic, partitions.iter().copied().collect());
    assignment.iter().map(one).collect()
}

/// Every partition that a member has or has not given up yet.
fn partitions(has: &CurrentValue) -> impl Iterator<Item = (TopicId, i32)> {
    let all = has.assigned.iter().chain(&has.revoking);
    all.flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
}

/// Roughly what a member's words, and the member itself, take in memory.
fn subscriber_bytes(says: &SubscriberValue) -> usize {
    let topics: usize = says.topics.iter().map(|topic| topic.len() + 32).sum();
    let protocols = says.classic.iter().flat_map(|classic| &classic.protocols);
    let words: usize = protocols.map(|one| one.name.len() + one.metadata.len() + 16).sum();
    words
        + topics
        + says.pattern.as_ref().map_or(0, String::len)
        + says.client.id.len()
        + MEMBER_BYTES
}

/// Ids, numbers and the struct itself.
const MEMBER_BYTES: usize = 256;

/// A pattern as one that must match a whole name.
fn compile(pattern: &str) -> Option<regex::Regex> {
    let whole = format!("^(?:{pattern})$");
    regex::RegexBuilder::new(&whole).size_limit(PATTERN_SIZE_MAX).build().ok()
}

/// Bytes that a compiled pattern may take. Beyond: refused as invalid.
const PATTERN_SIZE_MAX: usize = 1 << 20;

#[cfg(test)]
pub(super) type Durable = (
    EpochValue,
    i32,
    Map<MemberId, (SubscriberValue, CurrentValue)>,
    Map<MemberId, Assignment>,
    Map<String, PatternValue>,
);

#[cfg(test)]
impl ConsumerGroup {
    /// All that the log should tell.
    pub(super) fn durable(&self) -> Durable {
        self.check_books();
        let value = EpochValue { epoch: self.epoch, topics_hash: self.topics_hash };
        let member = |(id, member): (&MemberId, &Consumer)| {
            (id.clone(), (member.says.clone(), member.has.clone()))
        };
        let members = self.members.iter().map(member).collect();
        (value, self.target_epoch, members, self.targets.clone(), self.patterns.clone())
    }

    /// Asserts that no partition has two owners, and that what is counted is what there is.
    fn check_books(&self) {
        let mut owners = Map::new();
        for (id, member) in &self.members {
            for partition in partitions(&member.has) {
                let other = owners.insert(partition, id.clone());
                assert_eq!(other, None, "{partition:?} is {id}'s, too");
            }
        }
        assert_eq!(owners, self.owners, "owners of {}", self.id);
        let bytes: usize = self.members.values().map(|one| subscriber_bytes(&one.says)).sum();
        assert_eq!(self.bytes, bytes, "bytes of {}", self.id);
    }
}

/// A name that many hold.
type Name = Arc<str>;
