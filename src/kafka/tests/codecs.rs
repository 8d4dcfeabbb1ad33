//! Both crates' codec of every API, called alike. Apart because the list is long and nothing else.

use bytes::{Bytes, BytesMut};
use kacrab_protocol::generated as theirs;

use super::walk::Side;
use crate::api::ApiKey;
use crate::message::{self, Message};
use crate::wire::{DecodeError, Reader, Version, Writer};

type Read = fn(&Bytes, Version) -> Result<(), DecodeError>;
type Ours = fn(&Bytes, Version, Version) -> Result<Recoded, DecodeError>;
type Theirs = fn(&Bytes, i16) -> Result<Recoded, String>;

/// One API in both crates: its request, its answer.
pub(super) struct Codec {
    pub(super) api: ApiKey,
    read: [Read; 2],
    ours: [Ours; 2],
    theirs: [Theirs; 2],
}

/// What became of bytes: what they said, and how they are written again.
pub(super) struct Recoded {
    pub(super) shown: String,
    pub(super) bytes: BytesMut,
    /// Bytes that were not read.
    pub(super) remaining: usize,
}

impl Codec {
    /// Reads and forgets.
    pub(super) fn read(&self, side: Side, bytes: &Bytes, version: i16) -> Result<(), DecodeError> {
        let [request, response] = self.read;
        match side {
            Side::Request => request(bytes, Version::new(version)),
            Side::Response => response(bytes, Version::new(version)),
        }
    }

    /// Reads in one version and writes in another.
    pub(super) fn ours(
        &self,
        side: Side,
        bytes: &Bytes,
        version: i16,
        written: i16,
    ) -> Result<Recoded, DecodeError> {
        let [request, response] = self.ours;
        let (version, written) = (Version::new(version), Version::new(written));
        match side {
            Side::Request => request(bytes, version, written),
            Side::Response => response(bytes, version, written),
        }
    }

    pub(super) fn theirs(
        &self,
        side: Side,
        bytes: &Bytes,
        version: i16,
    ) -> Result<Recoded, String> {
        let [request, response] = self.theirs;
        match side {
            Side::Request => request(bytes, version),
            Side::Response => response(bytes, version),
        }
    }
}

fn read<M: Message>(bytes: &Bytes, version: Version) -> Result<(), DecodeError> {
    M::decode(&mut Reader::new(bytes), version).map(drop)
}

fn ours<M: Message + std::fmt::Debug>(
    bytes: &Bytes,
    version: Version,
    written: Version,
) -> Result<Recoded, DecodeError> {
    let mut reader = Reader::new(bytes);
    let message = M::decode(&mut reader, version)?;
    let mut out = BytesMut::new();
    message.encode(&mut Writer::new(&mut out), written);
    Ok(Recoded { shown: format!("{message:?}"), bytes: out, remaining: reader.remaining() })
}

macro_rules! theirs {
    ($message:ident) => {
        |bytes, version| {
            let mut rest = bytes.clone();
            let message =
                theirs::$message::read(&mut rest, version).map_err(|error| format!("{error:?}"))?;
            let mut out = BytesMut::new();
            message.write(&mut out, version).map_err(|error| format!("{error:?}"))?;
            Ok(Recoded { shown: format!("{message:?}"), bytes: out, remaining: rest.len() })
        }
    };
}

macro_rules! codecs {
    ($($api:ident, $module:ident, $request:ident, $response:ident;)+) => {
        /// Every API, in the order of the numbers.
        pub(super) const CODECS: &[Codec] = &[$(Codec {
            api: ApiKey::$api,
            read: [read::<message::$module::Request>, read::<message::$module::Response>],
            ours: [ours::<message::$module::Request>, ours::<message::$module::Response>],
            theirs: [theirs!($request), theirs!($response)],
        }),+];
    };
}

codecs! {
    Produce, produce, ProduceRequestData, ProduceResponseData;
    Fetch, fetch, FetchRequestData, FetchResponseData;
    ListOffsets, list_offsets, ListOffsetsRequestData, ListOffsetsResponseData;
    Metadata, metadata, MetadataRequestData, MetadataResponseData;
    OffsetCommit, offset_commit, OffsetCommitRequestData, OffsetCommitResponseData;
    OffsetFetch, offset_fetch, OffsetFetchRequestData, OffsetFetchResponseData;
    FindCoordinator, find_coordinator, FindCoordinatorRequestData, FindCoordinatorResponseData;
    JoinGroup, join_group, JoinGroupRequestData, JoinGroupResponseData;
    Heartbeat, heartbeat, HeartbeatRequestData, HeartbeatResponseData;
    LeaveGroup, leave_group, LeaveGroupRequestData, LeaveGroupResponseData;
    SyncGroup, sync_group, SyncGroupRequestData, SyncGroupResponseData;
    DescribeGroups, describe_groups, DescribeGroupsRequestData, DescribeGroupsResponseData;
    ListGroups, list_groups, ListGroupsRequestData, ListGroupsResponseData;
    ApiVersions, api_versions, ApiVersionsRequestData, ApiVersionsResponseData;
    CreateTopics, create_topics, CreateTopicsRequestData, CreateTopicsResponseData;
    DeleteTopics, delete_topics, DeleteTopicsRequestData, DeleteTopicsResponseData;
    DeleteRecords, delete_records, DeleteRecordsRequestData, DeleteRecordsResponseData;
    InitProducerId, init_producer_id, InitProducerIdRequestData, InitProducerIdResponseData;
    OffsetForLeaderEpoch, offset_for_leader_epoch, OffsetForLeaderEpochRequestData, OffsetForLeaderEpochResponseData;
    DescribeConfigs, describe_configs, DescribeConfigsRequestData, DescribeConfigsResponseData;
    AlterConfigs, alter_configs, AlterConfigsRequestData, AlterConfigsResponseData;
    AlterReplicaLogDirs, alter_replica_log_dirs, AlterReplicaLogDirsRequestData, AlterReplicaLogDirsResponseData;
    DescribeLogDirs, describe_log_dirs, DescribeLogDirsRequestData, DescribeLogDirsResponseData;
    CreatePartitions, create_partitions, CreatePartitionsRequestData, CreatePartitionsResponseData;
    DeleteGroups, delete_groups, DeleteGroupsRequestData, DeleteGroupsResponseData;
    ElectLeaders, elect_leaders, ElectLeadersRequestData, ElectLeadersResponseData;
    IncrementalAlterConfigs, incremental_alter_configs, IncrementalAlterConfigsRequestData, IncrementalAlterConfigsResponseData;
    AlterPartitionReassignments, alter_partition_reassignments, AlterPartitionReassignmentsRequestData, AlterPartitionReassignmentsResponseData;
    ListPartitionReassignments, list_partition_reassignments, ListPartitionReassignmentsRequestData, ListPartitionReassignmentsResponseData;
    OffsetDelete, offset_delete, OffsetDeleteRequestData, OffsetDeleteResponseData;
    DescribeQuorum, describe_quorum, DescribeQuorumRequestData, DescribeQuorumResponseData;
    DescribeCluster, describe_cluster, DescribeClusterRequestData, DescribeClusterResponseData;
    DescribeProducers, describe_producers, DescribeProducersRequestData, DescribeProducersResponseData;
    ConsumerGroupHeartbeat, consumer_group_heartbeat, ConsumerGroupHeartbeatRequestData, ConsumerGroupHeartbeatResponseData;
    ConsumerGroupDescribe, consumer_group_describe, ConsumerGroupDescribeRequestData, ConsumerGroupDescribeResponseData;
    ListConfigResources, list_config_resources, ListConfigResourcesRequestData, ListConfigResourcesResponseData;
    DescribeTopicPartitions, describe_topic_partitions, DescribeTopicPartitionsRequestData, DescribeTopicPartitionsResponseData;
}
