//! The error codes that both wires carry. Apart so that a refusal has one number, one name and one hint
//! wherever it arises: Kafka's numbers where Kafka has the error, our own from 10,000.

use std::fmt;

/// Whether sending the same request again can succeed without anybody changing anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Retry {
    Helps,
    Useless,
}

macro_rules! codes {
    (
        $($variant:ident = $number:literal, $name:literal, $retry:ident, $hint:literal;)+
        => own:
        $($own:ident = $own_number:literal as $kafka:ident, $own_name:literal, $own_retry:ident, $own_hint:literal;)+
    ) => {
        /// What went wrong, as a number that clients act on.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i16)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = $hint] $variant = $number,)+
            $(#[doc = $own_hint] $own = $own_number,)+
        }

        impl ErrorCode {
            /// Every code, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+ $(Self::$own,)+];

            /// The code of a number; `None` for a number that this version does not know.
            #[must_use]
            pub const fn from_wire(number: i16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    $($own_number => Some(Self::$own),)+
                    _ => None,
                }
            }

            /// The name: Kafka's where Kafka has one, in capitals.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ $(Self::$own => $own_name,)+ }
            }

            /// One sentence for people: the cause, and what to do.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)+ $(Self::$own => $own_hint,)+ }
            }

            const fn retry(self) -> Retry {
                match self {
                    $(Self::$variant => Retry::$retry,)+
                    $(Self::$own => Retry::$own_retry,)+
                }
            }

            /// The code that a client of the Kafka wire is told, which knows none of our own: the one on
            /// which it does what helps.
            #[must_use]
            pub const fn on_kafka(self) -> Self {
                match self { $(Self::$variant => Self::$variant,)+ $(Self::$own => Self::$kafka,)+ }
            }
        }
    };
}

codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", Useless, "The broker met an error that has no code of its own; its log says which.";
    None = 0, "NONE", Useless, "No error.";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", Useless, "The offset lies before the log's start or beyond its end; ask for the beginning or the end.";
    CorruptMessage = 2, "CORRUPT_MESSAGE", Helps, "The batch does not match its checksum; it was damaged on the way, send it again.";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", Helps, "This broker has no such topic or partition; create it, or check the name.";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", Useless, "The number of bytes asked for makes no sense.";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", Helps, "The partition has no leader at the moment; ask for metadata again.";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", Helps, "Another broker or shard owns the partition; ask for metadata again.";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", Helps, "The request was not answered within its time.";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", Useless, "The broker is not there.";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", Helps, "The replica is not there at the moment.";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", Useless, "The batch is larger than the topic's max.message.bytes; make it smaller or raise that setting.";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", Useless, "The text stored with a committed offset is too long.";
    NetworkException = 13, "NETWORK_EXCEPTION", Helps, "The connection broke before the answer came.";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", Helps, "The coordinator is still loading; try again.";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", Helps, "The coordinator is not there at the moment; try again.";
    NotCoordinator = 16, "NOT_COORDINATOR", Helps, "Another broker coordinates this group; look it up again.";
    InvalidTopic = 17, "INVALID_TOPIC_EXCEPTION", Useless, "The topic's name breaks the rule: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'.";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", Useless, "The request holds more records than the broker accepts at once.";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", Helps, "Fewer replicas are in sync than min.insync.replicas asks for.";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", Helps, "The batch is written, but fewer replicas have it than min.insync.replicas asks for.";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", Useless, "The durability asked for is not one that the broker knows.";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", Useless, "The group has moved on to another generation; join again.";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", Useless, "The member's protocols do not fit those of the group.";
    InvalidGroupId = 24, "INVALID_GROUP_ID", Useless, "The group's id is not allowed.";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", Useless, "The group does not know this member; join again.";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", Useless, "The session timeout lies outside what the broker allows.";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", Useless, "The group is being rebalanced; join again.";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", Useless, "The committed offset is not kept: its record would be too large, or the broker keeps as many as it may.";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", Useless, "The client may not do this to the topic.";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", Useless, "The client may not do this to the group.";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", Useless, "The client may not do this to the cluster.";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", Useless, "A record's timestamp is outside what the topic allows.";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", Useless, "The broker does not speak this version of the protocol.";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", Useless, "A topic of this name exists already.";
    InvalidPartitions = 37, "INVALID_PARTITIONS", Useless, "The number of partitions is not possible: at least 1, at most the broker's limit, and it can only grow.";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", Useless, "The replication factor is not possible with the nodes that exist.";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", Useless, "The replica assignment is not possible.";
    InvalidConfig = 40, "INVALID_CONFIG", Useless, "A setting's name or value is not accepted.";
    NotController = 41, "NOT_CONTROLLER", Helps, "Another broker is the controller; ask for metadata again.";
    InvalidRequest = 42, "INVALID_REQUEST", Useless, "The request contradicts itself or breaks the protocol.";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", Useless, "The record format does not support this.";
    PolicyViolation = 44, "POLICY_VIOLATION", Useless, "The broker's policy forbids this.";
    OutOfOrderSequence = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", Useless, "A batch of this producer is missing before this one.";
    DuplicateSequence = 46, "DUPLICATE_SEQUENCE_NUMBER", Useless, "The batch was written before, too long ago to say at which offset.";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", Useless, "A newer producer has taken over this producer id.";
    InvalidTxnState = 48, "INVALID_TXN_STATE", Useless, "The transaction is not in a state that allows this.";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", Useless, "The transactional id has another producer id.";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", Useless, "The transaction timeout lies outside what the broker allows.";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", Helps, "The previous transaction is still being completed.";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", Useless, "Another coordinator has taken over the transaction.";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", Useless, "The client may not use this transactional id.";
    SecurityDisabled = 54, "SECURITY_DISABLED", Useless, "The broker checks no permissions.";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", Useless, "Another part of the request failed first.";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", Helps, "The broker can't read or write the partition's files; its log says why.";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", Useless, "The broker has no such log directory.";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", Useless, "The broker has no record of this producer in the partition; ask for another producer id.";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", Useless, "A reassignment of the partition is under way.";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", Useless, "The broker knows no delegation tokens.";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", Useless, "The group still has members.";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", Useless, "There is no such group.";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", Helps, "The fetch session is gone; start another.";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", Helps, "The fetch session is at another epoch; start another.";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", Helps, "The leader has no listener like the one that was asked.";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", Useless, "Topics may not be deleted.";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", Helps, "The client's leader epoch is older than the broker's; ask for metadata again.";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", Helps, "The client's leader epoch is newer than the broker's.";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", Useless, "The batch is compressed in a way that is not known here.";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", Helps, "The offset is not known yet; try again.";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", Useless, "Join again with the member id that came with this answer.";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", Helps, "The preferred leader is not there at the moment.";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", Useless, "The group has as many members as it may have.";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", Useless, "Another member has taken over this static id.";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", Helps, "No replica that could lead is there at the moment.";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", Useless, "The partition has the leader it should have.";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", Useless, "No reassignment of the partition is under way.";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", Useless, "The group is subscribed to the topic.";
    InvalidRecord = 87, "INVALID_RECORD", Useless, "A record or its batch breaks the format.";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", Helps, "An offset commit of a transaction is still open.";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", Helps, "The client is over its quota; wait and try again.";
    ProducerFenced = 90, "PRODUCER_FENCED", Useless, "A newer producer with the same transactional id has taken over.";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", Useless, "There is no such resource.";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", Useless, "The request names the same thing twice.";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", Useless, "The version to update to is not possible.";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", Useless, "The feature could not be updated.";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", Helps, "This broker has no topic of this id; it may have been deleted, ask for metadata again.";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", Helps, "The topic of this name has another id by now; ask for metadata again.";
    FetchSessionTopicId = 106, "FETCH_SESSION_TOPIC_ID_ERROR", Helps, "The fetch session names topics in another way than the request; start another.";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", Useless, "The group has moved on without this member; join again.";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", Useless, "Another member still uses this static id.";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", Useless, "The group or the broker does not know this assignor.";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", Useless, "The member's epoch is not the one the group has for it; ask for it with a heartbeat.";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", Useless, "The request was sent to an endpoint of the wrong kind.";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", Useless, "This kind of endpoint is not known here.";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", Useless, "The regular expression of the subscription is not one.";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", Useless, "Another cluster or broker answers at this address; begin again with the bootstrap addresses.";

    => own:
    WrongNextOffset = 10000 as InvalidRequest, "WRONG_NEXT_OFFSET", Useless, "Another writer came first: the log does not end at the offset that the conditional append expected.";
    PartitionDamaged = 10001 as KafkaStorageError, "PARTITION_DAMAGED", Useless, "The partition's data is damaged and it is offline; the broker's log names file and position.";
    OutcomeUnknown = 10002 as NotEnoughReplicasAfterAppend, "OUTCOME_UNKNOWN", Useless, "The broker's disk failed while the batch was being written; it may or may not be there after a restart.";
    StorageFull = 10003 as KafkaStorageError, "STORAGE_FULL", Helps, "The broker's disk is full; make room or delete a topic.";
    Overloaded = 10004 as RequestTimedOut, "OVERLOADED", Helps, "The broker has too much to do at the moment; wait and try again.";
    ShuttingDown = 10005 as RequestTimedOut, "SHUTTING_DOWN", Helps, "The broker is stopping; try again when it is back.";
    DecompressedTooLarge = 10006 as MessageTooLarge, "DECOMPRESSED_TOO_LARGE", Useless, "The batch's records inflate to more bytes than the broker accepts (batch_decompressed_bytes_max).";
    JournalFailed = 10007 as KafkaStorageError, "JOURNAL_FAILED", Useless, "The shard's journal can't be written; the shard only reads until the broker is restarted.";
}

impl ErrorCode {
    /// The number on the wire.
    #[inline]
    #[must_use]
    pub const fn to_wire(self) -> i16 {
        self as i16
    }

    /// Whether the code reports success.
    #[inline]
    #[must_use]
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether the same request, sent again a little later or to the broker that fresh metadata names,
    /// can succeed.
    #[inline]
    #[must_use]
    pub const fn retriable(self) -> bool {
        matches!(self.retry(), Retry::Helps)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.to_wire())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_and_rise() {
        for pair in ErrorCode::ALL.windows(2) {
            assert!(pair[0].to_wire() < pair[1].to_wire(), "{} before {}", pair[0], pair[1]);
        }
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_wire(code.to_wire()), Some(*code));
        }
        assert_eq!(ErrorCode::from_wire(9999), None);
    }

    #[test]
    fn every_code_has_a_name_and_a_hint() {
        for code in ErrorCode::ALL {
            assert!(code.name().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{code}");
            assert!(code.hint().ends_with('.'), "{code}");
        }
    }

    #[test]
    fn kafka_clients_are_told_codes_that_kafka_has() {
        for code in ErrorCode::ALL {
            let told = code.on_kafka();
            assert!(told.to_wire() < 10_000, "{code} is told as {told}");
            assert_eq!(told.on_kafka(), told);
        }
        assert_eq!(ErrorCode::InvalidTopic.on_kafka(), ErrorCode::InvalidTopic);
        assert!(ErrorCode::Overloaded.on_kafka().retriable());
    }

    #[test]
    fn a_moved_partition_is_retried_and_a_lost_race_is_not() {
        assert!(ErrorCode::NotLeaderOrFollower.retriable());
        assert!(ErrorCode::StorageFull.retriable());
        assert!(!ErrorCode::WrongNextOffset.retriable());
        assert!(!ErrorCode::None.retriable());
    }
}
