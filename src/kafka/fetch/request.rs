//! What a consumer asks for. Apart from the answer because they share nothing.

use std::ops::Range;

use crate::api::ApiKey;
use crate::wire::{CAPACITY_MAX, DecodeError, Reader, Tag, Text, Uuid, Version};

/// Bytes of the shortest topic, in the session or leaving it: an empty name, no partitions, no tags.
const TOPIC_BYTES_MIN: usize = 3;

/// Bytes of the shortest partition: number, offset and bytes, as in version 4.
const PARTITION_BYTES_MIN: usize = 16;

/// Where to read, how much, and how long to wait for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchRequest {
    /// The broker that replicates, or -1 for a consumer.
    pub replica_id: i32,
    /// How long to wait for `min_bytes`.
    pub max_wait_ms: i32,
    /// Bytes that are enough to answer at once.
    pub min_bytes: i32,
    /// Bytes of all partitions together, but for the first batch.
    pub max_bytes: i32,
    /// 0 for everything up to the high watermark, 1 for what is committed.
    pub isolation_level: i8,
    /// The session (KIP-227), or 0. Since version 7.
    pub session_id: i32,
    /// The request's number within the session; -1 for none, 0 to begin one. Since version 7.
    pub session_epoch: i32,
    /// Partitions to take out of the session. Since version 7.
    pub forgotten: Vec<ForgottenTopic>,
    /// The consumer's rack, or nothing. Since version 11.
    pub rack_id: Text,
    topics: Vec<FetchTopic>,
    partitions: Vec<FetchPartition>,
}

/// One topic of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchTopic {
    /// Its name; empty from version 13 on.
    pub name: Text,
    /// Its id; zero before version 13.
    pub topic_id: Uuid,
    rows: Range<usize>,
}

/// Where to read one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchPartition {
    /// Its number within the topic.
    pub index: i32,
    /// The leader epoch that the consumer knows, or -1. Since version 9.
    pub current_leader_epoch: i32,
    /// The first offset wanted.
    pub fetch_offset: i64,
    /// The leader epoch of the last record the consumer has, or -1. Since version 12.
    pub last_fetched_epoch: i32,
    /// The first offset that a follower has, or -1. Since version 5.
    pub log_start_offset: i64,
    /// Bytes of this partition, but for the first batch (Kafka's `PartitionMaxBytes`).
    pub bytes_max: i32,
}

/// Partitions that leave a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForgottenTopic {
    /// The topic's name; empty from version 13 on.
    pub name: Text,
    /// The topic's id; zero before version 13.
    pub topic_id: Uuid,
    /// The partitions' numbers.
    pub partitions: Vec<i32>,
}

impl FetchRequest {
    /// Reads the request behind its header.
    ///
    /// # Errors
    /// The bytes are no fetch request of this version.
    pub fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(ApiKey::Fetch.form(version));
        let mut replica_id = if version <= 14 { reader.i32()? } else { -1 };
        let max_wait_ms = reader.i32()?;
        let min_bytes = reader.i32()?;
        let max_bytes = reader.i32()?;
        let isolation_level = reader.i8()?;
        let (session_id, session_epoch) =
            if version >= 7 { (reader.i32()?, reader.i32()?) } else { (0, -1) };
        let count = reader.count(TOPIC_BYTES_MIN)?;
        let mut topics = Vec::with_capacity(count.min(CAPACITY_MAX));
        let mut partitions = Vec::new();
        for _ in 0..count {
            topics.push(topic(reader, version, &mut partitions)?);
        }
        let forgotten = if version >= 7 {
            reader.array(TOPIC_BYTES_MIN, |reader| forgotten(reader, version))?
        } else {
            Vec::new()
        };
        let rack_id = if version >= 11 { reader.text()? } else { Text::default() };
        reader.tags(|reader, tag| match tag {
            1 if version >= 15 => {
                // The replica and its epoch, of which the latter means nothing to us.
                (replica_id, _) = (reader.i32()?, reader.i64()?);
                reader.skip_tags()?;
                Ok(Tag::Known)
            }
            _ => Ok(Tag::Unknown),
        })?;
        Ok(Self {
            replica_id,
            max_wait_ms,
            min_bytes,
            max_bytes,
            isolation_level,
            session_id,
            session_epoch,
            forgotten,
            rack_id,
            topics,
            partitions,
        })
    }

    /// Each topic with its partitions, in the order of the wire.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = (&FetchTopic, &[FetchPartition])> {
        self.topics.iter().map(|topic| {
            let partitions = self.partitions.get(topic.rows.clone()).unwrap_or_default();
            (topic, partitions)
        })
    }

    /// The partitions of all topics, in the order of the wire.
    #[must_use]
    pub fn partitions(&self) -> &[FetchPartition] {
        &self.partitions
    }
}

/// A topic is named until version 12 and has an id since 13 (KIP-516).
fn name_or_id(reader: &mut Reader<'_>, version: Version) -> Result<(Text, Uuid), DecodeError> {
    if version >= 13 {
        Ok((Text::default(), reader.uuid()?))
    } else {
        Ok((reader.text()?, Uuid::default()))
    }
}

fn topic(
    reader: &mut Reader<'_>,
    version: Version,
    partitions: &mut Vec<FetchPartition>,
) -> Result<FetchTopic, DecodeError> {
    let (name, topic_id) = name_or_id(reader, version)?;
    let begin = partitions.len();
    let count = reader.count(PARTITION_BYTES_MIN)?;
    partitions.reserve(count.min(CAPACITY_MAX));
    for _ in 0..count {
        partitions.push(partition(reader, version)?);
    }
    reader.skip_tags()?;
    Ok(FetchTopic { name, topic_id, rows: begin..partitions.len() })
}

fn partition(reader: &mut Reader<'_>, version: Version) -> Result<FetchPartition, DecodeError> {
    let index = reader.i32()?;
    let current_leader_epoch = if version >= 9 { reader.i32()? } else { -1 };
    let fetch_offset = reader.i64()?;
    let last_fetched_epoch = if version >= 12 { reader.i32()? } else { -1 };
    let log_start_offset = if version >= 5 { reader.i64()? } else { -1 };
    let bytes_max = reader.i32()?;
    // A replica's directory and high watermark may be tagged on: only followers send them.
    reader.skip_tags()?;
    Ok(FetchPartition {
        index,
        current_leader_epoch,
        fetch_offset,
        last_fetched_epoch,
        log_start_offset,
        bytes_max,
    })
}

fn forgotten(reader: &mut Reader<'_>, version: Version) -> Result<ForgottenTopic, DecodeError> {
    let (name, topic_id) = name_or_id(reader, version)?;
    let partitions = reader.array(4, Reader::i32)?;
    reader.skip_tags()?;
    Ok(ForgottenTopic { name, topic_id, partitions })
}
