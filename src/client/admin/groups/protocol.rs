//! What consumers of a group say to each other: Kafka's consumer protocol, so that members that speak the native
//! and the Kafka wire may share a group. The broker does not look at it. Apart because administrators read it, too.
//!
//! ```text
//! subscription  version i16 · topics [text] · user bytes · since 1: owned [topic text · partitions [i32]]
//!               · since 2: generation i32 · since 3: rack text
//! assignment    version i16 · [topic text · partitions [i32]] · user bytes
//! ```
//!
//! Big-endian; a text is `i16 length · UTF-8`, a list `i32 count · elements`, bytes `i32 length · bytes`; -1 is null. A
//! newer version only adds at the end, so a reader takes what it knows.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use kolk_model::ids::{PartitionId, TopicName};

/// A partition by name.
type Target = (TopicName, PartitionId);

/// What kind of group consumers make.
pub(crate) const CONSUMER: &str = "consumer";

/// Members that assign by range or in turn say nothing about what they own: they own nothing while they join.
const SUBSCRIPTION_VERSION: i16 = 0;
const ASSIGNMENT_VERSION: i16 = 0;

/// A member's words to the leader.
pub(crate) fn write_subscription(topics: &[TopicName]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(SUBSCRIPTION_VERSION);
    put_count(&mut out, topics.len());
    for topic in topics {
        put_text(&mut out, topic.as_str());
    }
    out.put_i32(-1);
    out.freeze()
}

/// The topics of a subscription; `None` if it is none. Names that can't be topics are left out.
pub(crate) fn read_subscription(bytes: &[u8]) -> Option<Vec<TopicName>> {
    let mut reader = Reader(bytes);
    reader.version()?;
    let mut topics = Vec::new();
    for _ in 0..reader.count()? {
        topics.extend(TopicName::new(reader.text()?).ok());
    }
    Some(topics)
}

/// What the leader tells a member.
pub(crate) fn write_assignment(targets: &[Target]) -> Bytes {
    let mut topics: BTreeMap<&TopicName, Vec<PartitionId>> = BTreeMap::new();
    for (topic, partition) in targets {
        topics.entry(topic).or_default().push(*partition);
    }
    let mut out = BytesMut::new();
    out.put_i16(ASSIGNMENT_VERSION);
    put_count(&mut out, topics.len());
    for (topic, partitions) in topics {
        put_text(&mut out, topic.as_str());
        put_count(&mut out, partitions.len());
        for partition in partitions {
            out.put_i32(partition.get().cast_signed());
        }
    }
    out.put_i32(-1);
    out.freeze()
}

/// A member's partitions; `None` if these bytes are no assignment. No bytes at all are an empty one.
pub(crate) fn read_assignment(bytes: &[u8]) -> Option<Vec<Target>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let mut reader = Reader(bytes);
    reader.version()?;
    let mut targets = Vec::new();
    for _ in 0..reader.count()? {
        let topic = TopicName::new(reader.text()?).ok()?;
        for _ in 0..reader.count()? {
            let partition = u32::try_from(reader.number()?).ok()?;
            targets.push((topic.clone(), PartitionId::new(partition)));
        }
    }
    Some(targets)
}

fn put_text(out: &mut BytesMut, text: &str) {
    // A topic's name has 249 bytes at most.
    out.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
    out.put_slice(text.as_bytes());
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
}

/// Reads from the front; nothing is reserved for what a length promises.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn version(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes).filter(|version| *version >= 0)
    }

    fn number(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    /// The number of a list's elements, each of which takes at least a byte.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= self.0.len())
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(i16::from_be_bytes(self.array()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    #[test]
    fn subscriptions_have_kafkas_bytes() {
        let bytes = write_subscription(&[name("a"), name("bc")]);
        assert_eq!(&bytes[..], b"\0\0\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff");
        assert_eq!(read_subscription(&bytes), Some(vec![name("a"), name("bc")]));
    }

    #[test]
    fn newer_subscriptions_are_read_as_far_as_they_are_known() {
        // Version 3: owned partitions, generation and rack behind the user's bytes.
        let bytes = b"\0\x03\0\0\0\x01\0\x01a\0\0\0\x01x\0\0\0\0\0\0\0\x07\0\x01r";
        assert_eq!(read_subscription(bytes), Some(vec![name("a")]));
    }

    #[test]
    fn assignments_have_kafkas_bytes() {
        let targets = [(name("a"), PartitionId::new(0)), (name("a"), PartitionId::new(2))];
        let bytes = write_assignment(&targets);
        let expected = b"\0\0\0\0\0\x01\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x02\xff\xff\xff\xff";
        assert_eq!(&bytes[..], expected);
        assert_eq!(read_assignment(&bytes), Some(targets.to_vec()));
        assert_eq!(read_assignment(b""), Some(Vec::new()));
    }

    #[test]
    fn what_is_cut_short_or_promises_too_much_is_refused() {
        let whole = write_assignment(&[(name("abc"), PartitionId::new(7))]);
        for length in 1..whole.len() - 4 {
            assert_eq!(read_assignment(&whole[..length]), None, "{length}");
        }
        assert_eq!(read_assignment(b"\0\0\x7f\xff\xff\xff\0"), None);
        assert_eq!(read_assignment(b"\0\0\0\0\0\x01\0\x01a\x7f\xff\xff\xff\0"), None);
        assert_eq!(read_subscription(b"\xff\xff\0\0\0\0"), None);
        assert_eq!(read_subscription(b"\0\0\0\0\0\x01\0\x02\xff\xfe"), None);
    }
}
