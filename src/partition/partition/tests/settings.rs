//! Settings that change while the partition is in use count from the next append on.

use kolk_model::compression::Compression;

use super::*;
use crate::error::{RecordRefusal, RefusedRecord};

/// Records of a key (or none) and an age in ms by the broker's clock; negative = in the future.
fn aged(desk: &Desk, records: &[(Option<&[u8]>, i64)], compression: Compression) -> Bytes {
    let now = desk.io.wall_clock().as_ms();
    let mut builder = BatchBuilder::new();
    for (key, age) in records {
        builder.append(TimestampMs::new(now - age), *key, Some(b"v"), &[]).unwrap();
    }
    builder.build(compression).unwrap()
}

fn set(desk: &Desk, settings: &[(&str, &str)]) {
    let config = TopicConfig::from_settings(settings.iter().copied()).unwrap();
    desk.partition.borrow_mut().set_config(config, &mut Vec::new());
}

/// What is refused: the code, and which records.
fn refused(desk: &Desk, batches: Bytes) -> (ErrorCode, Vec<u32>) {
    let waiter = WaiterId::new(1);
    let append = Append { waiter, batches, wait: AckLevel::None, expected_next_offset: None };
    match desk.partition.borrow_mut().append(append, desk.io.wall_clock()) {
        Appending::Done(Err(PartitionError::Records(records))) => {
            let code = PartitionError::Records(records.clone()).code();
            (code, records.first.iter().map(|record| record.index).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_smaller_and_a_larger_message_limit_count_at_once() {
    check(Durability::PowerLoss, |desk| async move {
        let large = || builder(1, 5_000).build(Compression::None).unwrap();
        desk.append_safely(large(), AckLevel::Topic).await.unwrap();
        set(&desk, &[("max.message.bytes", "4000")]);
        let refused = desk.append_safely(large(), AckLevel::Topic).await;
        assert_eq!(refused, Err(ErrorCode::MessageTooLarge));
        set(&desk, &[("max.message.bytes", "6000")]);
        desk.append_safely(large(), AckLevel::Topic).await.unwrap();
    });
}

#[test]
fn append_time_can_be_switched_on_and_off() {
    check(Durability::PowerLoss, |desk| async move {
        let sent = || aged(&desk, &[(None, 500_000), (None, 400_000)], Compression::Lz4);
        let first = sent();
        desk.append_safely(first.clone(), AckLevel::Topic).await.unwrap();
        set(&desk, &[("message.timestamp.type", "LogAppendTime")]);
        let before = desk.io.wall_clock().as_ms();
        desk.append_safely(sent(), AckLevel::Topic).await.unwrap();
        set(&desk, &[]);
        desk.append_safely(sent(), AckLevel::Topic).await.unwrap();
        let stored = desk.read(0);
        let views: Vec<_> = batches(&stored).map(Result::unwrap).collect();
        let types: Vec<_> = views.iter().map(|view| view.attributes().timestamp_type()).collect();
        let (create, append) = (TimestampType::CreateTime, TimestampType::LogAppendTime);
        assert_eq!(types, [create, append, create]);
        assert!(views[1].max_timestamp().get() >= before);
        views.iter().for_each(|view| view.verify_crc().unwrap());
        assert_eq!(views[0].as_bytes()[17..], first[17..], "only the head may differ");
    });
}

#[test]
fn timestamps_outside_the_allowed_range_are_refused_record_by_record() {
    check(Durability::PowerLoss, |desk| async move {
        for compression in [Compression::None, Compression::Zstd] {
            let hour = 3_600_000;
            set(&desk, &[]);
            let batch = aged(&desk, &[(None, 0), (None, -2 * hour), (None, 0)], compression);
            assert_eq!(refused(&desk, batch), (ErrorCode::InvalidTimestamp, vec![1]));
            set(&desk, &[("message.timestamp.after.max.ms", "9223372036854775807")]);
            let future = aged(&desk, &[(None, -1000 * hour)], compression);
            desk.append_safely(future, AckLevel::Topic).await.unwrap();
            set(&desk, &[("message.timestamp.before.max.ms", "60000")]);
            let batch = aged(&desk, &[(None, 70_000), (None, 10_000), (None, 80_000)], compression);
            assert_eq!(refused(&desk, batch), (ErrorCode::InvalidTimestamp, vec![0, 2]));
            // With the broker's own time the producer's does not matter.
            let both = [
                ("message.timestamp.before.max.ms", "60000"),
                ("message.timestamp.type", "LogAppendTime"),
            ];
            set(&desk, &both);
            let old = aged(&desk, &[(None, 70_000)], compression);
            desk.append_safely(old, AckLevel::Topic).await.unwrap();
        }
    });
}

#[test]
fn a_record_without_a_timestamp_is_not_judged_by_it() {
    check(Durability::PowerLoss, |desk| async move {
        set(&desk, &[("message.timestamp.before.max.ms", "1")]);
        let mut builder = BatchBuilder::new();
        builder.append(TimestampMs::NONE, None, Some(b"v"), &[]).unwrap();
        let batch = builder.build(Compression::None).unwrap();
        desk.append_safely(batch, AckLevel::Topic).await.unwrap();
    });
}

#[test]
fn a_compacted_topic_takes_no_record_without_a_key() {
    check(Durability::PowerLoss, |desk| async move {
        let mixed = |compression| {
            aged(&desk, &[(Some(b"k"), 0), (None, 0), (Some(b""), 0), (None, 0)], compression)
        };
        desk.append_safely(mixed(Compression::None), AckLevel::Topic).await.unwrap();
        for policy in ["compact", "compact,delete"] {
            set(&desk, &[("cleanup.policy", policy)]);
            for compression in [Compression::None, Compression::Gzip] {
                let refused = refused(&desk, mixed(compression));
                assert_eq!(refused, (ErrorCode::InvalidRecord, vec![1, 3]));
            }
            let keyed = aged(&desk, &[(Some(b"k"), 0), (Some(b""), 0)], Compression::Snappy);
            desk.append_safely(keyed, AckLevel::Topic).await.unwrap();
        }
        set(&desk, &[("cleanup.policy", "delete")]);
        desk.append_safely(mixed(Compression::None), AckLevel::Topic).await.unwrap();
    });
}

#[test]
fn a_refusal_names_a_bounded_number_of_records_and_counts_all() {
    check(Durability::PowerLoss, |desk| async move {
        set(&desk, &[("cleanup.policy", "compact")]);
        let batches = aged(&desk, &[(None, 0); 500], Compression::None);
        let append = Append {
            waiter: WaiterId::new(1),
            batches,
            wait: AckLevel::None,
            expected_next_offset: None,
        };
        let answer = desk.partition.borrow_mut().append(append, desk.io.wall_clock());
        let Appending::Done(Err(PartitionError::Records(records))) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((records.count, records.first.len()), (500, 100));
        assert_eq!(records.first[1], RefusedRecord { index: 1, why: RecordRefusal::Keyless });
        assert!(records.to_string().len() < 300, "{records}");
    });
}

#[test]
fn a_smaller_segment_size_counts_from_the_next_append_on() {
    check(Durability::PowerLoss, |desk| async move {
        let fill = |batches: u64| {
            let desk = Rc::clone(&desk);
            async move {
                for _ in 0..batches {
                    let batch = builder(1, 9_000).build(Compression::None).unwrap();
                    desk.append_safely(batch, AckLevel::Topic).await.unwrap();
                }
                desk.partition.borrow().log().segment_count()
            }
        };
        assert_eq!(fill(20).await, 1);
        set(&desk, &[("segment.bytes", "65536")]);
        let after = fill(30).await;
        assert!((4..=7).contains(&after), "{after} segments");
    });
}
