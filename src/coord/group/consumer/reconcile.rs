//! A member's way from what it has to what it is to have.

use kolk_model::map::Set;

use super::ConsumerGroup;
use crate::group::desk::{Desk, Timer};
use crate::group::ids::MemberId;
use crate::group::record::RecordKey;
use crate::group::record::consumer_value::{Assignment, CurrentValue, Progress};

impl ConsumerGroup {
    /// Lets a member take the next step, if it can; `owned` is what it says it has, if it says so.
    pub(super) fn reconcile(&mut self, desk: &mut Desk, id: &MemberId, owned: Option<&Assignment>) {
        let Some(member) = self.members.get(id) else { return };
        let next = match member.has.progress {
            Progress::Stable if member.has.epoch == self.target_epoch => None,
            Progress::Unrevoked if owns_any(owned, &member.has.revoking) => None,
            // All that was asked is given up: the member is done with its epoch.
            Progress::Unrevoked => Some(self.step(id, member.has.epoch + 1, owned)),
            Progress::Stable | Progress::Unreleased => Some(self.step(id, member.has.epoch, owned)),
        };
        let Some(next) = next.filter(|next| *next != member.has) else { return };
        desk.write(self.member_key(id, RecordKey::Current).with(next.encode()));
        self.set_current(id, next);
        self.set_revoke_timer(desk, id);
    }

    /// What the member has next, on its way from `epoch`.
    fn step(&self, id: &MemberId, epoch: i32, owned: Option<&Assignment>) -> CurrentValue {
        let none = Assignment::new();
        let target = self.targets.get(id).unwrap_or(&none);
        let has = self.members.get(id).map(|member| member.has.clone()).unwrap_or_default();
        let (mut assigned, mut revoking) = (Assignment::new(), Assignment::new());
        for (topic, partitions) in &has.assigned {
            let keeps = target.get(topic);
            let (kept, gone): (Set<i32>, Set<i32>) =
                partitions.iter().partition(|one| keeps.is_some_and(|keeps| keeps.contains(one)));
            put(&mut assigned, topic, kept);
            put(&mut revoking, topic, gone);
        }
        if !revoking.is_empty() && owns_any(owned, &revoking) {
            return CurrentValue {
                epoch,
                epoch_before: before(&has, epoch),
                progress: Progress::Unrevoked,
                assigned,
                revoking,
            };
        }
        let mut progress = Progress::Stable;
        for (topic, partitions) in target {
            let missing = |one: &&i32| !assigned.get(topic).is_some_and(|has| has.contains(one));
            let missing: Vec<i32> = partitions.iter().filter(missing).copied().collect();
            for partition in missing {
                let owner = self.owners.get(&(*topic, partition));
                if owner.is_none_or(|owner| owner == id) {
                    assigned.entry(*topic).or_default().insert(partition);
                } else {
                    progress = Progress::Unreleased;
                }
            }
        }
        let epoch = self.target_epoch;
        let epoch_before = before(&has, epoch);
        CurrentValue { epoch, epoch_before, progress, assigned, revoking: Assignment::new() }
    }

    /// A member that must give something up has its rebalance timeout for it. A classic one has it for joining again.
    pub(super) fn set_revoke_timer(&mut self, desk: &mut Desk, id: &MemberId) {
        let timer = Timer::Revoke(self.id.clone(), id.clone());
        let Some(member) = self.members.get_mut(id) else { return };
        if member.has.progress == Progress::Unrevoked && member.says.classic.is_none() {
            let at = desk.after_ms(u64::from(member.says.rebalance_timeout_ms));
            desk.set_timer(&mut member.revoke_timer, at, timer);
        } else {
            desk.end_timer(&mut member.revoke_timer, timer);
        }
    }
}

/// The epoch before, which stays when the epoch does.
const fn before(has: &CurrentValue, epoch: i32) -> i32 {
    if epoch == has.epoch { has.epoch_before } else { has.epoch }
}

fn put(assignment: &mut Assignment, topic: &kolk_model::ids::TopicId, partitions: Set<i32>) {
    if !partitions.is_empty() {
        assignment.insert(*topic, partitions);
    }
}

/// Whether a member has any of these; one that does not say what it has may.
fn owns_any(owned: Option<&Assignment>, these: &Assignment) -> bool {
    let Some(owned) = owned else { return true };
    these
        .iter()
        .any(|(topic, partitions)| owned.get(topic).is_some_and(|has| !has.is_disjoint(partitions)))
}
