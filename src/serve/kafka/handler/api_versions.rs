//! `ApiVersions`: what is served. Its answer holds nothing that is not: clients choose their behaviour by it.

use kolk_io::door::Net;
use kolk_kafka::api::ApiKey;
use kolk_kafka::message::api_versions::{ApiVersion, Request, Response};
use kolk_model::error::ErrorCode;

use super::SERVED;
use crate::kafka::session::Context;

/// Tells the versions of every API that has a handler.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    match check(&context, &request) {
        Ok(()) => Response { api_keys: SERVED.iter().map(range).collect(), ..Response::default() },
        Err(code) => Response { error_code: code.to_wire(), ..Response::default() },
    }
}

/// The answer in version 0 to a version that is not known: with the one range from which the client can try
/// again (KIP-511).
pub(crate) fn unknown_version() -> Response {
    Response {
        error_code: ErrorCode::UnsupportedVersion.to_wire(),
        api_keys: vec![range(&ApiKey::ApiVersions)],
        ..Response::default()
    }
}

fn range(api: &ApiKey) -> ApiVersion {
    let versions = api.advertised();
    ApiVersion {
        api_key: api.to_wire(),
        min_version: versions.min.get(),
        max_version: versions.max.get(),
    }
}

/// The client's name for its software is checked from version 3 on (KIP-511), where it expects to be from
/// version 5 on (KIP-1242).
fn check<N: Net>(context: &Context<N>, request: &Request) -> Result<(), ErrorCode> {
    let version = context.version();
    if version >= 3 {
        let names = [&request.client_software_name, &request.client_software_version];
        if !names.into_iter().all(|name| is_name(name)) {
            return Err(ErrorCode::InvalidRequest);
        }
    }
    if version >= 5 {
        let own = context.metadata().cluster().to_string();
        let other_cluster = request.cluster_id.as_ref().is_some_and(|cluster| *cluster != own);
        let other_node = request.node_id >= 0 && request.node_id != context.view().own_id();
        if other_cluster || other_node {
            return Err(ErrorCode::RebootstrapRequired);
        }
    }
    Ok(())
}

/// Letters, digits, `-` and `.`, the last two only inside.
fn is_name(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.iter().copied().all(inside) && edge(bytes.first()) && edge(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_version_is_answered_with_the_one_range_that_helps() {
        let response = unknown_version();
        assert_eq!(response.error_code, 35);
        assert_eq!(response.api_keys.len(), 1);
        assert_eq!(response.api_keys[0].api_key, 18);
        assert_eq!(response.api_keys[0].min_version, 0);
    }

    #[test]
    fn produce_is_shown_from_version_0_on() {
        // Librdkafka up to 2.11 compresses nothing where the range begins later (KAFKA-18659).
        assert_eq!(range(&ApiKey::Produce).min_version, 0);
    }

    #[test]
    fn names_of_software_follow_the_rule() {
        for name in ["librdkafka", "apache-kafka-java", "2.0.2", "v1.0-rc1"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "a.", "a b", "a/b"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
