//! `IncrementalAlterConfigs`: changes single settings and leaves the others.

use kolk_io::door::Net;
use kolk_kafka::message::incremental_alter_configs::{
    Request, RequestConfig, RequestResource, Resource as Answer, Response,
};
use kolk_model::config::overrides::ConfigChange;
use kolk_model::error::ErrorCode;
use kolk_shard::request::{Intent, Refusal};

use crate::kafka::admin::resources::{Alteration, ResourceName, alter, told};
use crate::kafka::session::Context;

/// Kafka's numbers of what can be done to a setting.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

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
    let changes: Result<Vec<_>, _> = asked.configs.into_iter().map(change).collect();
    let changes = changes.and_then(|changes| {
        let once = ConfigChange::check_unique(&changes);
        once.map_err(|error| Refusal::new(ErrorCode::InvalidRequest, error.to_string()))?;
        Ok(changes)
    });
    Alteration { resource, changes }
}

fn change(asked: RequestConfig) -> Result<ConfigChange, Refusal> {
    let RequestConfig { name, config_operation, value } = asked;
    let refuse = |detail| Err(Refusal::new(ErrorCode::InvalidRequest, detail));
    match (config_operation, value) {
        (DELETE, _) => Ok(ConfigChange::Reset { name }),
        (SET, Some(value)) => Ok(ConfigChange::Set { name, value }),
        (APPEND, Some(value)) => Ok(ConfigChange::Append { name, value }),
        (SUBTRACT, Some(value)) => Ok(ConfigChange::Subtract { name, value }),
        (SET | APPEND | SUBTRACT, None) => refuse(format!("{name} has no value")),
        (other, _) => refuse(format!("there is no operation {other} on settings")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(config_operation: i8, value: Option<&str>) -> RequestConfig {
        let value = value.map(str::to_owned);
        RequestConfig { name: "cleanup.policy".to_owned(), config_operation, value }
    }

    #[test]
    fn operations_are_read_and_others_refused() {
        assert!(matches!(change(config(0, Some("x"))), Ok(ConfigChange::Set { .. })));
        assert!(matches!(change(config(1, None)), Ok(ConfigChange::Reset { .. })));
        assert!(matches!(change(config(2, Some("x"))), Ok(ConfigChange::Append { .. })));
        assert!(matches!(change(config(3, Some("x"))), Ok(ConfigChange::Subtract { .. })));
        for bad in [config(0, None), config(3, None), config(4, Some("x")), config(-1, None)] {
            assert_eq!(change(bad).unwrap_err().code, ErrorCode::InvalidRequest);
        }
    }

    #[test]
    fn a_setting_that_is_named_twice_is_refused() {
        let configs = vec![config(2, Some("compact")), config(3, Some("delete"))];
        let asked = RequestResource { configs, ..RequestResource::default() };
        assert_eq!(read(asked).changes.unwrap_err().code, ErrorCode::InvalidRequest);
    }
}
