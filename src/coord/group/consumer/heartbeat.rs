//! A heartbeat of a member that joins or stays.

use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;
use kolk_model::map::Set;

use super::assignor::Assignor;
use super::{AWAY, Consumer, ConsumerGroup, MEMBER_BYTES, Refused, compile, listed};
use crate::group::answer::Heard;
use crate::group::desk::{Desk, Timer};
use crate::group::ids::{InstanceId, MemberId};
use crate::group::record::RecordKey;
use crate::group::record::consumer_value::{Assignment, CurrentValue, SubscriberValue};
use crate::group::request::ConsumerHeartbeat;
use crate::group::topics::Topics;

fn refuse<T>(code: ErrorCode, why: &str) -> Result<T, Refused> {
    Err(Refused::new(code, why))
}

/// Whether a request can be at all, whatever the group.
pub(in crate::group) fn check(request: &ConsumerHeartbeat) -> Result<(), Refused> {
    let invalid = |why| refuse(ErrorCode::InvalidRequest, why);
    if request.group.is_empty() {
        return invalid("the group's id is empty");
    }
    if request.instance.as_ref().is_some_and(InstanceId::is_empty) {
        return invalid("the static id is empty");
    }
    if request.rack.as_deref() == Some("") {
        return invalid("the rack is empty");
    }
    if request.epoch != 0 && request.member.is_empty() {
        return invalid("the member's id is empty");
    }
    match request.epoch {
        0 => check_first(request)?,
        AWAY if request.instance.is_none() => return invalid("only a static member can be away"),
        epoch if epoch < AWAY => return invalid("the member's epoch is not possible"),
        _ => {}
    }
    if request.assignor.as_deref().is_some_and(|name| Assignor::from_name(name).is_none()) {
        return refuse(ErrorCode::UnsupportedAssignor, ErrorCode::UnsupportedAssignor.hint());
    }
    match request.pattern.as_deref() {
        Some(pattern) if !pattern.is_empty() && compile(pattern).is_none() => {
            let why = format!("the regular expression can't be read: {pattern}");
            refuse(ErrorCode::InvalidRegularExpression, &why)
        }
        _ => Ok(()),
    }
}

fn check_first(request: &ConsumerHeartbeat) -> Result<(), Refused> {
    let invalid = |why| refuse(ErrorCode::InvalidRequest, why);
    if request.rebalance_timeout_ms.is_none() {
        return invalid("a member that joins must say its rebalance timeout");
    }
    if request.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
        return invalid("a member that joins must have no partitions");
    }
    let names = request.topics.as_ref().is_some_and(|topics| !topics.is_empty());
    let pattern = request.pattern.as_ref().is_some_and(|pattern| !pattern.is_empty());
    // The empty list is a subscription to nothing, as long as it is one.
    if !names && !pattern && request.topics.is_none() {
        return invalid("a member that joins must say what it reads");
    }
    Ok(())
}

impl ConsumerGroup {
    /// Takes a heartbeat of a member that joins or stays; nothing has changed when it is refused.
    pub(in crate::group) fn heartbeat(
        &mut self,
        desk: &mut Desk,
        topics: &dyn Topics,
        request: ConsumerHeartbeat,
    ) -> Result<Heard, Refused> {
        let former = self.admit(desk, &request)?;
        let id = match request.member.is_empty() {
            true => desk.new_member_id("consumer"),
            false => request.member.clone(),
        };
        if let Some(former) = former {
            self.replace(desk, &former, &id);
        }
        self.session_timeout_ms = request.session_timeout_ms;
        let had = self.members.get(&id).map(|member| member.has.assigned.clone());
        // One that is behind has not heard what it was told last.
        let is_behind = self.members.get(&id).is_some_and(|one| one.has.epoch != request.epoch);
        let is_full = is_behind
            || request.epoch == 0
            || request.rebalance_timeout_ms.is_some()
                && request.topics.is_some()
                && request.owned.is_some();
        let heartbeat_interval_ms = request.heartbeat_interval_ms;
        let owned = request.owned.clone().map(assignment);
        self.rejoin(&id, request.epoch);
        let changed = self.update(desk, &id, request);
        self.refresh(desk, topics, changed);
        if self.epoch > self.target_epoch {
            self.assign(desk, topics);
        }
        self.reconcile(desk, &id, owned.as_ref());
        self.hear_of(desk, &id);
        let has = self.members.get(&id).map(|member| member.has.clone()).unwrap_or_default();
        let is_news = is_full || had.as_ref() != Some(&has.assigned);
        Ok(Heard {
            member: id,
            epoch: has.epoch,
            heartbeat_interval_ms,
            assignment: is_news.then(|| listed(&has.assigned)),
        })
    }

    /// Whether a request will be taken; gives the former self of a static member that returns.
    pub(in crate::group) fn admit(
        &self,
        desk: &Desk,
        request: &ConsumerHeartbeat,
    ) -> Result<Option<MemberId>, Refused> {
        self.check_room(desk, request)?;
        self.check_member(request)
    }

    fn check_room(&self, desk: &Desk, request: &ConsumerHeartbeat) -> Result<(), Refused> {
        let is_new = !self.members.contains_key(&request.member);
        let bytes = request
            .topics
            .as_ref()
            .map_or(0, |topics| topics.iter().map(|topic| topic.len() + 32).sum::<usize>());
        let member = if is_new { MEMBER_BYTES } else { 0 };
        if is_new && self.members.len() >= desk.settings.consumer_group_size_max as usize
            || self.bytes + member + bytes > desk.settings.group_bytes_max
        {
            let code = ErrorCode::GroupMaxSizeReached;
            return refuse(code, code.hint());
        }
        Ok(())
    }

    /// Whether the one who speaks may; gives the former self of a static member that returns.
    fn check_member(&self, request: &ConsumerHeartbeat) -> Result<Option<MemberId>, Refused> {
        let joins = request.epoch == 0;
        let Some(instance) = &request.instance else {
            if self.members.contains_key(&request.member) {
                self.check_epoch(request)?;
            } else if !joins {
                return refuse(ErrorCode::UnknownMemberId, "the group does not know the member");
            }
            return Ok(None);
        };
        let Some(current) = self.instances.get(instance) else {
            return match joins {
                true => Ok(None),
                false => {
                    refuse(ErrorCode::UnknownMemberId, "the group does not know the static id")
                }
            };
        };
        if current == &request.member {
            return self.check_epoch(request).map(|()| None);
        }
        if !joins {
            let code = ErrorCode::FencedInstanceId;
            return refuse(code, code.hint());
        }
        // A classic member can't say that it goes for a while: whoever comes in its name takes its place.
        let makes_room =
            |member: &Consumer| member.has.epoch == AWAY || member.says.classic.is_some();
        if self.members.get(current).is_some_and(makes_room) {
            return Ok(Some(current.clone()));
        }
        let code = ErrorCode::UnreleasedInstanceId;
        refuse(code, code.hint())
    }

    /// A member speaks in its epoch, or in the one before if it has nothing that could be another's: then the answer with the newer
    /// one was lost. What it is asked to give up is still its own; Kafka fences a member that missed that. One that joins has nothing
    /// at all.
    fn check_epoch(&self, request: &ConsumerHeartbeat) -> Result<(), Refused> {
        let Some(member) = self.members.get(&request.member) else { return Ok(()) };
        if request.epoch == 0 || request.epoch == member.has.epoch {
            return Ok(());
        }
        let fits = request.owned.as_ref().is_some_and(|owned| {
            owned.iter().all(|(topic, partitions)| {
                let parts = [&member.has.assigned, &member.has.revoking];
                let has = |one| {
                    parts.iter().any(|part| part.get(topic).is_some_and(|all| all.contains(one)))
                };
                partitions.iter().all(has)
            })
        });
        if request.epoch == member.has.epoch_before && fits {
            return Ok(());
        }
        let (told, known) = (request.epoch, member.has.epoch);
        let why = format!(
            "the member is in epoch {known}, not {told}: it must give up its partitions and join again"
        );
        refuse(ErrorCode::FencedMemberEpoch, &why)
    }

    /// A static member is back under another id: it has what its former self had.
    pub(super) fn replace(&mut self, desk: &mut Desk, former: &MemberId, id: &MemberId) {
        let target = self.targets.get(former).cloned();
        for kind in [RecordKey::Current, RecordKey::Target, RecordKey::Subscriber] {
            desk.write(self.member_key(former, kind).tombstone());
        }
        let Some(member) = self.forget(desk, former) else { return };
        self.set_says(id, member.says);
        let has = CurrentValue { epoch: 0, epoch_before: 0, ..member.has };
        desk.write(self.member_key(id, RecordKey::Subscriber).with(self.says_of(id).encode()));
        self.set_target(desk, id, target.unwrap_or_default());
        desk.write(self.member_key(id, RecordKey::Current).with(has.encode()));
        self.set_current(id, has);
    }

    fn says_of(&self, id: &MemberId) -> SubscriberValue {
        self.members.get(id).map(|member| member.says.clone()).unwrap_or_default()
    }

    /// A member that joins although it is known has lost what it had: it begins anew, in epoch 0.
    fn rejoin(&mut self, id: &MemberId, epoch: i32) {
        let Some(member) = self.members.get(id) else { return };
        if epoch == 0 && member.has.epoch != 0 {
            let has = CurrentValue { epoch: 0, ..member.has.clone() };
            self.set_current(id, has);
        }
    }

    /// Takes in what a member says of itself; tells whether it reads something else now.
    fn update(&mut self, desk: &mut Desk, id: &MemberId, request: ConsumerHeartbeat) -> bool {
        let before = self.members.get(id).map(|member| member.says.clone());
        let mut says = before.clone().unwrap_or_default();
        says.client = request.client;
        says.instance = request.instance.or(says.instance);
        says.rack = request.rack.or(says.rack);
        says.assignor = request.assignor.or(says.assignor);
        says.rebalance_timeout_ms =
            request.rebalance_timeout_ms.unwrap_or(says.rebalance_timeout_ms);
        if let Some(topics) = request.topics {
            says.topics = topics.into_iter().collect::<Set<_>>().into_iter().collect();
        }
        if let Some(pattern) = request.pattern {
            says.pattern = Some(pattern).filter(|pattern| !pattern.is_empty());
        }
        let was_classic = says.classic.take().is_some();
        if before.as_ref() == Some(&says) {
            return false;
        }
        let reads = |says: &SubscriberValue| (says.topics.clone(), says.pattern.clone());
        let changed = before.as_ref().map(reads) != Some(reads(&says));
        desk.write(self.member_key(id, RecordKey::Subscriber).with(says.encode()));
        self.set_says(id, says);
        if let Some(member) = self.members.get_mut(id).filter(|_| was_classic) {
            // It goes by heartbeats alone from now on.
            member.end_classic_timers(desk, &self.id, id);
            self.set_revoke_timer(desk, id);
        }
        changed
    }

    /// A member lives.
    pub(super) fn hear_of(&mut self, desk: &mut Desk, id: &MemberId) {
        let Some(member) = self.members.get_mut(id) else { return };
        let own = member.says.classic.as_ref().map(|classic| classic.session_timeout_ms);
        let ms = u64::from(own.unwrap_or(self.session_timeout_ms));
        member.silent_at_ms = desk.after_ms(ms);
        if member.session_timer.is_none_or(|at| at > member.silent_at_ms) {
            let at = member.silent_at_ms;
            let timer = Timer::Session(self.id.clone(), id.clone());
            desk.set_timer(&mut member.session_timer, at, timer);
        }
    }
}

/// The partitions of a request, as a set.
fn assignment(owned: Vec<(TopicId, Vec<i32>)>) -> Assignment {
    let mut all = Assignment::new();
    for (topic, partitions) in owned {
        all.entry(topic).or_default().extend(partitions);
    }
    all
}
