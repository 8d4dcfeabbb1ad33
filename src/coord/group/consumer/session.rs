//! What classic members of a consumer group say once they are in: sync, heartbeat, leave. A heartbeat is answered
//! with `REBALANCE_IN_PROGRESS` when joining again would bring the member further.

use kolk_model::error::ErrorCode;

use super::classic::CONSUMER;
use super::migration::share;
use super::{Consumer, ConsumerGroup};
use crate::group::answer::{Left, Synced};
use crate::group::desk::{Desk, Timer};
use crate::group::ids::{Generation, InstanceId, MemberId};
use crate::group::record::consumer_value::{ClassicValue, Progress};
use crate::group::request::{Heartbeat, LeaveGroup, Leaving, SyncGroup};
use crate::group::topics::Topics;

impl ConsumerGroup {
    /// Takes a sync: gives what the member has by now.
    pub(in crate::group) fn sync(
        &mut self,
        desk: &mut Desk,
        topics: &dyn Topics,
        request: &SyncGroup,
    ) -> Result<Synced, ErrorCode> {
        let id = &request.member;
        let (member, classic) = self.classic_member(id, request.instance.as_ref())?;
        check_generation(member, request.generation)?;
        // A member that must give up has joined for this epoch already; it is asked again when it has.
        if member.has.epoch < self.epoch && member.has.progress != Progress::Unrevoked {
            self.expect_join(desk, id);
            return Err(ErrorCode::RebalanceInProgress);
        }
        let known = |name: &str| classic.protocols.iter().any(|protocol| protocol.name == name);
        if request.protocol_type.as_deref().is_some_and(|asked| asked != CONSUMER)
            || request.protocol.as_deref().is_some_and(|asked| !known(asked))
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let first = || classic.protocols.first().map(|protocol| protocol.name.clone());
        let protocol = request.protocol.clone().or_else(first);
        // What can't be read did not join.
        let assignment = share(topics, classic, &member.has.assigned);
        let assignment = assignment.ok_or(ErrorCode::InconsistentGroupProtocol)?;
        if let Some(member) = self.members.get_mut(id) {
            let timer = Timer::Resync(self.id.clone(), id.clone());
            desk.end_timer(&mut member.resync_timer, timer);
        }
        self.hear_of(desk, id);
        Ok(Synced { protocol_type: Some(CONSUMER.to_owned()), protocol, assignment })
    }

    /// Takes a heartbeat of a classic member. It also looks at the topics: there may be no member that does so with
    /// heartbeats of its own.
    pub(in crate::group) fn classic_heartbeat(
        &mut self,
        desk: &mut Desk,
        topics: &dyn Topics,
        request: &Heartbeat,
    ) -> Result<(), ErrorCode> {
        let id = &request.member;
        let (member, _) = self.classic_member(id, request.instance.as_ref())?;
        check_generation(member, request.generation)?;
        self.hear_of(desk, id);
        self.refresh(desk, topics, false);
        if self.gains_by_joining(id) {
            self.expect_join(desk, id);
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether a member comes closer to what it is to have by joining again.
    fn gains_by_joining(&self, id: &MemberId) -> bool {
        let Some(member) = self.members.get(id) else { return false };
        member.has.epoch < self.epoch
            || match member.has.progress {
                Progress::Stable => false,
                Progress::Unrevoked => true,
                Progress::Unreleased => !self.waits_for_others(id),
            }
    }

    /// Whether others still have something that a member is to have.
    fn waits_for_others(&self, id: &MemberId) -> bool {
        let target = self.targets.get(id).into_iter().flatten();
        let mut all = target.flat_map(|(topic, all)| all.iter().map(|one| (*topic, *one)));
        all.any(|partition| self.owners.get(&partition).is_some_and(|owner| owner != id))
    }

    /// A member was asked to join again: it has its rebalance timeout for that, from the first time on.
    fn expect_join(&mut self, desk: &mut Desk, id: &MemberId) {
        let Some(member) = self.members.get_mut(id).filter(|one| one.rejoin_timer.is_none()) else {
            return;
        };
        let at = desk.after_ms(u64::from(member.says.rebalance_timeout_ms));
        let timer = Timer::Rejoin(self.id.clone(), id.clone());
        desk.set_timer(&mut member.rejoin_timer, at, timer);
    }

    /// Takes classic members out. The others' epoch rises once.
    pub(in crate::group) fn classic_leave(
        &mut self,
        desk: &mut Desk,
        request: LeaveGroup,
    ) -> Vec<Left> {
        let mut left = Vec::with_capacity(request.members.len());
        let mut any = false;
        for leaving in request.members {
            let found = self.who_leaves(&leaving);
            if let Ok(id) = &found {
                self.take_out(desk, id);
                any = true;
            }
            let code = found.err().unwrap_or(ErrorCode::None);
            let Leaving { member, instance, .. } = leaving;
            left.push(Left { member, instance, code });
        }
        if any {
            self.members_went(desk);
        }
        left
    }

    fn who_leaves(&self, leaving: &Leaving) -> Result<MemberId, ErrorCode> {
        let id = match &leaving.instance {
            // A tool takes out whoever stands for the instance.
            Some(instance) if leaving.member.is_empty() => {
                self.instances.get(instance).ok_or(ErrorCode::UnknownMemberId)?
            }
            _ => &leaving.member,
        };
        self.classic_member(id, leaving.instance.as_ref())?;
        Ok(id.clone())
    }

    /// The classic member that a request speaks for: [`ErrorCode::FencedInstanceId`] if another one has taken over.
    fn classic_member(
        &self,
        id: &MemberId,
        instance: Option<&InstanceId>,
    ) -> Result<(&Consumer, &ClassicValue), ErrorCode> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if current != id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        let member = self.members.get(id).ok_or(ErrorCode::UnknownMemberId)?;
        let classic = member.says.classic.as_ref().ok_or(ErrorCode::UnknownMemberId)?;
        Ok((member, classic))
    }
}

fn check_generation(member: &Consumer, asked: Option<Generation>) -> Result<(), ErrorCode> {
    let asked = asked.map(Generation::to_wire);
    if asked == Some(member.has.epoch) { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
}
