//! A group on its way to the consumer protocol or back, seen from the classic side.

use kolk_model::error::ErrorCode;

use super::join::refuse;
use super::member::Member;
use super::{CONSUMER, ClassicGroup, Phase};
use crate::group::answer::{GroupAnswer, Joined};
use crate::group::consumer::Migrant;
use crate::group::desk::Desk;
use crate::group::ids::{Generation, GroupId, MemberId};
use crate::group::request::JoinGroup;

impl ClassicGroup {
    /// The members on their way to a group of the consumer protocol.
    pub(in crate::group) fn migrants(&self) -> Vec<Migrant> {
        let migrant = |(id, member): (&MemberId, &Member)| Migrant {
            member: id.clone(),
            instance: member.instance.clone(),
            client: member.client.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
            assignment: member.assignment.clone(),
        };
        self.members.iter().map(migrant).collect()
    }

    /// Tells everybody who waits to join again: the group goes on under the other protocol.
    pub(in crate::group) fn send_back(&mut self, desk: &mut Desk) {
        let code = ErrorCode::RebalanceInProgress;
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            if let Some(ticket) = self.unpark_join(&id) {
                refuse(desk, ticket, code, id.clone());
            }
            let waiting = self.members.get_mut(&id).and_then(|member| member.awaits_sync.take());
            if let Some(ticket) = waiting {
                desk.answer(ticket, GroupAnswer::Sync(Err(code)));
            }
        }
    }

    /// The group that the classic members of a consumer group make, stable with what they were to have. Nothing is
    /// written yet.
    pub(in crate::group) fn from_migrants(
        desk: &Desk,
        id: GroupId,
        generation: Generation,
        migrants: Vec<Migrant>,
    ) -> Self {
        let mut group = Self::new(id);
        group.generation = generation;
        group.protocol_type = Some(CONSUMER.to_owned());
        for migrant in migrants {
            let member = Member {
                instance: migrant.instance,
                client: migrant.client,
                rebalance_timeout_ms: migrant.rebalance_timeout_ms,
                session_timeout_ms: migrant.session_timeout_ms,
                protocols: migrant.protocols,
                assignment: migrant.assignment,
                awaits_join: None,
                awaits_sync: None,
                is_new: false,
                silent_at_ms: 0,
                timer: None,
            };
            group.insert(migrant.member, member);
        }
        group.protocol = group.select_protocol();
        group.subscribed = group.read_subscriptions();
        group.enter(desk, Phase::Stable);
        group
    }

    /// What a member is told that has joined by the change: the group has its assignment.
    pub(in crate::group) fn joined_by_change(&self, id: &MemberId, request: &JoinGroup) -> Joined {
        self.joined_again(id, None, request)
    }

    pub(in crate::group) const fn generation(&self) -> Generation {
        self.generation
    }

    /// What its members take, and no less than what its record takes.
    pub(in crate::group) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::group) fn len(&self) -> usize {
        self.members.len()
    }
}
