//! What members say once they are in: sync, heartbeat, leave; what their silence means; and who may commit.

use kolk_model::error::ErrorCode;

use super::{ClassicGroup, Phase};
use crate::group::answer::{GroupAnswer, Left};
use crate::group::desk::{Desk, Ticket, Timer};
use crate::group::ids::{Generation, MemberId};
use crate::group::request::{CommitOffsets, Heartbeat, LeaveGroup, Leaving, SyncGroup};

impl ClassicGroup {
    /// Takes a sync. Answers at once, or when the leader has assigned.
    pub(in crate::group) fn sync(&mut self, desk: &mut Desk, ticket: Ticket, request: SyncGroup) {
        if let Err(code) = self.check_sync(&request) {
            return desk.answer(ticket, GroupAnswer::Sync(Err(code)));
        }
        let id = request.member;
        match self.phase {
            // Refused by the check.
            Phase::Empty | Phase::Initial { .. } | Phase::Preparing => {}
            Phase::Stable => {
                self.end_pending_sync(desk, &id);
                desk.answer(ticket, GroupAnswer::Sync(Ok(self.synced(&id))));
            }
            Phase::Completing => {
                let leads = self.leader.as_ref() == Some(&id);
                let bytes: usize = request.assignments.iter().map(|(_, share)| share.len()).sum();
                if leads && self.bytes + bytes > desk.settings.group_bytes_max {
                    let code = ErrorCode::UnknownServerError;
                    return desk.answer(ticket, GroupAnswer::Sync(Err(code)));
                }
                self.end_pending_sync(desk, &id);
                let parked =
                    self.members.get_mut(&id).and_then(|own| own.awaits_sync.replace(ticket));
                if let Some(former) = parked {
                    // A client that asks twice has given the first request up.
                    let code = ErrorCode::RebalanceInProgress;
                    desk.answer(former, GroupAnswer::Sync(Err(code)));
                }
                if leads {
                    self.assign(desk, request.assignments);
                }
            }
        }
    }

    fn check_sync(&self, request: &SyncGroup) -> Result<(), ErrorCode> {
        if self.phase == Phase::Empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_member(&request.member, request.instance.as_ref())?;
        self.check_generation(request.generation)?;
        let differs = |asked: &Option<String>, own: &Option<String>| {
            asked.as_ref().zip(own.as_ref()).is_some_and(|(asked, own)| asked != own)
        };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol, &self.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if matches!(self.phase, Phase::Initial { .. } | Phase::Preparing) {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    fn check_generation(&self, asked: Option<Generation>) -> Result<(), ErrorCode> {
        if asked == Some(self.generation) { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    /// Takes a heartbeat.
    pub(in crate::group) fn heartbeat(
        &mut self,
        desk: &mut Desk,
        request: &Heartbeat,
    ) -> Result<(), ErrorCode> {
        self.check_member(&request.member, request.instance.as_ref())?;
        self.check_generation(request.generation)?;
        self.hear_of(desk, &request.member);
        match self.phase {
            Phase::Initial { .. } | Phase::Preparing => Err(ErrorCode::RebalanceInProgress),
            Phase::Empty | Phase::Completing | Phase::Stable => Ok(()),
        }
    }

    /// Takes members out.
    pub(in crate::group) fn leave(&mut self, desk: &mut Desk, request: LeaveGroup) -> Vec<Left> {
        let mut left = Vec::with_capacity(request.members.len());
        for leaving in request.members {
            let code = self.leave_one(desk, &leaving).err().unwrap_or(ErrorCode::None);
            let Leaving { member, instance, .. } = leaving;
            left.push(Left { member, instance, code });
        }
        if left.iter().any(|one| one.code.is_ok()) {
            match self.phase {
                Phase::Completing | Phase::Stable => self.prepare_rebalance(desk),
                _ => self.complete_if_all_joined(desk),
            }
        }
        left
    }

    fn leave_one(&mut self, desk: &mut Desk, leaving: &Leaving) -> Result<(), ErrorCode> {
        let id = if leaving.member.is_empty() {
            // A tool takes out whoever stands for the instance.
            let instance = leaving.instance.as_ref().ok_or(ErrorCode::UnknownMemberId)?;
            self.instances.get(instance).cloned().ok_or(ErrorCode::UnknownMemberId)?
        } else {
            leaving.member.clone()
        };
        if let Some(mut at) = self.pending.remove(&id) {
            desk.end_timer(&mut at, Timer::Session(self.id.clone(), id));
            return Ok(());
        }
        self.check_member(&id, leaving.instance.as_ref())?;
        self.remove(desk, &id);
        Ok(())
    }

    /// A session may have run out.
    pub(in crate::group) fn session_timer_due(&mut self, desk: &mut Desk, id: &MemberId) {
        if self.pending.remove(id).is_some() {
            return self.complete_if_all_joined(desk);
        }
        let Some(member) = self.members.get_mut(id) else { return };
        member.timer = None;
        if member.silent_at_ms > desk.moment.now_ms {
            let at = member.silent_at_ms;
            desk.set_timer(&mut member.timer, at, Timer::Session(self.id.clone(), id.clone()));
            return;
        }
        if member.waits() {
            // It is heard of again when it is answered.
            return;
        }
        self.remove(desk, id);
        match self.phase {
            Phase::Completing | Phase::Stable => self.prepare_rebalance(desk),
            _ => self.complete_if_all_joined(desk),
        }
    }

    /// A member lives.
    pub(super) fn hear_of(&mut self, desk: &mut Desk, id: &MemberId) {
        if let Some(member) = self.members.get(id) {
            let ms = u64::from(member.session_timeout_ms);
            self.expect_word(desk, id, ms);
        }
    }

    /// Gives a member so much time from now. Its timer moves only if it would be late.
    pub(super) fn expect_word(&mut self, desk: &mut Desk, id: &MemberId, ms: u64) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.silent_at_ms = desk.after_ms(ms);
        if member.timer.is_none_or(|at| at > member.silent_at_ms) {
            let at = member.silent_at_ms;
            desk.set_timer(&mut member.timer, at, Timer::Session(self.id.clone(), id.clone()));
        }
    }

    /// Whether the one who commits may. A member's commit also says that it lives.
    pub(in crate::group) fn check_commit(
        &mut self,
        desk: &mut Desk,
        request: &CommitOffsets,
    ) -> Result<(), ErrorCode> {
        let generation = Generation::from_wire(request.generation_or_epoch);
        if generation.is_none() && self.phase == Phase::Empty {
            return Ok(());
        }
        if generation.is_none() && request.member.is_empty() && request.instance.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_member(&request.member, request.instance.as_ref())?;
        self.check_generation(generation)?;
        if self.phase == Phase::Completing {
            return Err(ErrorCode::RebalanceInProgress);
        }
        self.hear_of(desk, &request.member);
        Ok(())
    }
}
