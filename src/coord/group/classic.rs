//! A group of the classic protocol: members join, one of them (the leader) assigns, everybody learns its
//! share by a sync; whoever comes or goes starts that anew, as the next generation.
//!
//! Each change that outlives a crash gives a record: the assignment of a generation, the last member's
//! going, a static member's new id. A rebalance itself does not: after a crash members begin it again.

use bytes::Bytes;

use kolk_model::error::ErrorCode;
use kolk_model::map::{Map, Set};
use kolk_model::time::TimestampMs;

use crate::group::answer::{DescribedGroup, DescribedMember, GroupState, JoinedMember};
use crate::group::desk::{Desk, Timer};
use crate::group::ids::{Generation, GroupId, InstanceId, MemberId};
use crate::group::record::{GroupValue, MemberValue, Record, RecordKey};
use crate::group::request::Protocol;

mod join;
mod member;
mod migration;
mod rebalance;
mod session;
mod subscription;

use member::Member;

/// The protocol type of consumers, whose subscriptions can be read here.
const CONSUMER: &str = "consumer";

/// One group.
#[derive(Clone, Debug)]
pub(super) struct ClassicGroup {
    id: GroupId,
    phase: Phase,
    since: Option<TimestampMs>,
    generation: Generation,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<MemberId>,
    members: Map<MemberId, Member>,
    instances: Map<InstanceId, MemberId>,
    /// Who was given an id and has not joined with it yet, with the time until which it may.
    pending: Map<MemberId, Option<u64>>,
    /// Who has not asked for its assignment yet in this generation.
    pending_sync: Set<MemberId>,
    /// How many members know a protocol, by name.
    supported: Map<String, usize>,
    /// How many members' joins are parked.
    awaiting_join: usize,
    /// What members subscribe to, if that can be read.
    subscribed: Option<Set<String>>,
    bytes: usize,
    join_timer: Option<u64>,
    sync_timer: Option<u64>,
    /// Whether the log has a record of the group itself.
    recorded: bool,
}

/// Where the group is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Empty,
    /// The first members of an empty group come in: more are waited for.
    Initial {
        /// Whether somebody came since the wait began.
        grown: bool,
        delay_ms: u64,
        /// How long the wait may go on after that.
        left_ms: u64,
    },
    Preparing,
    Completing,
    Stable,
}

impl ClassicGroup {
    pub(super) const fn new(id: GroupId) -> Self {
        Self {
            id,
            phase: Phase::Empty,
            since: None,
            generation: Generation::new(0),
            protocol_type: None,
            protocol: None,
            leader: None,
            members: Map::new(),
            instances: Map::new(),
            pending: Map::new(),
            pending_sync: Set::new(),
            supported: Map::new(),
            awaiting_join: 0,
            subscribed: None,
            bytes: 0,
            join_timer: None,
            sync_timer: None,
            recorded: false,
        }
    }

    /// The group that a record tells of.
    pub(super) fn from_value(id: GroupId, value: GroupValue) -> Self {
        let mut group = Self::new(id);
        group.recorded = true;
        group.since = value.since;
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type).filter(|text| !text.is_empty());
        group.protocol = value.protocol;
        for stored in value.members {
            let name = group.protocol.clone().unwrap_or_default();
            let member = Member {
                instance: stored.instance,
                client: stored.client,
                rebalance_timeout_ms: stored.rebalance_timeout_ms,
                session_timeout_ms: stored.session_timeout_ms,
                protocols: vec![Protocol { name, metadata: stored.subscription }],
                assignment: stored.assignment,
                awaits_join: None,
                awaits_sync: None,
                is_new: false,
                silent_at_ms: 0,
                timer: None,
            };
            group.insert(stored.member, member);
        }
        group.leader = value.leader.filter(|leader| group.members.contains_key(leader));
        if !group.members.is_empty() {
            group.phase = Phase::Stable;
        }
        group.subscribed = group.read_subscriptions();
        group
    }

    /// The group as its record tells it.
    pub(super) fn value(&self) -> GroupValue {
        let protocol = self.protocol.as_deref();
        let member = |(id, member): (&MemberId, &Member)| MemberValue {
            member: id.clone(),
            instance: member.instance.clone(),
            client: member.client.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: member.assignment.clone(),
        };
        GroupValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since: self.since,
            members: self.members.iter().map(member).collect(),
        }
    }

    /// Writes the group's record.
    pub(super) fn record(&mut self, desk: &mut Desk) {
        self.recorded = true;
        let key = RecordKey::Group(self.id.clone()).encode();
        desk.write(Record { key, value: Some(self.value().encode()) });
    }

    /// Writes a record of a group that members have heard of and the log has not: it outlives a crash, as the
    /// group without members that it is so far.
    pub(super) fn record_if_first(&mut self, desk: &mut Desk) {
        if self.recorded || self.is_idle() {
            return;
        }
        self.recorded = true;
        let value = Self::new(self.id.clone()).value();
        let key = RecordKey::Group(self.id.clone()).encode();
        desk.write(Record { key, value: Some(value.encode()) });
    }

    /// Starts the members' sessions after a load.
    pub(super) fn loaded(&mut self, desk: &mut Desk) {
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in &ids {
            self.hear_of(desk, id);
        }
        if ids.len() > desk.settings.group_size_max as usize {
            self.prepare_rebalance(desk);
        }
    }

    /// Ends every timer: the group goes.
    pub(super) fn close(&mut self, desk: &mut Desk) {
        let members: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in members {
            self.remove(desk, &id);
        }
        let pending = std::mem::take(&mut self.pending);
        for (id, mut at) in pending {
            desk.end_timer(&mut at, Timer::Session(self.id.clone(), id));
        }
        desk.end_timer(&mut self.join_timer, Timer::Join(self.id.clone()));
        desk.end_timer(&mut self.sync_timer, Timer::Sync(self.id.clone()));
    }

    /// Adds a member; its static id is not taken.
    fn insert(&mut self, id: MemberId, member: Member) {
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        for protocol in &member.protocols {
            *self.supported.entry(protocol.name.clone()).or_default() += 1;
        }
        self.awaiting_join += usize::from(member.awaits_join.is_some());
        self.bytes += member.bytes(&id);
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id, member);
    }

    /// Takes a member out and gives it; what it waits for is the caller's business.
    fn take(&mut self, desk: &mut Desk, id: &MemberId) -> Option<Member> {
        let mut member = self.members.remove(id)?;
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        for protocol in &member.protocols {
            if let Some(count) = self.supported.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(&protocol.name);
                }
            }
        }
        self.awaiting_join -= usize::from(member.awaits_join.is_some());
        self.bytes -= member.bytes(id);
        if self.leader.as_ref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.end_pending_sync(desk, id);
        desk.end_timer(&mut member.timer, Timer::Session(self.id.clone(), id.clone()));
        Some(member)
    }

    /// Whether a request speaks for a member: [`ErrorCode::FencedInstanceId`] if another one has taken over.
    fn check_member(&self, id: &MemberId, instance: Option<&InstanceId>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if current != id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether somebody with these protocols could be in the group.
    fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.members.is_empty() && self.phase == Phase::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let all = self.members.len();
        self.protocol_type.as_deref().is_none_or(|own| own == protocol_type)
            && protocols
                .iter()
                .any(|protocol| self.supported.get(&protocol.name).copied().unwrap_or(0) == all)
    }

    /// The protocol that everybody knows and most like best; the first by name of equals.
    fn select_protocol(&self) -> Option<String> {
        let all = self.members.len();
        let known = self.supported.iter().filter(|(_, count)| **count == all);
        let candidates: Set<&str> = known.map(|(name, _)| name.as_str()).collect();
        let mut votes: Map<&str, usize> = Map::new();
        for member in self.members.values() {
            if let Some(name) = member.vote(&candidates) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.iter().find(|(_, count)| **count == most).map(|(name, _)| (*name).to_owned())
    }

    fn rebalance_timeout_ms(&self) -> u64 {
        self.members
            .values()
            .map(|member| u64::from(member.rebalance_timeout_ms))
            .max()
            .unwrap_or(0)
    }

    const fn enter(&mut self, desk: &Desk, phase: Phase) {
        self.phase = phase;
        self.since = Some(desk.moment.wall);
    }

    /// Everybody, as the leader is told.
    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref();
        let seen = |(id, member): (&MemberId, &Member)| JoinedMember {
            member: id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.iter().map(seen).collect()
    }

    pub(super) const fn state(&self) -> GroupState {
        match self.phase {
            Phase::Empty => GroupState::Empty,
            Phase::Initial { .. } | Phase::Preparing => GroupState::PreparingRebalance,
            Phase::Completing => GroupState::CompletingRebalance,
            Phase::Stable => GroupState::Stable,
        }
    }

    pub(super) fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    pub(super) const fn since(&self) -> Option<TimestampMs> {
        self.since
    }

    pub(super) const fn is_recorded(&self) -> bool {
        self.recorded
    }

    pub(super) fn is_empty(&self) -> bool {
        self.phase == Phase::Empty
    }

    /// Whether nobody is in it, and nobody is about to be.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Empty && self.pending.is_empty()
    }

    /// Whether its members are consumers, so that their topics are known.
    pub(super) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    pub(super) const fn knows_subscriptions(&self) -> bool {
        self.subscribed.is_some()
    }

    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.subscribed.as_ref().is_some_and(|topics| topics.contains(topic))
    }

    pub(super) fn describe(&self) -> DescribedGroup {
        let stable = self.phase == Phase::Stable;
        let protocol = self.protocol.as_deref().filter(|_| stable);
        let member = |(id, member): (&MemberId, &Member)| DescribedMember {
            member: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client.id.clone(),
            client_host: member.client.host.clone(),
            metadata: member.metadata(protocol),
            assignment: if stable { member.assignment.clone() } else { Bytes::new() },
        };
        DescribedGroup {
            state: self.state(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: self.members.iter().map(member).collect(),
        }
    }
}

#[cfg(test)]
impl ClassicGroup {
    /// Asserts that what is counted is what there is.
    pub(super) fn check_books(&self) {
        let members = || self.members.values();
        let bytes: usize = self.members.iter().map(|(id, member)| member.bytes(id)).sum();
        assert_eq!(self.bytes, bytes, "bytes of {}", self.id);
        let parked = members().filter(|member| member.awaits_join.is_some()).count();
        assert_eq!(self.awaiting_join, parked, "parked joins of {}", self.id);
        let known: usize = members().map(|member| member.protocols.len()).sum();
        assert_eq!(self.supported.values().sum::<usize>(), known, "protocols of {}", self.id);
        for (instance, id) in &self.instances {
            let own = self.members.get(id).and_then(|member| member.instance.as_ref());
            assert_eq!(own, Some(instance), "static ids of {}", self.id);
        }
        assert_eq!(self.leader.is_some(), !self.members.is_empty(), "leader of {}", self.id);
        assert!(
            self.leader.iter().all(|id| self.members.contains_key(id)),
            "leader of {}",
            self.id
        );
        assert!(self.pending_sync.iter().all(|id| self.members.contains_key(id)), "{}", self.id);
        if self.phase == Phase::Empty {
            assert!(
                self.members.is_empty() && self.join_timer.is_none(),
                "{} is not empty",
                self.id
            );
        }
    }
}
