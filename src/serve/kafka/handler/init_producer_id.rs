//! `InitProducerId` for idempotent producers. Transactions are not offered: a transactional id is refused
//! at once and for good, as `FindCoordinator` does, which clients ask first.

use kolk_io::door::Net;
use kolk_kafka::message::init_producer_id::{Request, Response};
use kolk_model::error::ErrorCode;

use crate::kafka::handler::find_coordinator::NO_TRANSACTIONS;
use crate::kafka::session::Context;

/// Assigns a producer id that nobody ever had, with epoch 0. Also for a producer that had one before: an
/// idempotent producer begins anew with another id.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    if request.transactional_id.is_some() {
        return refused(NO_TRANSACTIONS);
    }
    match context.shard().assign_producer_id().await {
        Ok(producer) => Response {
            producer_id: i64::try_from(producer.id.get()).unwrap_or(i64::MAX),
            producer_epoch: i16::try_from(producer.epoch.get()).unwrap_or(i16::MAX),
            ..Response::default()
        },
        Err(refusal) => {
            tracing::debug!(%refusal, "producer id not assigned");
            refused(retriable(refusal.code))
        }
    }
}

fn refused(code: ErrorCode) -> Response {
    Response {
        error_code: code.to_wire(),
        producer_id: -1,
        producer_epoch: -1,
        ..Response::default()
    }
}

/// Of the codes that help, every client of this API repeats the request on this one.
const fn retriable(code: ErrorCode) -> ErrorCode {
    if code.retriable() { ErrorCode::CoordinatorLoadInProgress } else { code.on_kafka() }
}
