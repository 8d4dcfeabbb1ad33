//! `ListPartitionReassignments`: with one node no replica is ever on its way.

use kolk_io::door::Net;
use kolk_kafka::message::list_partition_reassignments::{Request, Response};

use crate::kafka::session::Context;

/// Lists none.
pub(super) async fn handle<N: Net>(_: Context<N>, _: Request) -> Response {
    Response::default()
}
