//! Kafka's consumer protocol, which members of classic groups speak inside the classic one: what each tells the
//! leader, and what the leader gives each. Read here where the coordinator assigns in the leader's place, and where
//! it must know which topics are read.
//!
//! ```text
//! subscription  version 2 · topics · user bytes · owned (1 on) · generation 4 (2 on) · rack text (3 on)
//! assignment    version 2 · (topic text · partitions) list · user bytes
//! ```
//!
//! All in the plain form; user bytes and rack may be null. A newer version only adds at the end, so it is read as
//! the newest one that is known here.

use bytes::Bytes;

use kolk_model::map::Set;

use super::field::{Fault, Form, Reader, Writer};

const NEWEST: i16 = 3;

/// Partitions by the topic's name.
pub(in crate::group) type Named = Vec<(String, Set<i32>)>;

/// What a member tells the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::group) struct Subscription {
    /// The version that the member speaks, of those known here.
    pub(in crate::group) version: i16,
    /// The topics that it reads.
    pub(in crate::group) topics: Set<String>,
    /// What it has not given up for the rebalance.
    pub(in crate::group) owned: Named,
    /// Its rack.
    pub(in crate::group) rack: Option<String>,
}

impl Subscription {
    /// Reads a member's words; `None` if they are none.
    pub(in crate::group) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = version(bytes)?;
        Self::read(version, &mut Reader::new(rest, Form::Plain)).ok()
    }

    fn read(version: i16, reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let topics = reader.list(|reader| reader.text().map(str::to_owned))?;
        reader.nullable_bytes()?;
        let owned = if version >= 1 { read_named(reader)? } else { Named::new() };
        let _generation = if version >= 2 { reader.i32()? } else { -1 };
        let rack = if version >= 3 { reader.nullable_text()? } else { None };
        Ok(Self {
            version,
            topics: topics.into_iter().collect(),
            owned,
            rack: rack.filter(|rack| !rack.is_empty()).map(str::to_owned),
        })
    }
}

/// Reads what a leader gave a member; no bytes at all are nothing. `None` if they are no assignment.
pub(in crate::group) fn read_assignment(bytes: &[u8]) -> Option<Named> {
    if bytes.is_empty() {
        return Some(Named::new());
    }
    let (_version, rest) = version(bytes)?;
    let mut reader = Reader::new(rest, Form::Plain);
    let assigned = read_named(&mut reader).ok()?;
    reader.nullable_bytes().ok()?;
    Some(assigned)
}

/// What a member is given, in the version that it speaks.
pub(in crate::group) fn write_assignment(version: i16, assigned: &[(&str, &Set<i32>)]) -> Bytes {
    let mut writer = Writer::new(version, Form::Plain);
    writer.count(assigned.len());
    for (topic, partitions) in assigned {
        writer.text(topic);
        writer.count(partitions.len());
        for partition in *partitions {
            writer.i32(*partition);
        }
    }
    writer.i32(NULL);
    writer.finish()
}

/// The length of bytes that are null.
const NULL: i32 = -1;

fn version(bytes: &[u8]) -> Option<(i16, &[u8])> {
    let (version, rest) = Reader::version(bytes).ok()?;
    (version >= 0).then_some((version.min(NEWEST), rest))
}

fn read_named(reader: &mut Reader<'_>) -> Result<Named, Fault> {
    reader.list(|reader| {
        let topic = reader.text()?.to_owned();
        let partitions = reader.list(Reader::i32)?;
        Ok((topic, partitions.into_iter().collect()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 3 with two topics, user bytes, one owned partition, generation 7 and a rack.
    const WORDS: &[u8] = b"\0\x03\0\0\0\x02\0\x01t\0\x01u\0\0\0\x02xy\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x05\0\0\0\x07\0\x01r";

    #[test]
    fn a_subscription_is_read_in_every_version_and_newer_ones_as_the_newest() {
        let topics: Set<String> = ["t", "u"].map(str::to_owned).into();
        let owned = vec![("t".to_owned(), Set::from([5]))];
        for (version, length, owns, rack) in
            [(0, 18, false, false), (1, 33, true, false), (2, 37, true, false), (9, 40, true, true)]
        {
            let mut words = WORDS[..length].to_vec();
            words[1] = version;
            let read = Subscription::decode(&words).unwrap();
            assert_eq!(read.version, i16::from(version).min(3));
            assert_eq!(read.topics, topics);
            assert_eq!(read.owned, if owns { owned.clone() } else { Named::new() });
            assert_eq!(read.rack.as_deref(), rack.then_some("r"));
        }
    }

    #[test]
    fn an_assignment_is_written_as_kafka_reads_it_and_reads_back() {
        let partitions = Set::from([1, 4]);
        let bytes = write_assignment(2, &[("t", &partitions)]);
        let expected = b"\0\x02\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\x01\0\0\0\x04\xff\xff\xff\xff";
        assert_eq!(&bytes[..], expected);
        assert_eq!(read_assignment(&bytes), Some(vec![("t".to_owned(), partitions)]));
        assert_eq!(read_assignment(b""), Some(Named::new()), "nothing is nothing");
    }

    #[test]
    fn words_cut_anywhere_are_refused_and_never_panic() {
        for end in 0..WORDS.len() {
            assert_eq!(Subscription::decode(&WORDS[..end]), None, "{end}");
        }
        let partitions = Set::from([1]);
        let bytes = write_assignment(0, &[("t", &partitions)]);
        for end in 1..bytes.len() {
            assert_eq!(read_assignment(&bytes[..end]), None, "{end}");
        }
        assert_eq!(Subscription::decode(b"\xff\xff\0\0\0\0\0\0\0\0"), None, "a negative version");
        assert_eq!(Subscription::decode(b"\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), None, "no room");
    }
}
