//! Settings of topics, brokers and groups: described, altered, in force.

use super::*;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

fn describe(resources: &[(i8, &str)]) -> describe_configs::Request {
    let resource = |(resource_type, name): &(i8, &str)| describe_configs::RequestResource {
        resource_type: *resource_type,
        resource_name: (*name).to_owned(),
        configuration_keys: None,
    };
    describe_configs::Request {
        resources: resources.iter().map(resource).collect(),
        include_synonyms: true,
        include_documentation: true,
    }
}

fn alter(
    kind: i8,
    name: &str,
    operations: &[(i8, &str, Option<&str>)],
) -> incremental_alter_configs::Request {
    let config = |(config_operation, name, value): &(i8, &str, Option<&str>)| {
        incremental_alter_configs::RequestConfig {
            name: (*name).to_owned(),
            config_operation: *config_operation,
            value: value.map(str::to_owned),
        }
    };
    let resource = incremental_alter_configs::RequestResource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configs: operations.iter().map(config).collect(),
    };
    incremental_alter_configs::Request { resources: vec![resource], validate_only: false }
}

impl KafkaClient {
    pub(super) fn config(
        &mut self,
        kind: i8,
        resource: &str,
        name: &str,
    ) -> describe_configs::Config {
        let response: describe_configs::Response = self.call(4, &describe(&[(kind, resource)]));
        assert_eq!(response.results[0].error_code, 0, "{response:?}");
        let configs = &response.results[0].configs;
        configs.iter().find(|config| config.name == name).expect("it is described").clone()
    }

    fn alter(&mut self, request: &incremental_alter_configs::Request) -> i16 {
        let response: incremental_alter_configs::Response = self.call(1, request);
        assert_eq!(response.responses.len(), request.resources.len());
        response.responses[0].error_code
    }
}

#[test]
fn settings_are_described_with_source_type_and_synonyms() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 1, &[("retention.ms", "5")]);
    for version in 1..=4 {
        let response: describe_configs::Response =
            client.call(version, &describe(&[(TOPIC, "web")]));
        let configs = &response.results[0].configs;
        let config = configs.iter().find(|config| config.name == "retention.ms").unwrap();
        assert_eq!((config.value.as_deref(), config.config_source), (Some("5"), 1));
        let synonyms: Vec<_> =
            config.synonyms.iter().map(|s| (s.name.as_str(), s.source)).collect();
        assert_eq!(synonyms, [("retention.ms", 1), ("log.retention.ms", 5)]);
        if version >= 3 {
            assert_eq!(config.config_type, 5);
            assert!(config.documentation.as_ref().unwrap().contains("older"));
        }
    }
    let mut request = describe(&[(TOPIC, "web")]);
    request.include_synonyms = false;
    request.include_documentation = false;
    request.resources[0].configuration_keys =
        Some(vec!["segment.ms".to_owned(), "no.such".to_owned()]);
    let response: describe_configs::Response = client.call(4, &request);
    let [only] = &response.results[0].configs[..] else { panic!("{response:?}") };
    assert_eq!(
        (only.name.as_str(), only.synonyms.len(), &only.documentation),
        ("segment.ms", 0, &None)
    );
}

#[test]
fn each_resource_has_a_result_of_its_own() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let asked = [
        (TOPIC, "absent", 3),
        (TOPIC, "x/y", 17),
        (BROKER, "7168", 0),
        (BROKER, "7169", 42),
        (BROKER, "", 0),
        (GROUP, "billing", 0),
        (GROUP, "", 42),
        (8, "7168", 42),
        (99, "x", 42),
    ];
    let resources: Vec<_> = asked.iter().map(|(kind, name, _)| (*kind, *name)).collect();
    let response: describe_configs::Response = client.call(4, &describe(&resources));
    let codes: Vec<_> = response.results.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, asked.map(|(.., code)| code));
    let mut shard = KafkaClient::connect(broker.kafka_shards[0]);
    assert_eq!(shard.config(BROKER, "7169", "broker.id").value.as_deref(), Some("7169"));
}

#[test]
fn settings_are_altered_one_by_one() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 1, &[("segment.ms", "9")]);
    let (set, delete, append, subtract) = (0, 1, 2, 3);
    let code = client.alter(&alter(
        TOPIC,
        "web",
        &[
            (set, "max.message.bytes", Some("200")),
            (append, "cleanup.policy", Some("compact")),
            (delete, "segment.ms", None),
        ],
    ));
    assert_eq!(code, 0);
    let value = |client: &mut KafkaClient, name| client.config(TOPIC, "web", name).value.unwrap();
    assert_eq!(value(&mut client, "cleanup.policy"), "delete,compact");
    assert_eq!(client.config(TOPIC, "web", "segment.ms").config_source, 5);
    assert_eq!(
        client.alter(&alter(TOPIC, "web", &[(subtract, "cleanup.policy", Some("compact"))])),
        0
    );
    assert_eq!(value(&mut client, "cleanup.policy"), "delete");
    let large = "x".repeat(300);
    assert_eq!(client.produce("web", batch(&[&large])).error_code, 10);
    for (operations, code) in [
        (vec![(set, "no.such", Some("1"))], 40),
        (vec![(set, "retention.ms", Some("soon"))], 40),
        (vec![(set, "min.insync.replicas", Some("2"))], 40),
        (vec![(append, "retention.ms", Some("1"))], 40),
        (vec![(set, "retention.ms", None)], 42),
        (vec![(7, "retention.ms", Some("1"))], 42),
        (vec![(set, "retention.ms", Some("1")), (delete, "retention.ms", None)], 42),
        (vec![(set, "retention.ms", Some("1")), (set, "segment.bytes", Some("1"))], 40),
    ] {
        assert_eq!(client.alter(&alter(TOPIC, "web", &operations)), code, "{operations:?}");
        assert_eq!(client.config(TOPIC, "web", "retention.ms").config_source, 5, "all or none");
    }
    let mut twice = alter(TOPIC, "web", &[(set, "retention.ms", Some("1"))]);
    twice.resources.push(twice.resources[0].clone());
    let response: incremental_alter_configs::Response = client.call(1, &twice);
    assert_eq!(response.responses.iter().map(|r| r.error_code).collect::<Vec<_>>(), [42]);
    let validate = incremental_alter_configs::Request {
        validate_only: true,
        ..alter(TOPIC, "web", &[(set, "retention.ms", Some("1"))])
    };
    assert_eq!(client.alter(&validate), 0);
    assert_eq!(client.config(TOPIC, "web", "retention.ms").config_source, 5);
}

#[test]
fn alter_configs_replaces_everything() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 1, &[("segment.ms", "9"), ("retention.ms", "8")]);
    let request = |value: Option<&str>| {
        let configs = vec![alter_configs::RequestConfig {
            name: "retention.ms".to_owned(),
            value: value.map(str::to_owned),
        }];
        let resource = alter_configs::RequestResource {
            resource_type: TOPIC,
            resource_name: "web".to_owned(),
            configs,
        };
        alter_configs::Request { resources: vec![resource], validate_only: false }
    };
    let response: alter_configs::Response = client.call(2, &request(None));
    assert_eq!(response.responses[0].error_code, 42);
    assert_eq!(client.config(TOPIC, "web", "segment.ms").config_source, 1);
    for version in 0..=2 {
        let response: alter_configs::Response = client.call(version, &request(Some("7")));
        assert_eq!(response.responses[0].error_code, 0);
    }
    assert_eq!(client.config(TOPIC, "web", "retention.ms").value.as_deref(), Some("7"));
    assert_eq!(client.config(TOPIC, "web", "segment.ms").config_source, 5);
}

#[test]
fn a_brokers_setting_is_the_default_of_topics() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 1, &[]);
    assert_eq!(client.alter(&alter(BROKER, "", &[(0, "log.retention.ms", Some("5"))])), 0);
    let shown = client.config(TOPIC, "web", "retention.ms");
    assert_eq!((shown.value.as_deref(), shown.config_source), (Some("5"), 3));
    assert_eq!(client.alter(&alter(BROKER, "7168", &[(0, "log.retention.ms", Some("6"))])), 0);
    let shown = client.config(TOPIC, "web", "retention.ms");
    assert_eq!((shown.value.as_deref(), shown.config_source), (Some("6"), 2));
    let shown = client.config(BROKER, "7168", "log.retention.ms");
    assert_eq!(
        (shown.value.as_deref(), shown.config_source, shown.read_only),
        (Some("6"), 2, false)
    );
    let shown = client.config(BROKER, "", "log.retention.ms");
    assert_eq!((shown.value.as_deref(), shown.config_source), (Some("5"), 3));
    assert_eq!(client.alter(&alter(BROKER, "7168", &[(0, "num.partitions", Some("6"))])), 42);
    assert!(client.config(BROKER, "7168", "num.partitions").read_only);
    assert_eq!(client.alter(&alter(BROKER, "7169", &[(0, "log.retention.ms", Some("6"))])), 42);
}

#[test]
fn groups_have_settings_and_everything_with_settings_is_listed() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 1, &[]);
    let name = "consumer.session.timeout.ms";
    assert_eq!(client.alter(&alter(GROUP, "billing", &[(0, name, Some("50000"))])), 0);
    assert_eq!(client.alter(&alter(GROUP, "billing", &[(0, name, Some("1"))])), 40);
    let shown = client.config(GROUP, "billing", name);
    assert_eq!((shown.value.as_deref(), shown.config_source), (Some("50000"), 8));
    let mut list = |version, kinds: &[i8]| {
        let request = list_config_resources::Request { resource_types: kinds.to_vec() };
        let response: list_config_resources::Response = client.call(version, &request);
        let resources = response.config_resources.into_iter();
        let named = resources.map(|resource| (resource.resource_type, resource.resource_name));
        (response.error_code, named.collect::<Vec<_>>())
    };
    let named = |kind, name: &str| (kind, name.to_owned());
    let all = vec![named(TOPIC, "web"), named(BROKER, "7168"), named(GROUP, "billing")];
    assert_eq!(list(1, &[]), (0, all));
    assert_eq!(list(1, &[GROUP]), (0, vec![named(GROUP, "billing")]));
    assert_eq!(list(1, &[3]).0, 35);
    assert_eq!(list(0, &[]), (0, vec![]));
}
