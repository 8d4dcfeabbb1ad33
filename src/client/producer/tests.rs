//! The producer against the fake broker, with everything going wrong that can.

use std::sync::Arc;
use std::time::Duration;

use kolk_model::batch::BatchView;
use kolk_model::compression::Compression;
use kolk_model::error::ErrorCode;
use kolk_model::ids::PartitionId;
use kolk_model::offset::Offset;
use kolk_model::records::Header;
use kolk_model::time::TimestampMs;

use super::settings::ProducerSettings;
use super::slot::Added;
use super::{Producer, Record, topic_name};
use crate::error::ClientError;
use crate::fake::{FakeBroker, Fault};

fn quick() -> ProducerSettings {
    ProducerSettings { linger: Duration::ZERO, ..ProducerSettings::default() }
}

async fn broker(topic: &str, partitions: usize) -> FakeBroker {
    let broker = FakeBroker::start(3).await;
    broker.create(topic, partitions);
    broker
}

fn producer(broker: &FakeBroker, settings: ProducerSettings) -> Producer {
    broker.client().producer(settings).unwrap()
}

fn values(broker: &FakeBroker, topic: &str, partition: usize) -> Vec<String> {
    broker.with(|state| state.store.log(topic, partition).values())
}

#[tokio::test]
async fn a_record_learns_where_it_went() {
    let broker = broker("web", 1).await;
    let producer = producer(&broker, quick());
    for n in 0..3 {
        let record = Record::to("web").value(b"x").timestamp(TimestampMs::new(7));
        let sent = producer.send(record).await.unwrap();
        assert_eq!((sent.partition, sent.offset), (PartitionId::new(0), Offset::new(n)));
        assert_eq!((sent.timestamp, sent.append_time_ns), (TimestampMs::new(7), 1));
    }
}

#[tokio::test]
async fn keys_headers_and_timestamps_arrive() {
    let broker = broker("web", 4).await;
    let producer = producer(&broker, quick());
    let headers = [Header::new("source", b"test")];
    let record = Record::to("web").key(b"user-1").value(b"/home").headers(&headers);
    let sent = producer.send(record).await.unwrap();
    assert_eq!(sent.partition, super::partitioner::partition_of_key(b"user-1", 4));
    let bytes = broker
        .with(|state| state.store.log("web", sent.partition.get() as usize).batches[0].clone());
    let (view, _) = BatchView::parse(&bytes).unwrap();
    let record = kolk_model::records::Records::of(&view).unwrap().next().unwrap().unwrap();
    assert_eq!(record.key, Some(&b"user-1"[..]));
    let headers: Vec<_> = record.headers.collect();
    assert_eq!(headers, [Header::new("source", b"test")]);
    assert!(record.timestamp.get() > 1_700_000_000_000, "{:?}", record.timestamp);
    assert!(view.producer_id().is_some(), "idempotent by default");
}

#[tokio::test]
async fn records_of_many_callers_share_batches_and_keep_their_order() {
    let broker = broker("web", 2).await;
    let settings = ProducerSettings { batch_bytes: 2000, ..ProducerSettings::default() };
    let producer = producer(&broker, settings);
    for n in 0..1000_u32 {
        let partition = PartitionId::new(n % 2);
        let value = n.to_string();
        producer
            .push(Record::to("web").partition(partition).value(value.as_bytes()))
            .await
            .unwrap();
    }
    producer.flush().await.unwrap();
    for partition in 0..2 {
        let expected: Vec<_> =
            (0..1000).filter(|n| n % 2 == partition).map(|n| n.to_string()).collect();
        assert_eq!(values(&broker, "web", partition), expected);
    }
    let batches = broker.with(|state| state.store.log("web", 0).batches.len());
    assert!((3..100).contains(&batches), "{batches} batches");
}

#[tokio::test]
async fn every_codec_arrives() {
    for compression in Compression::ALL {
        let broker = broker("web", 1).await;
        let producer = producer(&broker, ProducerSettings { compression, ..quick() });
        for _ in 0..50 {
            producer.push(Record::to("web").value(b"the same again")).await.unwrap();
        }
        producer.close().await.unwrap();
        assert_eq!(values(&broker, "web", 0).len(), 50, "{compression}");
        broker.with(|state| {
            let (view, _) = BatchView::parse(&state.store.log("web", 0).batches[0]).unwrap();
            assert_eq!(view.compression(), compression);
        });
    }
}

#[tokio::test]
async fn broken_connections_lose_and_double_nothing() {
    let broker = broker("web", 2).await;
    let producer = producer(&broker, ProducerSettings { batch_bytes: 1024, ..quick() });
    let mut deliveries = Vec::new();
    for n in 0..600_u32 {
        if n % 50 == 0 {
            let fault = [Fault::BreakBefore, Fault::BreakAfter][(n / 50 % 2) as usize];
            broker.with(|state| state.faults.push_back(fault));
        }
        let (partition, value) = (PartitionId::new(n % 2), format!("{n:040}"));
        let record = Record::to("web").partition(partition).value(value.as_bytes());
        deliveries.push((n, producer.enqueue(record).await.unwrap()));
        if n % 20 == 0 {
            tokio::task::yield_now().await;
        }
    }
    producer.flush().await.unwrap();
    for (n, delivery) in deliveries {
        let sent = delivery.await.unwrap();
        assert_eq!(sent.offset, Offset::new(u64::from(n / 2)), "record {n}");
    }
    for partition in 0..2 {
        let expected: Vec<_> =
            (0..600).filter(|n| n % 2 == partition).map(|n| format!("{n:040}")).collect();
        assert_eq!(values(&broker, "web", partition), expected);
    }
}

#[tokio::test]
async fn passing_refusals_are_retried() {
    for code in [ErrorCode::Overloaded, ErrorCode::StorageFull, ErrorCode::NotLeaderOrFollower] {
        let broker = broker("web", 1).await;
        broker.with(|state| state.faults.extend([Fault::Refuse(code); 3]));
        let producer = producer(&broker, quick());
        producer.send(Record::to("web").value(b"x")).await.unwrap();
        assert_eq!(broker.with(|state| state.produce_requests), 4, "{code}");
    }
}

#[tokio::test]
async fn a_final_refusal_fails_its_record_and_those_behind_go_on() {
    let broker = broker("web", 1).await;
    let producer = producer(&broker, quick());
    producer.send(Record::to("web").value(b"before")).await.unwrap();
    broker.with(|state| state.faults.push_back(Fault::Refuse(ErrorCode::MessageTooLarge)));
    let refused = producer.send(Record::to("web").value(b"large")).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::MessageTooLarge));
    producer.send(Record::to("web").value(b"after")).await.unwrap();
    assert_eq!(values(&broker, "web", 0), ["before", "after"]);
    let reported = producer.flush().await.unwrap_err();
    assert_eq!(reported.code(), Some(ErrorCode::MessageTooLarge));
    producer.flush().await.unwrap();
}

#[tokio::test]
async fn a_broker_that_forgot_the_producer_gets_another_id() {
    let broker = broker("web", 1).await;
    let producer = producer(&broker, quick());
    producer.send(Record::to("web").value(b"one")).await.unwrap();
    broker.with(|state| state.store.log("web", 0).forget_producers());
    producer.send(Record::to("web").value(b"two")).await.unwrap();
    assert_eq!(values(&broker, "web", 0), ["one", "two"]);
}

#[tokio::test]
async fn a_partition_that_moved_is_found_again() {
    let broker = broker("web", 1).await;
    let producer = producer(&broker, quick());
    producer.send(Record::to("web").value(b"one")).await.unwrap();
    broker.with(|state| state.store.log("web", 0).door = 2);
    producer.send(Record::to("web").value(b"two")).await.unwrap();
    assert_eq!(values(&broker, "web", 0), ["one", "two"]);
}

#[tokio::test]
async fn a_broker_that_is_down_for_a_while_is_waited_for() {
    let broker = broker("web", 1).await;
    let producer = producer(&broker, quick());
    producer.send(Record::to("web").value(b"one")).await.unwrap();
    broker.with(|state| state.down = true);
    let delivery = producer.enqueue(Record::to("web").value(b"two")).await.unwrap();
    while broker.with(|state| state.turned_away) < 5 {
        tokio::task::yield_now().await;
    }
    broker.with(|state| state.down = false);
    delivery.await.unwrap();
    assert_eq!(values(&broker, "web", 0), ["one", "two"]);
}

#[tokio::test]
async fn a_silent_broker_is_given_up_and_asked_again() {
    let broker = broker("web", 1).await;
    let mut settings = broker.settings();
    settings.request_timeout = Duration::from_millis(20);
    let client = crate::client::Client::with_settings(settings);
    let producer = client.producer(quick()).unwrap();
    broker.with(|state| state.faults.push_back(Fault::Silence));
    producer.send(Record::to("web").value(b"x")).await.unwrap();
    assert_eq!(values(&broker, "web", 0), ["x"]);
}

#[tokio::test]
async fn records_that_wait_too_long_time_out() {
    let broker = broker("web", 1).await;
    let delivery_timeout = Duration::from_millis(50);
    let producer = producer(&broker, ProducerSettings { delivery_timeout, ..quick() });
    broker.with(|state| state.faults.extend([Fault::Refuse(ErrorCode::Overloaded); 10_000]));
    let late = producer.send(Record::to("web").value(b"x")).await.unwrap_err();
    assert!(matches!(late, ClientError::TimedOut { .. }), "{late}");
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_an_error_at_once() {
    let broker = broker("web", 1).await;
    let producer = producer(&broker, quick());
    let unknown = producer.send(Record::to("wbe").value(b"x")).await.unwrap_err();
    assert_eq!(unknown.to_string(), "topic 'wbe' does not exist");
    let refused = producer.send(Record::to("a b").value(b"x")).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::InvalidTopic));
    let beyond = Record::to("web").partition(PartitionId::new(1)).value(b"x");
    let unknown = producer.send(beyond).await.unwrap_err();
    assert!(matches!(unknown, ClientError::PartitionUnknown { count: 1, .. }), "{unknown}");
}

#[tokio::test]
async fn records_of_a_deleted_topic_fail() {
    let broker = broker("web", 1).await;
    let producer = producer(&broker, quick());
    producer.send(Record::to("web").value(b"x")).await.unwrap();
    broker.client().admin().delete_topic("web").await.unwrap();
    let gone = producer.send(Record::to("web").value(b"x")).await.unwrap_err();
    assert!(matches!(gone, ClientError::TopicUnknown { .. }), "{gone}");
    // A topic of the same name is another topic, and found by its name.
    broker.create("web", 1);
    let delivered = producer.send(Record::to("web").value(b"y")).await.unwrap();
    assert_eq!(delivered.offset, Offset::ZERO);
}

#[tokio::test]
async fn a_record_larger_than_a_batch_goes_alone() {
    let broker = broker("web", 1).await;
    let producer = producer(&broker, ProducerSettings { batch_bytes: 1024, ..quick() });
    let large = vec![b'x'; 100_000];
    producer.send(Record::to("web").value(&large)).await.unwrap();
    assert_eq!(values(&broker, "web", 0)[0].len(), 100_000);
    let beyond = vec![b'x'; 40 << 20];
    let refused = producer.send(Record::to("web").value(&beyond)).await.unwrap_err();
    assert!(matches!(refused, ClientError::RecordTooLarge { .. }), "{refused}");
}

#[tokio::test]
async fn a_full_buffer_makes_the_caller_wait_and_nothing_else() {
    let broker = broker("web", 1).await;
    let small = ProducerSettings { batch_bytes: 1024, buffer_bytes_max: 4096, ..quick() };
    let producer = producer(&broker, small);
    for _ in 0..500 {
        producer.push(Record::to("web").value(&[b'x'; 200])).await.unwrap();
    }
    producer.flush().await.unwrap();
    assert_eq!(values(&broker, "web", 0).len(), 500);
}

#[tokio::test]
async fn a_batch_on_its_way_counts_by_what_is_in_it() {
    let broker = broker("web", 6).await;
    broker.with(|state| state.faults.extend([Fault::Silence; 6]));
    // Room for two batches that are full.
    let settings = ProducerSettings { buffer_bytes_max: 128 * 1024, in_flight_max: 100, ..quick() };
    let producer = producer(&broker, settings);
    for partition in 0..6 {
        let record = Record::to("web").partition(PartitionId::new(partition)).value(b"x");
        let pushed = tokio::time::timeout(Duration::from_secs(4), producer.push(record)).await;
        pushed.expect("room for a small batch").unwrap();
    }
}

#[tokio::test]
async fn records_without_key_spread_over_the_partitions() {
    let broker = broker("web", 4).await;
    let producer = producer(&broker, ProducerSettings { batch_bytes: 1024, ..quick() });
    for _ in 0..1000 {
        producer.push(Record::to("web").value(&[b'x'; 50])).await.unwrap();
    }
    producer.close().await.unwrap();
    for partition in 0..4 {
        let count = values(&broker, "web", partition).len();
        assert!((200..=300).contains(&count), "{count} in partition {partition}");
    }
}

#[tokio::test]
async fn a_closed_producer_takes_nothing_and_says_so() {
    let broker = broker("web", 1).await;
    let producer = producer(&broker, quick());
    producer.send(Record::to("web").value(b"x")).await.unwrap();
    producer.clone().close().await.unwrap();
    let closed = producer.send(Record::to("web").value(b"y")).await.unwrap_err();
    assert!(matches!(closed, ClientError::Closed { .. }), "{closed}");
    assert!(producer.flush().await.is_err());
    assert!(producer.close().await.is_err());
}

#[tokio::test]
async fn what_a_dropped_producer_still_held_is_reported_lost() {
    let broker = broker("web", 1).await;
    let linger = Duration::from_secs(3600);
    let producer = producer(&broker, ProducerSettings { linger, ..quick() });
    let delivery = producer.enqueue(Record::to("web").value(b"x")).await.unwrap();
    drop(producer);
    let lost = delivery.await.unwrap_err();
    assert!(matches!(lost, ClientError::Closed { .. }), "{lost}");
}

#[tokio::test]
async fn flush_does_not_wait_for_linger() {
    let broker = broker("web", 1).await;
    let linger = Duration::from_secs(3600);
    let producer = producer(&broker, ProducerSettings { linger, ..quick() });
    let delivery = producer.enqueue(Record::to("web").value(b"x")).await.unwrap();
    producer.flush().await.unwrap();
    assert_eq!(delivery.await.unwrap().offset, Offset::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flush_always_reports_a_record_that_was_refused() {
    let broker = broker("web", 1).await;
    let producer = producer(&broker, quick());
    for _ in 0..200 {
        broker.with(|state| state.faults.push_back(Fault::Refuse(ErrorCode::InvalidRecord)));
        producer.push(Record::to("web").value(b"x")).await.unwrap();
        let refused = producer.flush().await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::InvalidRecord));
        producer.flush().await.expect("a failure is told once");
    }
}

#[tokio::test]
async fn every_clone_that_flushes_learns_of_a_record_that_was_refused() {
    let broker = broker("web", 1).await;
    let linger = Duration::from_secs(3600);
    let producer = producer(&broker, ProducerSettings { linger, ..quick() });
    broker.with(|state| state.faults.push_back(Fault::Refuse(ErrorCode::InvalidRecord)));
    producer.push(Record::to("web").value(b"x")).await.unwrap();
    let clone = producer.clone();
    let (one, other) = tokio::join!(producer.flush(), clone.flush());
    assert_eq!(one.unwrap_err().code(), Some(ErrorCode::InvalidRecord));
    assert_eq!(other.unwrap_err().code(), Some(ErrorCode::InvalidRecord));
}

#[tokio::test]
async fn flush_waits_for_records_in_a_batch_that_another_clone_has_begun() {
    let broker = broker("web", 1).await;
    let linger = Duration::from_secs(3600);
    let producer = producer(&broker, ProducerSettings { linger, ..quick() });
    let shared = &producer.handle.shared;
    let view = producer.handle.cluster.topic(&topic_name("web").unwrap()).await.unwrap();
    let topic = shared.learn(&topic_name("web").unwrap(), &view);
    // One clone has put its record in, and is stopped there for a while.
    let parts = Record::to("web").value(b"one").parts();
    let slot = topic.choose(None, &parts).unwrap();
    let mut room = Some(Arc::clone(&shared.room).acquire_many_owned(65_536).await.unwrap());
    let Ok(Added::Yes { delivery: first, .. }) = slot.add(parts, &mut room, || shared.tell(slot))
    else {
        panic!("not taken")
    };
    // Another goes on with the same batch.
    let clone = producer.clone();
    let second = clone.enqueue(Record::to("web").value(b"two")).await.unwrap();
    clone.flush().await.unwrap();
    assert_eq!(values(&broker, "web", 0), ["one", "two"], "accepted before the flush");
    assert_eq!(first.await.unwrap().offset, Offset::ZERO);
    assert_eq!(second.await.unwrap().offset, Offset::new(1));
}

#[tokio::test]
async fn an_append_that_expects_the_wrong_end_is_told_the_right_one() {
    let broker = broker("orders", 1).await;
    let producer = producer(&broker, quick());
    let partition = PartitionId::new(0);
    let events = [Record::to("orders").value(b"made"), Record::to("orders").value(b"paid")];
    let append = async |expected: u64| {
        producer.append_expecting("orders", partition, Offset::new(expected), &events).await
    };
    let appended = append(0).await.unwrap();
    assert_eq!((appended.base_offset, appended.next_offset), (Offset::ZERO, Offset::new(2)));
    match append(0).await.unwrap_err() {
        ClientError::WrongNextOffset { end_offset, expected, .. } => {
            assert_eq!((end_offset, expected), (Some(Offset::new(2)), Offset::ZERO));
        }
        other => panic!("{other}"),
    }
    append(2).await.unwrap();
    assert_eq!(values(&broker, "orders", 0), ["made", "paid", "made", "paid"]);
}

#[tokio::test]
async fn an_append_that_may_have_happened_is_not_tried_again() {
    let broker = broker("orders", 1).await;
    let producer = producer(&broker, quick());
    let event = [Record::to("orders").value(b"made")];
    let partition = PartitionId::new(0);
    broker.with(|state| {
        state.faults.push_back(Fault::Refuse(ErrorCode::NotLeaderOrFollower));
        state.faults.push_back(Fault::BreakAfter);
    });
    let unsure = producer.append_expecting("orders", partition, Offset::ZERO, &event).await;
    let unsure = unsure.unwrap_err();
    assert!(matches!(unsure, ClientError::Disconnected { .. }), "{unsure}");
    assert_eq!(values(&broker, "orders", 0), ["made"]);
    assert_eq!(broker.with(|state| state.produce_requests), 2);
}

#[tokio::test]
async fn settings_out_of_range_are_refused() {
    let broker = broker("web", 1).await;
    for settings in [
        ProducerSettings { batch_bytes: 1, ..quick() },
        ProducerSettings { batch_bytes: 2 << 20, ..quick() },
        ProducerSettings { in_flight_max: 0, ..quick() },
        ProducerSettings { buffer_bytes_max: 1000, ..quick() },
        ProducerSettings { request_bytes: 1 << 30, ..quick() },
    ] {
        let refused = broker.client().producer(settings).unwrap_err();
        assert!(matches!(refused, ClientError::Setting { .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_record_is_taken_at_once_where_there_is_room_and_else_not_at_all() {
    let broker = broker("web", 1).await;
    let mut settings = quick();
    settings.batch_bytes = 1024;
    settings.buffer_bytes_max = 1024;
    settings.delivery_timeout = Duration::from_secs(60);
    let producer = producer(&broker, settings);
    let record = Record::to("web").value(&[b'x'; 600]);
    assert!(producer.try_enqueue(record).unwrap().is_none(), "nobody was asked for the topic");
    producer.send(record).await.unwrap();
    let first = producer.try_enqueue(record).unwrap().unwrap();
    // The first fills the batch and its batch the buffer, until it is acknowledged.
    assert!(producer.try_enqueue(record).unwrap().is_none());
    let third = producer.enqueue(record).await.unwrap();
    assert_eq!(
        (first.await.unwrap().offset, third.await.unwrap().offset.get()),
        (Offset::new(1), 2)
    );
    let huge = vec![0; 2000];
    let refused = producer.try_enqueue(Record::to("web").value(&huge)).unwrap_err();
    assert!(matches!(refused, ClientError::RecordTooLarge { .. }), "{refused}");
    let other = PartitionId::new(1);
    assert!(producer.try_enqueue(record.partition(other)).is_err());
}
