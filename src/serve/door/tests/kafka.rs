//! The Kafka wire, API by API, by the client's side of the codec.

mod admin;
mod bad_input;
mod fan_out;
mod fetch;
mod groups;
mod produce;
mod repeated;

use kolk_kafka::api::ApiKey;
use kolk_kafka::frame::{CorrelationId, RequestHeader, decode_response_header, encode_request};
use kolk_kafka::message::{
    Message, api_versions, fetch as fetch_wire, init_producer_id, list_offsets, metadata,
    offset_for_leader_epoch, produce as produce_wire,
};
use kolk_kafka::wire::{Reader, Version};

use super::*;

/// A Kafka client that does what it is told, one thread, blocking.
struct KafkaClient {
    stream: TcpStream,
    next: i32,
}

impl KafkaClient {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, next: 0 }
    }

    fn send(&mut self, version: i16, request: &impl Message) -> (ApiKey, Version) {
        let header = self.header(request, version);
        let mut wire = BytesMut::new();
        encode_request(&mut wire, &header, request);
        self.stream.write_all(&wire).unwrap();
        (header.api, header.version)
    }

    fn header<M: Message>(&mut self, _: &M, version: i16) -> RequestHeader {
        self.next += 1;
        RequestHeader {
            api: M::API,
            version: Version::new(version),
            correlation_id: CorrelationId::new(self.next),
            client_id: Some("test".into()),
        }
    }

    /// The next response and its correlation id; `None` when the broker closed the connection.
    fn receive<R: Message>(&mut self, (api, version): (ApiKey, Version)) -> Option<(i32, R)> {
        let frame = self.frame()?;
        let mut reader = Reader::new(&frame);
        let correlation_id = decode_response_header(&mut reader, api, version).unwrap();
        let response = R::decode(&mut reader, version).unwrap();
        assert_eq!(reader.remaining(), 0, "{api:?} {version:?}");
        Some((correlation_id.get(), response))
    }

    fn frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut frame).ok()?;
        Some(frame.into())
    }

    fn call<R: Message>(&mut self, version: i16, request: &impl Message) -> R {
        let sent = self.send(version, request);
        let (correlation_id, response) = self.receive(sent).expect("the connection is open");
        assert_eq!(correlation_id, self.next);
        response
    }

    /// Asks for a topic, which makes it; gives its id.
    fn topic(&mut self, name: &str) -> [u8; 16] {
        let topic = metadata::RequestTopic { name: Some(name.to_owned()), ..Default::default() };
        let request = metadata::Request { topics: Some(vec![topic]), ..Default::default() };
        let response: metadata::Response = self.call(12, &request);
        assert_eq!(response.topics[0].error_code, 0);
        response.topics[0].topic_id
    }

    fn produce(&mut self, topic: &str, records: Bytes) -> produce_wire::Partition {
        let response: produce_wire::Response = self.call(9, &produce_request(topic, -1, records));
        response.responses[0].partition_responses[0].clone()
    }
}

fn produce_request(topic: &str, acks: i16, records: Bytes) -> produce_wire::Request {
    let part = produce_wire::RequestPartition { index: 0, records: Some(records) };
    let topic = produce_wire::RequestTopic {
        name: topic.to_owned(),
        partition_data: vec![part],
        ..Default::default()
    };
    produce_wire::Request {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![topic],
        ..Default::default()
    }
}

fn all_topics() -> metadata::Request {
    metadata::Request { topics: None, ..Default::default() }
}

fn latest(topic: &str, timestamp: i64) -> list_offsets::Request {
    let part =
        list_offsets::RequestPartition { partition_index: 0, timestamp, ..Default::default() };
    let topic = list_offsets::RequestTopic { name: topic.to_owned(), partitions: vec![part] };
    list_offsets::Request { replica_id: -1, topics: vec![topic], ..Default::default() }
}

#[test]
fn api_versions_lists_what_is_served() {
    let broker = Broker::start();
    for version in 0..=5 {
        let mut client = KafkaClient::connect(broker.kafka);
        let request = api_versions::Request {
            client_software_name: "test".to_owned(),
            client_software_version: "1.0".to_owned(),
            ..Default::default()
        };
        let response: api_versions::Response = client.call(version, &request);
        assert_eq!(response.error_code, 0, "version {version}");
        let range = |key| response.api_keys.iter().find(|api| api.api_key == key).cloned().unwrap();
        assert_eq!((range(0).min_version, range(0).max_version), (0, 13));
        assert_eq!((range(1).min_version, range(1).max_version), (4, 18));
        assert_eq!((range(18).min_version, range(18).max_version), (0, 5));
        assert!(
            response.api_keys.iter().all(|api| api.api_key != 4),
            "brokers' own are not served"
        );
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    // Length, key 18, version 99, correlation id 7, client id null, tags none.
    client.stream.write_all(&[0, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 7, 255, 255, 0]).unwrap();
    let sent = (ApiKey::ApiVersions, Version::new(0));
    let (id, response): (_, api_versions::Response) = client.receive(sent).unwrap();
    assert_eq!((id, response.error_code, response.api_keys.len()), (7, 35, 1));
    assert_eq!((response.api_keys[0].api_key, response.api_keys[0].max_version), (18, 5));
    let again: api_versions::Response = client.call(0, &api_versions::Request::default());
    assert_eq!(again.error_code, 0, "the connection goes on");
}

#[test]
fn a_client_of_another_cluster_is_told_to_begin_again() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let known: metadata::Response = client.call(1, &all_topics());
    let mut code = |cluster: Option<&str>, node_id| {
        let request = api_versions::Request {
            client_software_name: "test".to_owned(),
            client_software_version: "1.0".to_owned(),
            cluster_id: cluster.map(str::to_owned),
            node_id,
        };
        client.call::<api_versions::Response>(5, &request).error_code
    };
    assert_eq!(code(None, -1), 0);
    assert_eq!(code(Some("another"), -1), 129);
    assert_eq!(code(None, known.controller_id), 0);
    assert_eq!(code(None, known.controller_id + 1), 129);
}

#[test]
fn each_door_shows_its_own_view() {
    let broker = Broker::start();
    for (address, id) in [(broker.kafka, 7 * 1_024), (broker.kafka_shards[0], 7 * 1_024 + 1)] {
        let mut client = KafkaClient::connect(address);
        client.topic("web");
        let response: metadata::Response = client.call(12, &all_topics());
        assert_eq!(response.controller_id, id);
        let brokers: Vec<_> =
            response.brokers.iter().map(|b| (b.node_id, b.host.as_str(), b.port)).collect();
        assert_eq!(brokers, [(id, "127.0.0.1", i32::from(address.port()))]);
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.leader_id, &partition.replica_nodes[..]), (id, &[id][..]));
        assert_eq!(partition.isr_nodes, [id]);
    }
}

#[test]
fn metadata_creates_topics_that_clients_ask_for() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let named =
        |name: &str| metadata::RequestTopic { name: Some(name.to_owned()), ..Default::default() };
    let request = metadata::Request {
        topics: Some(vec![named("web"), named("not/allowed")]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let asked: metadata::Response = client.call(12, &request);
    let codes: Vec<_> = asked.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [3, 17]);
    let request = metadata::Request { allow_auto_topic_creation: true, ..request };
    let made: metadata::Response = client.call(12, &request);
    let codes: Vec<_> = made.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, 17]);
    assert_ne!(made.topics[0].topic_id, [0; 16]);
    for version in 0..=13 {
        let all: metadata::Response = client.call(
            version,
            &match version {
                0 => metadata::Request { topics: Some(Vec::new()), ..Default::default() },
                _ => all_topics(),
            },
        );
        assert_eq!(all.topics.len(), 1, "version {version}");
        assert_eq!(all.topics[0].name.as_deref(), Some("web"));
    }
    let by_id = |topic_id| metadata::RequestTopic { topic_id, name: None };
    let request = metadata::Request {
        topics: Some(vec![by_id(made.topics[0].topic_id), by_id([9; 16])]),
        ..Default::default()
    };
    let found: metadata::Response = client.call(12, &request);
    assert_eq!(found.topics[0].name.as_deref(), Some("web"));
    assert_eq!((found.topics[1].error_code, &found.topics[1].name), (100, &None));
}

#[test]
fn topics_are_not_created_where_that_is_switched_off() {
    let mut settings = ServeSettings::default();
    settings.kafka.auto_create_topics = false;
    let broker = Broker::start_with(settings);
    let mut client = KafkaClient::connect(broker.kafka);
    let topic = metadata::RequestTopic { name: Some("web".to_owned()), ..Default::default() };
    let request = metadata::Request { topics: Some(vec![topic]), ..Default::default() };
    let response: metadata::Response = client.call(9, &request);
    assert_eq!(response.topics[0].error_code, 3);
}

#[test]
fn offsets_are_listed_by_place_and_time() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.topic("web");
    let mut listed = |version, timestamp| {
        let response: list_offsets::Response = client.call(version, &latest("web", timestamp));
        let part = response.topics[0].partitions[0].clone();
        (part.error_code, part.offset, part.timestamp, part.leader_epoch)
    };
    assert_eq!(listed(7, -3), (0, -1, -1, -1));
    assert_eq!(listed(7, -1), (0, 0, -1, 0));
    let mut producer = KafkaClient::connect(broker.kafka);
    producer.produce("web", batch(&["a", "b", "c"]));
    assert_eq!(listed(7, -1), (0, 3, -1, 0));
    assert_eq!(listed(7, -2), (0, 0, -1, 0));
    assert_eq!(listed(7, -3), (0, 0, 1_700_000_000_000, 0));
    assert_eq!(listed(7, 1_700_000_000_000), (0, 0, 1_700_000_000_000, 0));
    assert_eq!(listed(7, 1_700_000_000_001), (0, -1, -1, -1));
    assert_eq!(listed(7, -4).0, 35);
    assert_eq!(listed(8, -4), (0, 0, -1, 0));
    assert_eq!(listed(9, -5), (0, -1, -1, -1));
    assert_eq!(listed(11, -6), (0, -1, -1, -1));
    assert_eq!(listed(1, -1), (0, 3, -1, -1), "version 1 has no epoch");
    let mut request = latest("web", -1);
    request.topics[0].partitions[0].current_leader_epoch = 5;
    let response: list_offsets::Response = producer.call(7, &request);
    assert_eq!(response.topics[0].partitions[0].error_code, 75);
    request.topics[0].partitions[0].partition_index = 5;
    request.topics[0].name = "absent".to_owned();
    let response: list_offsets::Response = producer.call(7, &request);
    assert_eq!(response.topics[0].partitions[0].error_code, 3);
}

#[test]
fn producer_ids_are_assigned_and_transactions_refused_for_good() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let mut ids = Vec::new();
    for version in 0..=5 {
        let response: init_producer_id::Response =
            client.call(version, &init_producer_id::Request::default());
        assert_eq!((response.error_code, response.producer_epoch), (0, 0));
        ids.push(response.producer_id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 6);
    let transactional_id = Some("orders".to_owned());
    let request = init_producer_id::Request { transactional_id, ..Default::default() };
    let response: init_producer_id::Response = client.call(4, &request);
    assert_eq!((response.error_code, response.producer_id), (31, -1));
}

#[test]
fn the_end_of_an_epoch_is_told() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    client.topic("web");
    client.produce("web", batch(&["a", "b"]));
    let mut end = |leader_epoch, current_leader_epoch| {
        let part = offset_for_leader_epoch::RequestPartition {
            partition: 0,
            current_leader_epoch,
            leader_epoch,
        };
        let topic = offset_for_leader_epoch::RequestTopic {
            topic: "web".to_owned(),
            partitions: vec![part],
        };
        let request =
            offset_for_leader_epoch::Request { topics: vec![topic], ..Default::default() };
        let response: offset_for_leader_epoch::Response = client.call(2, &request);
        let part = &response.topics[0].partitions[0];
        (part.error_code, part.leader_epoch, part.end_offset)
    };
    assert_eq!(end(0, -1), (0, 0, 2));
    assert_eq!(end(1, 0), (0, -1, -1));
    assert_eq!(end(0, 4), (75, -1, -1));
}

#[test]
fn responses_come_in_the_order_of_requests_of_any_kind() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let id = client.topic("web");
    let poll = client.send(17, &fetch::request(id, 0, 400));
    let meta = client.send(12, &all_topics());
    let sent = client.send(9, &produce_request("web", -1, batch(&["a"])));
    let (first, fetched): (_, fetch_wire::Response) = client.receive(poll).unwrap();
    let (second, _): (_, metadata::Response) = client.receive(meta).unwrap();
    let (third, _): (_, produce_wire::Response) = client.receive(sent).unwrap();
    assert_eq!([first, second, third], [2, 3, 4]);
    let records = fetched.responses[0].partitions[0].records.clone().unwrap();
    assert_eq!(values(vec![records]), ["a"], "what came later was carried out meanwhile");
}

#[test]
fn connections_count_over_all_shards() {
    let settings = ServeSettings { connections_per_address_max: 3, ..ServeSettings::default() };
    let broker = Broker::start_shards(2, &settings, ShardSettings::default());
    let doors = [broker.kafka_shards[0], broker.kafka_shards[1], broker.kafka];
    let mut clients = doors.map(KafkaClient::connect);
    for (number, client) in clients.iter_mut().enumerate() {
        // Goes the same way as the question whether there is room, behind it.
        client.topic(&format!("topic-{number}"));
    }
    for door in doors {
        let mut refused = KafkaClient::connect(door);
        assert!(refused.frame().is_none(), "the fourth from this address");
    }
    let [first, ..] = clients;
    drop(first);
    // Its place is free once the broker has seen the end.
    while KafkaClient::connect(doors[1]).is_refused() {}
    let metrics = broker.stop_all();
    let refused: u64 =
        metrics.iter().map(|shard| bad_input::closed(shard, "too_many_connections")).sum();
    assert!(refused >= 3, "{refused}");
}

impl KafkaClient {
    /// Whether the broker closes the connection instead of answering.
    fn is_refused(&mut self) -> bool {
        let request = all_topics();
        let header = self.header(&request, 1);
        let mut wire = BytesMut::new();
        encode_request(&mut wire, &header, &request);
        let _reset = self.stream.write_all(&wire);
        self.frame().is_none()
    }
}
