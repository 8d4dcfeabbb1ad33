//! What a partition knows of its producers after its shard was gone.

use super::*;
use crate::saving::SNAPSHOT_NAME;

/// Also what is small.
const STOPPING: SaveWhen = SaveWhen::Stopping { bytes_min: 0 };

/// Like [`check`], in lives that follow each other on one disk, each ended by a power cut.
fn lives(seed: u64, durability: Durability, scenes: &[fn(Rc<Desk>) -> Scene]) {
    let mut disk = SimDisk::new();
    for scene in scenes {
        let sim = Sim::with_disk(disk, seed);
        let scene = *scene;
        sim.run(move |io| async move {
            let limits = PartitionLimits::default();
            let desk = Desk::open(io, config(durability), limits).await;
            scene(Rc::new(desk)).await;
        });
        disk = sim.crash();
    }
}

type Scene = std::pin::Pin<Box<dyn Future<Output = ()>>>;

#[test]
fn producers_are_known_again_after_a_power_cut() {
    for seed in 0..8 {
        lives(
            seed,
            Durability::PowerLoss,
            &[
                |desk| {
                    Box::pin(async move {
                        for i in 0..4 {
                            desk.append_safely(batch_of(9, 0, i * 2, 2), AckLevel::Topic)
                                .await
                                .unwrap();
                            desk.append_safely(batch_of(u64::from(i), 3, 0, 1), AckLevel::Topic)
                                .await
                                .unwrap();
                        }
                    })
                },
                |desk| {
                    Box::pin(async move {
                        assert!(desk.partition.borrow().wants_producers());
                        // A batch without a producer need not wait for them, one with must.
                        desk.append_safely(batch(1), AckLevel::Topic).await.unwrap();
                        assert!(desk.append(1, batch_of(9, 0, 6, 2), AckLevel::Topic).is_none());
                        assert!(desk.append(2, batch_of(9, 0, 8, 1), AckLevel::Topic).is_none());
                        assert!(desk.append(3, batch_of(9, 0, 10, 1), AckLevel::Topic).is_none());
                        assert_eq!(desk.load().await, None);
                        desk.pump_until(|desk| desk.told.borrow().len() == 3).await;
                        let again = desk.answer_of(1).unwrap().unwrap();
                        assert_eq!((again.base_offset.get(), again.duplicate), (9, true));
                        assert_eq!(desk.answer_of(2).unwrap().unwrap().base_offset.get(), 13);
                        assert_eq!(desk.answer_of(3), Some(Err(ErrorCode::OutOfOrderSequence)));
                        assert_eq!(desk.partition.borrow().producer_count(), Some(5));
                    })
                },
            ],
        );
    }
}

fn save(desk: &Rc<Desk>) -> impl Future<Output = Offset> + use<> {
    let desk = Rc::clone(desk);
    async move {
        desk.pump_until_durable().await;
        let taken = desk.partition.borrow_mut().snapshot_to_write(STOPPING).unwrap();
        let log = desk.partition.borrow().log().clone();
        log.write_beside(SNAPSHOT_NAME, &taken.bytes).await.unwrap();
        desk.partition.borrow_mut().snapshot_saved(taken.offset, desk.io.now());
        taken.offset
    }
}

#[test]
fn a_snapshot_spares_reading_the_log_from_its_start() {
    for seed in 0..8 {
        lives(
            seed,
            Durability::PowerLoss,
            &[
                |desk| {
                    Box::pin(async move {
                        desk.append_safely(batch_of(9, 0, 0, 4), AckLevel::Topic).await.unwrap();
                        assert_eq!(save(&desk).await.get(), 4);
                        let none = desk.partition.borrow_mut().snapshot_to_write(STOPPING);
                        assert_eq!(none, None, "nothing is new");
                        desk.append_safely(batch_of(9, 0, 4, 1), AckLevel::Topic).await.unwrap();
                    })
                },
                |desk| {
                    Box::pin(async move {
                        assert_eq!(desk.load().await, Some(Offset::new(4)));
                        for (sequence, records, offset) in [(0, 4, 0), (4, 1, 4)] {
                            let again = batch_of(9, 0, sequence, records);
                            let answer = desk.append(1, again, AckLevel::Topic).unwrap().unwrap();
                            assert_eq!(
                                (answer.base_offset.get(), answer.duplicate),
                                (offset, true)
                            );
                        }
                    })
                },
            ],
        );
    }
}

#[test]
fn producers_that_are_read_twice_are_taken_once() {
    lives(
        3,
        Durability::PowerLoss,
        &[
            |desk| {
                Box::pin(async move {
                    desk.append_safely(batch_of(9, 0, 0, 4), AckLevel::Topic).await.unwrap();
                })
            },
            |desk| {
                Box::pin(async move {
                    desk.load().await;
                    desk.append_safely(batch_of(9, 0, 4, 2), AckLevel::Topic).await.unwrap();
                    // A second reading that began before.
                    let mut late = Producers::new(10);
                    let first = ProducerBatch {
                        producer: ProducerId::new(9),
                        epoch: ProducerEpoch::new(0),
                        first: Sequence::new(0),
                        sequences: 4,
                    };
                    late.record(&first, Offset::new(0), TimestampMs::new(0));
                    let (now, mut effects) = (desk.io.wall_clock(), Vec::new());
                    desk.partition.borrow_mut().producers_loaded(Ok(late), now, &mut effects);
                    let again = desk.append(1, batch_of(9, 0, 4, 2), AckLevel::Topic).unwrap();
                    assert!(again.unwrap().duplicate, "stored twice");
                })
            },
        ],
    );
}

#[test]
fn a_producer_whose_last_batch_was_given_up_behind_the_snapshot_goes_on() {
    for seed in 0..8 {
        lives(
            seed,
            Durability::PowerLoss,
            &[
                |desk| {
                    Box::pin(async move {
                        desk.append_safely(batch_of(9, 0, 0, 4), AckLevel::Topic).await.unwrap();
                        save(&desk).await;
                        desk.append_safely(batch_of(9, 0, 4, 2), AckLevel::Topic).await.unwrap();
                        desk.append_safely(batch_of(8, 0, 0, 1), AckLevel::Topic).await.unwrap();
                        let log = desk.partition.borrow().log().clone();
                        log.set_log_start(Offset::new(6)).await.unwrap();
                    })
                },
                |desk| {
                    Box::pin(async move {
                        assert_eq!(desk.load().await, None, "it ends before the log begins");
                        let next = desk.append_safely(batch_of(9, 0, 6, 1), AckLevel::Topic).await;
                        assert_eq!(next.unwrap().base_offset.get(), 7);
                        let again = desk.append(1, batch_of(8, 0, 0, 1), AckLevel::Topic).unwrap();
                        assert!(again.unwrap().duplicate);
                    })
                },
            ],
        );
    }
}

#[test]
fn a_snapshot_is_handed_out_only_when_the_log_is_durable_up_to_it() {
    check(Durability::ProcessCrash, |desk| async move {
        desk.append_safely(batch_of(9, 0, 0, 4), AckLevel::Topic).await.unwrap();
        let early = desk.partition.borrow_mut().snapshot_to_write(STOPPING);
        assert_eq!(early, None, "a power cut could take the records away");
        desk.append(1, batch_of(9, 0, 4, 4), AckLevel::None).unwrap().unwrap();
        desk.pump_until(|desk| desk.partition.borrow().log().durable().get() >= 4).await;
        let taken = desk.partition.borrow_mut().snapshot_to_write(STOPPING).unwrap();
        assert_eq!(taken.offset.get(), 4, "the state was taken before the second batch");
    });
}

#[test]
fn a_snapshot_of_records_that_were_lost_is_not_used() {
    lives(
        5,
        Durability::PowerLoss,
        &[
            |desk| {
                Box::pin(async move {
                    desk.append_safely(batch_of(9, 0, 0, 2), AckLevel::Topic).await.unwrap();
                    // What a broken rule would leave: a snapshot of records that a power cut took away.
                    let mut producers = Producers::new(10);
                    let lost = ProducerBatch {
                        producer: ProducerId::new(9),
                        epoch: ProducerEpoch::new(0),
                        first: Sequence::new(2),
                        sequences: 4,
                    };
                    producers.record(&lost, Offset::new(2), TimestampMs::new(0));
                    let log = desk.partition.borrow().log().clone();
                    let point = crate::producer_snapshot::SnapshotPoint {
                        partition: log.id(),
                        offset: Offset::new(6),
                        epoch: log.epoch(),
                    };
                    let bytes = crate::producer_snapshot::encode(&point, &producers);
                    let path = log.dir().join(crate::saving::SNAPSHOT_NAME);
                    desk.io.write_file_atomic(&path, &bytes).await.unwrap();
                })
            },
            |desk| {
                Box::pin(async move {
                    assert_eq!(desk.load().await, None, "beyond the log's end");
                    desk.append_safely(batch_of(9, 0, 2, 6), AckLevel::Topic).await.unwrap();
                })
            },
            |desk| {
                Box::pin(async move {
                    assert_eq!(desk.load().await, None, "of another epoch");
                    let answer =
                        desk.append(1, batch_of(9, 0, 2, 6), AckLevel::Topic).unwrap().unwrap();
                    assert_eq!((answer.base_offset.get(), answer.duplicate), (2, true));
                })
            },
        ],
    );
}

#[test]
fn producers_are_read_from_a_log_of_many_buffers() {
    lives(
        6,
        Durability::PowerLoss,
        &[
            |desk| {
                Box::pin(async move {
                    for i in 0..300 {
                        let mut large = builder(1, 5_000);
                        large.set_producer(ProducerStamp {
                            id: ProducerId::new(u64::from(i % 7)),
                            epoch: ProducerEpoch::new(0),
                            base_sequence: Sequence::new(i / 7),
                        });
                        let large = large.build(Compression::None).unwrap();
                        desk.append_safely(large, AckLevel::Topic).await.unwrap();
                    }
                })
            },
            |desk| {
                Box::pin(async move {
                    desk.load().await;
                    assert_eq!(desk.partition.borrow().producer_count(), Some(7));
                    let next = desk.append_safely(batch_of(0, 0, 43, 1), AckLevel::Topic).await;
                    assert_eq!(next.unwrap().base_offset.get(), 300);
                })
            },
        ],
    );
}

#[test]
fn a_damaged_snapshot_costs_time_and_nothing_else() {
    let sim = Sim::new(2);
    sim.run(|io| async move {
        let desk = Rc::new(Desk::open_loaded(io, config(Durability::PowerLoss)).await);
        desk.append_safely(batch_of(9, 0, 0, 4), AckLevel::Topic).await.unwrap();
        save(&desk).await;
        let path = desk.partition.borrow().log().dir().join(crate::saving::SNAPSHOT_NAME);
        let mut bytes = desk.io.read_file(&path, 4096).await.unwrap().unwrap();
        bytes[60] ^= 1;
        desk.io.write_file_atomic(&path, &bytes).await.unwrap();
    });
    Sim::with_disk(sim.crash(), 3).run(|io| async move {
        let desk = Desk::open(io, config(Durability::PowerLoss), PartitionLimits::default()).await;
        assert_eq!(desk.load().await, None);
        let answer = desk.append(1, batch_of(9, 0, 0, 4), AckLevel::Topic).unwrap().unwrap();
        assert!(answer.duplicate);
    });
}
