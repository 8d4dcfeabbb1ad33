//! Moving a group with members from one protocol to the other (KIP-848): up when the first member of the consumer
//! protocol joins, down when the last one goes and classic members are left.

use kolk_model::error::ErrorCode;

use super::{Coordinator, Group};
use crate::group::answer::{GroupAnswer, Heard, HeartbeatRefused, JoinRefused, Joined};
use crate::group::classic::ClassicGroup;
use crate::group::consumer::ConsumerGroup;
use crate::group::desk::Ticket;
use crate::group::ids::{Generation, GroupId, MemberId};
use crate::group::record::RecordKey;
use crate::group::request::{ConsumerHeartbeat, JoinGroup};
use crate::group::topics::Topics;

/// What a classic group does once its members have gone up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rebalance {
    /// Members are asked to join again.
    Now,
    /// What they were to have is what they get.
    NotNeeded,
}

impl Coordinator {
    /// The consumer group that a first heartbeat makes of a group of the other protocol, or of none; `None` if it must
    /// not be made. Nothing has changed yet.
    pub(super) fn upgraded(
        &self,
        topics: &dyn Topics,
        request: &ConsumerHeartbeat,
    ) -> Option<ConsumerGroup> {
        let (id, ms) = (request.group.clone(), request.session_timeout_ms);
        let Some(group) = self.groups.get(&id).filter(|group| !group.classic.is_empty()) else {
            return Some(ConsumerGroup::new(id, ms));
        };
        let (classic, settings) = (&group.classic, &self.desk.settings);
        let size_max = settings.consumer_group_size_max as usize;
        if !settings.migration.upgrades() || !classic.is_of_consumers() || classic.len() > size_max
        {
            return None;
        }
        let epoch = classic.generation().to_wire();
        ConsumerGroup::from_classic(id, epoch, classic.migrants(), topics, ms)
    }

    /// Puts a consumer group in the place of a classic one.
    pub(super) fn upgrade(
        &mut self,
        topics: &dyn Topics,
        mut consumers: ConsumerGroup,
        request: ConsumerHeartbeat,
    ) -> Result<Heard, HeartbeatRefused> {
        consumers.admit(&self.desk, &request)?;
        let id = request.group.clone();
        let group = self.groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone()));
        if group.classic.is_recorded() {
            self.desk.write(RecordKey::Group(id.clone()).tombstone());
        }
        group.classic.send_back(&mut self.desk);
        group.classic.close(&mut self.desk);
        group.classic = ClassicGroup::new(id);
        if !consumers.is_empty() {
            consumers.record(&mut self.desk);
            consumers.loaded(&mut self.desk);
        }
        let heard = consumers.heartbeat(&mut self.desk, topics, request);
        group.consumer = Some(Box::new(consumers));
        heard
    }

    /// A classic member joins a consumer group with members. A static one may take the place of the last member of
    /// the consumer protocol: then the group goes down.
    pub(super) fn join_consumers(
        &mut self,
        topics: &dyn Topics,
        ticket: Ticket,
        request: &JoinGroup,
    ) {
        let answer = self.joined_consumers(topics, request);
        self.desk.answer(ticket, GroupAnswer::Join(answer));
    }

    fn joined_consumers(
        &mut self,
        topics: &dyn Topics,
        request: &JoinGroup,
    ) -> Result<Joined, JoinRefused> {
        let group = self.groups.get_mut(&request.group);
        let Some(consumers) = group.and_then(|group| group.consumer.as_mut()) else {
            let code = ErrorCode::UnknownMemberId;
            return Err(JoinRefused { code, member: request.member.clone() });
        };
        let entry = consumers.join(&mut self.desk, topics, request)?;
        if entry.replaced_consumer && consumers.is_classic() {
            let id = entry.joined.member.clone();
            if self.downgrade(topics, &request.group, None, Rebalance::NotNeeded)
                && let Some(group) = self.groups.get(&request.group)
            {
                return Ok(group.classic.joined_by_change(&id, request));
            }
        }
        Ok(entry.joined)
    }

    /// Takes a member out of a consumer group. If only classic members are left, the group goes down.
    pub(super) fn expel(&mut self, topics: &dyn Topics, id: &GroupId, member: &MemberId) {
        let group = self.groups.get_mut(id);
        let Some(consumers) = group.and_then(|group| group.consumer.as_mut()) else { return };
        if consumers.is_last_consumer(member)
            && self.downgrade(topics, id, Some(member), Rebalance::Now)
        {
            return;
        }
        let group = self.groups.get_mut(id);
        if let Some(consumers) = group.and_then(|group| group.consumer.as_mut()) {
            consumers.remove(&mut self.desk, member);
        }
    }

    /// Makes a classic group of the members of a consumer group but `leaving`, all of whom are classic ones; tells
    /// whether that is allowed and possible.
    fn downgrade(
        &mut self,
        topics: &dyn Topics,
        id: &GroupId,
        leaving: Option<&MemberId>,
        rebalance: Rebalance,
    ) -> bool {
        let settings = self.desk.settings;
        let Some(group) = self.groups.get_mut(id) else { return false };
        let Some(consumers) = group.consumer.as_mut() else { return false };
        let size = consumers.len() - usize::from(leaving.is_some());
        if !settings.migration.downgrades() || size > settings.group_size_max as usize {
            return false;
        }
        let Some(migrants) = consumers.migrants(topics, leaving) else { return false };
        let generation = Generation::from_wire(consumers.epoch()).unwrap_or_default();
        let classic = ClassicGroup::from_migrants(&self.desk, id.clone(), generation, migrants);
        // Here each member has records of its own, there all are in one.
        if classic.bytes() > settings.group_bytes_max {
            return false;
        }
        for record in consumers.close(&mut self.desk) {
            self.desk.write(record);
        }
        group.consumer = None;
        group.classic = classic;
        group.classic.record(&mut self.desk);
        group.classic.loaded(&mut self.desk);
        if rebalance == Rebalance::Now {
            group.classic.prepare_rebalance(&mut self.desk);
        }
        true
    }
}
