//! What the members of a group of consumers subscribe to: the one part of their words to the leader that the
//! coordinator reads, so that it keeps offsets that are in use and forgets others.

use kolk_model::map::Set;

use super::{CONSUMER, ClassicGroup};
use crate::group::record::embedded::Subscription;

impl ClassicGroup {
    /// The topics of all members; `None` if they are not consumers, or one can't be read.
    pub(super) fn read_subscriptions(&self) -> Option<Set<String>> {
        if self.protocol_type.as_deref() != Some(CONSUMER) {
            return None;
        }
        let protocol = self.protocol.as_deref();
        if protocol.is_none() && !self.members.is_empty() {
            return None;
        }
        let mut topics = Set::new();
        for member in self.members.values() {
            topics.extend(Subscription::decode(&member.metadata(protocol))?.topics);
        }
        Some(topics)
    }
}
