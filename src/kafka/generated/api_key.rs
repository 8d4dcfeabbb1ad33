//! Generated from `schemas/kafka` by `cargo xtask fix`; not edited.

use crate::api::Row;

/// An API of the Kafka protocol that this crate reads and writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i16)]
pub enum ApiKey {
    /// Appends record batches to partitions.
    Produce = 0,
    /// Reads record batches of many partitions, waiting until there are enough bytes.
    Fetch = 1,
    /// Finds offsets by time or by name: earliest, latest, largest timestamp.
    ListOffsets = 2,
    /// Names the brokers, and the topics with their partitions and leaders.
    Metadata = 3,
    /// Stores how far a group has read.
    OffsetCommit = 8,
    /// Reads how far groups have read.
    OffsetFetch = 9,
    /// Finds the broker that answers for a group or a transactional id.
    FindCoordinator = 10,
    /// Enters a classic group, or the next generation of it.
    JoinGroup = 11,
    /// Says that a member of a classic group is alive.
    Heartbeat = 12,
    /// Takes members out of a classic group.
    LeaveGroup = 13,
    /// Hands out, and fetches, the assignment of a generation.
    SyncGroup = 14,
    /// Shows classic groups with their members.
    DescribeGroups = 15,
    /// Lists the groups that a broker coordinates.
    ListGroups = 16,
    /// Says which APIs and versions a broker speaks, and its features.
    ApiVersions = 18,
    /// Creates topics.
    CreateTopics = 19,
    /// Deletes topics by name or id.
    DeleteTopics = 20,
    /// Moves the start of logs forward.
    DeleteRecords = 21,
    /// Hands out a producer id and epoch.
    InitProducerId = 22,
    /// Finds where a leader epoch ended, to detect a cut log.
    OffsetForLeaderEpoch = 23,
    /// Shows the settings of topics, brokers and groups.
    DescribeConfigs = 32,
    /// Replaces all settings of a resource.
    AlterConfigs = 33,
    /// Moves replicas between directories of a broker.
    AlterReplicaLogDirs = 34,
    /// Shows a broker's directories and how large their replicas are.
    DescribeLogDirs = 35,
    /// Adds partitions to topics.
    CreatePartitions = 37,
    /// Deletes empty groups.
    DeleteGroups = 42,
    /// Asks for an election of partition leaders.
    ElectLeaders = 43,
    /// Changes single settings of a resource.
    IncrementalAlterConfigs = 44,
    /// Starts or cancels moves of replicas between brokers.
    AlterPartitionReassignments = 45,
    /// Lists the moves of replicas that are under way.
    ListPartitionReassignments = 46,
    /// Forgets how far a group has read.
    OffsetDelete = 47,
    /// Shows who keeps the cluster's metadata.
    DescribeQuorum = 55,
    /// Names the brokers and the controller.
    DescribeCluster = 60,
    /// Shows the producers that a partition remembers.
    DescribeProducers = 61,
    /// Joins, keeps and leaves a group of the consumer protocol (KIP-848).
    ConsumerGroupHeartbeat = 68,
    /// Shows groups of the consumer protocol (KIP-848).
    ConsumerGroupDescribe = 69,
    /// Lists the resources that have settings.
    ListConfigResources = 74,
    /// Shows topics and their partitions page by page.
    DescribeTopicPartitions = 75,
}

impl ApiKey {
    /// Every API, in the order of the numbers.
    pub const ALL: &'static [Self] = &[
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::Metadata,
        Self::OffsetCommit,
        Self::OffsetFetch,
        Self::FindCoordinator,
        Self::JoinGroup,
        Self::Heartbeat,
        Self::LeaveGroup,
        Self::SyncGroup,
        Self::DescribeGroups,
        Self::ListGroups,
        Self::ApiVersions,
        Self::CreateTopics,
        Self::DeleteTopics,
        Self::DeleteRecords,
        Self::InitProducerId,
        Self::OffsetForLeaderEpoch,
        Self::DescribeConfigs,
        Self::AlterConfigs,
        Self::AlterReplicaLogDirs,
        Self::DescribeLogDirs,
        Self::CreatePartitions,
        Self::DeleteGroups,
        Self::ElectLeaders,
        Self::IncrementalAlterConfigs,
        Self::AlterPartitionReassignments,
        Self::ListPartitionReassignments,
        Self::OffsetDelete,
        Self::DescribeQuorum,
        Self::DescribeCluster,
        Self::DescribeProducers,
        Self::ConsumerGroupHeartbeat,
        Self::ConsumerGroupDescribe,
        Self::ListConfigResources,
        Self::DescribeTopicPartitions,
    ];

    /// The API of a number; `None` for one without a codec here.
    #[must_use]
    pub const fn from_wire(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Produce),
            1 => Some(Self::Fetch),
            2 => Some(Self::ListOffsets),
            3 => Some(Self::Metadata),
            8 => Some(Self::OffsetCommit),
            9 => Some(Self::OffsetFetch),
            10 => Some(Self::FindCoordinator),
            11 => Some(Self::JoinGroup),
            12 => Some(Self::Heartbeat),
            13 => Some(Self::LeaveGroup),
            14 => Some(Self::SyncGroup),
            15 => Some(Self::DescribeGroups),
            16 => Some(Self::ListGroups),
            18 => Some(Self::ApiVersions),
            19 => Some(Self::CreateTopics),
            20 => Some(Self::DeleteTopics),
            21 => Some(Self::DeleteRecords),
            22 => Some(Self::InitProducerId),
            23 => Some(Self::OffsetForLeaderEpoch),
            32 => Some(Self::DescribeConfigs),
            33 => Some(Self::AlterConfigs),
            34 => Some(Self::AlterReplicaLogDirs),
            35 => Some(Self::DescribeLogDirs),
            37 => Some(Self::CreatePartitions),
            42 => Some(Self::DeleteGroups),
            43 => Some(Self::ElectLeaders),
            44 => Some(Self::IncrementalAlterConfigs),
            45 => Some(Self::AlterPartitionReassignments),
            46 => Some(Self::ListPartitionReassignments),
            47 => Some(Self::OffsetDelete),
            55 => Some(Self::DescribeQuorum),
            60 => Some(Self::DescribeCluster),
            61 => Some(Self::DescribeProducers),
            68 => Some(Self::ConsumerGroupHeartbeat),
            69 => Some(Self::ConsumerGroupDescribe),
            74 => Some(Self::ListConfigResources),
            75 => Some(Self::DescribeTopicPartitions),
            _ => None,
        }
    }

    pub(crate) const fn row(self) -> Row {
        match self {
            Self::Produce => Row { name: "Produce", min: 3, max: 13, flexible: Some(9) },
            Self::Fetch => Row { name: "Fetch", min: 4, max: 18, flexible: Some(12) },
            Self::ListOffsets => Row { name: "ListOffsets", min: 1, max: 11, flexible: Some(6) },
            Self::Metadata => Row { name: "Metadata", min: 0, max: 13, flexible: Some(9) },
            Self::OffsetCommit => Row { name: "OffsetCommit", min: 2, max: 10, flexible: Some(8) },
            Self::OffsetFetch => Row { name: "OffsetFetch", min: 1, max: 10, flexible: Some(6) },
            Self::FindCoordinator => Row { name: "FindCoordinator", min: 0, max: 6, flexible: Some(3) },
            Self::JoinGroup => Row { name: "JoinGroup", min: 0, max: 9, flexible: Some(6) },
            Self::Heartbeat => Row { name: "Heartbeat", min: 0, max: 4, flexible: Some(4) },
            Self::LeaveGroup => Row { name: "LeaveGroup", min: 0, max: 5, flexible: Some(4) },
            Self::SyncGroup => Row { name: "SyncGroup", min: 0, max: 5, flexible: Some(4) },
            Self::DescribeGroups => Row { name: "DescribeGroups", min: 0, max: 6, flexible: Some(5) },
            Self::ListGroups => Row { name: "ListGroups", min: 0, max: 5, flexible: Some(3) },
            Self::ApiVersions => Row { name: "ApiVersions", min: 0, max: 5, flexible: Some(3) },
            Self::CreateTopics => Row { name: "CreateTopics", min: 2, max: 7, flexible: Some(5) },
            Self::DeleteTopics => Row { name: "DeleteTopics", min: 1, max: 6, flexible: Some(4) },
            Self::DeleteRecords => Row { name: "DeleteRecords", min: 0, max: 2, flexible: Some(2) },
            Self::InitProducerId => Row { name: "InitProducerId", min: 0, max: 5, flexible: Some(2) },
            Self::OffsetForLeaderEpoch => Row { name: "OffsetForLeaderEpoch", min: 2, max: 4, flexible: Some(4) },
            Self::DescribeConfigs => Row { name: "DescribeConfigs", min: 1, max: 4, flexible: Some(4) },
            Self::AlterConfigs => Row { name: "AlterConfigs", min: 0, max: 2, flexible: Some(2) },
            Self::AlterReplicaLogDirs => Row { name: "AlterReplicaLogDirs", min: 1, max: 2, flexible: Some(2) },
            Self::DescribeLogDirs => Row { name: "DescribeLogDirs", min: 1, max: 4, flexible: Some(2) },
            Self::CreatePartitions => Row { name: "CreatePartitions", min: 0, max: 3, flexible: Some(2) },
            Self::DeleteGroups => Row { name: "DeleteGroups", min: 0, max: 2, flexible: Some(2) },
            Self::ElectLeaders => Row { name: "ElectLeaders", min: 0, max: 2, flexible: Some(2) },
            Self::IncrementalAlterConfigs => Row { name: "IncrementalAlterConfigs", min: 0, max: 1, flexible: Some(1) },
            Self::AlterPartitionReassignments => Row { name: "AlterPartitionReassignments", min: 0, max: 1, flexible: Some(0) },
            Self::ListPartitionReassignments => Row { name: "ListPartitionReassignments", min: 0, max: 0, flexible: Some(0) },
            Self::OffsetDelete => Row { name: "OffsetDelete", min: 0, max: 0, flexible: None },
            Self::DescribeQuorum => Row { name: "DescribeQuorum", min: 0, max: 2, flexible: Some(0) },
            Self::DescribeCluster => Row { name: "DescribeCluster", min: 0, max: 2, flexible: Some(0) },
            Self::DescribeProducers => Row { name: "DescribeProducers", min: 0, max: 0, flexible: Some(0) },
            Self::ConsumerGroupHeartbeat => Row { name: "ConsumerGroupHeartbeat", min: 0, max: 1, flexible: Some(0) },
            Self::ConsumerGroupDescribe => Row { name: "ConsumerGroupDescribe", min: 0, max: 1, flexible: Some(0) },
            Self::ListConfigResources => Row { name: "ListConfigResources", min: 0, max: 1, flexible: Some(0) },
            Self::DescribeTopicPartitions => Row { name: "DescribeTopicPartitions", min: 0, max: 0, flexible: Some(0) },
        }
    }
}
