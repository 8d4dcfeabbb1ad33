//! Every message as a plain struct, one module an API. Apart from the generated code so that it is named from one
//! place: `message::metadata::Request`.
//!
//! A field's default is the protocol's (often -1), null where a field may be null. A field that a version lacks
//! has its default after reading and is left out when writing; a null that a version can't write is written as
//! empty. So encoding never fails. Error codes are the numbers of [`kolk_model::error::ErrorCode`].
//!
//! `Bytes` share the memory of the frame they came in: who keeps them copies them.

pub use crate::generated::{
    alter_configs, alter_partition_reassignments, alter_replica_log_dirs, api_versions,
    consumer_group_describe, consumer_group_heartbeat, create_partitions, create_topics,
    delete_groups, delete_records, delete_topics, describe_cluster, describe_configs,
    describe_groups, describe_log_dirs, describe_producers, describe_quorum,
    describe_topic_partitions, elect_leaders, fetch, find_coordinator, heartbeat,
    incremental_alter_configs, init_producer_id, join_group, leave_group, list_config_resources,
    list_groups, list_offsets, list_partition_reassignments, metadata, offset_commit,
    offset_delete, offset_fetch, offset_for_leader_epoch, produce, sync_group,
};

use crate::api::ApiKey;
use crate::wire::{DecodeError, Reader, Version, Writer};

/// A request or an answer of one API.
pub trait Message: Sized {
    /// The API it belongs to.
    const API: ApiKey;

    /// Reads the message; the reader stands behind the header. Bytes may be left.
    ///
    /// # Errors
    /// The bytes are not this message in this version. The version must be one of [`ApiKey::versions`]; with
    /// another, what is read means nothing.
    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError>;

    /// Appends the message.
    fn encode(&self, writer: &mut Writer<'_>, version: Version);
}
