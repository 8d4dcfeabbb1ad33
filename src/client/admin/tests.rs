//! Admin calls against the fake broker.

use kolk_model::time::TimestampMs;

use super::*;
use crate::fake::FakeBroker;
use crate::producer::Record;
use crate::producer::settings::ProducerSettings;

const P0: PartitionId = PartitionId::new(0);

#[tokio::test]
async fn topics_come_are_listed_and_go() {
    let broker = FakeBroker::start(3).await;
    let admin = broker.client().admin();
    let (id, partitions) = admin.create_topic(NewTopic::named("web").partitions(4)).await.unwrap();
    assert_eq!(partitions, 4);
    let twice = admin.create_topic(NewTopic::named("web")).await.unwrap_err();
    assert_eq!(twice.code(), Some(ErrorCode::TopicAlreadyExists));
    let refused = admin.create_topic(NewTopic::named("w/b")).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::InvalidTopic));

    let topics = admin.list_topics().await.unwrap();
    assert_eq!(topics.len(), 1);
    assert_eq!((topics[0].name.as_str(), topics[0].id), ("web", id));
    let shards: Vec<_> = topics[0].partitions.iter().map(|p| p.shard.get()).collect();
    assert_eq!(shards, [0, 1, 2, 0]);
    assert_eq!(admin.partition_count("web").await.unwrap(), 4);
    let cluster = admin.describe_cluster().await.unwrap();
    assert_eq!((cluster.doors.len(), cluster.topics, cluster.partitions), (3, 1, 4));
    assert_eq!(cluster.partitions_offline, 0);

    admin.delete_topic("web").await.unwrap();
    let gone = admin.delete_topic("web").await.unwrap_err();
    assert!(matches!(gone, ClientError::TopicUnknown { .. }), "{gone}");
    assert!(admin.list_topics().await.unwrap().is_empty());
}

#[tokio::test]
async fn offsets_are_listed_by_place_and_time_from_every_owner() {
    let broker = FakeBroker::start(3).await;
    broker.create("web", 4);
    let producer = broker.client().producer(ProducerSettings::default()).unwrap();
    for n in 0..40 {
        let record = Record::to("web").partition(PartitionId::new(n % 4)).value(b"x");
        producer.push(record.timestamp(TimestampMs::new(i64::from(n)))).await.unwrap();
    }
    producer.close().await.unwrap();
    let admin = broker.client().admin();
    let offsets = |listed: Vec<ListedOffset>| -> Vec<_> {
        listed.into_iter().map(|one| one.offset.map(Offset::get)).collect()
    };
    let beginning = admin.list_all_offsets("web", OffsetPlace::Beginning).await.unwrap();
    assert_eq!(offsets(beginning), [Some(0); 4]);
    let end = admin.list_all_offsets("web", OffsetPlace::End).await.unwrap();
    assert_eq!(offsets(end), [Some(10); 4]);
    let at = OffsetPlace::At(TimestampMs::new(37));
    let listed = admin.list_all_offsets("web", at).await.unwrap();
    assert_eq!(offsets(listed), [None, Some(9), Some(9), Some(9)]);

    let trimmed = admin.trim("web", &[(P0, Some(Offset::new(3)))]).await.unwrap();
    assert_eq!(trimmed[0].clone().unwrap(), Offset::new(3));
    let start = admin.list_offset("web", P0, OffsetPlace::Beginning).await.unwrap();
    assert_eq!(start.offset, Some(Offset::new(3)));
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let broker = FakeBroker::start(1).await;
    broker.create("web", 1);
    let admin = broker.client().admin();
    let unknown = admin.list_offset("wbe", P0, OffsetPlace::End).await.unwrap_err();
    assert_eq!(unknown.to_string(), "topic 'wbe' does not exist");
    let beyond = PartitionId::new(1);
    let unknown = admin.list_offset("web", beyond, OffsetPlace::End).await.unwrap_err();
    assert_eq!(unknown.to_string(), "topic 'web' has no partition 1, only 1");
    // The fake broker refuses calls that it does not know, as a real one would.
    let refused = admin.describe_topic("web").await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::UnsupportedVersion));
}

#[tokio::test]
async fn figures_come_back() {
    let broker = FakeBroker::start(1).await;
    assert_eq!(broker.client().admin().stats().await.unwrap().broker_version, "fake");
}
