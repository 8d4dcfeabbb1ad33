//! One connection, partitions on many shards.
#![expect(clippy::disallowed_methods, reason = "a test measures how long it waited")]

use std::collections::BTreeSet;
use std::time::Instant;

use super::*;

const SHARDS: u16 = 8;
const PARTITIONS: i32 = 1_000;
const HELD: usize = 3;

fn start() -> Broker {
    let mut shard = ShardSettings { partitions_default: 1_000, ..ShardSettings::default() };
    shard.log.journal_file_bytes = 4 << 20;
    Broker::start_shards(SHARDS, &ServeSettings::default(), shard)
}

/// A connection to shard 0, whatever it asks for.
fn client(broker: &Broker) -> KafkaClient {
    KafkaClient::connect(broker.kafka_shards[0])
}

fn produce_to(partitions: impl Iterator<Item = i32>, timeout_ms: i32) -> produce_wire::Request {
    let parts = partitions.map(|index| produce_wire::RequestPartition {
        index,
        records: Some(batch(&[&format!("value {index}")])),
    });
    let topic = produce_wire::RequestTopic {
        name: "web".to_owned(),
        partition_data: parts.collect(),
        ..Default::default()
    };
    produce_wire::Request { acks: -1, timeout_ms, topic_data: vec![topic], ..Default::default() }
}

fn codes(response: &produce_wire::Response) -> Vec<i16> {
    response.responses[0].partition_responses.iter().map(|part| part.error_code).collect()
}

fn fetch_all(topic_id: [u8; 16], session: (i32, i32), wait_ms: i32) -> fetch_wire::Request {
    let part = |partition| fetch_wire::RequestPartition {
        partition,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let mut request = fetch::request(topic_id, 0, wait_ms);
    (request.session_id, request.session_epoch) = session;
    request.topics[0].partitions = (0..PARTITIONS).map(part).collect();
    request
}

/// The partitions that a response has records of.
fn read(response: &fetch_wire::Response) -> BTreeSet<i32> {
    let parts = response.responses.iter().flat_map(|topic| &topic.partitions);
    let with = parts.filter(|part| part.records.as_ref().is_some_and(|bytes| !bytes.is_empty()));
    with.map(|part| part.partition_index).collect()
}

#[test]
fn a_shard_that_is_held_up_stalls_its_own_partitions_only() {
    let broker = start();
    let mut consumer = client(&broker);
    let id = consumer.topic("web");
    let metadata: metadata::Response = consumer.call(12, &all_topics());
    let leader = |part: &metadata::Partition| part.leader_id - (7 * 1_024 + 1);
    let held: BTreeSet<i32> = metadata.topics[0]
        .partitions
        .iter()
        .filter(|part| leader(part) == i32::try_from(HELD).unwrap())
        .map(|part| part.partition_index)
        .collect();
    assert_eq!(held.len(), 125);
    let mut producer = client(&broker);
    let all: produce_wire::Response = producer.call(9, &produce_to(0..PARTITIONS, 30_000));
    assert!(codes(&all).iter().all(|code| *code == 0));

    let hold = broker.hold(HELD);
    let begun = Instant::now();
    let first: fetch_wire::Response = consumer.call(17, &fetch_all(id, (0, 0), 10_000));
    assert_eq!(read(&first), (0..PARTITIONS).filter(|part| !held.contains(part)).collect());
    let mut next = fetch_all(id, (first.session_id, 1), 300);
    next.topics[0].partitions.iter_mut().for_each(|part| part.fetch_offset = 1);
    let nothing: fetch_wire::Response = consumer.call(17, &next);
    assert_eq!(read(&nothing), BTreeSet::new());
    let free = (0..PARTITIONS).find(|part| !held.contains(part)).unwrap();
    let one: produce_wire::Response = producer.call(9, &produce_to(std::iter::once(free), 30_000));
    assert_eq!(codes(&one), [0]);
    let later: fetch_wire::Response = consumer.call(17, &next_of(&next, 2));
    assert_eq!(read(&later), [free].into());
    let mixed: produce_wire::Response = producer.call(9, &produce_to(0..PARTITIONS, 300));
    for (index, code) in (0..).zip(codes(&mixed)) {
        assert_eq!(code, if held.contains(&index) { 7 } else { 0 }, "partition {index}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());

    drop(hold);
    let mut seen = BTreeSet::new();
    for epoch in 3.. {
        let rest: fetch_wire::Response = consumer.call(17, &next_of(&next, epoch));
        seen.extend(read(&rest));
        if held.is_subset(&seen) {
            break;
        }
    }
    drop(broker);
}

/// The next request of a session, in which nothing changed.
fn next_of(request: &fetch_wire::Request, epoch: i32) -> fetch_wire::Request {
    fetch_wire::Request {
        topics: Vec::new(),
        session_epoch: epoch,
        max_wait_ms: 10_000,
        ..request.clone()
    }
}

#[test]
fn what_is_sent_to_a_shard_that_is_held_up_is_bounded_and_leaves_room_for_others() {
    let shard =
        ShardSettings { produce_bytes_max: 4 << 20, partitions_default: 4, ..Default::default() };
    let broker = Broker::start_shards(4, &ServeSettings::default(), shard);
    let mut producer = client(&broker);
    producer.topic("web");
    let metadata: metadata::Response = producer.call(12, &all_topics());
    let of_shard = |number: i32| {
        let mut parts = metadata.topics[0].partitions.iter();
        let led = parts.find(|part| part.leader_id == 7 * 1_024 + 1 + number);
        led.unwrap().partition_index
    };
    let (held, free) = (of_shard(3), of_shard(2));
    let hold = broker.hold(3);
    let value = "x".repeat(900_000);
    let large = |timeout_ms| {
        let mut request = produce_to(std::iter::once(held), timeout_ms);
        request.topic_data[0].partition_data[0].records = Some(batch(&[&value]));
        request
    };
    // Silent for a second and more by the end of this.
    for _ in 0..8 {
        let late: produce_wire::Response = producer.call(9, &large(200));
        assert_eq!(codes(&late), [7]);
    }
    let begun = Instant::now();
    let refused: produce_wire::Response = producer.call(9, &large(30_000));
    let message = &refused.responses[0].partition_responses[0].error_message;
    assert!(message.as_deref().is_some_and(|text| text.contains("in flight")), "{message:?}");
    let other = produce_to(std::iter::once(free), 30_000);
    assert_eq!(codes(&producer.call(9, &other)), [0]);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(hold);
    let again: produce_wire::Response = producer.call(9, &large(30_000));
    assert!(codes(&again) == [0] || codes(&again) == [7], "{again:?}");
}

#[test]
fn one_budget_holds_over_all_shards() {
    let broker = start();
    let mut consumer = client(&broker);
    let id = consumer.topic("web");
    consumer.call::<produce_wire::Response>(9, &produce_to(0..PARTITIONS, 30_000));
    let mut request = fetch_all(id, (0, -1), 1_000);
    request.max_bytes = 5_000;
    let response: fetch_wire::Response = consumer.call(17, &request);
    let parts = response.responses.iter().flat_map(|topic| &topic.partitions);
    let bytes: usize = parts.filter_map(|part| part.records.as_ref()).map(Bytes::len).sum();
    assert!((4_000..=5_000).contains(&bytes), "{bytes} bytes");
}

#[test]
fn a_fetch_over_all_shards_ends_with_the_first_record_of_one() {
    let broker = start();
    let mut consumer = client(&broker);
    let id = consumer.topic("web");
    let sent = consumer.send(17, &fetch_all(id, (0, -1), 25_000));
    let begun = Instant::now();
    client(&broker).call::<produce_wire::Response>(9, &produce_to(std::iter::once(700), 30_000));
    let (_, response): (_, fetch_wire::Response) = consumer.receive(sent).unwrap();
    assert_eq!(read(&response), [700].into());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn nothing_is_forwarded_between_shard_doors_and_their_own_partitions() {
    let shard = ShardSettings { partitions_default: 4, ..ShardSettings::default() };
    let broker = Broker::start_shards(4, &ServeSettings::default(), shard);
    let mut any = client(&broker);
    any.topic("web");
    let metadata: metadata::Response = any.call(12, &all_topics());
    for part in &metadata.topics[0].partitions {
        let door = metadata.brokers.iter().find(|b| b.node_id == part.leader_id).unwrap();
        let port = u16::try_from(door.port).unwrap();
        let mut owner = KafkaClient::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let request = produce_to(std::iter::once(part.partition_index), 30_000);
        assert_eq!(codes(&owner.call(9, &request)), [0]);
    }
    for metrics in broker.stop_all() {
        let place = |place: &str| {
            metrics
                .series()
                .filter(|(family, _, label, _)| {
                    *family == "kolk_partition_requests_total"
                        && label.is_some_and(|label| label.value == place)
                })
                .map(|(_, _, _, value)| value.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(place("own"), [kolk_metric::shard::Value::Counter(1)]);
        assert_eq!(place("forwarded"), [kolk_metric::shard::Value::Counter(0)]);
    }
}
