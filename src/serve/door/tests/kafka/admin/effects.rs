//! Settings as producers and consumers feel them.

use kolk_kafka::message::join_group;
use kolk_model::batch::BatchView;
use kolk_model::error::ErrorCode;

use super::*;

const NOW_IS_AFTER: i64 = 1_600_000_000_000;

fn batch_at(timestamp: i64, key: Option<&[u8]>, values: &[&[u8]]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.append(TimestampMs::new(timestamp), key, Some(value), &[]).unwrap();
    }
    builder.build(Compression::None).unwrap()
}

impl KafkaClient {
    fn records(&mut self, name: &str) -> Bytes {
        let topic_id = self.topic(name);
        let request = fetch::request(topic_id, 0, 0);
        let response: fetch_wire::Response = self.call(13, &request);
        response.responses[0].partitions[0].records.clone().unwrap_or_default()
    }
}

#[test]
fn the_brokers_time_is_told_to_producer_and_consumer() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let part = client.produce("web", batch_at(5, None, &[b"a", b"b"]));
    assert_eq!(part.error_code, 0);
    assert!(part.log_append_time_ms > NOW_IS_AFTER, "{part:?}");
    let stored = client.records("web");
    let (batch, _) = BatchView::parse(&stored).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!(batch.max_timestamp().get(), part.log_append_time_ms);
    let listed: list_offsets::Response = client.call(5, &latest("web", NOW_IS_AFTER));
    assert_eq!(listed.topics[0].partitions[0].offset, 0);
}

#[test]
fn records_that_the_settings_do_not_allow_are_named_in_the_answer() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("compacted", 1, &[("cleanup.policy", "compact")]);
    client.create("fresh", 1, &[("message.timestamp.before.max.ms", "60000")]);
    for (topic, batch, code) in [
        ("compacted", batch_at(1, None, &[b"a", b"b"]), 87),
        ("fresh", batch_at(1, None, &[b"a", b"b"]), 32),
        ("fresh", batch_at(i64::MAX, None, &[b"a", b"b"]), 32),
    ] {
        let part = client.produce(topic, batch);
        let named: Vec<_> = part.record_errors.iter().map(|record| record.batch_index).collect();
        assert_eq!((part.error_code, named), (code, vec![0, 1]), "{topic}");
        assert!(part.error_message.is_some());
        assert_eq!(client.records(topic).len(), 0);
    }
    assert_eq!(client.produce("compacted", batch_at(1, Some(b"k"), &[b"a"])).error_code, 0);
}

#[test]
fn small_segments_and_short_retention_take_effect_while_records_come() {
    let mut shard = ShardSettings { housekeeping_ms: 20, ..ShardSettings::default() };
    shard.log.journal_file_bytes = 1 << 20;
    let broker = Broker::start_shards(1, &ServeSettings::default(), shard);
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 1, &[]);
    let value = vec![b'x'; 9_000];
    let fill = |client: &mut KafkaClient| {
        for _ in 0..30 {
            assert_eq!(client.produce("web", batch_at(1, None, &[&value])).error_code, 0);
        }
    };
    fill(&mut client);
    let first = |client: &mut KafkaClient| {
        let listed: list_offsets::Response = client.call(5, &latest("web", -2));
        listed.topics[0].partitions[0].offset
    };
    assert_eq!(first(&mut client), 0);
    let set = |name: &str, value: &str| incremental_alter_configs::RequestConfig {
        name: name.to_owned(),
        config_operation: 0,
        value: Some(value.to_owned()),
    };
    let resource = incremental_alter_configs::RequestResource {
        resource_type: 2,
        resource_name: "web".to_owned(),
        configs: vec![set("segment.bytes", "65536"), set("retention.bytes", "150000")],
    };
    let request =
        incremental_alter_configs::Request { resources: vec![resource], validate_only: false };
    let altered: incremental_alter_configs::Response = client.call(1, &request);
    assert_eq!(altered.responses[0].error_code, 0);
    fill(&mut client);
    // Housekeeping comes by on its own.
    while first(&mut client) == 0 {
        std::thread::yield_now();
    }
    assert!(first(&mut client) >= 30, "the first segment held the first 30");
}

#[test]
fn settings_of_groups_take_effect_while_the_broker_runs() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let join = join_group::Request {
        group_id: "g".to_owned(),
        session_timeout_ms: 3_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![join_group::RequestProtocol::default()],
        ..Default::default()
    };
    let code = |client: &mut KafkaClient| loop {
        let answer: join_group::Response = client.call(9, &join);
        match ErrorCode::from_wire(answer.error_code) {
            Some(ErrorCode::CoordinatorLoadInProgress) => {}
            code => return code.unwrap(),
        }
    };
    let alter = |client: &mut KafkaClient, name: &str, value: &str| {
        let resource = incremental_alter_configs::RequestResource {
            resource_type: 4,
            resource_name: String::new(),
            configs: vec![incremental_alter_configs::RequestConfig {
                name: name.to_owned(),
                config_operation: 0,
                value: Some(value.to_owned()),
            }],
        };
        let request =
            incremental_alter_configs::Request { resources: vec![resource], validate_only: false };
        let altered: incremental_alter_configs::Response = client.call(1, &request);
        altered.responses[0].error_code
    };
    assert_eq!(code(&mut client), ErrorCode::InvalidSessionTimeout);
    assert_eq!(alter(&mut client, "group.min.session.timeout.ms", "3000"), 0);
    assert_eq!(code(&mut client), ErrorCode::MemberIdRequired);
    assert_eq!(alter(&mut client, "group.max.session.timeout.ms", "2999"), 40, "nobody could join");
    assert_eq!(alter(&mut client, "group.consumer.migration.policy", "sideways"), 40);
    let shown = client.config(4, "7168", "group.min.session.timeout.ms");
    assert_eq!((shown.value.as_deref(), shown.config_source), (Some("3000"), 3));
    assert!(!shown.read_only);
}
