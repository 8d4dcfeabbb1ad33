//! Generated from `schemas/kafka/fetch.txt` by `cargo xtask fix`; not edited.
//!
//! Reads record batches of many partitions, waiting until there are enough bytes. Versions 4 to 18.

use bytes::Bytes;

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Tag, Uuid, Version, Writer};

/// Reads record batches of many partitions, waiting until there are enough bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Since version 12. A tag.
    pub cluster_id: Option<String>,
    /// In versions 4 to 14. Default -1.
    pub replica_id: i32,
    /// Since version 15. A tag.
    pub replica_state: ReplicaState,
    /// Always.
    pub max_wait_ms: i32,
    /// Always.
    pub min_bytes: i32,
    /// Always. Default 2147483647.
    pub max_bytes: i32,
    /// Always.
    pub isolation_level: i8,
    /// Since version 7.
    pub session_id: i32,
    /// Since version 7. Default -1.
    pub session_epoch: i32,
    /// Always.
    pub topics: Vec<RequestTopic>,
    /// Since version 7.
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    /// Since version 11.
    pub rack_id: String,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_state: ReplicaState::default(),
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 2147483647,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Vec::new(),
            forgotten_topics_data: Vec::new(),
            rack_id: String::new(),
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::Fetch;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let replica_id = if version <= 14 { reader.i32()? } else { -1 };
        let max_wait_ms = reader.i32()?;
        let min_bytes = reader.i32()?;
        let max_bytes = reader.i32()?;
        let isolation_level = reader.i8()?;
        let session_id = if version >= 7 { reader.i32()? } else { 0 };
        let session_epoch = if version >= 7 { reader.i32()? } else { -1 };
        let topics = reader.array(3, |reader| RequestTopic::decode(reader, version))?;
        let forgotten_topics_data = if version >= 7 { reader.array(3, |reader| ForgottenTopic::decode(reader, version))? } else { Vec::new() };
        let rack_id = if version >= 11 { reader.string()? } else { String::new() };
        let mut cluster_id: Option<String> = None;
        let mut replica_state: ReplicaState = ReplicaState::default();
        reader.tags(|reader, tag| {
            match tag {
                0 if version >= 12 => cluster_id = reader.nullable_string()?,
                1 if version >= 15 => replica_state = ReplicaState::decode(reader, version)?,
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        Ok(Self { cluster_id, replica_id, replica_state, max_wait_ms, min_bytes, max_bytes, isolation_level, session_id, session_epoch, topics, forgotten_topics_data, rack_id })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version <= 14 {
            writer.i32(self.replica_id);
        }
        writer.i32(self.max_wait_ms);
        writer.i32(self.min_bytes);
        writer.i32(self.max_bytes);
        writer.i8(self.isolation_level);
        if version >= 7 {
            writer.i32(self.session_id);
        }
        if version >= 7 {
            writer.i32(self.session_epoch);
        }
        writer.array(&self.topics, |writer, one| one.encode(writer, version));
        if version >= 7 {
            writer.array(&self.forgotten_topics_data, |writer, one| one.encode(writer, version));
        }
        if version >= 11 {
            writer.string(&self.rack_id);
        }
        if writer.has_tags() {
            let has_cluster_id = version >= 12 && self.cluster_id.is_some();
            let has_replica_state = version >= 15 && self.replica_state != ReplicaState::default();
            writer.varint(u32::from(has_cluster_id) + u32::from(has_replica_state));
            if has_cluster_id {
                writer.tag(0, |writer| writer.nullable_string(self.cluster_id.as_deref()));
            }
            if has_replica_state {
                writer.tag(1, |writer| self.replica_state.encode(writer, version));
            }
        }
    }
}

/// What the field `replica_state` is.
#[derive(Clone, PartialEq, Debug)]
pub struct ReplicaState {
    /// Always. Default -1.
    pub replica_id: i32,
    /// Always. Default -1.
    pub replica_epoch: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self {
            replica_id: -1,
            replica_epoch: -1,
        }
    }
}

impl ReplicaState {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let replica_id = reader.i32()?;
        let replica_epoch = reader.i64()?;
        reader.skip_tags()?;
        Ok(Self { replica_id, replica_epoch })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.replica_id);
        writer.i64(self.replica_epoch);
        writer.no_tags();
    }
}

/// An element of `topics`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct RequestTopic {
    /// In versions 4 to 12.
    pub topic: String,
    /// Since version 13.
    pub topic_id: Uuid,
    /// Always.
    pub partitions: Vec<RequestPartition>,
}

impl RequestTopic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let topic = if version <= 12 { reader.string()? } else { String::new() };
        let topic_id = if version >= 13 { reader.uuid()? } else { [0; 16] };
        let partitions = reader.array(16, |reader| RequestPartition::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { topic, topic_id, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        if version <= 12 {
            writer.string(&self.topic);
        }
        if version >= 13 {
            writer.uuid(&self.topic_id);
        }
        writer.array(&self.partitions, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `partitions`.
#[derive(Clone, PartialEq, Debug)]
pub struct RequestPartition {
    /// Always.
    pub partition: i32,
    /// Since version 9. Default -1.
    pub current_leader_epoch: i32,
    /// Always.
    pub fetch_offset: i64,
    /// Since version 12. Default -1.
    pub last_fetched_epoch: i32,
    /// Since version 5. Default -1.
    pub log_start_offset: i64,
    /// Always.
    pub partition_max_bytes: i32,
    /// Since version 17. A tag.
    pub replica_directory_id: Uuid,
    /// Since version 18. Default 9223372036854775807. A tag.
    pub high_watermark: i64,
}

impl Default for RequestPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 0,
            replica_directory_id: [0; 16],
            high_watermark: 9223372036854775807,
        }
    }
}

impl RequestPartition {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let partition = reader.i32()?;
        let current_leader_epoch = if version >= 9 { reader.i32()? } else { -1 };
        let fetch_offset = reader.i64()?;
        let last_fetched_epoch = if version >= 12 { reader.i32()? } else { -1 };
        let log_start_offset = if version >= 5 { reader.i64()? } else { -1 };
        let partition_max_bytes = reader.i32()?;
        let mut replica_directory_id: Uuid = [0; 16];
        let mut high_watermark: i64 = 9223372036854775807;
        reader.tags(|reader, tag| {
            match tag {
                0 if version >= 17 => replica_directory_id = reader.uuid()?,
                1 if version >= 18 => high_watermark = reader.i64()?,
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        Ok(Self { partition, current_leader_epoch, fetch_offset, last_fetched_epoch, log_start_offset, partition_max_bytes, replica_directory_id, high_watermark })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.partition);
        if version >= 9 {
            writer.i32(self.current_leader_epoch);
        }
        writer.i64(self.fetch_offset);
        if version >= 12 {
            writer.i32(self.last_fetched_epoch);
        }
        if version >= 5 {
            writer.i64(self.log_start_offset);
        }
        writer.i32(self.partition_max_bytes);
        if writer.has_tags() {
            let has_replica_directory_id = version >= 17 && self.replica_directory_id != [0; 16];
            let has_high_watermark = version >= 18 && self.high_watermark != 9223372036854775807;
            writer.varint(u32::from(has_replica_directory_id) + u32::from(has_high_watermark));
            if has_replica_directory_id {
                writer.tag(0, |writer| writer.uuid(&self.replica_directory_id));
            }
            if has_high_watermark {
                writer.tag(1, |writer| writer.i64(self.high_watermark));
            }
        }
    }
}

/// An element of `forgotten_topics_data`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct ForgottenTopic {
    /// In versions 7 to 12.
    pub topic: String,
    /// Since version 13.
    pub topic_id: Uuid,
    /// Always.
    pub partitions: Vec<i32>,
}

impl ForgottenTopic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let topic = if version <= 12 { reader.string()? } else { String::new() };
        let topic_id = if version >= 13 { reader.uuid()? } else { [0; 16] };
        let partitions = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(Self { topic, topic_id, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        if version <= 12 {
            writer.string(&self.topic);
        }
        if version >= 13 {
            writer.uuid(&self.topic_id);
        }
        writer.array(&self.partitions, |writer, one| writer.i32(*one));
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `Fetch`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub throttle_time_ms: i32,
    /// Since version 7.
    pub error_code: i16,
    /// Since version 7.
    pub session_id: i32,
    /// Always.
    pub responses: Vec<Topic>,
    /// Since version 16. A tag.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl Message for Response {
    const API: ApiKey = ApiKey::Fetch;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let throttle_time_ms = reader.i32()?;
        let error_code = if version >= 7 { reader.i16()? } else { 0 };
        let session_id = if version >= 7 { reader.i32()? } else { 0 };
        let responses = reader.array(3, |reader| Topic::decode(reader, version))?;
        let mut node_endpoints: Vec<NodeEndpoint> = Vec::new();
        reader.tags(|reader, tag| {
            match tag {
                0 if version >= 16 => node_endpoints = reader.array(11, |reader| NodeEndpoint::decode(reader, version))?,
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        Ok(Self { throttle_time_ms, error_code, session_id, responses, node_endpoints })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i32(self.throttle_time_ms);
        if version >= 7 {
            writer.i16(self.error_code);
        }
        if version >= 7 {
            writer.i32(self.session_id);
        }
        writer.array(&self.responses, |writer, one| one.encode(writer, version));
        if writer.has_tags() {
            let has_node_endpoints = version >= 16 && !self.node_endpoints.is_empty();
            writer.varint(u32::from(has_node_endpoints));
            if has_node_endpoints {
                writer.tag(0, |writer| writer.array(&self.node_endpoints, |writer, one| one.encode(writer, version)));
            }
        }
    }
}

/// An element of `responses`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Topic {
    /// In versions 4 to 12.
    pub topic: String,
    /// Since version 13.
    pub topic_id: Uuid,
    /// Always.
    pub partitions: Vec<Partition>,
}

impl Topic {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let topic = if version <= 12 { reader.string()? } else { String::new() };
        let topic_id = if version >= 13 { reader.uuid()? } else { [0; 16] };
        let partitions = reader.array(30, |reader| Partition::decode(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { topic, topic_id, partitions })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        if version <= 12 {
            writer.string(&self.topic);
        }
        if version >= 13 {
            writer.uuid(&self.topic_id);
        }
        writer.array(&self.partitions, |writer, one| one.encode(writer, version));
        writer.no_tags();
    }
}

/// An element of `partitions`.
#[derive(Clone, PartialEq, Debug)]
pub struct Partition {
    /// Always.
    pub partition_index: i32,
    /// Always.
    pub error_code: i16,
    /// Always.
    pub high_watermark: i64,
    /// Always. Default -1.
    pub last_stable_offset: i64,
    /// Since version 5. Default -1.
    pub log_start_offset: i64,
    /// Since version 12. A tag.
    pub diverging_epoch: EpochEndOffset,
    /// Since version 12. A tag.
    pub current_leader: LeaderIdAndEpoch,
    /// Since version 12. A tag.
    pub snapshot_id: SnapshotId,
    /// Always.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Since version 11. Default -1.
    pub preferred_read_replica: i32,
    /// Always.
    pub records: Option<Bytes>,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: EpochEndOffset::default(),
            current_leader: LeaderIdAndEpoch::default(),
            snapshot_id: SnapshotId::default(),
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: None,
        }
    }
}

impl Partition {
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let partition_index = reader.i32()?;
        let error_code = reader.i16()?;
        let high_watermark = reader.i64()?;
        let last_stable_offset = reader.i64()?;
        let log_start_offset = if version >= 5 { reader.i64()? } else { -1 };
        let aborted_transactions = reader.nullable_array(16, |reader| AbortedTransaction::decode(reader, version))?;
        let preferred_read_replica = if version >= 11 { reader.i32()? } else { -1 };
        let records = reader.nullable_bytes()?;
        let mut diverging_epoch: EpochEndOffset = EpochEndOffset::default();
        let mut current_leader: LeaderIdAndEpoch = LeaderIdAndEpoch::default();
        let mut snapshot_id: SnapshotId = SnapshotId::default();
        reader.tags(|reader, tag| {
            match tag {
                0 if version >= 12 => diverging_epoch = EpochEndOffset::decode(reader, version)?,
                1 if version >= 12 => current_leader = LeaderIdAndEpoch::decode(reader, version)?,
                2 if version >= 12 => snapshot_id = SnapshotId::decode(reader, version)?,
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        Ok(Self { partition_index, error_code, high_watermark, last_stable_offset, log_start_offset, diverging_epoch, current_leader, snapshot_id, aborted_transactions, preferred_read_replica, records })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.i32(self.partition_index);
        writer.i16(self.error_code);
        writer.i64(self.high_watermark);
        writer.i64(self.last_stable_offset);
        if version >= 5 {
            writer.i64(self.log_start_offset);
        }
        writer.nullable_array(self.aborted_transactions.as_deref(), |writer, one| one.encode(writer, version));
        if version >= 11 {
            writer.i32(self.preferred_read_replica);
        }
        writer.nullable_bytes(self.records.as_deref());
        if writer.has_tags() {
            let has_diverging_epoch = version >= 12 && self.diverging_epoch != EpochEndOffset::default();
            let has_current_leader = version >= 12 && self.current_leader != LeaderIdAndEpoch::default();
            let has_snapshot_id = version >= 12 && self.snapshot_id != SnapshotId::default();
            writer.varint(u32::from(has_diverging_epoch) + u32::from(has_current_leader) + u32::from(has_snapshot_id));
            if has_diverging_epoch {
                writer.tag(0, |writer| self.diverging_epoch.encode(writer, version));
            }
            if has_current_leader {
                writer.tag(1, |writer| self.current_leader.encode(writer, version));
            }
            if has_snapshot_id {
                writer.tag(2, |writer| self.snapshot_id.encode(writer, version));
            }
        }
    }
}

/// What the field `diverging_epoch` is.
#[derive(Clone, PartialEq, Debug)]
pub struct EpochEndOffset {
    /// Always. Default -1.
    pub epoch: i32,
    /// Always. Default -1.
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self {
            epoch: -1,
            end_offset: -1,
        }
    }
}

impl EpochEndOffset {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let epoch = reader.i32()?;
        let end_offset = reader.i64()?;
        reader.skip_tags()?;
        Ok(Self { epoch, end_offset })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.epoch);
        writer.i64(self.end_offset);
        writer.no_tags();
    }
}

/// What the field `current_leader` is.
#[derive(Clone, PartialEq, Debug)]
pub struct LeaderIdAndEpoch {
    /// Always. Default -1.
    pub leader_id: i32,
    /// Always. Default -1.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self {
            leader_id: -1,
            leader_epoch: -1,
        }
    }
}

impl LeaderIdAndEpoch {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let leader_id = reader.i32()?;
        let leader_epoch = reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { leader_id, leader_epoch })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.leader_id);
        writer.i32(self.leader_epoch);
        writer.no_tags();
    }
}

/// What the field `snapshot_id` is.
#[derive(Clone, PartialEq, Debug)]
pub struct SnapshotId {
    /// Always. Default -1.
    pub end_offset: i64,
    /// Always. Default -1.
    pub epoch: i32,
}

impl Default for SnapshotId {
    fn default() -> Self {
        Self {
            end_offset: -1,
            epoch: -1,
        }
    }
}

impl SnapshotId {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let end_offset = reader.i64()?;
        let epoch = reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { end_offset, epoch })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i64(self.end_offset);
        writer.i32(self.epoch);
        writer.no_tags();
    }
}

/// An element of `aborted_transactions`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct AbortedTransaction {
    /// Always.
    pub producer_id: i64,
    /// Always.
    pub first_offset: i64,
}

impl AbortedTransaction {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let producer_id = reader.i64()?;
        let first_offset = reader.i64()?;
        reader.skip_tags()?;
        Ok(Self { producer_id, first_offset })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i64(self.producer_id);
        writer.i64(self.first_offset);
        writer.no_tags();
    }
}

/// An element of `node_endpoints`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct NodeEndpoint {
    /// Always.
    pub node_id: i32,
    /// Always.
    pub host: String,
    /// Always.
    pub port: i32,
    /// Always.
    pub rack: Option<String>,
}

impl NodeEndpoint {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let node_id = reader.i32()?;
        let host = reader.string()?;
        let port = reader.i32()?;
        let rack = reader.nullable_string()?;
        reader.skip_tags()?;
        Ok(Self { node_id, host, port, rack })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i32(self.node_id);
        writer.string(&self.host);
        writer.i32(self.port);
        writer.nullable_string(self.rack.as_deref());
        writer.no_tags();
    }
}
