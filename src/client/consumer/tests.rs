//! The consumer against the fake broker.

use std::time::Duration;

use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::error::ErrorCode;
use kolk_model::ids::PartitionId;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use super::settings::{ConsumerSettings, OutOfRange};
use super::{Consumer, Position};
use crate::error::ClientError;
use crate::fake::FakeBroker;
use crate::producer::Record;
use crate::producer::settings::ProducerSettings;

const P0: PartitionId = PartitionId::new(0);

async fn broker(partitions: usize) -> FakeBroker {
    let broker = FakeBroker::start(3).await;
    broker.create("web", partitions);
    broker
}

fn consumer(broker: &FakeBroker) -> Consumer {
    broker.client().consumer(ConsumerSettings::default()).unwrap()
}

/// Writes values "from", "from + 1", … in batches of three, timestamps the same numbers.
async fn fill(broker: &FakeBroker, partition: u32, from: u32, to: u32) {
    fill_packed(broker, partition, from..to, Compression::None).await;
}

async fn fill_packed(
    broker: &FakeBroker,
    partition: u32,
    values: std::ops::Range<u32>,
    codec: Compression,
) {
    let bulk = broker.client().bulk();
    let lane = bulk.partition("web", PartitionId::new(partition)).await.unwrap();
    let values: Vec<_> = values.collect();
    for three in values.chunks(3) {
        let mut builder = BatchBuilder::new();
        for value in three {
            let timestamp = TimestampMs::new(i64::from(*value));
            let text = value.to_string();
            builder.append(timestamp, None, Some(text.as_bytes()), &[]).unwrap();
        }
        let batch = builder.build(codec).unwrap();
        lane.append(batch, kolk_model::durability::AckLevel::Topic).await.unwrap();
    }
}

/// Reads until so many values have come; values of one partition in order.
async fn read(consumer: &mut Consumer, count: usize) -> Vec<(u32, u64, String)> {
    let mut found = Vec::new();
    while found.len() < count {
        let fetched = consumer.next_records().await.unwrap();
        for record in &fetched {
            let record = record.unwrap();
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            found.push((fetched.partition().get(), record.offset.get(), value));
        }
    }
    found
}

fn values(found: &[(u32, u64, String)]) -> Vec<u32> {
    found.iter().map(|(_, _, value)| value.parse().unwrap()).collect()
}

#[tokio::test]
async fn everything_is_read_from_the_beginning_in_order() {
    let broker = broker(4).await;
    for partition in 0..4 {
        fill(&broker, partition, partition * 1000, partition * 1000 + 50).await;
    }
    let mut consumer = consumer(&broker);
    assert_eq!(consumer.assign_topic("web", Position::Beginning).await.unwrap(), 4);
    let found = read(&mut consumer, 200).await;
    for partition in 0..4 {
        let own: Vec<_> = found.iter().filter(|(p, _, _)| *p == partition).cloned().collect();
        let offsets: Vec<_> = own.iter().map(|(_, offset, _)| *offset).collect();
        assert_eq!(offsets, Vec::from_iter(0..50));
        assert_eq!(values(&own), Vec::from_iter(partition * 1000..partition * 1000 + 50));
        let partition = PartitionId::new(partition);
        assert_eq!(consumer.position("web", partition), Some(Offset::new(50)));
        assert_eq!(consumer.high_watermark("web", partition), Some(Offset::new(50)));
    }
}

#[tokio::test]
async fn an_offset_within_a_batch_begins_at_its_record() {
    let broker = broker(1).await;
    fill(&broker, 0, 0, 9).await;
    let mut consumer = consumer(&broker);
    consumer.assign("web", P0, Position::Offset(Offset::new(4))).unwrap();
    assert_eq!(values(&read(&mut consumer, 5).await), [4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn a_time_begins_at_the_first_record_that_is_not_older() {
    let broker = broker(1).await;
    fill(&broker, 0, 100, 110).await;
    let mut consumer = consumer(&broker);
    consumer.assign("web", P0, Position::Time(TimestampMs::new(107))).unwrap();
    assert_eq!(values(&read(&mut consumer, 3).await), [107, 108, 109]);
    // None is that new: then it is the end.
    consumer.seek("web", P0, Position::Time(TimestampMs::new(1000))).unwrap();
    let next = tokio::spawn(async move { read(&mut consumer, 1).await });
    let mut from = 200;
    while !next.is_finished() {
        fill(&broker, 0, from, from + 1).await;
        from += 1;
    }
    assert!(values(&next.await.unwrap())[0] >= 200);
}

#[tokio::test]
async fn the_end_brings_only_what_comes_later() {
    let broker = broker(1).await;
    fill(&broker, 0, 0, 10).await;
    let mut consumer = consumer(&broker);
    consumer.assign("web", P0, Position::End).unwrap();
    let next = tokio::spawn(async move { read(&mut consumer, 1).await });
    let mut from = 10;
    while !next.is_finished() {
        fill(&broker, 0, from, from + 1).await;
        from += 1;
    }
    assert!(values(&next.await.unwrap())[0] >= 10);
}

#[tokio::test]
async fn a_seek_drops_what_was_fetched_before() {
    let broker = broker(1).await;
    fill(&broker, 0, 0, 30).await;
    let mut consumer = consumer(&broker);
    consumer.assign("web", P0, Position::Beginning).unwrap();
    read(&mut consumer, 1).await;
    for from in [20, 3, 27] {
        consumer.seek("web", P0, Position::Offset(Offset::new(from))).unwrap();
        assert_eq!(consumer.position("web", P0), Some(Offset::new(from)));
        let found = read(&mut consumer, 1).await;
        assert_eq!(u64::from(values(&found)[0]), from);
    }
    consumer.unassign("web", P0);
    assert!(consumer.seek("web", P0, Position::End).is_err());
    assert!(matches!(consumer.next_batches().await, Err(ClientError::Closed { .. })));
}

#[tokio::test]
async fn every_codec_is_read() {
    let broker = broker(1).await;
    for (n, codec) in (0..).zip(Compression::ALL) {
        fill_packed(&broker, 0, n * 6..(n + 1) * 6, codec).await;
    }
    let mut consumer = consumer(&broker);
    consumer.assign("web", P0, Position::Beginning).unwrap();
    assert_eq!(values(&read(&mut consumer, 30).await), Vec::from_iter(0..30));
}

#[tokio::test]
async fn an_offset_out_of_range_is_reported_or_replaced() {
    let broker = broker(1).await;
    fill(&broker, 0, 0, 9).await;
    broker.with(|state| state.store.log("web", 0).start = Offset::new(3));
    let mut strict = consumer(&broker);
    strict.assign("web", P0, Position::Offset(Offset::ZERO)).unwrap();
    match strict.next_batches().await.unwrap_err() {
        ClientError::OffsetOutOfRange { offset, log_start, log_end, .. } => {
            assert_eq!(offset, Offset::ZERO);
            assert_eq!((log_start, log_end), (Some(Offset::new(3)), Some(Offset::new(9))));
        }
        other => panic!("{other}"),
    }
    strict.seek("web", P0, Position::Offset(Offset::new(6))).unwrap();
    assert_eq!(values(&read(&mut strict, 3).await), [6, 7, 8]);

    let out_of_range = OutOfRange::Beginning;
    let settings = ConsumerSettings { out_of_range, ..ConsumerSettings::default() };
    let mut lenient = broker.client().consumer(settings).unwrap();
    lenient.assign("web", P0, Position::Offset(Offset::ZERO)).unwrap();
    assert_eq!(values(&read(&mut lenient, 6).await), [3, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn a_topic_or_partition_that_does_not_exist_is_told() {
    let broker = broker(1).await;
    let mut consumer = consumer(&broker);
    let unknown = consumer.assign_topic("wbe", Position::End).await.unwrap_err();
    assert!(matches!(unknown, ClientError::TopicUnknown { .. }), "{unknown}");
    consumer.assign("wbe", P0, Position::End).unwrap();
    let unknown = consumer.next_batches().await.unwrap_err();
    assert!(matches!(unknown, ClientError::TopicUnknown { .. }), "{unknown}");
    consumer.assign("web", PartitionId::new(7), Position::End).unwrap();
    let unknown = consumer.next_batches().await.unwrap_err();
    assert!(matches!(unknown, ClientError::PartitionUnknown { count: 1, .. }), "{unknown}");
    assert!(consumer.assign("a b", P0, Position::End).is_err());
}

#[tokio::test]
async fn a_damaged_batch_is_not_given_out() {
    let broker = broker(1).await;
    fill(&broker, 0, 0, 6).await;
    broker.with(|state| {
        let batch = &mut state.store.log("web", 0).batches[0];
        let mut bytes = batch.to_vec();
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        *batch = bytes.into();
    });
    let mut consumer = consumer(&broker);
    consumer.assign("web", P0, Position::Beginning).unwrap();
    let damaged = consumer.next_batches().await.unwrap_err();
    assert!(matches!(damaged, ClientError::Batch { .. }), "{damaged}");
    assert!(damaged.to_string().contains("crc"), "{damaged}");
    consumer.seek("web", P0, Position::Offset(Offset::new(3))).unwrap();
    assert_eq!(values(&read(&mut consumer, 3).await), [3, 4, 5]);
}

#[tokio::test]
async fn a_batch_that_inflates_too_far_is_not_given_out() {
    let broker = broker(1).await;
    let compression = Compression::Zstd;
    let settings = ProducerSettings { compression, ..ProducerSettings::default() };
    let producer = broker.client().producer(settings).unwrap();
    producer.send(Record::to("web").value(&[b'x'; 50_000])).await.unwrap();
    producer.send(Record::to("web").value(b"7")).await.unwrap();
    let decompressed_bytes_max = 10_000;
    let settings = ConsumerSettings { decompressed_bytes_max, ..ConsumerSettings::default() };
    let mut consumer = broker.client().consumer(settings).unwrap();
    consumer.assign("web", P0, Position::Beginning).unwrap();
    let bomb = consumer.next_records().await.unwrap_err();
    assert!(bomb.to_string().contains("inflates to more than 10000 bytes"), "{bomb}");
    consumer.seek("web", P0, Position::Offset(Offset::new(1))).unwrap();
    assert_eq!(values(&read(&mut consumer, 1).await), [7]);
}

#[tokio::test]
async fn a_partition_that_moves_and_a_broker_that_goes_away_are_followed() {
    let broker = broker(1).await;
    fill(&broker, 0, 0, 3).await;
    let wait_max = Duration::from_millis(20);
    let settings = ConsumerSettings { wait_max, ..ConsumerSettings::default() };
    let mut consumer = broker.client().consumer(settings).unwrap();
    consumer.assign("web", P0, Position::Beginning).unwrap();
    assert_eq!(values(&read(&mut consumer, 3).await), [0, 1, 2]);
    broker.with(|state| state.store.log("web", 0).door = 1);
    fill(&broker, 0, 3, 6).await;
    assert_eq!(values(&read(&mut consumer, 3).await), [3, 4, 5]);
    broker.with(|state| {
        state.down = true;
        state.store.log("web", 0).door = 2;
    });
    while broker.with(|state| state.turned_away) < 5 {
        // A fetch in flight is answered all the same; the next one is not.
        tokio::task::yield_now().await;
    }
    broker.with(|state| state.down = false);
    fill(&broker, 0, 6, 9).await;
    assert_eq!(values(&read(&mut consumer, 3).await), [6, 7, 8]);
}

#[tokio::test]
async fn a_slow_caller_bounds_what_is_fetched_ahead() {
    let broker = broker(1).await;
    let producer = broker.client().producer(ProducerSettings::default()).unwrap();
    for _ in 0..400 {
        producer.push(Record::to("web").value(&[b'x'; 1000])).await.unwrap();
    }
    producer.close().await.unwrap();
    let settings = ConsumerSettings {
        prefetch_bytes_max: 100_000,
        partition_bytes_max: 70_000,
        ..ConsumerSettings::default()
    };
    let mut consumer = broker.client().consumer(settings).unwrap();
    consumer.assign("web", P0, Position::Beginning).unwrap();
    let mut seen = 0;
    let mut most = 0;
    while seen < 400 {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        most = most.max(consumer.ahead.bytes_now());
        seen += consumer.next_records().await.unwrap().iter().count();
    }
    assert!(most > 0 && most < 200_000, "{most} bytes were ahead");
}

#[tokio::test]
async fn settings_out_of_range_are_refused() {
    let broker = broker(1).await;
    for settings in [
        ConsumerSettings { wait_max: Duration::from_secs(61), ..ConsumerSettings::default() },
        ConsumerSettings { bytes_max: 0, ..ConsumerSettings::default() },
        ConsumerSettings { partition_bytes_max: 0, ..ConsumerSettings::default() },
    ] {
        let refused = broker.client().consumer(settings).unwrap_err();
        assert!(matches!(refused, ClientError::Setting { .. }), "{refused}");
        assert_eq!(refused.code(), None::<ErrorCode>);
    }
}
