//! What each API of the Kafka wire does: one file an API, one row in the table below.
//!
//! A handler is one function, `async fn handle<N: Net>(context: Context<N>, request: Request) -> Response`,
//! with the `Request` and `Response` of `kolk_kafka::message::<api>`. Rules:
//!
//! - **Order.** It is called when its frame is taken in, and runs up to its first `.await` before the next
//!   request of the connection is looked at. What must take effect in the order of the requests (an append,
//!   a question to a shard: every method of `Shard` asks at its first poll) therefore belongs before that
//!   first wait. After it, requests of a connection run side by side; responses wait for their turn.
//! - **Ids and addresses** come from `context.view()`, never from the shard: an answer speaks of the door
//!   that was asked. "Own" things (groups, log directories) are those with `view().is_own(owner)`.
//! - **Errors.** A handler always answers; codes leave through `ErrorCode::on_kafka`, because clients know none
//!   of ours. A bare `UNKNOWN_SERVER_ERROR` ends Kafka Streams: choose a code on which a client retries.
//! - **Waiting** for something other than a disk goes through `context.unless_over`, so that a stop is not held up.
//! - **Bytes** of a request (`Bytes`, `Text`) are slices of its frame: copy what is kept.
//!
//! To add one: write the file, name it below, add a row. The answer to `ApiVersions` lists the rows.

use std::future::Future;

use kolk_io::door::Net;
use kolk_kafka::api::ApiKey;
use kolk_kafka::message::Message;
use kolk_kafka::wire::{DecodeError, Reader};

use super::session::{Call, Context};
use kolk_connection::outbox::ReplyFuture;

mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
pub(crate) mod api_versions;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod elect_leaders;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;

pub(crate) use produce::ProduceCallLists;

/// Rows of API, kind and module. `decoded`: the module has a `handle` as described above. `by_hand`: it reads
/// its request and writes its response itself, in `begin`.
macro_rules! handlers {
    ($($api:ident: $kind:ident $module:ident,)+) => {
        /// Every API that is served, by key.
        pub(crate) const SERVED: &[ApiKey] = &[$(ApiKey::$api,)+];

        /// Begins a request. Every API that has a codec is served: one without a row does not compile.
        ///
        /// # Errors
        /// The body is damaged.
        pub(crate) fn begin<N: Net>(
            call: Call<N>,
            reader: &mut Reader<'_>,
        ) -> Result<ReplyFuture, DecodeError> {
            Ok(match call.context.api {
                $(ApiKey::$api => run!($kind $module, call, reader),)+
            })
        }
    };
}

macro_rules! run {
    (decoded $module:ident, $call:ident, $reader:ident) => {
        decoded($call, $reader, $module::handle)?
    };
    (by_hand $module:ident, $call:ident, $reader:ident) => {
        $module::begin($call, $reader)?
    };
}

handlers! {
    Produce: by_hand produce,
    Fetch: by_hand fetch,
    ListOffsets: decoded list_offsets,
    Metadata: decoded metadata,
    OffsetCommit: decoded offset_commit,
    OffsetFetch: decoded offset_fetch,
    FindCoordinator: decoded find_coordinator,
    JoinGroup: decoded join_group,
    Heartbeat: decoded heartbeat,
    LeaveGroup: decoded leave_group,
    SyncGroup: decoded sync_group,
    DescribeGroups: decoded describe_groups,
    ListGroups: decoded list_groups,
    ApiVersions: decoded api_versions,
    CreateTopics: decoded create_topics,
    DeleteTopics: decoded delete_topics,
    DeleteRecords: decoded delete_records,
    InitProducerId: decoded init_producer_id,
    OffsetForLeaderEpoch: decoded offset_for_leader_epoch,
    DescribeConfigs: decoded describe_configs,
    AlterConfigs: decoded alter_configs,
    AlterReplicaLogDirs: decoded alter_replica_log_dirs,
    DescribeLogDirs: decoded describe_log_dirs,
    CreatePartitions: decoded create_partitions,
    DeleteGroups: decoded delete_groups,
    ElectLeaders: decoded elect_leaders,
    IncrementalAlterConfigs: decoded incremental_alter_configs,
    AlterPartitionReassignments: decoded alter_partition_reassignments,
    ListPartitionReassignments: decoded list_partition_reassignments,
    OffsetDelete: decoded offset_delete,
    DescribeQuorum: decoded describe_quorum,
    DescribeCluster: decoded describe_cluster,
    DescribeProducers: decoded describe_producers,
    ConsumerGroupHeartbeat: decoded consumer_group_heartbeat,
    ConsumerGroupDescribe: decoded consumer_group_describe,
    ListConfigResources: decoded list_config_resources,
    DescribeTopicPartitions: decoded describe_topic_partitions,
}

fn decoded<N, Q, R, F>(
    call: Call<N>,
    reader: &mut Reader<'_>,
    handle: impl FnOnce(Context<N>, Q) -> F,
) -> Result<ReplyFuture, DecodeError>
where
    N: Net,
    Q: Message,
    R: Message,
    F: Future<Output = R> + 'static,
{
    let request = Q::decode(reader, call.version())?;
    let answering = handle(call.context.clone(), request);
    Ok(Box::pin(async move {
        let response = answering.await;
        call.answer(&response)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_keys() {
        let keys: Vec<_> = SERVED.iter().map(|api| api.to_wire()).collect();
        assert!(keys.is_sorted(), "{keys:?}");
    }
}
