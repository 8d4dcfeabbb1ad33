//! The native wire, call by call.

use kolk_model::error::ErrorCode;
use kolk_model::ids::NodeId;
use kolk_native::reply::ListedOffset;
use kolk_native::request::{
    AddPartitions, AlterTopic, ListOffsets, MetadataQuery, OffsetPlace, OffsetQuery, Trim,
    TrimPartition,
};

use super::*;

fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

#[test]
fn hello_tells_who_the_broker_is_and_assigns_a_producer() {
    let broker = Broker::start();
    let mut client = Client::connect(broker.shard_door);
    let hello = client.hello();
    assert_eq!(hello.protocol_version, 1);
    assert_eq!(hello.node, NodeId::new(7));
    assert_eq!(hello.broker_version, "test");
    let first = hello.producer.unwrap();
    let Reply::InitProducer(second) = client.call(&Request::InitProducer) else { panic!() };
    assert_ne!(first.id, second.id);
}

#[test]
fn metadata_names_the_owner_of_every_partition() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let id = client.create_topic("web", 3);
    let query = MetadataQuery { topics: Some(vec![name("web"), name("absent")]) };
    let Reply::Metadata(metadata) = client.call(&Request::Metadata(query)) else { panic!() };
    assert_eq!(metadata.doors.len(), 1);
    assert_eq!(metadata.doors[0].host, "127.0.0.1");
    assert_eq!(metadata.doors[0].port, broker.shard_door.port());
    let places = metadata.topics[0].outcome.as_ref().unwrap();
    assert_eq!((places.id, places.partitions.len()), (id, 3));
    assert!(places.partitions.iter().all(|owner| owner.error == ErrorCode::None));
    assert_eq!(metadata.topics[1].outcome, Err(ErrorCode::UnknownTopicOrPartition));
    let all = Request::Metadata(MetadataQuery { topics: None });
    let Reply::Metadata(metadata) = client.call(&all) else { panic!() };
    assert_eq!(metadata.topics.len(), 1);
}

#[test]
fn metadata_tells_of_a_topic_once() {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.create_topic("web", 3);
    let topics = [vec![name("web"); 500], vec![name("absent"); 500]].concat();
    let query = MetadataQuery { topics: Some(topics) };
    let Reply::Metadata(metadata) = client.call(&Request::Metadata(query)) else { panic!() };
    let told: Vec<_> = metadata.topics.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(told, ["web", "absent"]);
}

#[test]
fn records_come_back_as_they_were_sent() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 2);
    let produced = client.produce(topic, 1, &["a", "b", "c"]);
    assert_eq!((produced.base_offset.get(), produced.next_offset.get()), (0, 3));
    assert!(produced.append_time_ns > 0);
    assert_eq!(client.produce(topic, 1, &["d"]).base_offset.get(), 3);
    let mut fetched = client.fetch(topic, 1, 0).partitions.remove(0);
    assert_eq!(fetched.high_watermark, Some(Offset::new(4)));
    assert_eq!(values(fetched.batches.unwrap()), ["a", "b", "c", "d"]);
    fetched = client.fetch(topic, 0, 0).partitions.remove(0);
    assert_eq!(values(fetched.batches.unwrap()), [""; 0]);
}

#[test]
fn pipelined_produce_replies_come_in_the_order_of_their_requests() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 4);
    let sent: Vec<_> =
        (0..400).map(|number| client.send(&produce(topic, number % 4, batch(&["x"])))).collect();
    for (number, correlation) in sent.into_iter().enumerate() {
        let (answered, reply) = client.receive();
        assert_eq!(answered, correlation);
        let Reply::Produce(reply) = reply else { panic!("{reply:?}") };
        let offset = reply.partitions[0].as_ref().unwrap().base_offset.get();
        assert_eq!(offset, number as u64 / 4);
    }
}

#[test]
fn what_one_request_inflates_to_is_bounded_and_the_rest_may_be_sent_again() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 4);
    let mut builder = BatchBuilder::new();
    let value = vec![0; 60 << 20];
    builder.append(TimestampMs::new(1), None, Some(&value), &[]).unwrap();
    let bomb = builder.build(Compression::Zstd).unwrap();
    let part = |number| ProducePartition {
        id: TopicPartition::new(topic, PartitionId::new(number)),
        batches: bomb.clone(),
        expected_next_offset: None,
    };
    let produce = Produce { durability: AckLevel::Topic, partitions: (0..4).map(part).collect() };
    let Reply::Produce(reply) = client.call(&Request::Produce(produce)) else { panic!() };
    let code = |one: &Result<_, reply::ProduceRefusal>| one.as_ref().err().map(|no| no.code);
    let codes: Vec<_> = reply.partitions.iter().map(code).collect();
    let refused = Some(ErrorCode::Overloaded);
    assert_eq!(codes, [None, None, refused, refused]);
}

#[test]
fn a_long_poll_waits_for_records_and_holds_up_nobody() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 1);
    let poll = client.send(&fetch(topic, 0, 0, 20_000));
    let meta = client.send(&Request::Metadata(MetadataQuery { topics: None }));
    assert_eq!(client.receive().0, meta);
    let mut other = broker.connect();
    other.produce(topic, 0, &["at last"]);
    let (answered, reply) = client.receive();
    assert_eq!(answered, poll);
    let Reply::Fetch(mut reply) = reply else { panic!("{reply:?}") };
    assert_eq!(values(reply.partitions.remove(0).batches.unwrap()), ["at last"]);
}

#[test]
fn a_large_batch_passes_whole_and_uncopied_by_the_connection() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 1);
    let value = "x".repeat(900_000);
    for offset in 0..20 {
        assert_eq!(client.produce(topic, 0, &[&value]).base_offset.get(), offset);
    }
    let mut fetched = client.fetch(topic, 0, 7).partitions.remove(0);
    assert_eq!(values(fetched.batches.unwrap()).pop_front().as_deref(), Some(value.as_str()));
    fetched = client.fetch(topic, 0, 20).partitions.remove(0);
    assert_eq!(fetched.log_end, Some(Offset::new(20)));
    let metrics = broker.stop();
    let copied = metrics
        .series()
        .filter(|(_, _, label, _)| label.is_some_and(|label| label.value == "receive"))
        .map(|(_, _, _, value)| match value {
            kolk_metric::shard::Value::Counter(bytes) => *bytes,
            _ => 0,
        })
        .sum::<u64>();
    // The first frame's start, until its size is known; then buffers of the right size are guessed.
    assert!(copied <= 32 << 10, "{copied} bytes copied of 18 MB");
}

#[test]
fn a_conditional_append_that_lost_the_race_is_told_where_the_log_ends() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 1);
    client.produce(topic, 0, &["a", "b"]);
    let mut conditional = produce(topic, 0, batch(&["c"]));
    if let Request::Produce(produce) = &mut conditional {
        produce.partitions[0].expected_next_offset = Some(Offset::new(1));
    }
    let Reply::Produce(reply) = client.call(&conditional) else { panic!() };
    let refusal = reply.partitions[0].as_ref().unwrap_err();
    assert_eq!(refusal.code, ErrorCode::WrongNextOffset);
    assert_eq!(refusal.end_offset, Some(Offset::new(2)));
}

#[test]
fn offsets_are_listed_by_place() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 1);
    client.produce(topic, 0, &["a", "b"]);
    let id = TopicPartition::new(topic, PartitionId::new(0));
    let missing = TopicPartition::new(topic, PartitionId::new(9));
    let queries = vec![
        OffsetQuery { id, place: OffsetPlace::Beginning },
        OffsetQuery { id, place: OffsetPlace::End },
        OffsetQuery { id, place: OffsetPlace::At(TimestampMs::new(1_700_000_000_000)) },
        OffsetQuery { id: missing, place: OffsetPlace::End },
    ];
    let Reply::ListOffsets(reply) = client.call(&Request::ListOffsets(ListOffsets { queries }))
    else {
        panic!()
    };
    let offset = |listed: &ListedOffset| listed.offset.map(Offset::get);
    assert_eq!(reply.partitions[0].as_ref().map(offset), Ok(Some(0)));
    assert_eq!(reply.partitions[1].as_ref().map(offset), Ok(Some(2)));
    assert_eq!(reply.partitions[2].as_ref().map(offset), Ok(Some(0)));
    let refusal = reply.partitions[3].as_ref().unwrap_err();
    assert_eq!(refusal.code, ErrorCode::UnknownTopicOrPartition);
}

#[test]
fn a_topic_is_altered_grown_trimmed_described_and_deleted() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 1);
    let set = vec![("retention.ms".to_owned(), "60000".to_owned())];
    let alter = AlterTopic { name: name("web"), set, reset: Vec::new() };
    assert_eq!(client.call(&Request::AlterTopic(alter)), Reply::AlterTopic);
    let add = AddPartitions { name: name("web"), partitions: 3 };
    assert_eq!(client.call(&Request::AddPartitions(add)), Reply::AddPartitions);
    client.produce(topic, 2, &["a", "b", "c"]);
    let part = TrimPartition { partition: PartitionId::new(2), before: Some(Offset::new(2)) };
    let trim = Request::Trim(Trim { name: name("web"), partitions: vec![part] });
    let Reply::Trim(trimmed) = client.call(&trim) else { panic!() };
    assert_eq!(trimmed.partitions, [Ok(Offset::new(2))]);
    let Reply::DescribeTopic(described) = client.call(&Request::DescribeTopic(name("web"))) else {
        panic!()
    };
    assert_eq!(described.partitions.len(), 3);
    assert_eq!(described.partitions[2].log_start, Some(Offset::new(2)));
    let retention =
        described.settings.iter().find(|setting| setting.name == "retention.ms").unwrap();
    assert_eq!((retention.value.as_str(), retention.is_default), ("60000", false));
    let delete = Request::DeleteTopic(name("web"));
    assert_eq!(client.call(&delete), Reply::DeleteTopic);
    let Reply::Refused(refusal) = client.call(&delete) else { panic!() };
    assert_eq!(refusal.code, ErrorCode::UnknownTopicOrPartition);
}

#[test]
fn settings_that_are_not_accepted_are_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    for (setting, value) in [("retention.mss", "1"), ("min.insync.replicas", "2")] {
        let create = CreateTopic {
            name: name("web"),
            partitions: None,
            settings: vec![(setting.to_owned(), value.to_owned())],
            validate_only: false,
        };
        let Reply::Refused(refusal) = client.call(&Request::CreateTopic(create)) else { panic!() };
        assert_eq!(refusal.code, ErrorCode::InvalidConfig, "{setting}");
    }
    let create = CreateTopic {
        name: name("web"),
        partitions: Some(5),
        settings: Vec::new(),
        validate_only: true,
    };
    let Reply::CreateTopic(validated) = client.call(&Request::CreateTopic(create)) else {
        panic!()
    };
    assert_eq!(validated.partitions, 5);
    let all = Request::Metadata(MetadataQuery { topics: None });
    let Reply::Metadata(metadata) = client.call(&all) else { panic!() };
    assert!(metadata.topics.is_empty(), "it was only validated");
}

#[test]
fn stats_count_what_was_asked() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 1);
    client.produce(topic, 0, &["a"]);
    let Reply::Stats(stats) = client.call(&Request::Stats) else { panic!() };
    assert_eq!(stats.shards, 1);
    let value =
        |name: &str| stats.stats.iter().find(|stat| stat.name == name).map(|stat| stat.value);
    assert_eq!(value("kolk_requests_total{call=\"produce\"}"), Some(1.0));
    assert_eq!(value("kolk_requests_refused_total{call=\"produce\"}"), Some(0.0));
    assert_eq!(value("kolk_request_seconds{call=\"produce\"}:count"), Some(1.0));
}
