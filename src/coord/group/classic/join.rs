//! Joining a classic group.

use kolk_model::error::ErrorCode;

use super::member::{MEMBER_BYTES, Member, joining_bytes};
use super::{ClassicGroup, Phase};
use crate::group::answer::{GroupAnswer, JoinRefused, Joined};
use crate::group::desk::{Desk, Ticket, Timer};
use crate::group::ids::{InstanceId, MemberId};
use crate::group::request::JoinGroup;

/// Nobody yet.
fn no_member() -> MemberId {
    MemberId::new("")
}

pub(super) fn refuse(desk: &mut Desk, ticket: Ticket, code: ErrorCode, member: MemberId) {
    desk.answer(ticket, GroupAnswer::Join(Err(JoinRefused { code, member })));
}

impl ClassicGroup {
    /// Takes a join. Answers at once, or when the group has all its members.
    pub(in crate::group) fn join(&mut self, desk: &mut Desk, ticket: Ticket, request: JoinGroup) {
        let id = request.member.clone();
        if !self.has_room(desk, &request) {
            if !id.is_empty() && self.members.contains_key(&id) {
                self.remove(desk, &id);
            }
            return refuse(desk, ticket, ErrorCode::GroupMaxSizeReached, no_member());
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return refuse(desk, ticket, ErrorCode::InconsistentGroupProtocol, id);
        }
        if !id.is_empty() {
            return self.join_known(desk, ticket, request);
        }
        match request.instance.clone() {
            Some(instance) => self.join_static(desk, ticket, &request, &instance),
            None if request.knows_member_id_required => {
                let id = desk.new_member_id(&request.client.id);
                let mut at = None;
                let silent_at_ms = desk.after_ms(u64::from(request.session_timeout_ms));
                desk.set_timer(&mut at, silent_at_ms, Timer::Session(self.id.clone(), id.clone()));
                self.pending.insert(id.clone(), at);
                refuse(desk, ticket, ErrorCode::MemberIdRequired, id);
            }
            None => {
                let id = desk.new_member_id(&request.client.id);
                self.add(desk, ticket, id, &request);
            }
        }
    }

    /// Whether the group may have the member: those that wait already are in, others up to the maximum.
    fn has_room(&self, desk: &Desk, request: &JoinGroup) -> bool {
        let size_max = desk.settings.group_size_max as usize;
        let own = self.members.get(&request.member);
        let more = joining_bytes(request);
        let less = own.map_or(0, |own| own.bytes(&request.member) - own.assignment.len());
        let pending_bytes = self.pending.len().saturating_mul(MEMBER_BYTES);
        if self.bytes.saturating_sub(less) + pending_bytes + more > desk.settings.group_bytes_max {
            return false;
        }
        match self.phase {
            Phase::Empty => true,
            Phase::Initial { .. } | Phase::Preparing => {
                own.is_some_and(|own| own.awaits_join.is_some()) || self.awaiting_join < size_max
            }
            Phase::Completing | Phase::Stable => own.is_some() || self.members.len() < size_max,
        }
    }

    fn join_known(&mut self, desk: &mut Desk, ticket: Ticket, request: JoinGroup) {
        let id = request.member.clone();
        if request.instance.is_none()
            && let Some(mut at) = self.pending.remove(&id)
        {
            desk.end_timer(&mut at, Timer::Session(self.id.clone(), id.clone()));
            return self.add(desk, ticket, id, &request);
        }
        if let Err(code) = self.check_member(&id, request.instance.as_ref()) {
            return refuse(desk, ticket, code, id);
        }
        let matches = self.members.get(&id).is_some_and(|own| own.protocols == request.protocols);
        let leads = self.leader.as_ref() == Some(&id);
        match self.phase {
            Phase::Initial { .. } | Phase::Preparing => {
                self.update(desk, ticket, &id, &request);
                self.rebalance(desk);
            }
            // The answer to its join was lost, as it seems; a leader that joins a stable group wants a rebalance.
            Phase::Completing if matches => self.answer_join(desk, ticket, &id),
            Phase::Stable if matches && !leads => self.answer_join(desk, ticket, &id),
            Phase::Completing | Phase::Stable => {
                self.update(desk, ticket, &id, &request);
                self.rebalance(desk);
            }
            Phase::Empty => refuse(desk, ticket, ErrorCode::UnknownMemberId, id),
        }
    }

    fn join_static(
        &mut self,
        desk: &mut Desk,
        ticket: Ticket,
        request: &JoinGroup,
        instance: &InstanceId,
    ) {
        if self.instances.contains_key(instance) {
            return self.take_over(desk, ticket, request, instance);
        }
        let id = desk.new_member_id(instance.as_str());
        self.add(desk, ticket, id, request);
    }

    fn add(&mut self, desk: &mut Desk, ticket: Ticket, id: MemberId, request: &JoinGroup) {
        let mut member = Member::new(request);
        member.awaits_join = Some(ticket);
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        if let Phase::Initial { grown, .. } = &mut self.phase {
            *grown = true;
        }
        self.insert(id.clone(), member);
        // It does not know its id, so it can't send heartbeats; if its client is gone, this ends its wait.
        let patience_ms = u64::from(desk.settings.new_member_timeout_ms);
        self.expect_word(desk, &id, patience_ms);
        self.rebalance(desk);
    }

    /// Takes in what a member says of itself, and parks its join.
    fn update(&mut self, desk: &mut Desk, ticket: Ticket, id: &MemberId, request: &JoinGroup) {
        let Some(member) = self.members.get_mut(id) else { return };
        self.bytes -= member.bytes(id);
        let before = std::mem::replace(&mut member.protocols, request.protocols.clone());
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        let replaced = member.awaits_join.replace(ticket);
        self.bytes += member.bytes(id);
        for protocol in &request.protocols {
            *self.supported.entry(protocol.name.clone()).or_default() += 1;
        }
        for protocol in &before {
            if let Some(count) = self.supported.get_mut(&protocol.name) {
                *count -= 1;
            }
        }
        self.supported.retain(|_, count| *count > 0);
        match replaced {
            None => self.awaiting_join += 1,
            // A client that asks twice has given the first request up.
            Some(former) => refuse(desk, former, ErrorCode::RebalanceInProgress, id.clone()),
        }
    }

    /// Lets a restarted static member take the place of its former self, under a new id.
    fn take_over(
        &mut self,
        desk: &mut Desk,
        ticket: Ticket,
        request: &JoinGroup,
        instance: &InstanceId,
    ) {
        let Some(former) = self.instances.get(instance).cloned() else { return };
        let leader = self.leader.clone();
        let Some(mut member) = self.take(desk, &former) else { return };
        let id = desk.new_member_id(instance.as_str());
        if let Some(ticket) = member.awaits_join.take() {
            refuse(desk, ticket, ErrorCode::FencedInstanceId, former.clone());
        }
        if let Some(ticket) = member.awaits_sync.take() {
            desk.answer(ticket, GroupAnswer::Sync(Err(ErrorCode::FencedInstanceId)));
        }
        member.client = request.client.clone();
        self.insert(id.clone(), member);
        self.leader =
            if leader.as_ref() == Some(&former) { Some(id.clone()) } else { leader.clone() };
        self.update(desk, ticket, &id, request);
        self.hear_of(desk, &id);
        match self.phase {
            Phase::Stable if self.select_protocol() == self.protocol => {
                self.unpark_join(&id);
                self.record(desk);
                let joined = self.joined_again(&id, leader, request);
                desk.answer(ticket, GroupAnswer::Join(Ok(joined)));
            }
            Phase::Stable => self.rebalance(desk),
            // The leader may have been told of the former id: its assignment would miss the new one.
            Phase::Completing => self.prepare_rebalance(desk),
            Phase::Empty | Phase::Initial { .. } | Phase::Preparing => {
                self.complete_if_all_joined(desk)
            }
        }
    }

    /// What the new self is told when the group stays as it is. A leader whose version can't be told to skip its
    /// assignment is told of the former leader instead, so that it does not assign.
    pub(super) fn joined_again(
        &self,
        id: &MemberId,
        former_leader: Option<MemberId>,
        request: &JoinGroup,
    ) -> Joined {
        let mut joined = self.joined(id);
        if request.knows_skip_assignment {
            joined.skip_assignment = self.leader.as_ref() == Some(id);
        } else {
            joined.leader = former_leader.unwrap_or_else(no_member);
            joined.members.clear();
        }
        joined
    }

    /// Tells a member of the generation that goes on. In a stable group only those ask that do not lead.
    fn answer_join(&self, desk: &mut Desk, ticket: Ticket, id: &MemberId) {
        desk.answer(ticket, GroupAnswer::Join(Ok(self.joined(id))));
    }

    /// What a member is told of the generation.
    pub(super) fn joined(&self, id: &MemberId) -> Joined {
        let leads = self.leader.as_ref() == Some(id);
        Joined {
            member: id.clone(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_else(no_member),
            skip_assignment: false,
            members: if leads { self.joined_members() } else { Vec::new() },
        }
    }

    /// The member's join is answered by the caller.
    pub(super) fn unpark_join(&mut self, id: &MemberId) -> Option<Ticket> {
        let ticket = self.members.get_mut(id)?.awaits_join.take()?;
        self.awaiting_join -= 1;
        Some(ticket)
    }

    /// Takes a member out. Its parked join is refused, so that a client that still lives begins anew.
    pub(super) fn remove(&mut self, desk: &mut Desk, id: &MemberId) {
        let Some(member) = self.take(desk, id) else { return };
        if let Some(ticket) = member.awaits_join {
            refuse(desk, ticket, ErrorCode::UnknownMemberId, no_member());
        }
        if let Some(ticket) = member.awaits_sync {
            desk.answer(ticket, GroupAnswer::Sync(Err(ErrorCode::UnknownMemberId)));
        }
    }
}
