//! The time that a client gives a change of topics. Apart because three APIs carry one.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use kolk_io::door::Net;
use kolk_model::error::ErrorCode;
use kolk_shard::request::Refusal;

use crate::kafka::session::Context;

/// Waited where a client gives no time, and at most.
const WAIT_MS_MAX: u64 = 60_000;

/// Waits for a change as long as the client allows. A change that is not done by then goes on: the client is
/// told so, as in Kafka.
pub(crate) async fn within<N: Net, T>(
    context: &Context<N>,
    timeout_ms: i32,
    change: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let given = u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0);
    let wait = Duration::from_millis(given.unwrap_or(WAIT_MS_MAX).min(WAIT_MS_MAX));
    let io = context.shard().io().clone();
    let (change, over) = (pin!(change), pin!(io.sleep(wait)));
    match select(change, over).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => {
            let detail = format!("not done within {} ms; it goes on", wait.as_millis());
            Err(Refusal::new(ErrorCode::RequestTimedOut, detail))
        }
    }
}
