//! `DescribeCluster`: the brokers of the door that was asked.

use kolk_io::door::Net;
use kolk_kafka::message::describe_cluster::{Broker, Request, Response};
use kolk_model::error::ErrorCode;

use super::metadata::CLUSTER_OPERATIONS;
use crate::kafka::session::Context;

/// Kafka's numbers of the kinds of endpoints.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Answers from what the door shows. Controllers have no listener of their own.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let metadata = context.metadata();
    let refused = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((
            ErrorCode::MismatchedEndpointType,
            "this is a listener of brokers; it has no listener of controllers beside it".to_owned(),
        )),
        other => Some((
            ErrorCode::UnsupportedEndpointType,
            format!("there is no kind of endpoint with the number {other}"),
        )),
    };
    if let Some((code, detail)) = refused {
        return Response {
            error_code: code.to_wire(),
            error_message: Some(detail),
            endpoint_type: request.endpoint_type,
            ..Response::default()
        };
    }
    let brokers = context.view().brokers(context.local()).into_iter().map(|broker| Broker {
        broker_id: broker.id,
        host: broker.host,
        port: i32::from(broker.port),
        rack: None,
        is_fenced: false,
    });
    Response {
        endpoint_type: BROKERS,
        cluster_id: metadata.cluster().to_string(),
        controller_id: context.view().controller(&metadata),
        brokers: brokers.collect(),
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => i32::MIN,
        },
        ..Response::default()
    }
}
