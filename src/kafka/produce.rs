//! A produce request as a view: batches stay where they were received. Apart from the generated form, which owns what
//! it holds, because every produced byte comes through here: decoding makes two lists however many partitions there
//! are, in the memory of those of an earlier request if it is given that, and copies nothing but numbers.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use kolk_model::error::ErrorCode;

use crate::api::ApiKey;
use crate::frame::{ResponseTo, ResponseTooLarge, begin_response, finish};
use crate::leader::{LeaderIdAndEpoch, NodeEndpoint, encode_endpoints};
use crate::wire::{CAPACITY_MAX, DecodeError, Reader, Text, Uuid, Version, Writer};

/// Bytes of the shortest topic: an empty name, no partitions, no tags.
const TOPIC_BYTES_MIN: usize = 3;

/// Bytes of the shortest partition: its number, no records, no tags.
const PARTITION_BYTES_MIN: usize = 6;

/// Record batches for some partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProduceRequest {
    /// The transaction the batches belong to.
    pub transactional_id: Option<Text>,
    /// Who must have the batches before the answer: 0 nobody, and there is no answer; 1 the leader; -1 all.
    pub acks: i16,
    /// How long replicas may take.
    pub timeout_ms: i32,
    topics: Vec<ProduceTopic>,
    partitions: Vec<ProducePartition>,
}

/// The lists of a request that is answered, for the next one.
#[derive(Default, Debug)]
pub struct ProduceLists {
    /// Its topics.
    pub topics: Vec<ProduceTopic>,
    /// Their partitions.
    pub partitions: Vec<ProducePartition>,
}

/// One topic of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProduceTopic {
    /// Its name; empty from version 13 on.
    pub name: Text,
    /// Its id; zero before version 13.
    pub topic_id: Uuid,
    rows: Range<usize>,
}

/// One partition's batches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducePartition {
    /// Its number within the topic.
    pub index: i32,
    /// Record batches back to back, not looked at yet, in the memory of the frame.
    pub records: Option<Bytes>,
}

impl ProduceRequest {
    /// Reads the request behind its header.
    ///
    /// # Errors
    /// The bytes are no produce request of this version.
    pub fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        Self::decode_into(reader, version, ProduceLists::default())
    }

    /// As [`Self::decode`], with the memory of the lists of an earlier request.
    ///
    /// # Errors
    /// The bytes are no produce request of this version.
    pub fn decode_into(
        reader: &mut Reader<'_>,
        version: Version,
        lists: ProduceLists,
    ) -> Result<Self, DecodeError> {
        let ProduceLists { mut topics, mut partitions } = lists;
        topics.clear();
        partitions.clear();
        reader.set_form(ApiKey::Produce.form(version));
        let transactional_id = reader.nullable_text()?;
        let acks = reader.i16()?;
        let timeout_ms = reader.i32()?;
        let count = reader.count(TOPIC_BYTES_MIN)?;
        topics.reserve(count.min(CAPACITY_MAX));
        for _ in 0..count {
            topics.push(topic(reader, version, &mut partitions)?);
        }
        reader.skip_tags()?;
        Ok(Self { transactional_id, acks, timeout_ms, topics, partitions })
    }

    /// Its lists, with what is in them.
    #[must_use]
    pub fn into_lists(self) -> ProduceLists {
        ProduceLists { topics: self.topics, partitions: self.partitions }
    }

    /// Each topic with its partitions, in the order of the wire.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = (&ProduceTopic, &[ProducePartition])> {
        self.topics.iter().map(|topic| {
            let partitions = self.partitions.get(topic.rows.clone()).unwrap_or_default();
            (topic, partitions)
        })
    }

    /// The partitions of all topics, in the order of the wire.
    #[must_use]
    pub fn partitions(&self) -> &[ProducePartition] {
        &self.partitions
    }
}

fn topic(
    reader: &mut Reader<'_>,
    version: Version,
    partitions: &mut Vec<ProducePartition>,
) -> Result<ProduceTopic, DecodeError> {
    let (name, topic_id) = if version >= 13 {
        (Text::default(), reader.uuid()?)
    } else {
        (reader.text()?, Uuid::default())
    };
    let begin = partitions.len();
    let count = reader.count(PARTITION_BYTES_MIN)?;
    partitions.reserve(count.min(CAPACITY_MAX));
    for _ in 0..count {
        let index = reader.i32()?;
        let records = reader.nullable_bytes()?;
        reader.skip_tags()?;
        partitions.push(ProducePartition { index, records });
    }
    reader.skip_tags()?;
    Ok(ProduceTopic { name, topic_id, rows: begin..partitions.len() })
}

/// What became of one partition's batches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProduceAnswer {
    /// Whether they were appended, or why not.
    pub error_code: ErrorCode,
    /// The offset of the first record, or -1.
    pub base_offset: i64,
    /// The broker's time in milliseconds where the topic has LogAppendTime, or -1.
    pub log_append_time_ms: i64,
    /// The first offset of the log, or -1. Since version 5.
    pub log_start_offset: i64,
    /// The batches, or records, that the whole request failed for. Since version 8.
    pub record_errors: Vec<RecordError>,
    /// A sentence for people. Since version 8.
    pub error_message: Option<String>,
    /// The leader, if it is another broker. Since version 10.
    pub current_leader: Option<LeaderIdAndEpoch>,
}

/// A record that was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordError {
    /// Which one, counted from 0 within the partition's batches.
    pub batch_index: i32,
    /// A sentence for people.
    pub message: Option<String>,
}

impl Default for ProduceAnswer {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: None,
        }
    }
}

impl ProduceAnswer {
    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i16(self.error_code.to_wire());
        writer.i64(self.base_offset);
        writer.i64(self.log_append_time_ms);
        if version >= 5 {
            writer.i64(self.log_start_offset);
        }
        if version >= 8 {
            writer.array(&self.record_errors, |writer, error| {
                writer.i32(error.batch_index);
                writer.nullable_string(error.message.as_deref());
                writer.no_tags();
            });
            writer.nullable_string(self.error_message.as_deref());
        }
        match self.current_leader {
            Some(leader) if version >= 10 => {
                writer.varint(1);
                writer.tag(0, |writer| leader.encode(writer));
            }
            _ => writer.no_tags(),
        }
    }
}

/// Appends the frame that answers a request: `answers` has one for each of [`ProduceRequest::partitions`], in their
/// order; one that is missing is reported as UNKNOWN_SERVER_ERROR. `endpoints` names the brokers that answers name as
/// leaders.
///
/// # Errors
/// It is too large; nothing is appended.
pub fn encode_response(
    out: &mut BytesMut,
    to: ResponseTo,
    request: &ProduceRequest,
    answers: &[ProduceAnswer],
    endpoints: &[NodeEndpoint],
) -> Result<(), ResponseTooLarge> {
    debug_assert_eq!(answers.len(), request.partitions.len(), "an answer for each partition");
    let version = to.version;
    let start = begin_response(out, ApiKey::Produce, to);
    let mut writer = Writer::new(out);
    writer.set_form(ApiKey::Produce.form(version));
    writer.count(request.topics.len());
    let missing = ProduceAnswer { error_code: ErrorCode::UnknownServerError, ..Default::default() };
    let mut answers = answers.iter();
    for (topic, partitions) in request.topics() {
        if version >= 13 {
            writer.uuid(&topic.topic_id);
        } else {
            writer.string(topic.name.as_str());
        }
        writer.array(partitions, |writer, partition| {
            writer.i32(partition.index);
            answers.next().unwrap_or(&missing).encode(writer, version);
        });
        writer.no_tags();
    }
    writer.i32(0); // throttle time
    encode_endpoints(&mut writer, if version >= 10 { endpoints } else { &[] });
    finish(out, start, 0)
}
