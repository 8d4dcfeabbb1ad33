//! A group with members on its way from one protocol to the other, as Kafka does it: what its classic members have
//! said and have goes along, and what they have to do next they are told by their next requests.

use bytes::Bytes;

use kolk_model::map::{Map, Set};

use super::{ConsumerGroup, Name};
use crate::group::desk::Desk;
use crate::group::ids::{GroupId, InstanceId, MemberId};
use crate::group::record::RecordKey;
use crate::group::record::consumer_value::{
    Assignment, ClassicValue, CurrentValue, Progress, SubscriberValue, encode_target,
};
use crate::group::record::embedded::{Subscription, read_assignment, write_assignment};
use crate::group::request::{Client, Protocol};
use crate::group::topics::Topics;

/// A classic member as it goes from a group of one protocol to the same group of the other.
#[derive(Clone, Debug)]
pub(in crate::group) struct Migrant {
    pub(in crate::group) member: MemberId,
    pub(in crate::group) instance: Option<InstanceId>,
    pub(in crate::group) client: Client,
    pub(in crate::group) rebalance_timeout_ms: u32,
    pub(in crate::group) session_timeout_ms: u32,
    /// What it can do, best first; all its subscriptions name the same topics.
    pub(in crate::group) protocols: Vec<Protocol>,
    /// What it has, as leaders write it.
    pub(in crate::group) assignment: Bytes,
}

impl ConsumerGroup {
    /// The group that the members of a classic one make; nothing is written yet. `None` if the words of one can't
    /// be read. The classic generation becomes the epoch.
    pub(in crate::group) fn from_classic(
        id: GroupId,
        epoch: i32,
        migrants: Vec<Migrant>,
        topics: &dyn Topics,
        session_timeout_ms: u32,
    ) -> Option<Self> {
        let mut group = Self::new(id, session_timeout_ms);
        (group.epoch, group.target_epoch) = (epoch, epoch);
        for migrant in migrants {
            let words = migrant.protocols.first().map(|protocol| &protocol.metadata)?;
            let subscription = Subscription::decode(words)?;
            let mut assigned = by_id(topics, read_assignment(&migrant.assignment)?);
            for (topic, partitions) in &mut assigned {
                // What a careless leader gave to two members is the first one's.
                partitions.retain(|partition| !group.owners.contains_key(&(*topic, *partition)));
            }
            assigned.retain(|_, partitions| !partitions.is_empty());
            let id = migrant.member;
            let says = SubscriberValue {
                instance: migrant.instance,
                rack: subscription.rack,
                client: migrant.client,
                topics: subscription.topics.into_iter().collect(),
                pattern: None,
                rebalance_timeout_ms: migrant.rebalance_timeout_ms,
                assignor: None,
                classic: Some(ClassicValue {
                    session_timeout_ms: migrant.session_timeout_ms,
                    protocols: migrant.protocols,
                }),
            };
            group.set_says(&id, says);
            group.targets.insert(id.clone(), assigned.clone());
            let has = CurrentValue {
                epoch,
                epoch_before: epoch,
                progress: Progress::Stable,
                assigned,
                revoking: Assignment::new(),
            };
            group.set_current(&id, has);
        }
        Some(group)
    }

    /// Writes the whole group down.
    pub(in crate::group) fn record(&self, desk: &mut Desk) {
        for (id, member) in &self.members {
            desk.write(self.member_key(id, RecordKey::Subscriber).with(member.says.encode()));
        }
        self.record_epoch(desk);
        for (id, target) in &self.targets {
            desk.write(self.member_key(id, RecordKey::Target).with(encode_target(target)));
        }
        self.record_target_epoch(desk);
        for (id, member) in &self.members {
            desk.write(self.member_key(id, RecordKey::Current).with(member.has.encode()));
        }
    }

    /// Whether all members but `id`, which does not, speak the classic protocol, and there is one.
    pub(in crate::group) fn is_last_consumer(&self, id: &MemberId) -> bool {
        let mut others = self.members.iter().filter(|(other, _)| *other != id);
        self.members.get(id).is_some_and(|member| member.says.classic.is_none())
            && self.members.len() > 1
            && others.all(|(_, member)| member.says.classic.is_some())
    }

    /// Whether there are members, and all of them speak the classic protocol.
    pub(in crate::group) fn is_classic(&self) -> bool {
        !self.members.is_empty()
            && self.members.values().all(|member| member.says.classic.is_some())
    }

    /// The members but `leaving` on their way to a classic group, with what they are to have; `None` if one of them
    /// can't go.
    pub(in crate::group) fn migrants(
        &self,
        topics: &dyn Topics,
        leaving: Option<&MemberId>,
    ) -> Option<Vec<Migrant>> {
        let none = Assignment::new();
        let stay = self.members.iter().filter(|(id, _)| Some(*id) != leaving);
        stay.map(|(id, member)| {
            let classic = member.says.classic.as_ref()?;
            let target = self.targets.get(id).unwrap_or(&none);
            Some(Migrant {
                member: id.clone(),
                instance: member.says.instance.clone(),
                client: member.says.client.clone(),
                rebalance_timeout_ms: member.says.rebalance_timeout_ms,
                session_timeout_ms: classic.session_timeout_ms,
                protocols: classic.protocols.clone(),
                assignment: share(topics, classic, target)?,
            })
        })
        .collect()
    }

    /// How many members there are.
    pub(in crate::group) fn len(&self) -> usize {
        self.members.len()
    }

    /// Its epoch.
    pub(in crate::group) const fn epoch(&self) -> i32 {
        self.epoch
    }
}

/// An assignment in a member's own words. Topics that are gone are left out.
pub(super) fn share(
    topics: &dyn Topics,
    classic: &ClassicValue,
    assigned: &Assignment,
) -> Option<Bytes> {
    let words = classic.protocols.first().map(|protocol| &protocol.metadata)?;
    let version = Subscription::decode(words)?.version;
    let mut named: Map<Name, &Set<i32>> = Map::new();
    for (id, partitions) in assigned {
        if let Some(topic) = topics.with_id(*id) {
            named.insert(Name::from(topic.name.as_str()), partitions);
        }
    }
    let named: Vec<(&str, &Set<i32>)> =
        named.iter().map(|(name, partitions)| (name.as_ref(), *partitions)).collect();
    Some(write_assignment(version, &named))
}

/// Partitions by the topics' ids. Topics that do not exist are left out.
pub(super) fn by_id(topics: &dyn Topics, named: Vec<(String, Set<i32>)>) -> Assignment {
    let mut all = Assignment::new();
    for (name, partitions) in named {
        if let Some(topic) = topics.named(&name) {
            all.entry(topic.id).or_default().extend(partitions);
        }
    }
    all.retain(|_, partitions| !partitions.is_empty());
    all
}
