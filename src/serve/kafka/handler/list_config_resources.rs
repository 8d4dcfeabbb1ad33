//! `ListConfigResources`: everything that has settings.

use kolk_io::door::Net;
use kolk_kafka::message::list_config_resources::{Request, Resource as Answer, Response};
use kolk_model::error::ErrorCode;
use kolk_model::map::Set;

use crate::kafka::admin::resources::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::kafka::session::Context;

/// Lists from the shard's own copy. Version 0 asks for clients' metrics, which nobody can subscribe to here.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let all = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
    let asked: Set<i8> = match request.resource_types.as_slice() {
        _ if context.version() == 0 => Set::from([CLIENT_METRICS]),
        [] => Set::from(all),
        some => some.iter().copied().collect(),
    };
    if asked.iter().any(|kind| !all.contains(kind)) {
        let error_code = ErrorCode::UnsupportedVersion.to_wire();
        return Response { error_code, ..Response::default() };
    }
    let resources = asked.into_iter().flat_map(|kind| {
        let resource = move |resource_name| Answer { resource_name, resource_type: kind };
        names(&context, kind).into_iter().map(resource)
    });
    Response { config_resources: resources.collect(), ..Response::default() }
}

fn names<N: Net>(context: &Context<N>, kind: i8) -> Vec<String> {
    let metadata = context.metadata();
    match kind {
        TOPIC => metadata.topics_by_name().map(|topic| topic.name.to_string()).collect(),
        BROKER => {
            let brokers = context.view().brokers(context.local());
            let mut ids: Vec<_> = brokers.iter().map(|broker| broker.id.to_string()).collect();
            if !metadata.brokers().cluster.is_empty() {
                // The name of what is set for all brokers.
                ids.push(String::new());
            }
            ids
        }
        GROUP => metadata.groups_configured().map(|(group, _)| group.to_string()).collect(),
        _ => Vec::new(),
    }
}
