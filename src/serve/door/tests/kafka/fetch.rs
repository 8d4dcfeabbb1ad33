//! Fetch.
#![expect(clippy::disallowed_methods, reason = "a test measures how long it waited")]

use super::*;

/// A fetch of the first partition of a topic by its id.
pub(super) fn request(topic_id: [u8; 16], offset: i64, wait_ms: i32) -> fetch_wire::Request {
    let part = fetch_wire::RequestPartition {
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic =
        fetch_wire::RequestTopic { topic: "web".to_owned(), topic_id, partitions: vec![part] };
    fetch_wire::Request {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: 50 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}

fn only(response: &fetch_wire::Response) -> &fetch_wire::Partition {
    assert_eq!(response.responses.len(), 1);
    assert_eq!(response.responses[0].partitions.len(), 1);
    &response.responses[0].partitions[0]
}

fn records(response: &fetch_wire::Response) -> VecDeque<String> {
    values(vec![only(response).records.clone().expect("records are never null")])
}

#[test]
fn records_come_back_in_every_version() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let id = client.topic("web");
    client.produce("web", batch(&["a", "b"]));
    client.produce("web", batch(&["c"]));
    for version in 4..=18 {
        let response: fetch_wire::Response = client.call(version, &request(id, 0, 0));
        assert_eq!(records(&response), ["a", "b", "c"], "version {version}");
        let part = only(&response);
        assert_eq!((part.high_watermark, part.last_stable_offset), (3, 3));
        assert_eq!(part.aborted_transactions, None);
        let inside: fetch_wire::Response = client.call(version, &request(id, 1, 0));
        assert_eq!(records(&inside), ["a", "b", "c"], "the batch that holds the offset");
        let end: fetch_wire::Response = client.call(version, &request(id, 3, 0));
        assert_eq!(only(&end).records.as_deref(), Some(&b""[..]), "no records, but not null");
        let beyond: fetch_wire::Response = client.call(version, &request(id, 4, 5_000));
        assert_eq!(only(&beyond).error_code, 1);
    }
}

#[test]
fn committed_readers_get_a_list_of_aborted_transactions() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let id = client.topic("web");
    let asked = fetch_wire::Request { isolation_level: 1, ..request(id, 0, 0) };
    let response: fetch_wire::Response = client.call(11, &asked);
    assert_eq!(only(&response).aborted_transactions, Some(Vec::new()));
}

#[test]
fn a_long_poll_ends_with_the_first_record() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let id = client.topic("web");
    let sent = client.send(17, &request(id, 0, 25_000));
    KafkaClient::connect(broker.kafka).produce("web", batch(&["at last"]));
    let (_, response): (_, fetch_wire::Response) = client.receive(sent).unwrap();
    assert_eq!(records(&response), ["at last"]);
}

#[test]
fn a_long_poll_ends_in_time_without_records() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let id = client.topic("web");
    let begun = std::time::Instant::now();
    let response: fetch_wire::Response = client.call(17, &request(id, 0, 300));
    assert_eq!(only(&response).records.as_deref(), Some(&b""[..]));
    assert!(begun.elapsed() >= Duration::from_millis(290));
}

#[test]
fn the_first_batch_comes_whole_whatever_the_limits() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let id = client.topic("web");
    let value = "x".repeat(300_000);
    client.produce("web", batch(&[&value]));
    client.produce("web", batch(&["second"]));
    let mut asked = request(id, 0, 0);
    (asked.max_bytes, asked.topics[0].partitions[0].partition_max_bytes) = (10, 10);
    let response: fetch_wire::Response = client.call(12, &asked);
    assert_eq!(records(&response), [value.as_str()]);
}

#[test]
fn topics_and_epochs_that_are_not_known_are_told_at_once() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let id = client.topic("web");
    let unknown: fetch_wire::Response = client.call(13, &request([9; 16], 0, 20_000));
    assert_eq!(only(&unknown).error_code, 100);
    let mut asked = request(id, 0, 20_000);
    asked.topics[0].topic = "absent".to_owned();
    let unknown: fetch_wire::Response = client.call(12, &asked);
    assert_eq!(only(&unknown).error_code, 3);
    let mut asked = request(id, 0, 20_000);
    asked.topics[0].partitions[0].current_leader_epoch = 9;
    let unknown: fetch_wire::Response = client.call(13, &asked);
    assert_eq!(only(&unknown).error_code, 75);
}

#[test]
fn a_session_sends_what_is_new() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let id = client.topic("web");
    client.produce("web", batch(&["a"]));
    let begin = fetch_wire::Request { session_epoch: 0, ..request(id, 0, 0) };
    let first: fetch_wire::Response = client.call(17, &begin);
    assert_ne!(first.session_id, 0);
    assert_eq!(records(&first), ["a"]);
    let incremental = |session_epoch, from: Option<i64>| {
        let mut next = request(id, from.unwrap_or(0), 0);
        (next.session_id, next.session_epoch) = (first.session_id, session_epoch);
        if from.is_none() {
            next.topics.clear();
        }
        next
    };
    let second: fetch_wire::Response = client.call(17, &incremental(1, Some(1)));
    assert_eq!((second.session_id, second.responses.len()), (first.session_id, 0));
    client.produce("web", batch(&["b"]));
    let third: fetch_wire::Response = client.call(17, &incremental(2, None));
    assert_eq!(records(&third), ["b"]);
    let stale: fetch_wire::Response = client.call(17, &incremental(2, None));
    assert_eq!((stale.error_code, stale.session_id), (71, 0));
    let mut other = KafkaClient::connect(broker.kafka);
    let mut asked = incremental(3, None);
    asked.session_id = first.session_id.wrapping_add(1);
    let unknown: fetch_wire::Response = other.call(17, &asked);
    assert_eq!(unknown.error_code, 70);
}

#[test]
fn large_batches_pass_uncopied_by_the_connection() {
    let broker = Broker::start();
    let mut client = KafkaClient::connect(broker.kafka);
    let id = client.topic("web");
    let value = "x".repeat(900_000);
    for offset in 0..20 {
        assert_eq!(client.produce("web", batch(&[&value])).base_offset, offset);
    }
    let response: fetch_wire::Response = client.call(17, &request(id, 7, 0));
    assert_eq!(records(&response).pop_front().as_deref(), Some(value.as_str()));
    let metrics = broker.stop();
    let copied = |site: &str| {
        metrics
            .series()
            .filter(|(_, _, label, _)| label.is_some_and(|label| label.value == site))
            .map(|(_, _, _, value)| match value {
                kolk_metric::shard::Value::Counter(bytes) => *bytes,
                _ => 0,
            })
            .sum::<u64>()
    };
    // The first frame's start, until its size is known; then buffers of the right size are guessed.
    assert!(copied("receive") <= 32 << 10, "{} bytes copied of 18 MB", copied("receive"));
    assert!(copied("tail") >= 18_000_000, "the one copy there is");
}
