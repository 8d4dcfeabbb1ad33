//! A member of a group against the fake broker, some of whose partitions can't be used.

use std::time::Duration;

use kolk_model::error::ErrorCode;
use kolk_model::ids::PartitionId;
use kolk_model::offset::Offset;

use super::settings::GroupSettings;
use super::{GroupConsumer, Position};
use crate::client::Client;
use crate::error::ClientError;
use crate::fake::FakeBroker;
use crate::producer::Record;
use crate::producer::settings::ProducerSettings;

/// A broker with a topic of three partitions, each at a door of its own, with a record in each: its number.
async fn broker() -> FakeBroker {
    let broker = FakeBroker::start(3).await;
    broker.create("web", 3);
    for partition in 0..3 {
        send(&broker, partition, &partition.to_string()).await;
    }
    broker
}

async fn send(broker: &FakeBroker, partition: u32, value: &str) {
    let producer = broker.client().producer(ProducerSettings::default()).unwrap();
    let record = Record::to("web").partition(PartitionId::new(partition)).value(value.as_bytes());
    producer.send(record).await.unwrap();
}

fn member(broker: &FakeBroker) -> GroupConsumer {
    let mut settings = GroupSettings::new("g");
    settings.start = Position::Beginning;
    settings.heartbeat_interval = Duration::from_millis(20);
    let mut consumer = broker.client().group_consumer(settings).unwrap();
    consumer.subscribe(&["web"]).unwrap();
    consumer
}

/// The values that come next, in order of partitions.
async fn read(consumer: &mut GroupConsumer, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    let reading = async {
        while found.len() < count {
            let fetched = consumer.next_records().await.unwrap();
            for record in &fetched {
                found.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("records in time");
    found.sort();
    found
}

fn set_usable(broker: &FakeBroker, partition: usize, code: Option<ErrorCode>) {
    broker.with(|state| state.store.log("web", partition).unusable = code);
}

#[tokio::test]
async fn a_partition_that_cannot_be_used_holds_up_no_other_and_is_tried_again() {
    for code in [ErrorCode::LeaderNotAvailable, ErrorCode::PartitionDamaged] {
        let broker = broker().await;
        set_usable(&broker, 1, Some(code));
        let mut consumer = member(&broker);
        assert_eq!(read(&mut consumer, 2).await, ["0", "2"], "{code}");
        let numbers: Vec<_> = consumer.assignment().iter().map(|(_, p)| p.get()).collect();
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!(consumer.position("web", PartitionId::new(1)), None);
        set_usable(&broker, 1, None);
        assert_eq!(read(&mut consumer, 1).await, ["1"], "{code}");
        consumer.close().await.unwrap();
        broker.with(|state| {
            assert_eq!(state.groups.joins, 1, "{code}");
            assert_eq!(state.groups.committed.len(), 3, "{code}");
        });
    }
}

#[tokio::test]
async fn a_partition_that_cannot_be_used_may_be_sought() {
    let broker = broker().await;
    set_usable(&broker, 1, Some(ErrorCode::LeaderNotAvailable));
    let mut consumer = member(&broker);
    read(&mut consumer, 2).await;
    consumer.seek("web", PartitionId::new(1), Position::Offset(Offset::ZERO)).unwrap();
    assert_eq!(read(&mut consumer, 1).await, ["1"]);
    // That its beginning is found later changes nothing.
    set_usable(&broker, 1, None);
    send(&broker, 1, "next").await;
    assert_eq!(read(&mut consumer, 1).await, ["next"]);
}

#[tokio::test]
async fn heartbeats_go_on_while_an_owner_does_not_answer() {
    let broker = broker().await;
    broker.with(|state| state.silent_door = Some(1));
    let mut consumer = member(&broker);
    let heartbeats = || broker.with(|state| state.groups.heartbeats);
    let reading = tokio::spawn(async move {
        let found = read(&mut consumer, 2).await;
        (consumer, found)
    });
    while heartbeats() < 10 {
        assert!(!reading.is_finished() || heartbeats() > 0, "no heartbeat before the records");
        tokio::task::yield_now().await;
    }
    let (mut consumer, found) = reading.await.unwrap();
    assert_eq!(found, ["0", "2"]);
    broker.with(|state| state.silent_door = None);
    // The look-up at the silent owner is given up and made again.
    assert_eq!(read(&mut consumer, 1).await, ["1"]);
    assert_eq!(broker.with(|state| state.groups.joins), 1);
}

#[tokio::test]
async fn a_member_that_ends_by_an_error_leaves_its_group() {
    let broker = broker().await;
    broker.with(|state| state.groups.refuse_offsets = Some(ErrorCode::GroupAuthorizationFailed));
    let mut consumer = member(&broker);
    let error = consumer.next_records().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::GroupAuthorizationFailed));
    assert_eq!(broker.with(|state| (state.groups.joins, state.groups.leaves)), (1, 1));
    assert!(matches!(consumer.next_records().await, Err(ClientError::Closed { .. })));
    // The caller may try again.
    broker.with(|state| state.groups.refuse_offsets = None);
    consumer.subscribe(&["web"]).unwrap();
    assert_eq!(read(&mut consumer, 3).await, ["0", "1", "2"]);
}

#[tokio::test]
async fn a_member_goes_on_where_its_group_has_committed() {
    let broker = broker().await;
    let mut consumer = member(&broker);
    assert_eq!(read(&mut consumer, 3).await, ["0", "1", "2"]);
    consumer.close().await.unwrap();
    set_usable(&broker, 1, Some(ErrorCode::PartitionDamaged));
    for partition in 0..3 {
        send(&broker, partition, "next").await;
    }
    // Nothing has to be looked up for these.
    let mut settings = broker.settings();
    settings.client_id = "another".to_owned();
    let mut again =
        Client::with_settings(settings).group_consumer(GroupSettings::new("g")).unwrap();
    again.subscribe(&["web"]).unwrap();
    assert_eq!(read(&mut again, 3).await, ["next", "next", "next"]);
}
