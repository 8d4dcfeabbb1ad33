//! Requests that repeat a name: what is large is answered once, so that a small request has no answer without bound.

use kolk_kafka::message::{
    alter_configs, consumer_group_describe, delete_topics, describe_configs, describe_groups,
    describe_producers, describe_quorum, find_coordinator, offset_fetch,
};
use kolk_model::error::ErrorCode;

use super::*;

/// How often a request names the same thing.
const TIMES: usize = 50;

/// Kafka's number for groups among the resources that have settings.
const GROUP: i8 = 32;

fn times<T: Clone>(one: T) -> Vec<T> {
    vec![one; TIMES]
}

fn names(name: &str) -> Vec<String> {
    times(name.to_owned())
}

#[test]
fn a_topic_is_described_once_whether_by_name_or_by_id() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 3, &[]);
    let topic_id = client.topic("web");
    let named = metadata::RequestTopic {
        name: Some("web".to_owned()),
        ..metadata::RequestTopic::default()
    };
    let absent = metadata::RequestTopic { name: Some("a/b".to_owned()), ..named.clone() };
    let asked = [times(named.clone()), times(absent), times(named)].concat();
    for version in [1, 9, 12] {
        let request = metadata::Request { topics: Some(asked.clone()), ..Default::default() };
        let response: metadata::Response = client.call(version, &request);
        let told: Vec<_> = response.topics.iter().map(|t| t.name.as_deref()).collect();
        assert_eq!(told, [Some("web"), Some("a/b")], "v{version}: in the order of the request");
        assert_eq!(response.topics[0].partitions.len(), 3);
    }
    // An id counts; the names beside it do not.
    let by_id =
        |number: usize| metadata::RequestTopic { topic_id, name: Some(format!("name-{number}")) };
    let asked: Vec<_> = (0..TIMES).map(by_id).collect();
    let request = metadata::Request { topics: Some(asked), ..Default::default() };
    let response: metadata::Response = client.call(12, &request);
    assert_eq!(response.topics.len(), 1);
}

#[test]
fn a_group_is_described_once() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let groups = [names("g"), names("h"), names("g")].concat();
    let request = describe_groups::Request { groups: groups.clone(), ..Default::default() };
    let response: describe_groups::Response = client.call(5, &request);
    let told: Vec<_> = response.groups.iter().map(|group| group.group_id.as_str()).collect();
    assert_eq!(told, ["g", "h"]);
    let request =
        consumer_group_describe::Request { group_ids: groups.clone(), ..Default::default() };
    let response: consumer_group_describe::Response = client.call(1, &request);
    let told: Vec<_> = response.groups.iter().map(|group| group.group_id.as_str()).collect();
    assert_eq!(told, ["g", "h"]);
    let request = find_coordinator::Request { coordinator_keys: groups, ..Default::default() };
    let response: find_coordinator::Response = client.call(6, &request);
    let told: Vec<_> = response.coordinators.iter().map(|found| found.key.as_str()).collect();
    assert_eq!(told, ["g", "h"]);
}

#[test]
fn a_committed_offset_is_told_once() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 2, &[]);
    let topic = |partitions: &[i32]| offset_fetch::RequestGroupTopic {
        name: "web".to_owned(),
        partition_indexes: partitions.to_vec(),
        ..Default::default()
    };
    let topics = vec![topic(&[1, 0, 1, 1]), topic(&[0, 7]), topic(&[1])];
    let group = offset_fetch::RequestGroup {
        group_id: "g".to_owned(),
        topics: Some(topics),
        member_epoch: -1,
        ..Default::default()
    };
    let told = |topics: &[(&str, Vec<i32>)]| {
        let expected = [("web", vec![1, 0]), ("web", vec![7])];
        assert_eq!(topics, expected);
    };
    let request = offset_fetch::Request { groups: times(group), ..Default::default() };
    let response: offset_fetch::Response = client.call(8, &request);
    assert_eq!(response.groups.len(), 1);
    let topics: Vec<_> = response.groups[0]
        .topics
        .iter()
        .map(|t| (t.name.as_str(), t.partitions.iter().map(|p| p.partition_index).collect()))
        .collect();
    told(&topics);
    let topic = |partitions: &[i32]| offset_fetch::RequestTopic {
        name: "web".to_owned(),
        partition_indexes: partitions.to_vec(),
    };
    let request = offset_fetch::Request {
        group_id: "g".to_owned(),
        topics: Some(vec![topic(&[1, 0, 1, 1]), topic(&[0, 7]), topic(&[1])]),
        ..Default::default()
    };
    let response: offset_fetch::Response = client.call(7, &request);
    let topics: Vec<_> = response
        .topics
        .iter()
        .map(|t| (t.name.as_str(), t.partitions.iter().map(|p| p.partition_index).collect()))
        .collect();
    told(&topics);
}

#[test]
fn the_settings_of_a_resource_are_told_once() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let resource = |name: &str| describe_configs::RequestResource {
        resource_type: GROUP,
        resource_name: name.to_owned(),
        configuration_keys: None,
    };
    let resources = [times(resource("g")), times(resource("h"))].concat();
    let request = describe_configs::Request { resources, ..Default::default() };
    let response: describe_configs::Response = client.call(4, &request);
    let told: Vec<_> = response.results.iter().map(|one| one.resource_name.as_str()).collect();
    assert_eq!(told, ["g", "h"]);
    let resource = alter_configs::RequestResource {
        resource_type: GROUP,
        resource_name: "g".to_owned(),
        configs: Vec::new(),
    };
    let request = alter_configs::Request { resources: times(resource), validate_only: false };
    let response: alter_configs::Response = client.call(2, &request);
    let codes: Vec<_> = response.responses.iter().map(|one| one.error_code).collect();
    assert_eq!(
        codes,
        [ErrorCode::InvalidRequest.to_wire()],
        "it is left alone, which is said once"
    );
}

#[test]
fn a_partition_is_read_once_from_where_it_was_named_last() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let topic_id = client.topic("web");
    client.produce("web", batch(&["a"]));
    client.produce("web", batch(&["b"]));
    let part = |fetch_offset| fetch_wire::RequestPartition {
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic =
        |partitions| fetch_wire::RequestTopic { topic: "web".to_owned(), topic_id, partitions };
    for (version, epoch) in [(4, -1), (12, -1), (12, 0), (17, -1), (17, 0)] {
        let request = fetch_wire::Request {
            min_bytes: 1,
            max_bytes: 50 << 20,
            session_epoch: epoch,
            topics: vec![topic(times(part(0))), topic(vec![part(0), part(1)])],
            ..Default::default()
        };
        let response: fetch_wire::Response = client.call(version, &request);
        let told: Vec<_> = response.responses.iter().flat_map(|t| &t.partitions).collect();
        let [only] = &told[..] else { panic!("v{version}: {} partitions", told.len()) };
        assert_eq!(values(vec![only.records.clone().unwrap()]), ["b"], "v{version}");
    }
}

#[test]
fn an_offset_asked_for_twice_is_refused_as_kafka_refuses_it() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 2, &[]);
    let mut request = latest("web", -1);
    let first = request.topics[0].partitions[0].clone();
    let other = list_offsets::RequestPartition { partition_index: 1, ..first.clone() };
    request.topics[0].partitions = vec![first.clone(), other, first];
    let response: list_offsets::Response = client.call(7, &request);
    let told: Vec<_> =
        response.topics[0].partitions.iter().map(|p| (p.partition_index, p.error_code)).collect();
    let refused = ErrorCode::InvalidRequest.to_wire();
    assert_eq!(told, [(0, refused), (1, 0), (0, refused)]);
}

#[test]
fn producers_of_a_partition_are_told_once() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 2, &[]);
    let topic = describe_producers::RequestTopic {
        name: "web".to_owned(),
        partition_indexes: vec![1, 0, 1, 1],
    };
    let request = describe_producers::Request { topics: times(topic) };
    let response: describe_producers::Response = client.call(0, &request);
    let told: Vec<_> = response
        .topics
        .iter()
        .flat_map(|t| t.partitions.iter().map(|p| p.partition_index))
        .collect();
    assert_eq!(told, [1, 0]);
}

#[test]
fn a_topic_that_is_to_be_deleted_twice_is_told_once() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.create("web", 1, &[]);
    let request = delete_topics::Request { topic_names: names("web"), ..Default::default() };
    let response: delete_topics::Response = client.call(5, &request);
    let codes: Vec<_> = response.responses.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [ErrorCode::InvalidRequest.to_wire()]);
}

#[test]
fn the_voters_of_the_quorum_are_told_once() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let partition = describe_quorum::RequestPartition { partition_index: 0 };
    let topic = describe_quorum::RequestTopic {
        topic_name: "__cluster_metadata".to_owned(),
        partitions: times(partition),
    };
    let request = describe_quorum::Request { topics: times(topic) };
    let response: describe_quorum::Response = client.call(2, &request);
    let voters = response.topics.iter().flat_map(|t| &t.partitions).map(|p| p.current_voters.len());
    assert_eq!(voters.sum::<usize>(), 1);
}
