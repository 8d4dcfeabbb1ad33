//! Produce.

use kolk_kafka::message::create_topics;
use kolk_model::error::ErrorCode;

use super::*;

fn code(part: &produce_wire::Partition) -> ErrorCode {
    ErrorCode::from_wire(part.error_code).unwrap()
}

#[test]
fn batches_get_their_offsets_in_every_version() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let id = client.topic("web");
    for version in 3..=13 {
        for acks in [-1, 1] {
            let mut request = produce_request("web", acks, batch(&["a", "b"]));
            if version >= 13 {
                request.topic_data[0].topic_id = id;
            }
            let response: produce_wire::Response = client.call(version, &request);
            let part = &response.responses[0].partition_responses[0];
            let before = i64::from(version - 3) * 4 + i64::from(acks == 1) * 2;
            assert_eq!((part.error_code, part.base_offset), (0, before), "version {version}");
            assert_eq!(part.log_append_time_ms, -1);
        }
    }
}

#[test]
fn what_was_sent_without_acks_is_seen_by_the_next_request() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.topic("web");
    for round in 1..=50 {
        client.send(9, &produce_request("web", 0, batch(&["a"])));
        let listed: list_offsets::Response = client.call(5, &latest("web", -1));
        assert_eq!(listed.topics[0].partitions[0].offset, round);
    }
}

#[test]
fn a_failure_without_acks_ends_the_connection() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let sent = client.send(9, &produce_request("absent", 0, batch(&["a"])));
    assert!(client.receive::<produce_wire::Response>(sent).is_none());
    let metrics = broker.stop();
    assert_eq!(bad_input::closed(&metrics, "unanswered_failure"), 1);
}

#[test]
fn refusals_say_why() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.topic("web");
    let part = client.produce("absent", batch(&["a"]));
    assert_eq!(code(&part), ErrorCode::UnknownTopicOrPartition);
    let part = client.produce("__consumer_offsets", batch(&["a"]));
    assert_ne!(part.error_code, 0);
    let mut bad = batch(&["a"]).to_vec();
    *bad.last_mut().unwrap() ^= 1;
    let part = client.produce("web", bad.into());
    assert_eq!(code(&part), ErrorCode::CorruptMessage);
    let large = "x".repeat(2 << 20);
    let part = client.produce("web", batch(&[&large]));
    assert_eq!(code(&part), ErrorCode::MessageTooLarge);
    assert!(part.error_message.is_some_and(|text| text.contains("1048588")));
    let part = client.produce("web", Bytes::new());
    assert_eq!(code(&part), ErrorCode::InvalidRecord);
    let mut request = produce_request("web", 2, batch(&["a"]));
    let response: produce_wire::Response = client.call(9, &request);
    assert_eq!(code(&response.responses[0].partition_responses[0]), ErrorCode::InvalidRequiredAcks);
    request = produce_request("web", -1, batch(&["a"]));
    request.topic_data[0].partition_data[0].index = 7;
    let response: produce_wire::Response = client.call(9, &request);
    assert_eq!(
        code(&response.responses[0].partition_responses[0]),
        ErrorCode::UnknownTopicOrPartition
    );
    request.topic_data[0].topic_id = [9; 16];
    let response: produce_wire::Response = client.call(13, &request);
    assert_eq!(code(&response.responses[0].partition_responses[0]), ErrorCode::UnknownTopicId);
    assert_eq!(client.produce("web", batch(&["a"])).base_offset, 0, "nothing else was appended");
}

#[test]
fn old_record_formats_are_refused_clearly() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.topic("web");
    for magic in [0, 1] {
        // Offset, size, checksum, magic, attributes, and no more than a message set of that time had.
        let mut set = vec![0; 8];
        set.extend_from_slice(&[0, 0, 0, 60, 1, 2, 3, 4, magic, 0]);
        set.resize(72, 0);
        let part = client.produce("web", set.into());
        assert_eq!(code(&part), ErrorCode::UnsupportedForMessageFormat, "magic {magic}");
        assert!(part.error_message.is_some());
    }
}

#[test]
fn records_that_a_compacted_topic_does_not_take_are_named() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let config = create_topics::RequestConfig {
        name: "cleanup.policy".to_owned(),
        value: Some("compact".to_owned()),
    };
    let topic = create_topics::RequestTopic {
        name: "state".to_owned(),
        num_partitions: 1,
        replication_factor: 1,
        configs: vec![config],
        ..Default::default()
    };
    let request =
        create_topics::Request { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let created: create_topics::Response = client.call(7, &request);
    assert_eq!(created.topics[0].error_code, 0);
    let part = client.produce("state", batch(&["a", "b"]));
    assert_eq!(code(&part), ErrorCode::InvalidRecord);
    let named: Vec<_> = part.record_errors.iter().map(|record| record.batch_index).collect();
    assert_eq!(named, [0, 1]);
    let message = part.record_errors[0].batch_index_error_message.as_deref().unwrap_or_default();
    assert!(message.contains("key"), "{message}");
}

#[test]
fn a_second_batch_for_a_partition_is_refused_as_kafka_refuses_it() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.topic("web");
    let two = [batch(&["a"]), batch(&["b"])].concat();
    let part = client.produce("web", two.into());
    assert_eq!(code(&part), ErrorCode::InvalidRecord);
    assert!(part.error_message.is_some_and(|text| text.contains("one record batch")));
    assert_eq!(client.produce("web", batch(&["a"])).base_offset, 0, "neither was appended");
}

#[test]
fn what_one_request_inflates_to_is_bounded_and_the_rest_may_be_sent_again() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 4, &[]);
    let mut builder = BatchBuilder::new();
    let value = vec![0; 60 << 20];
    builder.append(TimestampMs::new(1), None, Some(&value), &[]).unwrap();
    let bomb = builder.build(Compression::Zstd).unwrap();
    assert!(bomb.len() < 64 << 10, "{} bytes", bomb.len());
    let part = |index| produce_wire::RequestPartition { index, records: Some(bomb.clone()) };
    let mut request = produce_request("web", -1, bomb.clone());
    request.topic_data[0].partition_data = (0..4).map(part).collect();
    let response: produce_wire::Response = client.call(9, &request);
    let codes: Vec<_> = response.responses[0].partition_responses.iter().map(code).collect();
    let refused = ErrorCode::Overloaded.on_kafka();
    assert_eq!(codes, [ErrorCode::None, ErrorCode::None, refused, refused]);
    assert!(refused.retriable());
    request.topic_data[0].partition_data = (2..4).map(part).collect();
    let response: produce_wire::Response = client.call(9, &request);
    let again: Vec<_> = response.responses[0].partition_responses.iter().map(code).collect();
    assert_eq!(again, [ErrorCode::None; 2]);
}
