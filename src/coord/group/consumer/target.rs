//! What every member is to have: which topics the group reads, and who gets which partition.

use kolk_model::ids::TopicId;
use kolk_model::map::{Map, Set};

use super::assignor::{Assignor, Reader, TopicShape};
use super::{ConsumerGroup, Name, compile};
use crate::group::desk::Desk;
use crate::group::ids::MemberId;
use crate::group::record::RecordKey;
use crate::group::record::consumer_value::{Assignment, PatternValue, encode_target};
use crate::group::topics::Topics;

impl ConsumerGroup {
    /// Looks at the topics again if they or the subscriptions are others; raises the epoch if that means
    /// another assignment.
    pub(super) fn refresh(&mut self, desk: &mut Desk, topics: &dyn Topics, changed: bool) {
        let version = topics.version();
        let is_current = self.topics_seen == Some(version);
        if is_current && !changed {
            return;
        }
        self.drop_unused_patterns(desk);
        self.resolve_patterns(desk, topics, !is_current);
        self.topics_seen = Some(version);
        let hash = self.hash(topics);
        if changed || hash != self.topics_hash {
            self.topics_hash = hash;
            self.bump(desk);
        }
    }

    /// Finds the topics of patterns: of all, or only of those that were never resolved.
    fn resolve_patterns(&mut self, desk: &mut Desk, topics: &dyn Topics, all: bool) {
        let patterns: Set<String> =
            self.members.values().filter_map(|member| member.says.pattern.clone()).collect();
        for pattern in patterns {
            if !all && self.patterns.contains_key(&pattern) {
                continue;
            }
            let mut found = Set::new();
            if let Some(regex) = compile(&pattern) {
                topics.each(&mut |topic| {
                    // Internal topics too, as in Kafka.
                    let name = topic.name.as_str();
                    if regex.is_match(name) {
                        found.insert(name.to_owned());
                    }
                });
            }
            if self.patterns.get(&pattern).is_some_and(|known| known.topics == found) {
                continue;
            }
            let value = PatternValue { topics: found, at: desk.moment.wall };
            let key = RecordKey::Pattern(self.id.clone(), pattern.clone());
            desk.write(key.with(value.encode()));
            self.patterns.insert(pattern, value);
        }
    }

    /// Forgets patterns that no member has.
    pub(super) fn drop_unused_patterns(&mut self, desk: &mut Desk) {
        let used = |pattern: &str| {
            self.members.values().any(|member| member.says.pattern.as_deref() == Some(pattern))
        };
        let unused: Vec<String> =
            self.patterns.keys().filter(|pattern| !used(pattern)).cloned().collect();
        for pattern in unused {
            self.patterns.remove(&pattern);
            desk.write(RecordKey::Pattern(self.id.clone(), pattern).tombstone());
        }
    }

    /// The names that a member reads, by itself or by its pattern.
    fn names<'a>(&'a self, id: &MemberId) -> Set<&'a str> {
        let Some(member) = self.members.get(id) else { return Set::new() };
        let resolved = member.says.pattern.as_ref().and_then(|pattern| self.patterns.get(pattern));
        let by_pattern = resolved.into_iter().flat_map(|value| value.topics.iter());
        member.says.topics.iter().chain(by_pattern).map(String::as_str).collect()
    }

    /// A number that differs when the topics that the group reads differ (FNV-1a, 64 bits).
    fn hash(&self, topics: &dyn Topics) -> i64 {
        let mut names = Set::new();
        for id in self.members.keys() {
            names.extend(self.names(id));
        }
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for topic in names.into_iter().filter_map(|name| topics.named(name)) {
            add(topic.id.as_bytes());
            add(&topic.partitions.to_le_bytes());
        }
        hash.cast_signed()
    }

    /// The assignor that most members wish; the first by name of equals.
    pub(super) fn assignor(&self) -> Assignor {
        let mut votes: Map<&str, usize> = Map::new();
        for member in self.members.values() {
            if let Some(name) = &member.says.assignor {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max();
        let wished = votes.iter().find(|(_, count)| Some(**count) == most);
        wished.and_then(|(name, _)| Assignor::from_name(name)).unwrap_or_default()
    }

    /// Computes the target assignment for the group's epoch, and writes down what differs.
    pub(super) fn assign(&mut self, desk: &mut Desk, topics: &dyn Topics) {
        let mut shapes: Map<TopicId, TopicShape> = Map::new();
        let mut readers = Vec::with_capacity(self.members.len());
        for (id, member) in &self.members {
            let mut reads = Set::new();
            for topic in self.names(id).into_iter().filter_map(|name| topics.named(name)) {
                let name = Name::from(topic.name.as_str());
                shapes.entry(topic.id).or_insert(TopicShape { name, partitions: topic.partitions });
                reads.insert(topic.id);
            }
            readers.push(Reader {
                id: id.clone(),
                instance: member.says.instance.clone(),
                reads,
                has: self.targets.get(id).cloned().unwrap_or_default(),
            });
        }
        for (id, target) in self.assignor().assign(&shapes, readers) {
            self.set_target(desk, &id, target);
        }
        self.target_epoch = self.epoch;
        self.record_target_epoch(desk);
    }

    /// Keeps what a member is to have, and writes it down if it is another.
    pub(super) fn set_target(&mut self, desk: &mut Desk, id: &MemberId, target: Assignment) {
        if self.targets.get(id) == Some(&target) {
            return;
        }
        desk.write(self.member_key(id, RecordKey::Target).with(encode_target(&target)));
        self.targets.insert(id.clone(), target);
    }
}
