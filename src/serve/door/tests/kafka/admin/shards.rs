//! Four shards, each a broker of its own behind its door: what one changed the others know when the answer leaves,
//! and what they say adds up.

use super::*;

const SHARDS: u16 = 4;

fn start() -> (Broker, Vec<KafkaClient>) {
    let broker = Broker::start_shards(SHARDS, &ServeSettings::default(), ShardSettings::default());
    let clients = broker.kafka_shards.iter().map(|door| KafkaClient::connect(*door)).collect();
    (broker, clients)
}

#[test]
fn what_one_shard_was_asked_to_change_all_know_when_it_answers() {
    let (_broker, mut clients) = start();
    for round in 0..20 {
        let asked = round % clients.len();
        let name = format!("web-{round}");
        clients[asked].create(&name, 5, &[]);
        for client in &mut clients {
            assert_eq!(client.partitions(&name), 5);
        }
        let topic =
            create_partitions::RequestTopic { name: name.clone(), count: 7, assignments: None };
        let request = create_partitions::Request {
            topics: vec![topic],
            timeout_ms: 10_000,
            validate_only: false,
        };
        let grown: create_partitions::Response = clients[asked].call(3, &request);
        assert_eq!(grown.results[0].error_code, 0);
        for client in &mut clients {
            assert_eq!(client.partitions(&name), 7);
        }
        let request = delete_topics::Request {
            topic_names: vec![name.clone()],
            timeout_ms: 10_000,
            ..Default::default()
        };
        let deleted: delete_topics::Response = clients[asked].call(5, &request);
        assert_eq!(deleted.responses[0].error_code, 0);
        for client in &mut clients {
            assert_eq!(client.partitions(&name), 0);
        }
    }
}

#[test]
fn settings_asked_of_one_shard_are_in_force_on_all() {
    let (_broker, mut clients) = start();
    clients[0].create("web", 8, &[]);
    let set = incremental_alter_configs::RequestConfig {
        name: "max.message.bytes".to_owned(),
        config_operation: 0,
        value: Some("200".to_owned()),
    };
    let resource = incremental_alter_configs::RequestResource {
        resource_type: 2,
        resource_name: "web".to_owned(),
        configs: vec![set],
    };
    let request =
        incremental_alter_configs::Request { resources: vec![resource], validate_only: false };
    let altered: incremental_alter_configs::Response = clients[3].call(1, &request);
    assert_eq!(altered.responses[0].error_code, 0);
    let large = "x".repeat(300);
    for client in &mut clients {
        let mut request = produce_request("web", -1, batch(&[&large]));
        request.topic_data[0].partition_data = (0..8)
            .map(|index| produce_wire::RequestPartition { index, records: Some(batch(&[&large])) })
            .collect();
        let response: produce_wire::Response = client.call(9, &request);
        for part in &response.responses[0].partition_responses {
            assert_eq!(part.error_code, 10, "partition {}", part.index);
        }
    }
}

#[test]
fn replicas_count_nodes_and_the_refusal_says_how_many_shards_there_are() {
    let (_broker, mut clients) = start();
    let refused: create_topics::Response = clients[2].call(7, &create(vec![wish("web", 1, 3)]));
    let topic = &refused.topics[0];
    let text = topic.error_message.as_deref().unwrap();
    assert_eq!(topic.error_code, 38);
    assert!(text.contains("1 node") && text.contains("4 shards"), "{text}");
    let two = assigned("web", &[(0, &[SHARD, SHARD + 1])]);
    let refused: create_topics::Response = clients[2].call(7, &create(vec![two]));
    let topic = &refused.topics[0];
    let text = topic.error_message.as_deref().unwrap();
    assert_eq!(topic.error_code, 39);
    assert!(text.contains("shards of one node"), "{text}");
    let one = assigned("web", &[(0, &[SHARD + 3])]);
    let made: create_topics::Response = clients[2].call(7, &create(vec![one]));
    assert_eq!((made.topics[0].error_code, clients[0].partitions("web")), (0, 1));
}

#[test]
fn the_directories_of_all_brokers_add_up_to_each_replica_once() {
    let (_broker, mut clients) = start();
    clients[0].create("web", 9, &[]);
    let mut seen = Vec::new();
    for client in &mut clients {
        let all = describe_log_dirs::Request { topics: None };
        let response: describe_log_dirs::Response = client.call(4, &all);
        let topics = response.results[0].topics.iter();
        seen.extend(topics.flat_map(|topic| &topic.partitions).map(|part| part.partition_index));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..9).collect::<Vec<_>>());
}

#[test]
fn many_topics_are_created_with_one_request() {
    let (_broker, mut clients) = start();
    let topics = (0..300).map(|number| wish(&format!("t-{number}"), 2, 1)).collect();
    let made: create_topics::Response = clients[1].call(7, &create(topics));
    assert_eq!(made.topics.len(), 300);
    assert!(made.topics.iter().all(|topic| topic.error_code == 0));
    let all: metadata::Response = clients[3].call(12, &all_topics());
    assert_eq!(all.topics.len(), 300);
}
