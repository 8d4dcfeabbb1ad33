//! The answer to a fetch, without its payload. Apart because it must state the length of bytes it never sees.

use bytes::{Bytes, BytesMut};
use kolk_model::error::ErrorCode;

use crate::api::ApiKey;
use crate::frame::{ResponseTo, ResponseTooLarge, Start, begin_response, finish};
use crate::leader::{LeaderIdAndEpoch, NodeEndpoint, encode_endpoints};
use crate::wire::{Uuid, Version, Writer};

/// What is said of the whole answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchTop {
    /// How long the client should wait before its next request.
    pub throttle_time_ms: i32,
    /// Why no partition is there, such as a lost session. Since version 7.
    pub error_code: ErrorCode,
    /// The session, or 0. Since version 7.
    pub session_id: i32,
    /// Topics that follow.
    pub topics: usize,
}

/// What is said of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedPartition {
    /// Its number within the topic.
    pub index: i32,
    /// Whether it could be read, or why not.
    pub error_code: ErrorCode,
    /// The high watermark, or -1.
    pub high_watermark: i64,
    /// The last stable offset, or -1.
    pub last_stable_offset: i64,
    /// The first offset of the log, or -1. Since version 5.
    pub log_start_offset: i64,
    /// Where the log and the consumer's last epoch part. Since version 12.
    pub diverging_epoch: Option<EpochEndOffset>,
    /// The leader, if it is another broker. Since version 12.
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// Aborted transactions within the records; null unless the consumer reads what is committed.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// A broker nearer to the consumer, or -1. Since version 11.
    pub preferred_read_replica: i32,
    /// Bytes of record batches, which the caller sends. None is an empty set, never null: librdkafka refuses null.
    pub records_bytes: usize,
}

/// Where a leader epoch ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEndOffset {
    /// The epoch.
    pub epoch: i32,
    /// The offset behind its last record.
    pub end_offset: i64,
}

/// A transaction whose records are to be skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: i64,
    /// Its first record.
    pub first_offset: i64,
}

impl Default for FetchedPartition {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: ErrorCode::None,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records_bytes: 0,
        }
    }
}

/// Writes the head of one answer, topic by topic. The numbers of topics and partitions are said before them, and
/// must be right: the caller's error otherwise, found by `debug_assert`.
#[derive(Debug)]
pub struct FetchHead {
    out: BytesMut,
    start: Start,
    version: Version,
    cuts: Vec<Cut>,
    payload_bytes: usize,
    /// Topics and partitions that were announced and have not come yet.
    topics_due: usize,
    partitions_due: usize,
}

/// A place in the head where payload goes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Bytes of the head that go before, counted from its first one.
    pub at: usize,
    /// Bytes of payload that go here, more than 0.
    pub records_bytes: usize,
}

/// A whole answer but for its payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchFrame {
    /// The head, the length field of the frame first, which counts head and payload.
    pub bytes: Bytes,
    /// Where payload goes in, one for each partition that has some, in the order they were written.
    pub cuts: Vec<Cut>,
}

impl FetchHead {
    /// Begins an answer.
    #[must_use]
    pub fn begin(to: ResponseTo, top: FetchTop) -> Self {
        let mut out = BytesMut::with_capacity(256);
        let start = begin_response(&mut out, ApiKey::Fetch, to);
        let version = to.version;
        let topics_due = top.topics;
        let cuts = Vec::new();
        let mut head =
            Self { out, start, version, cuts, payload_bytes: 0, topics_due, partitions_due: 0 };
        let mut writer = head.writer();
        writer.i32(top.throttle_time_ms);
        if version >= 7 {
            writer.i16(top.error_code.to_wire());
            writer.i32(top.session_id);
        }
        writer.count(top.topics);
        head
    }

    fn writer(&mut self) -> Writer<'_> {
        let mut writer = Writer::new(&mut self.out);
        writer.set_form(ApiKey::Fetch.form(self.version));
        writer
    }

    /// Begins a topic of so many partitions. `name` counts before version 13, `topic_id` since.
    pub fn topic(&mut self, name: &str, topic_id: Uuid, partitions: usize) {
        debug_assert!(self.topics_due > 0, "more topics than announced");
        debug_assert_eq!(self.partitions_due, 0, "a topic before the last one's partitions");
        self.topics_due = self.topics_due.saturating_sub(1);
        self.partitions_due = partitions;
        let version = self.version;
        let mut writer = self.writer();
        if version >= 13 {
            writer.uuid(&topic_id);
        } else {
            writer.string(name);
        }
        writer.count(partitions);
        if partitions == 0 {
            writer.no_tags();
        }
    }

    /// Writes a partition of the topic that was begun.
    pub fn partition(&mut self, partition: &FetchedPartition) {
        debug_assert!(self.partitions_due > 0, "more partitions than announced");
        self.partitions_due = self.partitions_due.saturating_sub(1);
        let (version, last) = (self.version, self.partitions_due == 0);
        let records_bytes = partition.records_bytes;
        let mut writer = self.writer();
        partition.encode_front(&mut writer, version);
        let at = writer.position();
        partition.encode_tags(&mut writer);
        if last {
            writer.no_tags();
        }
        if records_bytes > 0 {
            self.cuts.push(Cut { at, records_bytes });
            self.payload_bytes += records_bytes;
        }
    }

    /// Ends the answer. `endpoints` names the brokers that partitions name as leaders.
    ///
    /// # Errors
    /// Head and payload together are too large.
    pub fn finish(mut self, endpoints: &[NodeEndpoint]) -> Result<FetchFrame, ResponseTooLarge> {
        debug_assert_eq!((self.topics_due, self.partitions_due), (0, 0), "fewer than announced");
        let endpoints = if self.version >= 16 { endpoints } else { &[] };
        encode_endpoints(&mut self.writer(), endpoints);
        finish(&mut self.out, self.start, self.payload_bytes)?;
        Ok(FetchFrame { bytes: self.out.freeze(), cuts: self.cuts })
    }
}

impl FetchedPartition {
    /// Everything up to the length of the records.
    fn encode_front(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.index);
        writer.i16(self.error_code.to_wire());
        writer.i64(self.high_watermark);
        writer.i64(self.last_stable_offset);
        if version >= 5 {
            writer.i64(self.log_start_offset);
        }
        writer.nullable_array(self.aborted_transactions.as_deref(), |writer, aborted| {
            writer.i64(aborted.producer_id);
            writer.i64(aborted.first_offset);
            writer.no_tags();
        });
        if version >= 11 {
            writer.i32(self.preferred_read_replica);
        }
        writer.bytes_length(self.records_bytes);
    }

    /// What follows the records.
    fn encode_tags(&self, writer: &mut Writer<'_>) {
        if !writer.has_tags() {
            return;
        }
        let tags =
            u32::from(self.diverging_epoch.is_some()) + u32::from(self.current_leader.is_some());
        writer.varint(tags);
        if let Some(diverging) = self.diverging_epoch {
            writer.tag(0, |writer| {
                writer.i32(diverging.epoch);
                writer.i64(diverging.end_offset);
                writer.no_tags();
            });
        }
        if let Some(leader) = self.current_leader {
            writer.tag(1, |writer| leader.encode(writer));
        }
    }
}

impl FetchFrame {
    /// The head in pieces, one more than there are cuts: the payload of a cut goes behind the piece of the same
    /// number.
    pub fn fragments(&self) -> impl Iterator<Item = Bytes> {
        let ends = self.cuts.iter().map(|cut| cut.at).chain([self.bytes.len()]);
        let mut begin = 0;
        ends.map(move |end| {
            let piece = self.bytes.slice(begin..end);
            begin = end;
            piece
        })
    }

    /// Bytes of payload that go in.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.cuts.iter().map(|cut| cut.records_bytes).sum()
    }
}
