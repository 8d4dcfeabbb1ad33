//! Topics and partitions: created, deleted, grown, emptied, looked at.

use kolk_model::batch::ProducerStamp;
use kolk_model::ids::{ProducerEpoch, ProducerId, Sequence};

use super::*;

#[test]
fn a_created_topic_is_there_when_the_answer_is() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    for version in 2..=7 {
        let name = format!("web-{version}");
        let topic =
            with(wish(&name, 3, 1), &[("retention.ms", "5"), ("cleanup.policy", "compact")]);
        let response: create_topics::Response = client.call(version, &create(vec![topic]));
        let made = &response.topics[0];
        assert_eq!((made.name.as_str(), made.error_code), (name.as_str(), 0), "{made:?}");
        assert_eq!(client.partitions(&name), 3);
        if version >= 5 {
            assert_eq!((made.num_partitions, made.replication_factor), (3, 1));
            let configs = made.configs.as_ref().unwrap();
            let of = |name: &str| configs.iter().find(|config| config.name == name).unwrap();
            let shown = |name| (of(name).value.as_deref().unwrap(), of(name).config_source);
            assert_eq!(shown("retention.ms"), ("5", 1));
            assert_eq!(shown("segment.ms"), ("604800000", 5));
            assert!(configs.len() > 30);
        }
        assert_eq!(version >= 7, made.topic_id != [0; 16]);
    }
}

#[test]
fn each_topic_of_a_request_has_a_result_of_its_own() {
    let broker = Broker::start();
    for (address, id) in [(broker.kafka, NODE), (broker.kafka_shards[0], SHARD)] {
        let mut client = KafkaClient::connect(address);
        let name = |text: &str| format!("{text}-{id}");
        client.create(&name("old"), 1, &[]);
        let cases = [
            (wish(&name("defaults"), -1, -1), 0),
            (assigned(&name("assigned"), &[(1, &[id]), (0, &[id])]), 0),
            (wish(&name("old"), 1, 1), 36),
            (wish("not/allowed", 1, 1), 17),
            (wish(&name("none"), 0, 1), 37),
            (wish(&name("none"), -2, 1), 37),
            (wish(&name("none"), 1, 0), 38),
            (wish(&name("none"), 1, 3), 38),
            (with(wish(&name("none"), 1, 1), &[("no.such", "1")]), 40),
            (with(wish(&name("none"), 1, 1), &[("retention.ms", "-2")]), 40),
            (with(wish(&name("none"), 1, 1), &[("min.insync.replicas", "2")]), 40),
            (with(wish(&name("one"), 1, 1), &[("min.insync.replicas", "1")]), 0),
            (assigned(&name("none"), &[(0, &[id, id + 1])]), 39),
            (assigned(&name("none"), &[(0, &[id]), (2, &[id])]), 39),
            (assigned(&name("none"), &[(0, &[])]), 39),
            (
                create_topics::RequestTopic {
                    num_partitions: 1,
                    ..assigned(&name("none"), &[(0, &[id])])
                },
                42,
            ),
            (wish("__consumer_offsets", 1, 1), 42),
        ];
        for (topic, code) in cases {
            let shown = format!("{topic:?}");
            let response: create_topics::Response = client.call(7, &create(vec![topic]));
            let made = &response.topics[0];
            assert_eq!(made.error_code, code, "{shown}");
            assert_eq!(made.error_message.is_some(), code != 0, "{shown}");
        }
        assert_eq!(client.partitions(&name("assigned")), 2);
        assert_eq!(client.partitions(&name("none")), 0);
    }
}

#[test]
fn a_replication_factor_beyond_the_nodes_is_refused_with_their_number() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka_shards[0]);
    let response: create_topics::Response = client.call(7, &create(vec![wish("web", 1, 3)]));
    let text = response.topics[0].error_message.clone().unwrap();
    assert!(text.contains("1 node") && text.contains("1 shards"), "{text}");
}

#[test]
fn topics_named_twice_are_not_created_and_the_others_are() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let topics = vec![wish("a", 1, 1), wish("b", 1, 1), wish("a", 2, 1)];
    let response: create_topics::Response = client.call(5, &create(topics));
    let codes: Vec<_> = response.topics.iter().map(|t| (t.name.as_str(), t.error_code)).collect();
    assert_eq!(codes, [("b", 0), ("a", 42)]);
    assert_eq!((client.partitions("a"), client.partitions("b")), (0, 1));
}

#[test]
fn what_is_only_validated_does_not_happen() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let request = create_topics::Request {
        validate_only: true,
        ..create(vec![wish("web", 4, 1), wish("x", 0, 1)])
    };
    let response: create_topics::Response = client.call(7, &request);
    let codes: Vec<_> = response.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!((codes, response.topics[0].num_partitions), (vec![0, 37], 4));
    assert_eq!(client.partitions("web"), 0);
    client.create("web", 1, &[]);
    let grow =
        create_partitions::RequestTopic { name: "web".to_owned(), count: 3, assignments: None };
    let request =
        create_partitions::Request { topics: vec![grow], validate_only: true, timeout_ms: 1_000 };
    let response: create_partitions::Response = client.call(3, &request);
    assert_eq!(response.results[0].error_code, 0);
    assert_eq!(client.partitions("web"), 1);
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    for version in 1..=5 {
        client.create("web", 1, &[]);
        let topic_names =
            vec!["web".to_owned(), "absent".to_owned(), "__consumer_offsets".to_owned()];
        let request =
            delete_topics::Request { topic_names, timeout_ms: 10_000, ..Default::default() };
        let response: delete_topics::Response = client.call(version, &request);
        let codes: Vec<_> = response.responses.iter().map(|topic| topic.error_code).collect();
        assert_eq!(codes, [0, 3, 3], "version {version}");
        assert_eq!(client.partitions("web"), 0);
    }
    client.create("by-name", 1, &[]);
    client.create("twice", 1, &[]);
    let id = client.topic("by-id");
    let twice = client.topic("twice");
    let named = |name: Option<&str>, topic_id| delete_topics::RequestTopic {
        name: name.map(str::to_owned),
        topic_id,
    };
    let topics = vec![
        named(Some("by-name"), [0; 16]),
        named(None, id),
        named(None, [9; 16]),
        named(Some("by-name"), id),
        named(None, [0; 16]),
        named(Some("twice"), [0; 16]),
        named(None, twice),
    ];
    let request = delete_topics::Request { topics, timeout_ms: 10_000, ..Default::default() };
    let response: delete_topics::Response = client.call(6, &request);
    let codes: Vec<_> = response.responses.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, 0, 100, 42, 42, 42], "what is named twice is told once");
    assert_eq!(response.responses[1].name.as_deref(), Some("by-id"));
    assert_eq!((client.partitions("by-name"), client.partitions("twice")), (0, 1));
}

#[test]
fn topics_grow_and_never_shrink() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 2, &[]);
    let grow = |name: &str, count, assignments: Option<Vec<Vec<i32>>>| {
        let assignments = assignments.map(|all| {
            all.into_iter()
                .map(|broker_ids| create_partitions::RequestAssignment { broker_ids })
                .collect()
        });
        let topic = create_partitions::RequestTopic { name: name.to_owned(), count, assignments };
        create_partitions::Request { topics: vec![topic], timeout_ms: 10_000, validate_only: false }
    };
    let cases = [
        (grow("web", 3, None), 0, 3),
        (grow("web", 5, Some(vec![vec![NODE], vec![NODE]])), 0, 5),
        (grow("web", 5, None), 37, 5),
        (grow("web", 1, None), 37, 5),
        (grow("web", -1, None), 37, 5),
        (grow("web", 6, Some(vec![])), 39, 5),
        (grow("web", 6, Some(vec![vec![NODE + 5]])), 39, 5),
        (grow("absent", 6, None), 3, 5),
    ];
    for (request, code, partitions) in cases {
        for version in 0..=3 {
            let response: create_partitions::Response = client.call(version, &request);
            let result = &response.results[0];
            // The second time the number is not larger any more.
            let expected = if code == 0 && version > 0 { 37 } else { code };
            assert_eq!(result.error_code, expected, "{request:?} {result:?}");
        }
        assert_eq!(client.partitions("web"), partitions);
    }
    let topics = vec![grow("web", 9, None).topics.remove(0), grow("web", 8, None).topics.remove(0)];
    let request = create_partitions::Request { topics, timeout_ms: 10_000, validate_only: false };
    let response: create_partitions::Response = client.call(3, &request);
    assert_eq!(response.results.iter().map(|r| r.error_code).collect::<Vec<_>>(), [42]);
}

#[test]
fn records_are_deleted_up_to_an_offset() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 1, &[]);
    client.create("compacted", 1, &[("cleanup.policy", "compact")]);
    client.produce("web", batch(&["a", "b", "c", "d"]));
    let cut = |name: &str, partition_index, offset| {
        let partitions = vec![delete_records::RequestPartition { partition_index, offset }];
        let topics = vec![delete_records::RequestTopic { name: name.to_owned(), partitions }];
        delete_records::Request { topics, timeout_ms: 10_000 }
    };
    for (request, code, low) in [
        (cut("web", 0, 2), 0, 2),
        (cut("web", 0, 1), 0, 2),
        (cut("web", 0, 5), 1, -1),
        (cut("web", 0, -2), 1, -1),
        (cut("web", 1, 0), 3, -1),
        (cut("absent", 0, 0), 3, -1),
        (cut("compacted", 0, 0), 44, -1),
        (cut("web", 0, -1), 0, 4),
    ] {
        for version in 0..=2 {
            let response: delete_records::Response = client.call(version, &request);
            let part = &response.topics[0].partitions[0];
            assert_eq!((part.error_code, part.low_watermark), (code, low), "{request:?}");
        }
    }
    let listed: list_offsets::Response = client.call(5, &latest("web", -2));
    assert_eq!(listed.topics[0].partitions[0].offset, 4);
}

#[test]
fn partitions_are_shown_page_by_page() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("b", 5, &[]);
    client.create("a", 2, &[]);
    client.create("c", 1, &[]);
    let mut request =
        describe_topic_partitions::Request { response_partition_limit: 3, ..Default::default() };
    let mut seen = Vec::new();
    for _ in 0..10 {
        let response: describe_topic_partitions::Response = client.call(0, &request);
        for topic in response.topics {
            assert_eq!(topic.error_code, 0);
            for part in topic.partitions {
                assert_eq!((part.leader_id, part.replica_nodes.as_slice()), (NODE, &[NODE][..]));
                seen.push((topic.name.clone().unwrap(), part.partition_index));
            }
        }
        let Some(next) = response.next_cursor else { break };
        request.cursor = Some(describe_topic_partitions::RequestCursor {
            topic_name: next.topic_name,
            partition_index: next.partition_index,
        });
    }
    let expected: Vec<_> = [("a", 2), ("b", 5), ("c", 1)]
        .into_iter()
        .flat_map(|(name, count)| (0..count).map(move |number| (name.to_owned(), number)))
        .collect();
    assert_eq!(seen, expected);
    let named = |name: &str| describe_topic_partitions::RequestTopic { name: name.to_owned() };
    let topics = vec![named("x/y"), named("absent"), named("a")];
    let request = describe_topic_partitions::Request { topics, ..Default::default() };
    let response: describe_topic_partitions::Response = client.call(0, &request);
    let codes: Vec<_> = response.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, 3, 17], "in the order of the names");
}

#[test]
fn the_cluster_is_that_of_the_door() {
    let broker = Broker::start();
    for (address, id) in [(broker.kafka, NODE), (broker.kafka_shards[0], SHARD)] {
        let mut client = KafkaClient::connect(address);
        for version in 0..=2 {
            let response: describe_cluster::Response =
                client.call(version, &describe_cluster::Request::default());
            assert_eq!((response.error_code, response.controller_id), (0, id));
            let brokers: Vec<_> = response.brokers.iter().map(|broker| broker.broker_id).collect();
            assert_eq!(brokers, [id]);
        }
        let controllers = describe_cluster::Request { endpoint_type: 2, ..Default::default() };
        let response: describe_cluster::Response = client.call(1, &controllers);
        assert_eq!(response.error_code, 114);
    }
}

#[test]
fn the_controller_is_the_only_voter() {
    let broker = Broker::start();
    for (address, id) in [(broker.kafka, NODE), (broker.kafka_shards[0], SHARD)] {
        let mut client = KafkaClient::connect(address);
        let partition = |partition_index| describe_quorum::RequestPartition { partition_index };
        let topic = describe_quorum::RequestTopic {
            topic_name: "__cluster_metadata".to_owned(),
            partitions: vec![partition(0), partition(1)],
        };
        let request = describe_quorum::Request { topics: vec![topic] };
        for version in 0..=2 {
            let response: describe_quorum::Response = client.call(version, &request);
            let [known, unknown] = &response.topics[0].partitions[..] else { panic!() };
            let voters: Vec<_> = known.current_voters.iter().map(|v| v.replica_id).collect();
            assert_eq!((known.error_code, known.leader_id, voters), (0, id, vec![id]));
            assert_eq!(unknown.error_code, 3);
        }
    }
}

#[test]
fn directories_show_how_large_replicas_are() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 2, &[]);
    client.produce("web", batch(&["a"]));
    for version in 1..=4 {
        let all = describe_log_dirs::Request { topics: None };
        let response: describe_log_dirs::Response = client.call(version, &all);
        let dir = &response.results[0];
        let sizes: Vec<_> = dir.topics[0].partitions.iter().map(|p| p.partition_size > 0).collect();
        assert_eq!((dir.topics[0].name.as_str(), sizes), ("web", vec![true, false]));
        let one = describe_log_dirs::RequestTopic { topic: "web".to_owned(), partitions: vec![1] };
        let request = describe_log_dirs::Request { topics: Some(vec![one]) };
        let response: describe_log_dirs::Response = client.call(version, &request);
        assert_eq!(response.results[0].topics[0].partitions.len(), 1);
    }
}

#[test]
fn producers_are_shown() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 1, &[]);
    let assigned: init_producer_id::Response =
        client.call(4, &init_producer_id::Request { transactional_id: None, ..Default::default() });
    let mut builder = BatchBuilder::new();
    for value in [b"a", b"b"] {
        builder.append(TimestampMs::new(1), None, Some(value), &[]).unwrap();
    }
    let id = u64::try_from(assigned.producer_id).unwrap();
    builder.set_producer(ProducerStamp {
        id: ProducerId::new(id),
        epoch: ProducerEpoch::new(0),
        base_sequence: Sequence::new(0),
    });
    assert_eq!(client.produce("web", builder.build(Compression::None).unwrap()).error_code, 0);
    let topic =
        describe_producers::RequestTopic { name: "web".to_owned(), partition_indexes: vec![0, 1] };
    let request = describe_producers::Request { topics: vec![topic] };
    let response: describe_producers::Response = client.call(0, &request);
    let [there, absent] = &response.topics[0].partitions[..] else { panic!("{response:?}") };
    assert_eq!(absent.error_code, 3);
    let [producer] = &there.active_producers[..] else { panic!("{there:?}") };
    assert_eq!(
        (producer.producer_id, producer.producer_epoch, producer.last_sequence),
        (assigned.producer_id, 0, 1)
    );
    assert!(producer.last_timestamp > 1_600_000_000_000 && producer.current_txn_start_offset == -1);
}

#[test]
fn one_node_has_nothing_to_elect_and_nowhere_to_move() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 1, &[]);
    let web = || "web".to_owned();
    for version in 0..=2 {
        let topic = elect_leaders::RequestTopic { topic: web(), partitions: vec![0, 1] };
        let request =
            elect_leaders::Request { topic_partitions: Some(vec![topic]), ..Default::default() };
        let response: elect_leaders::Response = client.call(version, &request);
        let results = &response.replica_election_results[0].partition_result;
        assert_eq!(results.iter().map(|r| r.error_code).collect::<Vec<_>>(), [84, 3]);
        let all = elect_leaders::Request { topic_partitions: None, ..Default::default() };
        let response: elect_leaders::Response = client.call(version, &all);
        assert!(response.replica_election_results.is_empty());
    }
    for (replicas, code) in
        [(Some(vec![NODE]), 0), (None, 85), (Some(vec![NODE + 3]), 39), (Some(vec![]), 39)]
    {
        let partitions =
            vec![alter_partition_reassignments::RequestPartition { partition_index: 0, replicas }];
        let topics = vec![alter_partition_reassignments::RequestTopic { name: web(), partitions }];
        let request = alter_partition_reassignments::Request { topics, ..Default::default() };
        let response: alter_partition_reassignments::Response = client.call(1, &request);
        assert_eq!(response.responses[0].partitions[0].error_code, code);
    }
    let request = list_partition_reassignments::Request::default();
    let response: list_partition_reassignments::Response = client.call(0, &request);
    assert_eq!((response.error_code, response.topics.len()), (0, 0));
    let all = describe_log_dirs::Request { topics: None };
    let dirs: describe_log_dirs::Response = client.call(4, &all);
    for (path, code) in [(dirs.results[0].log_dir.as_str(), 0), ("/elsewhere", 57)] {
        let topics =
            vec![alter_replica_log_dirs::RequestTopic { name: web(), partitions: vec![0] }];
        let dirs = vec![alter_replica_log_dirs::RequestLogDir { path: path.to_owned(), topics }];
        let response: alter_replica_log_dirs::Response =
            client.call(2, &alter_replica_log_dirs::Request { dirs });
        assert_eq!(response.results[0].partitions[0].error_code, code, "{path}");
    }
}
