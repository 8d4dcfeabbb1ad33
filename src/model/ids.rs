//! Names and numbers that identify things: topics, partitions, shards, nodes, producers. Apart so that
//! no crate passes a bare integer where another id is meant.

pub(crate) mod newtype;

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use self::newtype::number;
use crate::limits::TOPIC_NAME_BYTES_MAX;

number! {
    /// A partition's number within its topic, counted from 0.
    PartitionId(u32)
}
number! {
    /// A shard's number within its node, counted from 0.
    ShardId(u16)
}
number! {
    /// A node's number within its cluster.
    NodeId(u32)
}
number! {
    /// How often a partition changed its leader, or its leader restarted: rises, never falls.
    LeaderEpoch(u32)
}
number! {
    /// Identifies an idempotent producer. On the wire an `i64`, so the upper half is never assigned.
    ProducerId(u64)
}
number! {
    /// Fences earlier users of a producer id. On the wire an `i16`, so at most 32,767.
    ProducerEpoch(u16)
}
number! {
    /// A record's number within its producer and partition: 0 to 2,147,483,647, then 0 again.
    Sequence(u32)
}

impl LeaderEpoch {
    /// The epoch after this one.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.get() + 1)
    }

    /// The epoch as Kafka writes it.
    #[inline]
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self.get().cast_signed()
    }

    /// Kafka's number as an epoch; negative means "no epoch".
    #[inline]
    #[must_use]
    pub const fn from_wire(value: i32) -> Option<Self> {
        if value < 0 { None } else { Some(Self::new(value.cast_unsigned())) }
    }
}

impl ProducerId {
    /// Kafka's number as a producer id; negative means "no producer".
    #[inline]
    #[must_use]
    pub const fn from_wire(value: i64) -> Option<Self> {
        if value < 0 { None } else { Some(Self::new(value.cast_unsigned())) }
    }
}

impl ProducerEpoch {
    /// Kafka's number as a producer epoch; negative means "no producer".
    #[inline]
    #[must_use]
    pub const fn from_wire(value: i16) -> Option<Self> {
        if value < 0 { None } else { Some(Self::new(value.cast_unsigned())) }
    }
}

impl Sequence {
    /// The largest sequence; the next one is 0.
    pub const MAX: Self = Self::new(i32::MAX.cast_unsigned());

    /// Kafka's number as a sequence; negative means "no sequence".
    #[inline]
    #[must_use]
    pub const fn from_wire(value: i32) -> Option<Self> {
        if value < 0 { None } else { Some(Self::new(value.cast_unsigned())) }
    }

    /// The sequence `count` records further, wrapping to 0 after [`Sequence::MAX`] as Kafka's clients do.
    #[inline]
    #[must_use]
    pub const fn advance(self, count: u32) -> Self {
        // 2^31 divides 2^32, so wrapping the u32 first loses nothing.
        Self::new(self.get().wrapping_add(count) & Self::MAX.get())
    }
}

/// A topic's identity for ever: 16 bytes, never reused, unlike a name. Shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId([u8; 16]);

impl TopicId {
    /// The id no topic has: Kafka's "no id given".
    pub const ZERO: Self = Self([0; 16]);

    /// Wraps sixteen bytes.
    #[inline]
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Makes a version 4 UUID (RFC 9562 §5.4) of two random numbers; so it is never [`TopicId::ZERO`].
    #[must_use]
    pub const fn from_random(high: u64, low: u64) -> Self {
        let high = (high & !0xf000) | 0x4000;
        let low = (low >> 2) | (1 << 63);
        Self(((high as u128) << 64 | low as u128).to_be_bytes())
    }

    /// Gives the sixteen bytes back.
    #[inline]
    #[must_use]
    pub const fn get(self) -> [u8; 16] {
        self.0
    }

    /// Borrows the sixteen bytes.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

/// A text that is not 32 hex digits. The caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a topic id: 32 hex digits are expected")]
pub struct TopicIdError {
    /// What was given.
    pub text: String,
}

impl FromStr for TopicId {
    type Err = TopicIdError;

    fn from_str(text: &str) -> Result<Self, TopicIdError> {
        let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u128::from_str_radix(text, 16) {
            Ok(number) if digits => Ok(Self(number.to_be_bytes())),
            _ => Err(TopicIdError { text: text.to_owned() }),
        }
    }
}

/// One partition of one topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition within it.
    pub partition: PartitionId,
}

impl TopicPartition {
    /// Joins topic and partition.
    #[inline]
    #[must_use]
    pub const fn new(topic: TopicId, partition: PartitionId) -> Self {
        Self { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A topic's name by Kafka's rule: 1 to 249 of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`.
/// Cloning shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Checks the name and keeps a copy of it.
    ///
    /// # Errors
    /// Says which of Kafka's rules the name breaks.
    pub fn new(name: &str) -> Result<Self, TopicNameError> {
        if name.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if name.len() > TOPIC_NAME_BYTES_MAX {
            return Err(TopicNameError::TooLong { bytes: name.len() });
        }
        if name == "." || name == ".." {
            return Err(TopicNameError::Dots { name: name.to_owned() });
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match name.chars().find(|c| !allowed(*c)) {
            Some(character) => Err(TopicNameError::Character { name: name.to_owned(), character }),
            None => Ok(Self(Arc::from(name))),
        }
    }

    /// The name as text.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicName({})", &self.0)
    }
}

impl FromStr for TopicName {
    type Err = TopicNameError;

    fn from_str(name: &str) -> Result<Self, TopicNameError> {
        Self::new(name)
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Why a text can't name a topic. The caller's fault; a retry does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicNameError {
    /// No character at all.
    #[error("a topic name must not be empty")]
    Empty,
    /// Longer than [`TOPIC_NAME_BYTES_MAX`].
    #[error(
        "a topic name of {bytes} bytes is too long: at most {TOPIC_NAME_BYTES_MAX} are allowed"
    )]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// `.` or `..`, which would be directories.
    #[error("'{name}' can't be a topic name")]
    Dots {
        /// What was given.
        name: String,
    },
    /// A character other than an ASCII letter, a digit, `.`, `_` or `-`.
    #[error(
        "topic name '{name}' has the character {character:?}: only a-z, A-Z, 0-9, '.', '_' and '-' are allowed"
    )]
    Character {
        /// What was given.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_id_shows_and_reads_32_hex_digits() {
        let id = TopicId::new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in
            ["", "12", "+00102030405060708090a0b0c0d0eff", "0001020304050607 8090a0b0c0d0eff"]
        {
            assert_eq!(bad.parse::<TopicId>(), Err(TopicIdError { text: bad.to_owned() }));
        }
    }

    #[test]
    fn random_topic_ids_are_uuids_of_version_4() {
        for (high, low) in [(0, 0), (u64::MAX, u64::MAX), (0x0123_4567_89ab_cdef, 42)] {
            let bytes = TopicId::from_random(high, low).get();
            assert_eq!(bytes[6] >> 4, 4, "{high:x} {low:x}");
            assert_eq!(bytes[8] >> 6, 2, "{high:x} {low:x}");
        }
    }

    #[test]
    fn topic_names_follow_kafkas_rule() {
        for good in ["a", "web.log_1-x", "...", &"x".repeat(249)] {
            assert_eq!(TopicName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a b", "ä", "a/b", "a\0", &"x".repeat(250)] {
            assert!(TopicName::new(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn sequences_wrap_where_kafkas_do() {
        assert_eq!(Sequence::new(7).advance(3), Sequence::new(10));
        assert_eq!(Sequence::MAX.advance(1), Sequence::new(0));
        assert_eq!(Sequence::new(i32::MAX as u32 - 1).advance(5), Sequence::new(3));
        assert_eq!(Sequence::MAX.advance(u32::MAX), Sequence::new(0x7fff_fffe));
    }
}
