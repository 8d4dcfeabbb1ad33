//! What the members of a group of consumers subscribe to: the one part of their words to the leader that the
//! coordinator reads, so that it keeps offsets that are in use and forgets others.
//!
//! `version 2 · count 4 · (length 2 · topic)*`, then what later versions added (Kafka's consumer protocol).

use kolk_model::map::Set;

use super::{CONSUMER, ClassicGroup};

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
            read_topics(&member.metadata(protocol), &mut topics)?;
        }
        Some(topics)
    }
}

fn read_topics(metadata: &[u8], topics: &mut Set<String>) -> Option<()> {
    let (_version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    for _ in 0..i32::from_be_bytes(*count) {
        let (length, more) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (topic, more) = more.split_at_checked(length)?;
        topics.insert(std::str::from_utf8(topic).ok()?.to_owned());
        rest = more;
    }
    Some(())
}
