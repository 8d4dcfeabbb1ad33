//! Idempotent producers of which a batch was refused for the moment: those behind it are not stored before it.

use kolk_io::sim::FaultKind;

use super::*;

/// A partition with a queue for one append of 9,000 bytes, which is in it.
async fn crowded(io: SimIo) -> Desk {
    let limits = PartitionLimits { appends_waiting_max: 1, ..PartitionLimits::default() };
    let desk = Desk::open(io, config(Durability::PowerLoss), limits).await;
    // The first whole page of a log needs an allocation first.
    let large = builder(1, 9_000).build(Compression::None).unwrap();
    assert!(desk.append(1, large, AckLevel::Topic).is_none());
    desk
}

fn refusal(appended: Option<Result<Produced, ErrorCode>>) -> ErrorCode {
    appended.expect("an answer at once").unwrap_err()
}

#[test]
fn a_batch_behind_one_that_found_no_room_waits_for_it() {
    for seed in 0..4 {
        Sim::new(seed).run(|io| async move {
            let desk = crowded(io).await;
            let (first, second) = (batch_of(9, 0, 0, 3), batch_of(9, 0, 3, 2));
            let refused = refusal(desk.append(2, first.clone(), AckLevel::Topic));
            assert_eq!(refused, ErrorCode::Overloaded);
            desk.pump_until(|desk| desk.answer_of(1).is_some()).await;
            let refused = refusal(desk.append(3, second.clone(), AckLevel::Topic));
            assert_eq!(refused, ErrorCode::OutOfOrderSequence, "it would come before the first");
            // Others have nothing to do with that: this one was forgotten and goes on.
            desk.append_safely(batch_of(8, 0, 70, 1), AckLevel::Topic).await.unwrap();
            let first = desk.append_safely(first, AckLevel::Topic).await.unwrap();
            let second = desk.append_safely(second, AckLevel::Topic).await.unwrap();
            assert_eq!((first.base_offset.get(), second.base_offset.get()), (2, 5));
        });
    }
}

#[test]
fn a_batch_that_waits_behind_one_that_is_refused_is_refused_with_it() {
    let sim = Sim::new(3);
    let desk =
        sim.run(
            |io| async move { Rc::new(Desk::open_loaded(io, config(Durability::PowerLoss)).await) },
        );
    sim.inject(Fault::eio(Op::Allocate, "topics").with_kind(FaultKind::Errno(28)));
    sim.run(move |_| async move {
        let large = |sequence| {
            let mut builder = builder(1, 9_000);
            builder.set_producer(ProducerStamp {
                id: ProducerId::new(9),
                epoch: ProducerEpoch::new(0),
                base_sequence: Sequence::new(sequence),
            });
            builder.build(Compression::None).unwrap()
        };
        assert!(desk.append(1, large(0), AckLevel::Topic).is_none());
        assert!(desk.append(2, large(1), AckLevel::Topic).is_none());
        desk.pump_until(|desk| desk.told.borrow().len() == 2).await;
        assert_eq!(desk.answer_of(1), Some(Err(ErrorCode::StorageFull)));
        assert_eq!(desk.answer_of(2), Some(Err(ErrorCode::OutOfOrderSequence)));
        for sequence in 0..2 {
            let stored = desk.append_safely(large(sequence), AckLevel::Topic).await.unwrap();
            assert_eq!(stored.base_offset.get(), u64::from(sequence));
        }
    });
}

#[test]
fn several_batches_of_one_request_are_compared_by_the_first() {
    Sim::new(4).run(|io| async move {
        let desk = crowded(io).await;
        let both = joined(&[batch_of(9, 0, 0, 3), batch_of(9, 0, 3, 2)]);
        let refused = refusal(desk.append(2, both.clone(), AckLevel::Topic));
        assert_eq!(refused, ErrorCode::Overloaded);
        desk.pump_until(|desk| desk.answer_of(1).is_some()).await;
        let behind = joined(&[batch_of(9, 0, 5, 1), batch_of(9, 0, 6, 1)]);
        let refused = refusal(desk.append(3, behind, AckLevel::Topic));
        assert_eq!(refused, ErrorCode::OutOfOrderSequence);
        desk.append_safely(both, AckLevel::Topic).await.unwrap();
    });
}

#[test]
fn a_producer_that_is_known_or_waits_too_long_is_not_held_up() {
    Sim::new(5).run(|io| async move {
        let desk = Desk::open_loaded(io, config(Durability::PowerLoss)).await;
        desk.append_safely(batch_of(9, 0, 0, 3), AckLevel::Topic).await.unwrap();
        let head = |producer, sequence| {
            ProducerBatch::first_of(&batch_of(producer, 0, sequence, 1)).unwrap()
        };
        let now = desk.io.wall_clock();
        // A repeated batch was turned away; the next may be stored all the same.
        desk.partition.borrow_mut().turn_away(&head(9, 0), now);
        desk.append_safely(batch_of(9, 0, 3, 1), AckLevel::Topic).await.unwrap();
        // Its client has given this one up by then.
        desk.partition.borrow_mut().turn_away(&head(8, 40), now);
        let refused = refusal(desk.append(2, batch_of(8, 0, 41, 1), AckLevel::Topic));
        assert_eq!(refused, ErrorCode::OutOfOrderSequence);
        desk.io.sleep(std::time::Duration::from_secs(121)).await;
        desk.append_safely(batch_of(8, 0, 41, 1), AckLevel::Topic).await.unwrap();
    });
}
