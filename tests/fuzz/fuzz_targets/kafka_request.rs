//! Bytes of a frame as a broker reads them: header, then the request of that API and version, by both codecs where
//! there are two. What was read is written again and must read back the same.
#![no_main]
#![allow(missing_docs, reason = "a program for the fuzzer")]

use bytes::{Bytes, BytesMut};
use kolk_kafka::api::ApiKey;
use kolk_kafka::fetch::FetchRequest;
use kolk_kafka::frame::RequestHeader;
use kolk_kafka::message::{self, Message};
use kolk_kafka::produce::ProduceRequest;
use kolk_kafka::wire::{Reader, Version, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    let frame = Bytes::copy_from_slice(frame);
    let mut reader = Reader::new(&frame);
    if let Ok(header) = RequestHeader::decode(&mut reader) {
        let body = frame.slice(frame.len() - reader.remaining()..);
        read(header.api, header.version, &body);
    }
});

fn there_and_back<M: Message + PartialEq + std::fmt::Debug>(
    version: Version,
    body: &Bytes,
) -> bool {
    let Ok(message) = M::decode(&mut Reader::new(body), version) else {
        return false;
    };
    let mut out = BytesMut::new();
    message.encode(&mut Writer::new(&mut out), version);
    let again = M::decode(&mut Reader::new(&out.freeze()), version);
    assert_eq!(again, Ok(message));
    true
}

macro_rules! generated {
    ($key:ident, $version:ident, $body:ident, $($api:ident $module:ident)+) => {
        match $key {
            $(ApiKey::$api => there_and_back::<message::$module::Request>($version, $body),)+
        }
    };
}

fn read(api: ApiKey, version: Version, body: &Bytes) {
    #[rustfmt::skip]
    let whole = generated!(
        api, version, body,
        Produce produce
        Fetch fetch
        ListOffsets list_offsets
        Metadata metadata
        OffsetCommit offset_commit
        OffsetFetch offset_fetch
        FindCoordinator find_coordinator
        JoinGroup join_group
        Heartbeat heartbeat
        LeaveGroup leave_group
        SyncGroup sync_group
        DescribeGroups describe_groups
        ListGroups list_groups
        ApiVersions api_versions
        CreateTopics create_topics
        DeleteTopics delete_topics
        DeleteRecords delete_records
        InitProducerId init_producer_id
        OffsetForLeaderEpoch offset_for_leader_epoch
        DescribeConfigs describe_configs
        AlterConfigs alter_configs
        AlterReplicaLogDirs alter_replica_log_dirs
        DescribeLogDirs describe_log_dirs
        CreatePartitions create_partitions
        DeleteGroups delete_groups
        ElectLeaders elect_leaders
        IncrementalAlterConfigs incremental_alter_configs
        AlterPartitionReassignments alter_partition_reassignments
        ListPartitionReassignments list_partition_reassignments
        OffsetDelete offset_delete
        DescribeCluster describe_cluster
        DescribeProducers describe_producers
        ConsumerGroupHeartbeat consumer_group_heartbeat
        ConsumerGroupDescribe consumer_group_describe
        ListConfigResources list_config_resources
        DescribeTopicPartitions describe_topic_partitions
        DescribeQuorum describe_quorum
    );
    match api {
        ApiKey::Produce => {
            let view = ProduceRequest::decode(&mut Reader::new(body), version);
            assert_eq!(view.is_ok(), whole);
        }
        ApiKey::Fetch if whole => {
            assert!(FetchRequest::decode(&mut Reader::new(body), version).is_ok());
        }
        _ => {}
    }
}
