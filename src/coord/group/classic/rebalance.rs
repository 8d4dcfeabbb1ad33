//! Rebalances: waiting for members, beginning a generation, and handing out what the leader assigned.

use bytes::Bytes;

use kolk_model::error::ErrorCode;
use kolk_model::map::Map;

use super::{ClassicGroup, Phase};
use crate::group::answer::{GroupAnswer, Synced};
use crate::group::desk::{Desk, Timer};
use crate::group::ids::MemberId;

impl ClassicGroup {
    /// Somebody came or changed: begins a rebalance, or ends the one that waited for this.
    pub(super) fn rebalance(&mut self, desk: &mut Desk) {
        match self.phase {
            Phase::Empty | Phase::Completing | Phase::Stable => self.prepare_rebalance(desk),
            Phase::Initial { .. } | Phase::Preparing => self.complete_if_all_joined(desk),
        }
    }

    /// Asks everybody to join again. An empty group waits a while for more members than the first.
    pub(in crate::group) fn prepare_rebalance(&mut self, desk: &mut Desk) {
        if self.phase == Phase::Completing {
            self.reset_assignments(desk, ErrorCode::RebalanceInProgress);
        }
        self.pending_sync.clear();
        desk.end_timer(&mut self.sync_timer, Timer::Sync(self.id.clone()));
        if self.phase == Phase::Empty {
            let delay_ms = u64::from(desk.settings.initial_rebalance_delay_ms);
            let left_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms);
            self.enter(desk, Phase::Initial { grown: false, delay_ms, left_ms });
            self.wait_for_joins(desk, delay_ms);
            return;
        }
        self.enter(desk, Phase::Preparing);
        if self.all_joined() {
            self.complete_join(desk);
        } else {
            let patience_ms = self.rebalance_timeout_ms();
            self.wait_for_joins(desk, patience_ms);
        }
    }

    fn wait_for_joins(&mut self, desk: &mut Desk, ms: u64) {
        let at = desk.after_ms(ms);
        desk.set_timer(&mut self.join_timer, at, Timer::Join(self.id.clone()));
    }

    fn all_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending.is_empty()
    }

    pub(super) fn complete_if_all_joined(&mut self, desk: &mut Desk) {
        if self.phase == Phase::Preparing && self.all_joined() {
            self.complete_join(desk);
        }
    }

    /// The wait for joins is over.
    pub(in crate::group) fn join_timer_due(&mut self, desk: &mut Desk) {
        self.join_timer = None;
        match self.phase {
            Phase::Initial { grown: true, delay_ms, left_ms } if left_ms > 0 => {
                let next_ms = u64::from(desk.settings.initial_rebalance_delay_ms).min(left_ms);
                let left_ms = left_ms.saturating_sub(delay_ms);
                self.phase = Phase::Initial { grown: false, delay_ms: next_ms, left_ms };
                self.wait_for_joins(desk, next_ms);
            }
            Phase::Initial { .. } | Phase::Preparing => self.complete_join(desk),
            Phase::Empty | Phase::Completing | Phase::Stable => {}
        }
    }

    /// Begins the next generation with those that joined. Static members stay though they did not.
    fn complete_join(&mut self, desk: &mut Desk) {
        desk.end_timer(&mut self.join_timer, Timer::Join(self.id.clone()));
        let absent = self.members.iter().filter(|(_, member)| member.awaits_join.is_none());
        let gone = absent.filter(|(_, member)| member.instance.is_none());
        for id in gone.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.remove(desk, &id);
        }
        if !self.members.is_empty() && !self.elect_leader() {
            // Nobody joined, and those that are left are static: wait until one comes or its session ends.
            let patience_ms = self.rebalance_timeout_ms();
            self.enter(desk, Phase::Preparing);
            self.wait_for_joins(desk, patience_ms);
            return;
        }
        self.generation = self.generation.next();
        self.pending_sync.clear();
        if self.members.is_empty() {
            self.protocol = None;
            self.leader = None;
            self.subscribed = self.read_subscriptions();
            self.enter(desk, Phase::Empty);
            self.record(desk);
            return;
        }
        self.protocol = self.select_protocol();
        self.subscribed = self.read_subscriptions();
        self.enter(desk, Phase::Completing);
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            if let Some(ticket) = self.unpark_join(&id) {
                desk.answer(ticket, GroupAnswer::Join(Ok(self.joined(&id))));
            }
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
            }
            self.hear_of(desk, &id);
            self.pending_sync.insert(id);
        }
        let at = desk.after_ms(self.rebalance_timeout_ms());
        desk.set_timer(&mut self.sync_timer, at, Timer::Sync(self.id.clone()));
    }

    /// Makes sure that the leader is one that joined; says whether there is one.
    fn elect_leader(&mut self) -> bool {
        let joined =
            |id: &MemberId| self.members.get(id).is_some_and(|member| member.awaits_join.is_some());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let next = self.members.keys().find(|id| joined(id)).cloned();
        let found = next.is_some();
        self.leader = next.or_else(|| self.leader.take());
        found
    }

    /// The leader has assigned: the generation is whole.
    pub(super) fn assign(&mut self, desk: &mut Desk, assignments: Vec<(MemberId, Bytes)>) {
        let mut assignments: Map<MemberId, Bytes> = assignments.into_iter().collect();
        for (id, member) in &mut self.members {
            self.bytes -= member.assignment.len();
            member.assignment = assignments.remove(id).unwrap_or_default();
            self.bytes += member.assignment.len();
        }
        self.enter(desk, Phase::Stable);
        self.record(desk);
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let parked = self.members.get_mut(&id).and_then(|member| member.awaits_sync.take());
            if let Some(ticket) = parked {
                desk.answer(ticket, GroupAnswer::Sync(Ok(self.synced(&id))));
                self.hear_of(desk, &id);
            }
        }
    }

    /// What a member is told of its share.
    pub(super) fn synced(&self, id: &MemberId) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(id).map(|own| own.assignment.clone()).unwrap_or_default(),
        }
    }

    /// Takes every assignment back and tells those who wait for theirs.
    pub(super) fn reset_assignments(&mut self, desk: &mut Desk, code: ErrorCode) {
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let Some(member) = self.members.get_mut(&id) else { continue };
            self.bytes -= member.assignment.len();
            member.assignment = Bytes::new();
            if let Some(ticket) = member.awaits_sync.take() {
                desk.answer(ticket, GroupAnswer::Sync(Err(code)));
                self.hear_of(desk, &id);
            }
        }
    }

    /// The wait for members that have not asked for their assignment is over: they go.
    pub(in crate::group) fn sync_timer_due(&mut self, desk: &mut Desk) {
        self.sync_timer = None;
        if !matches!(self.phase, Phase::Completing | Phase::Stable) || self.pending_sync.is_empty()
        {
            return;
        }
        for id in std::mem::take(&mut self.pending_sync) {
            self.remove(desk, &id);
        }
        self.prepare_rebalance(desk);
    }

    /// A member has asked for its assignment, or is gone.
    pub(super) fn end_pending_sync(&mut self, desk: &mut Desk, id: &MemberId) {
        if self.pending_sync.remove(id) && self.pending_sync.is_empty() {
            desk.end_timer(&mut self.sync_timer, Timer::Sync(self.id.clone()));
        }
    }
}
