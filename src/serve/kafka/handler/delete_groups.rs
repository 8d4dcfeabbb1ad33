//! `DeleteGroups`: groups without members go, with their offsets.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use kolk_io::door::Net;
use kolk_kafka::message::delete_groups::{Group, Request, Response};
use kolk_model::error::ErrorCode;
use kolk_shard::group::answer::GroupAnswer;
use kolk_shard::group::ids::GroupId;
use kolk_shard::group::request::GroupRequest;

use crate::kafka::session::Context;

/// Answers each group by itself.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    // All are asked before one is waited for.
    let results: FuturesOrdered<_> = request
        .groups_names
        .into_iter()
        .map(|name| {
            let asked = context.shard().group(GroupRequest::Delete(GroupId::new(&name)));
            async move {
                let code = match asked.await {
                    GroupAnswer::Delete(Ok(())) => ErrorCode::None,
                    GroupAnswer::Delete(Err(code)) => code,
                    _ => ErrorCode::CoordinatorNotAvailable,
                };
                Group { group_id: name, error_code: code.on_kafka().to_wire() }
            }
        })
        .collect();
    Response { results: results.collect().await, ..Response::default() }
}
