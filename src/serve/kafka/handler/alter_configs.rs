//! `AlterConfigs`: gives a resource these settings and no others.

use kolk_io::door::Net;
use kolk_kafka::message::alter_configs::{
    Request, RequestConfig, RequestResource, Resource as Answer, Response,
};
use kolk_model::config::overrides::ConfigChange;
use kolk_model::error::ErrorCode;
use kolk_shard::request::{Intent, Refusal};

use crate::kafka::admin::resources::{Alteration, ResourceName, alter, told};
use crate::kafka::session::Context;

/// Alters one resource after the other; each whole or not at all.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let intent = if request.validate_only { Intent::Validate } else { Intent::Carry };
    let alterations = request.resources.into_iter().map(read).collect();
    let altered = alter(&context, alterations, intent).await;
    let responses = altered.into_iter().map(|(resource, result)| {
        let (error_code, error_message) = told(&result);
        let ResourceName { kind: resource_type, name: resource_name } = resource;
        Answer { error_code, error_message, resource_type, resource_name }
    });
    Response { responses: responses.collect(), ..Response::default() }
}

fn read(asked: RequestResource) -> Alteration {
    let resource = ResourceName { kind: asked.resource_type, name: asked.resource_name };
    let set = asked.configs.into_iter().map(|RequestConfig { name, value }| match value {
        Some(value) => Ok(ConfigChange::Set { name, value }),
        None => {
            let detail = format!("{name} has no value");
            Err(Refusal::new(ErrorCode::InvalidRequest, detail))
        }
    });
    let changes = std::iter::once(Ok(ConfigChange::ResetAll)).chain(set).collect();
    Alteration { resource, changes }
}
