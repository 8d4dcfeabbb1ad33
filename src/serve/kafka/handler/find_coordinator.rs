//! `FindCoordinator`: which broker coordinates a group. Transactions are not offered: a transactional id is
//! refused at once and for good, because a client would repeat any other refusal for ever. The first request of a
//! transactional producer is this one, so the refusal is what its user sees.

use kolk_io::door::Net;
use kolk_kafka::message::find_coordinator::{Coordinator, Request, Response};
use kolk_model::error::ErrorCode;
use kolk_shard::group::ids::GroupId;

use crate::kafka::once::once;
use crate::kafka::session::Context;
use crate::kafka::view::BrokerAddress;

/// The kind of key that is a group.
const GROUP: i8 = 0;
/// The kind of key that is a transactional id.
const TRANSACTION: i8 = 1;
/// What a transactional id is told. Of the codes that say no for good, librdkafka heeds two here and asks again twice a second
/// on all others (`rd_kafka_txn_handle_FindCoordinator`); on the other of the two, `TRANSACTIONAL_ID_AUTHORIZATION_FAILED`,
/// the Java client keeps the reason to itself.
pub(super) const NO_TRANSACTIONS: ErrorCode = ErrorCode::ClusterAuthorizationFailed;
/// Keys of one request; more are refused one by one.
const KEYS_MAX: usize = 10_000;

/// Answers each key by itself, and once. The first question makes the topic that keeps groups.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    if context.version() < 4 {
        let found = find(&context, request.key_type, request.key).await;
        return Response {
            error_code: found.error_code,
            error_message: found.error_message,
            node_id: found.node_id,
            host: found.host,
            port: found.port,
            ..Response::default()
        };
    }
    let keys = once(request.coordinator_keys, Clone::clone);
    let mut coordinators = Vec::with_capacity(keys.len());
    for (number, key) in keys.into_iter().enumerate() {
        let found = if number < KEYS_MAX {
            find(&context, request.key_type, key).await
        } else {
            refused(key, ErrorCode::InvalidRequest, "too many keys in one request")
        };
        coordinators.push(found);
    }
    Response { coordinators, ..Response::default() }
}

async fn find<N: Net>(context: &Context<N>, kind: i8, key: String) -> Coordinator {
    match kind {
        GROUP => {}
        TRANSACTION => {
            return refused(key, NO_TRANSACTIONS, "transactions are not offered by this broker");
        }
        _ => return refused(key, ErrorCode::InvalidRequest, "the kind of key is not known"),
    }
    let owner = match context.shard().find_group(&GroupId::new(&key)).await {
        Ok(owner) => owner,
        Err(refusal) => {
            tracing::debug!(%refusal, "no coordinator for a group");
            return refused(key, ErrorCode::CoordinatorNotAvailable, &refusal.detail);
        }
    };
    match context.view().address_of(owner, context.local()) {
        Some(BrokerAddress { id, host, port }) => Coordinator {
            key,
            node_id: id,
            host,
            port: i32::from(port),
            error_code: ErrorCode::None.to_wire(),
            error_message: None,
        },
        None => refused(key, ErrorCode::CoordinatorNotAvailable, "the coordinator has no address"),
    }
}

fn refused(key: String, code: ErrorCode, why: &str) -> Coordinator {
    Coordinator {
        key,
        node_id: -1,
        host: String::new(),
        port: -1,
        error_code: code.on_kafka().to_wire(),
        error_message: Some(why.to_owned()),
    }
}
