//! Taking in the records of a consumer group. They may come in any order that compaction leaves.

use super::ConsumerGroup;
use crate::group::desk::Desk;
use crate::group::ids::MemberId;
use crate::group::record::RecordError;
use crate::group::record::consumer_value::{
    CurrentValue, EpochValue, PatternValue, SubscriberValue, decode_target, decode_target_epoch,
};

impl ConsumerGroup {
    pub(in crate::group) fn replay_epoch(&mut self, value: &[u8]) -> Result<(), RecordError> {
        let EpochValue { epoch, topics_hash } = EpochValue::decode(value)?;
        (self.epoch, self.topics_hash) = (epoch, topics_hash);
        Ok(())
    }

    pub(in crate::group) fn replay_target_epoch(
        &mut self,
        value: Option<&[u8]>,
    ) -> Result<(), RecordError> {
        self.target_epoch = value.map_or(Ok(0), decode_target_epoch)?;
        Ok(())
    }

    pub(in crate::group) fn replay_subscriber(
        &mut self,
        desk: &mut Desk,
        id: &MemberId,
        value: Option<&[u8]>,
    ) -> Result<(), RecordError> {
        match value {
            Some(value) => self.set_says(id, SubscriberValue::decode(value)?),
            None => {
                self.forget(desk, id);
            }
        }
        Ok(())
    }

    pub(in crate::group) fn replay_target(
        &mut self,
        id: &MemberId,
        value: Option<&[u8]>,
    ) -> Result<(), RecordError> {
        match value {
            Some(value) => {
                self.targets.insert(id.clone(), decode_target(value)?);
            }
            None => {
                self.targets.remove(id);
            }
        }
        Ok(())
    }

    pub(in crate::group) fn replay_current(
        &mut self,
        id: &MemberId,
        value: Option<&[u8]>,
    ) -> Result<(), RecordError> {
        let has = value.map_or(Ok(CurrentValue::default()), CurrentValue::decode)?;
        if value.is_some() {
            // Its other record may come later: compaction keeps the last of each alone.
            self.known(id);
        }
        self.set_current(id, has);
        Ok(())
    }

    pub(in crate::group) fn replay_pattern(
        &mut self,
        pattern: String,
        value: Option<&[u8]>,
    ) -> Result<(), RecordError> {
        match value {
            Some(value) => {
                self.patterns.insert(pattern, PatternValue::decode(value)?);
            }
            None => {
                self.patterns.remove(&pattern);
            }
        }
        Ok(())
    }
}
