//! Members that go: by their own word, or because they were silent or slow for too long.

use kolk_model::error::ErrorCode;

use super::{AWAY, ConsumerGroup, Refused};
use crate::group::answer::Heard;
use crate::group::desk::{Desk, Timer};
use crate::group::ids::MemberId;
use crate::group::record::RecordKey;
use crate::group::record::consumer_value::CurrentValue;
use crate::group::request::ConsumerHeartbeat;

impl ConsumerGroup {
    /// Takes the last heartbeat of a member. A static one may say that it comes back: then it keeps its share
    /// until its session ends. Who does not is to be taken out by the caller.
    pub(in crate::group) fn leave(
        &mut self,
        desk: &mut Desk,
        request: &ConsumerHeartbeat,
    ) -> Result<(Heard, Stay), Refused> {
        let id = self.check_leaving(request)?;
        let stay = if request.epoch == AWAY { Stay::Kept } else { Stay::Over };
        if stay == Stay::Kept {
            self.go_away(desk, &id);
        }
        let heard = Heard {
            member: request.member.clone(),
            epoch: request.epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        };
        Ok((heard, stay))
    }

    fn check_leaving(&self, request: &ConsumerHeartbeat) -> Result<MemberId, Refused> {
        let unknown = || {
            let code = ErrorCode::UnknownMemberId;
            Refused::new(code, code.hint())
        };
        if let Some(instance) = &request.instance {
            let current = self.instances.get(instance).ok_or_else(unknown)?;
            if current != &request.member {
                let code = ErrorCode::FencedInstanceId;
                return Err(Refused::new(code, code.hint()));
            }
        }
        if self.members.contains_key(&request.member) {
            Ok(request.member.clone())
        } else {
            Err(unknown())
        }
    }

    fn go_away(&mut self, desk: &mut Desk, id: &MemberId) {
        let Some(member) = self.members.get_mut(id) else { return };
        desk.end_timer(&mut member.revoke_timer, Timer::Revoke(self.id.clone(), id.clone()));
        let has = CurrentValue { epoch: AWAY, ..member.has.clone() };
        desk.write(self.member_key(id, RecordKey::Current).with(has.encode()));
        self.set_current(id, has);
    }

    /// Takes a member out; the others get its share with their next heartbeats.
    pub(in crate::group) fn remove(&mut self, desk: &mut Desk, id: &MemberId) {
        self.take_out(desk, id);
        self.members_went(desk);
    }

    pub(super) fn take_out(&mut self, desk: &mut Desk, id: &MemberId) {
        for kind in [RecordKey::Current, RecordKey::Target, RecordKey::Subscriber] {
            desk.write(self.member_key(id, kind).tombstone());
        }
        self.forget(desk, id);
    }

    /// Members were taken out: the others are in for a new assignment.
    pub(super) fn members_went(&mut self, desk: &mut Desk) {
        self.drop_unused_patterns(desk);
        // The topics are looked at again with the next heartbeat.
        self.topics_seen = None;
        self.bump(desk);
    }

    /// A session may have run out; tells whether it has.
    pub(in crate::group) fn session_timer_due(&mut self, desk: &mut Desk, id: &MemberId) -> Stay {
        let Some(member) = self.members.get_mut(id) else { return Stay::Kept };
        member.session_timer = None;
        if member.silent_at_ms > desk.moment.now_ms {
            let at = member.silent_at_ms;
            let timer = Timer::Session(self.id.clone(), id.clone());
            desk.set_timer(&mut member.session_timer, at, timer);
            return Stay::Kept;
        }
        Stay::Over
    }

    /// A member has not done in time what others wait for: given something up, joined again, or asked for its
    /// assignment.
    pub(in crate::group) fn duty_timer_due(&mut self, id: &MemberId, duty: Duty) -> Stay {
        let Some(member) = self.members.get_mut(id) else { return Stay::Kept };
        match duty {
            Duty::Revoke => member.revoke_timer = None,
            Duty::Rejoin => member.rejoin_timer = None,
            Duty::Resync => member.resync_timer = None,
        }
        Stay::Over
    }
}

/// Whether a member stays in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::group) enum Stay {
    /// It is in it.
    Kept,
    /// It is to be taken out.
    Over,
}

/// What a member has to do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::group) enum Duty {
    /// Give partitions up.
    Revoke,
    /// Join again (classic).
    Rejoin,
    /// Ask for its assignment (classic).
    Resync,
}
