//! Rebuilding the groups from the records of their partition.

use super::{Coordinator, Group};
use crate::group::classic::ClassicGroup;
use crate::group::consumer::ConsumerGroup;
use crate::group::desk::Moment;
use crate::group::record::{GroupValue, OffsetValue, RecordError, RecordKey};

impl Coordinator {
    /// Takes a record of the log in, in the order of the log. Records that others keep there are skipped.
    ///
    /// # Errors
    /// When the bytes are not those of a record that this version knows; the state is as before then.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        match (RecordKey::decode(key)?, value) {
            (RecordKey::Offset { group, topic, partition }, Some(value)) => {
                let value = OffsetValue::decode(value)?;
                self.set_offset(&group, &topic, partition, value);
            }
            (RecordKey::Offset { group, topic, partition }, None) => {
                self.remove_offset(&group, &topic, partition);
                if self.groups.get(&group).is_some_and(Group::is_nothing) {
                    self.groups.remove(&group);
                }
            }
            (RecordKey::Group(id), Some(value)) => {
                let classic = ClassicGroup::from_value(id.clone(), GroupValue::decode(value)?);
                let group = self.groups.entry(id.clone()).or_insert_with(|| Group::new(id));
                group.classic = classic;
            }
            (RecordKey::Group(id), None) => {
                if let Some(group) = self.groups.get_mut(&id) {
                    group.classic = ClassicGroup::new(id.clone());
                    if group.is_nothing() {
                        self.groups.remove(&id);
                    }
                }
            }
            (key, value) => self.replay_consumer(key, value)?,
        }
        Ok(())
    }

    /// Records of consumer groups. A tombstone of something unknown is the end of what was compacted away.
    fn replay_consumer(&mut self, key: RecordKey, value: Option<&[u8]>) -> Result<(), RecordError> {
        let (RecordKey::ConsumerGroup(id)
        | RecordKey::TargetEpoch(id)
        | RecordKey::Subscriber(id, _)
        | RecordKey::Target(id, _)
        | RecordKey::Current(id, _)
        | RecordKey::Pattern(id, _)) = &key
        else {
            return Ok(());
        };
        let id = id.clone();
        if value.is_none() && self.groups.get(&id).is_none_or(|group| group.consumer.is_none()) {
            return Ok(());
        }
        let ms = self.desk.settings.consumer_session_timeout_ms;
        let group = self.groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone()));
        let new = || Box::new(ConsumerGroup::new(id.clone(), ms));
        let consumers = group.consumer.get_or_insert_with(new);
        match (key, value) {
            (RecordKey::ConsumerGroup(_), Some(value)) => consumers.replay_epoch(value),
            (RecordKey::ConsumerGroup(_), None) => {
                consumers.close(&mut self.desk);
                group.consumer = None;
                if group.is_nothing() {
                    self.groups.remove(&id);
                }
                Ok(())
            }
            (RecordKey::TargetEpoch(_), value) => consumers.replay_target_epoch(value),
            (RecordKey::Subscriber(_, member), value) => {
                consumers.replay_subscriber(&mut self.desk, &member, value)
            }
            (RecordKey::Target(_, member), value) => consumers.replay_target(&member, value),
            (RecordKey::Current(_, member), value) => consumers.replay_current(&member, value),
            (RecordKey::Pattern(_, pattern), value) => consumers.replay_pattern(pattern, value),
            _ => Ok(()),
        }
    }

    /// The log is read: members' sessions begin, and requests may come.
    pub fn loaded(&mut self, moment: Moment) {
        self.desk.moment = moment;
        for group in self.groups.values_mut() {
            group.classic.loaded(&mut self.desk);
            if let Some(consumers) = &mut group.consumer {
                consumers.loaded(&mut self.desk);
            }
        }
        self.expect_expiry(self.desk.settings.offsets_retention_check_interval_ms);
    }
}

/// A group as tests compare it.
#[cfg(test)]
pub(in crate::group) type Durable =
    (Option<GroupValue>, Option<crate::group::consumer::Durable>, crate::group::offsets::Offsets);

#[cfg(test)]
impl Coordinator {
    /// Every group with what the log should tell of it.
    pub(in crate::group) fn durable(
        &self,
    ) -> kolk_model::map::Map<crate::group::ids::GroupId, Durable> {
        let durable = |group: &Group| {
            group.classic.check_books();
            let value = group.classic.is_recorded().then(|| group.classic.value());
            let consumers = group.consumer.as_ref().map(|group| group.durable());
            (value, consumers, group.offsets.clone())
        };
        let offsets: usize = self.groups.values().map(|group| group.offsets.len()).sum();
        assert_eq!(self.offsets, offsets, "offsets are counted wrong");
        self.groups.iter().map(|(id, group)| (id.clone(), durable(group))).collect()
    }
}
