//! Partitions on a simulated machine: levels, order, refusals, and what is left after a crash.

use std::cell::RefCell;
use std::path::Path;

use bytes::BytesMut;

use kolk_io::error::Op;
use kolk_io::sim::{Fault, Sim, SimDisk, SimIo};
use kolk_log::recovery::{RecoveryPlan, TopicFate, recover};
use kolk_log::settings::LogSettings;
use kolk_log::shard_log::{LogEvent, ShardLog};
use kolk_model::batch::{ProducerStamp, batches, patch_append_time, patch_create_time};
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, ProducerEpoch, ProducerId, Sequence, ShardId, TopicId};
use kolk_model::time::TimestampType;

use super::*;
use crate::rebuild::load_producers;

mod restart;
mod settings;
mod turned_away;

const DIR: &str = "/d";

fn partition_id() -> TopicPartition {
    TopicPartition::new(TopicId::from_random(7, 7), PartitionId::new(0))
}

fn log_settings() -> LogSettings {
    LogSettings { journal_file_bytes: 1 << 20, journal_files: 4, ..LogSettings::default() }
}

/// One shard with one partition, and whatever it told so far.
struct Desk {
    io: SimIo,
    storage: ShardLog<SimIo>,
    partition: RefCell<Partition<SimIo>>,
    told: RefCell<Vec<(u64, Result<Produced, ErrorCode>)>>,
    woken: RefCell<Vec<u64>>,
}

impl Desk {
    async fn open(io: SimIo, config: TopicConfig, limits: PartitionLimits) -> Self {
        let settings = log_settings();
        let log_config = log_config(&config);
        let plan = RecoveryPlan {
            shards: 1,
            settings: &settings,
            boot: 1,
            accept_loss: false,
            placement: &|_| ShardId::new(0),
            fate: &|_| TopicFate::Live(log_config),
        };
        let recovered = recover(&io, Path::new(DIR), &plan).await.unwrap();
        let image = recovered.shards.into_iter().next().unwrap();
        let metrics = Rc::new(ShardMetrics::new(0));
        let storage =
            ShardLog::open(io.clone(), Path::new(DIR), image, settings, Rc::clone(&metrics))
                .await
                .unwrap();
        let log = match storage.log(partition_id()) {
            Some(log) => log,
            None => storage.create(partition_id(), log_config).await.unwrap(),
        };
        let partition = Partition::new(log, config, limits, metrics);
        Self {
            io,
            storage,
            partition: RefCell::new(partition),
            told: RefCell::default(),
            woken: RefCell::default(),
        }
    }

    /// As [`Desk::open`], with the producers read.
    async fn open_loaded(io: SimIo, config: TopicConfig) -> Self {
        let desk = Self::open(io, config, PartitionLimits::default()).await;
        desk.load().await;
        desk
    }

    async fn load(&self) -> Option<Offset> {
        let (log, end) = {
            let partition = self.partition.borrow();
            (partition.log().clone(), partition.log().log_end())
        };
        let loaded = load_producers(
            &self.io,
            &log,
            end,
            100,
            TimestampMs::new(self.io.wall_clock().as_ms()),
        )
        .await
        .unwrap();
        let mut effects = Vec::new();
        self.partition.borrow_mut().producers_loaded(
            Ok(loaded.producers),
            self.io.wall_clock(),
            &mut effects,
        );
        self.tell(effects);
        loaded.snapshot
    }

    fn tell(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Produced { waiter, result } => {
                    let result = result.map_err(|error| error.code());
                    self.told.borrow_mut().push((waiter.get(), result));
                }
                Effect::FetchReady { waiter } => self.woken.borrow_mut().push(waiter.get()),
            }
        }
    }

    fn append(
        &self,
        waiter: u64,
        batches: Bytes,
        wait: AckLevel,
    ) -> Option<Result<Produced, ErrorCode>> {
        self.append_if(waiter, batches, wait, None)
    }

    fn append_if(
        &self,
        waiter: u64,
        batches: Bytes,
        wait: AckLevel,
        expected_next_offset: Option<Offset>,
    ) -> Option<Result<Produced, ErrorCode>> {
        let waiter = WaiterId::new(waiter);
        let append = Append { waiter, batches, wait, expected_next_offset };
        match self.partition.borrow_mut().append(append, self.io.wall_clock()) {
            Appending::Done(result) => Some(result.map_err(|error| error.code())),
            Appending::Waits => None,
        }
    }

    /// Appends and waits for the answer.
    async fn append_safely(&self, batches: Bytes, wait: AckLevel) -> Result<Produced, ErrorCode> {
        match self.append(u64::MAX, batches, wait) {
            Some(result) => result,
            None => {
                self.pump_until(|desk| desk.answer_of(u64::MAX).is_some()).await;
                let result = self.answer_of(u64::MAX).unwrap();
                self.told.borrow_mut().retain(|(waiter, _)| *waiter != u64::MAX);
                result
            }
        }
    }

    fn answer_of(&self, waiter: u64) -> Option<Result<Produced, ErrorCode>> {
        self.told.borrow().iter().find(|(told, _)| *told == waiter).map(|(_, result)| *result)
    }

    async fn pump_until(&self, done: impl Fn(&Self) -> bool) {
        let mut events = Vec::new();
        while !done(self) {
            self.storage.next_events(&mut events).await;
            for event in events.drain(..) {
                let mut effects = Vec::new();
                {
                    let mut partition = self.partition.borrow_mut();
                    match event {
                        LogEvent::Advanced(_) => partition.advance(&mut effects),
                        LogEvent::Unblocked(_) => {
                            partition.unblocked(self.io.wall_clock(), &mut effects);
                        }
                        LogEvent::Fenced(_) | LogEvent::JournalFailed => {
                            partition.failed(&mut effects);
                        }
                    }
                }
                self.tell(effects);
            }
        }
    }

    async fn pump_until_durable(&self) {
        self.pump_until(|desk| {
            let partition = desk.partition.borrow();
            partition.log().durable() == partition.log().log_end()
        })
        .await;
    }

    fn marks(&self) -> (u64, u64, u64) {
        let marks = self.partition.borrow().watermarks();
        (marks.log_start.get(), marks.high_watermark.get(), marks.log_end.get())
    }

    fn read(&self, from: u64) -> Bytes {
        let partition = self.partition.borrow();
        let slices = partition.read_in_memory(Offset::new(from), u64::MAX).unwrap().unwrap();
        slices.iter().flatten().copied().collect()
    }
}

fn builder(records: u32, value_bytes: usize) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        let value = vec![b'v'; value_bytes];
        builder.append(TimestampMs::new(1_000), Some(b"key"), Some(&value), &[]).unwrap();
    }
    builder
}

fn batch(records: u32) -> Bytes {
    builder(records, 20).build(Compression::None).unwrap()
}

fn batch_of(producer: u64, epoch: u16, sequence: u32, records: u32) -> Bytes {
    let mut builder = builder(records, 20);
    builder.set_producer(ProducerStamp {
        id: ProducerId::new(producer),
        epoch: ProducerEpoch::new(epoch),
        base_sequence: Sequence::new(sequence),
    });
    builder.build(Compression::None).unwrap()
}

fn joined(parts: &[Bytes]) -> Bytes {
    parts.iter().flatten().copied().collect()
}

fn config(durability: Durability) -> TopicConfig {
    let mut config = TopicConfig::default();
    config.durability = durability;
    config
}

/// Runs a scene on a new machine with a partition of the given durability, over a few schedules.
fn check<F: Future<Output = ()>>(
    durability: Durability,
    scene: impl Fn(Rc<Desk>) -> F + Copy + 'static,
) {
    for seed in 0..4 {
        Sim::new(seed).run(move |io| async move {
            let desk = Desk::open_loaded(io, config(durability)).await;
            scene(Rc::new(desk)).await;
        });
    }
}

#[test]
fn an_answer_waits_for_the_level_it_asked() {
    check(Durability::PowerLoss, |desk| async move {
        let none = desk.append(1, batch(2), AckLevel::None).unwrap().unwrap();
        assert_eq!((none.base_offset.get(), none.next_offset.get(), none.duplicate), (0, 2, false));
        assert!(desk.append(2, batch(3), AckLevel::PowerLoss).is_none());
        assert!(desk.append(3, batch(1), AckLevel::ProcessCrash).is_none());
        assert!(desk.append(4, batch(1), AckLevel::Topic).is_none());
        desk.pump_until(|desk| desk.told.borrow().len() == 3).await;
        let durable = desk.partition.borrow().log().durable();
        for (waiter, result) in desk.told.borrow().iter() {
            let produced = result.unwrap();
            assert!(*waiter == 3 || produced.next_offset <= durable, "{waiter}: {produced:?}");
        }
        let offsets = |waiter| desk.answer_of(waiter).unwrap().unwrap().base_offset.get();
        assert_eq!((offsets(2), offsets(3), offsets(4)), (2, 5, 6));
    });
}

#[test]
fn answers_of_one_level_come_in_the_order_of_offsets() {
    check(Durability::PowerLoss, |desk| async move {
        for waiter in 0..40 {
            assert!(desk.append(waiter, batch(1), AckLevel::Topic).is_none());
        }
        desk.pump_until(|desk| desk.told.borrow().len() == 40).await;
        let order: Vec<u64> = desk.told.borrow().iter().map(|(waiter, _)| *waiter).collect();
        assert!(order.is_sorted(), "{order:?}");
    });
}

#[test]
fn records_become_visible_at_the_topics_own_level_only() {
    check(Durability::PowerLoss, |desk| async move {
        desk.append(1, batch(5), AckLevel::None).unwrap().unwrap();
        assert_eq!(desk.marks(), (0, 0, 5));
        assert!(desk.read(0).is_empty());
        desk.pump_until(|desk| desk.partition.borrow().log().written().get() == 5).await;
        let durable = desk.partition.borrow().log().durable().get();
        assert_eq!(desk.marks().1, durable);
        desk.pump_until(|desk| desk.marks().1 == 5).await;
        assert_eq!(desk.read(0).len(), batch(5).len());
    });
    check(Durability::ProcessCrash, |desk| async move {
        desk.append(1, batch(5), AckLevel::None).unwrap().unwrap();
        desk.pump_until(|desk| desk.marks().1 == 5).await;
        assert_eq!(desk.partition.borrow().log().durable().get(), 0, "nobody asked for a sync");
        desk.append_safely(batch(1), AckLevel::PowerLoss).await.unwrap();
        assert_eq!(desk.partition.borrow().log().durable().get(), 6);
    });
}

#[test]
fn who_waits_for_the_visible_is_answered_behind_the_high_watermark() {
    check(Durability::PowerLoss, |desk| async move {
        let wait = |waiter| {
            let now = desk.io.wall_clock();
            desk.partition.borrow_mut().wait_visible(WaiterId::new(waiter), now)
        };
        desk.append(1, batch(5), AckLevel::PowerLoss);
        while desk.partition.borrow().log().durable().get() < 5 {
            desk.io.yield_now().await;
        }
        assert_eq!(desk.marks().1, 0, "the log's event was not heard yet");
        assert!(matches!(wait(2), Appending::Waits));
        desk.pump_until(|desk| desk.told.borrow().iter().any(|(waiter, _)| *waiter == 2)).await;
        assert_eq!(desk.marks().1, 5);
        assert!(matches!(wait(3), Appending::Done(Ok(_))));
    });
}

#[test]
fn raising_a_topics_durability_does_not_hide_what_was_visible() {
    check(Durability::ProcessCrash, |desk| async move {
        desk.append(1, batch(5), AckLevel::None).unwrap().unwrap();
        desk.pump_until(|desk| desk.marks().1 == 5).await;
        desk.append(2, batch(1), AckLevel::None).unwrap().unwrap();
        let mut effects = Vec::new();
        desk.partition.borrow_mut().set_config(config(Durability::PowerLoss), &mut effects);
        assert_eq!(desk.marks(), (0, 5, 6));
        // And what was not visible becomes so, though nobody appends any more.
        desk.pump_until(|desk| desk.marks().1 == 6).await;
    });
}

#[test]
fn a_conditional_append_that_comes_second_is_refused_with_the_end() {
    check(Durability::PowerLoss, |desk| async move {
        let at = |offset| Some(Offset::new(offset));
        assert!(desk.append_if(1, batch(2), AckLevel::Topic, at(0)).is_none());
        let late = Append {
            waiter: WaiterId::new(2),
            batches: batch(2),
            wait: AckLevel::Topic,
            expected_next_offset: at(0),
        };
        match desk.partition.borrow_mut().append(late, desk.io.wall_clock()) {
            Appending::Done(Err(error)) => {
                assert_eq!(error.code(), ErrorCode::WrongNextOffset);
                assert_eq!(error.end_offset(), at(2));
            }
            other => panic!("{other:?}"),
        }
        assert!(desk.append_if(3, batch(1), AckLevel::Topic, at(2)).is_none());
        assert_eq!(desk.marks().2, 3);
    });
}

#[test]
fn a_duplicate_is_answered_with_the_first_offsets_once_they_are_safe() {
    check(Durability::PowerLoss, |desk| async move {
        assert!(desk.append(1, batch_of(9, 0, 0, 3), AckLevel::Topic).is_none());
        assert!(desk.append(2, batch(1), AckLevel::Topic).is_none());
        // The retry comes before the first attempt is safe, and must not be answered earlier.
        assert!(desk.append(3, batch_of(9, 0, 0, 3), AckLevel::Topic).is_none());
        desk.pump_until(|desk| desk.told.borrow().len() == 3).await;
        let (first, again) =
            (desk.answer_of(1).unwrap().unwrap(), desk.answer_of(3).unwrap().unwrap());
        assert_eq!((again.base_offset, again.next_offset), (first.base_offset, first.next_offset));
        assert!(again.duplicate && !first.duplicate);
        let late = desk.append(4, batch_of(9, 0, 0, 3), AckLevel::Topic).unwrap().unwrap();
        assert!(late.duplicate);
        assert_eq!(desk.marks(), (0, 4, 4));
    });
}

#[test]
fn a_duplicate_may_ask_for_more_than_its_original() {
    check(Durability::ProcessCrash, |desk| async move {
        desk.append_safely(batch_of(9, 0, 0, 3), AckLevel::Topic).await.unwrap();
        assert_eq!(desk.partition.borrow().log().durable().get(), 0);
        let again = desk.append_safely(batch_of(9, 0, 0, 3), AckLevel::PowerLoss).await.unwrap();
        assert!(again.duplicate);
        assert_eq!(desk.partition.borrow().log().durable().get(), 3);
    });
}

#[test]
fn a_retried_conditional_append_is_a_duplicate_not_a_lost_race() {
    check(Durability::PowerLoss, |desk| async move {
        let expected = Some(Offset::ZERO);
        desk.append_if(1, batch_of(9, 0, 0, 3), AckLevel::Topic, expected);
        desk.append_if(2, batch_of(9, 0, 0, 3), AckLevel::Topic, expected);
        desk.pump_until(|desk| desk.told.borrow().len() == 2).await;
        assert_eq!(desk.answer_of(2).unwrap().unwrap().base_offset, Offset::ZERO);
    });
}

#[test]
fn sequences_that_do_not_follow_are_refused() {
    check(Durability::PowerLoss, |desk| async move {
        desk.append_safely(batch_of(9, 1, 0, 3), AckLevel::Topic).await.unwrap();
        let code = |b| desk.append(1, b, AckLevel::Topic).unwrap().unwrap_err();
        assert_eq!(code(batch_of(9, 1, 4, 1)), ErrorCode::OutOfOrderSequence);
        assert_eq!(code(batch_of(9, 0, 3, 1)), ErrorCode::InvalidProducerEpoch);
        let partly = joined(&[batch_of(9, 1, 0, 3), batch_of(9, 1, 3, 1)]);
        // Never as a duplicate: clients take that for stored, and a part of it is not.
        assert_eq!(code(partly), ErrorCode::OutOfOrderSequence);
        let beside_anonymous = joined(&[batch_of(9, 1, 0, 3), batch(1)]);
        assert_eq!(code(beside_anonymous), ErrorCode::OutOfOrderSequence);
        assert_eq!(desk.marks().2, 3);
    });
}

#[test]
fn several_batches_are_appended_together_or_not_at_all() {
    check(Durability::PowerLoss, |desk| async move {
        let good = joined(&[batch_of(9, 0, 0, 2), batch(3), batch_of(9, 0, 2, 4)]);
        let produced = desk.append_safely(good, AckLevel::Topic).await.unwrap();
        assert_eq!((produced.base_offset.get(), produced.next_offset.get()), (0, 9));
        let bad = joined(&[batch_of(9, 0, 6, 1), batch_of(9, 0, 9, 1)]);
        let refused = desk.append(1, bad, AckLevel::Topic).unwrap();
        assert_eq!(refused.unwrap_err(), ErrorCode::OutOfOrderSequence);
        assert_eq!(desk.marks().2, 9);
    });
}

#[test]
fn bytes_that_are_no_good_batches_are_refused_with_their_code() {
    check(Durability::PowerLoss, |desk| async move {
        let code = |bytes: Bytes| desk.append(1, bytes, AckLevel::Topic).unwrap().unwrap_err();
        let edited = |edit: fn(&mut BytesMut)| {
            let mut bytes = BytesMut::from(batch(3).as_ref());
            edit(&mut bytes);
            code(bytes.freeze())
        };
        assert_eq!(code(Bytes::new()), ErrorCode::InvalidRecord);
        assert_eq!(edited(|b| b[80] ^= 1), ErrorCode::CorruptMessage);
        assert_eq!(edited(|b| b[16] = 1), ErrorCode::UnsupportedForMessageFormat);
        assert_eq!(edited(|b| b.truncate(b.len() - 1)), ErrorCode::InvalidRecord);
        assert_eq!(edited(|b| b[22] |= 1 << 5), ErrorCode::InvalidRecord);
        assert_eq!(edited(|b| b[22] |= 1 << 4), ErrorCode::InvalidRecord);
        assert_eq!(edited(|b| b[22] |= 7), ErrorCode::UnsupportedCompressionType);
        let large = builder(1, 1_100_000).build(Compression::None).unwrap();
        assert_eq!(code(large), ErrorCode::MessageTooLarge);
        let bomb = builder(80, 1_000_000).build(Compression::Gzip).unwrap();
        assert!(bomb.len() < 1_000_000);
        assert_eq!(code(bomb), ErrorCode::DecompressedTooLarge);
        let many = joined(&vec![batch(1); PartitionLimits::default().append_batches_max + 1]);
        assert_eq!(code(many), ErrorCode::RecordListTooLarge);
        assert_eq!(desk.marks(), (0, 0, 0));
    });
}

#[test]
fn the_broker_sets_the_time_where_the_topic_says_so() {
    for seed in 0..4 {
        Sim::new(seed).run(|io| async move {
            let mut config = config(Durability::PowerLoss);
            config.timestamp_type = TimestampType::LogAppendTime;
            let desk = Desk::open_loaded(io, config).await;
            let before = desk.io.wall_clock().as_ms();
            let shared = joined(&[batch(2), batch(2)]);
            let held = shared.clone();
            desk.append_safely(shared, AckLevel::Topic).await.unwrap();
            assert_eq!(held, joined(&[batch(2), batch(2)]), "the producer's bytes were changed");
            let stored = desk.read(0);
            let views: Vec<_> = batches(&stored).map(Result::unwrap).collect();
            assert_eq!(views.len(), 2);
            for view in views {
                view.verify_crc().unwrap();
                assert_eq!(view.attributes().timestamp_type(), TimestampType::LogAppendTime);
                assert!(view.max_timestamp().get() >= before, "{view:?}");
            }
        });
    }
}

/// Two records, of 1,000 and 9,000 ms, in a batch whose header says what `patch` writes.
fn two_times(patch: impl Fn(&mut [u8])) -> Bytes {
    let mut builder = BatchBuilder::new();
    for time in [1_000, 9_000] {
        builder.append(TimestampMs::new(time), Some(b"key"), Some(b"value"), &[]).unwrap();
    }
    let mut bytes = BytesMut::from(&*builder.build(Compression::Lz4).unwrap());
    patch(&mut bytes);
    bytes.freeze()
}

#[test]
fn a_header_says_the_newest_time_of_its_records_whatever_its_producer_wrote() {
    type Patch = fn(&mut [u8], TimestampMs);
    Sim::new(1).run(|io| async move {
        let desk = Desk::open_loaded(io, config(Durability::PowerLoss)).await;
        let whole = two_times(|_| {});
        let mut stored = 0;
        for patch in [patch_create_time as Patch, patch_append_time as Patch] {
            for wrong in [-1, 0, 1_000, i64::MAX] {
                let odd = two_times(|batch| patch(batch, TimestampMs::new(wrong)));
                assert_ne!(odd, whole);
                let held = odd.clone();
                desk.append_safely(joined(&[whole.clone(), odd.clone()]), AckLevel::Topic)
                    .await
                    .unwrap();
                assert_eq!(held, odd, "the producer's bytes were changed");
                let bytes = desk.read(stored);
                let views: Vec<_> = batches(&bytes).map(Result::unwrap).collect();
                assert_eq!(views.len(), 2);
                for view in views {
                    view.verify_crc().unwrap();
                    assert_eq!(view.max_timestamp().get(), 9_000, "{wrong}: {view:?}");
                    assert_eq!(view.attributes().timestamp_type(), TimestampType::CreateTime);
                }
                stored += 4;
            }
        }
    });
}

#[test]
fn appends_wait_in_order_while_the_log_prepares_room() {
    check(Durability::PowerLoss, |desk| async move {
        // The first whole page of a log needs an allocation first.
        for waiter in 0..6 {
            let large = builder(1, 9_000).build(Compression::None).unwrap();
            assert!(desk.append(waiter, large, AckLevel::Topic).is_none());
        }
        assert_eq!(desk.marks().2, 0, "the log took an append it was expected to put off");
        assert!(desk.append(6, batch(1), AckLevel::None).is_none(), "a small one overtook them");
        desk.pump_until(|desk| desk.told.borrow().len() == 7).await;
        for waiter in 0..7 {
            assert_eq!(desk.answer_of(waiter).unwrap().unwrap().base_offset.get(), waiter);
        }
    });
}

#[test]
fn more_waiting_appends_than_allowed_are_refused_as_overloaded() {
    Sim::new(1).run(|io| async move {
        let limits = PartitionLimits {
            appends_waiting_max: 3,
            appends_waiting_bytes_max: 25_000,
            ..PartitionLimits::default()
        };
        let desk = Desk::open(io, config(Durability::PowerLoss), limits).await;
        let large = || builder(1, 9_000).build(Compression::None).unwrap();
        assert!(desk.append(1, large(), AckLevel::Topic).is_none());
        assert!(desk.append(2, large(), AckLevel::Topic).is_none());
        let third = desk.append(3, large(), AckLevel::Topic).unwrap();
        assert_eq!(third.unwrap_err(), ErrorCode::Overloaded, "too many bytes wait");
        assert!(desk.append(4, batch(1), AckLevel::Topic).is_none());
        let fifth = desk.append(5, batch(1), AckLevel::Topic).unwrap();
        assert_eq!(fifth.unwrap_err(), ErrorCode::Overloaded, "too many wait");
        desk.pump_until(|desk| desk.told.borrow().len() == 3).await;
        assert!(desk.told.borrow().iter().all(|(_, result)| result.is_ok()));
    });
}

#[test]
fn a_failed_journal_leaves_outcomes_unknown_and_takes_nothing_more() {
    for seed in 0..4 {
        let sim = Sim::new(seed);
        let desk = sim.run(|io| async move {
            let desk = Desk::open_loaded(io, config(Durability::PowerLoss)).await;
            desk.append_safely(batch(1), AckLevel::Topic).await.unwrap();
            Rc::new(desk)
        });
        sim.inject(Fault::eio(Op::Sync, "journal").for_ever());
        sim.run(move |_| async move {
            assert!(desk.append(1, batch_of(9, 0, 0, 1), AckLevel::Topic).is_none());
            desk.partition.borrow_mut().watch(WaiterId::new(70), Offset::new(1)).unwrap();
            desk.pump_until(|desk| !desk.told.borrow().is_empty()).await;
            assert_eq!(desk.answer_of(1).unwrap(), Err(ErrorCode::OutcomeUnknown));
            assert_eq!(*desk.woken.borrow(), [70]);
            // A producer sends again what it was not told of.
            let again = desk.append(4, batch_of(9, 0, 0, 1), AckLevel::Topic);
            assert_eq!(again.unwrap().unwrap_err(), ErrorCode::OutcomeUnknown);
            let now = desk.io.wall_clock();
            let end = desk.partition.borrow().log().log_end();
            let safe = desk.partition.borrow_mut().wait_durable(WaiterId::new(5), end, now);
            assert!(matches!(safe, Appending::Done(Err(PartitionError::OutcomeUnknown))));
            let after = desk.append(2, batch(1), AckLevel::Topic).unwrap();
            assert_eq!(after.unwrap_err(), ErrorCode::JournalFailed);
            assert_eq!(desk.marks().1, 1);
            let now = desk.io.wall_clock();
            let seen = desk.partition.borrow_mut().wait_visible(WaiterId::new(3), now);
            assert!(matches!(seen, Appending::Done(Ok(_))), "what never will be is not waited for");
            assert_eq!(desk.read(0).len(), batch(1).len(), "what was acknowledged stays readable");
        });
    }
}

#[test]
fn a_fetch_outside_the_log_is_refused() {
    check(Durability::PowerLoss, |desk| async move {
        desk.append_safely(batch(5), AckLevel::Topic).await.unwrap();
        desk.append(1, batch(5), AckLevel::None).unwrap().unwrap();
        let log = desk.partition.borrow().log().clone();
        log.set_log_start(Offset::new(2)).await.unwrap();
        let partition = desk.partition.borrow();
        let code =
            |offset| partition.check_fetch(Offset::new(offset)).map_err(|error| error.code());
        assert_eq!(code(1), Err(ErrorCode::OffsetOutOfRange));
        assert_eq!(code(11), Err(ErrorCode::OffsetOutOfRange));
        for offset in [2, 5, 7, 10] {
            assert!(code(offset).is_ok(), "{offset}");
        }
    });
}

#[test]
fn a_waiting_fetch_is_woken_by_the_high_watermark_and_only_once() {
    check(Durability::PowerLoss, |desk| async move {
        let watch = |waiter, beyond| {
            desk.partition.borrow_mut().watch(WaiterId::new(waiter), Offset::new(beyond))
        };
        watch(50, 0).unwrap();
        watch(51, 3).unwrap();
        watch(52, 0).unwrap();
        desk.partition.borrow_mut().unwatch(WaiterId::new(52));
        assert_eq!(desk.partition.borrow().bytes_available(Offset::ZERO), 0);
        desk.append_safely(batch(3), AckLevel::Topic).await.unwrap();
        assert_eq!(*desk.woken.borrow(), [50]);
        desk.append_safely(batch(1), AckLevel::Topic).await.unwrap();
        assert_eq!(*desk.woken.borrow(), [50, 51]);
        assert!(desk.partition.borrow().bytes_available(Offset::ZERO) > 0);
        assert_eq!(desk.partition.borrow().bytes_available(Offset::new(4)), 0);
    });
}

#[test]
fn the_number_of_waiting_fetches_is_bounded() {
    Sim::new(3).run(|io| async move {
        let limits = PartitionLimits { fetches_waiting_max: 2, ..PartitionLimits::default() };
        let desk = Desk::open(io, config(Durability::PowerLoss), limits).await;
        let mut partition = desk.partition.borrow_mut();
        for (waiter, allowed) in [(1, true), (2, true), (2, true), (3, false)] {
            let watched = partition.watch(WaiterId::new(waiter), Offset::ZERO);
            assert_eq!(watched.is_ok(), allowed, "{waiter}");
        }
        assert_eq!(partition.fetches_waiting(), 2);
    });
}

#[test]
fn deletion_and_stop_answer_everybody_who_waits() {
    check(Durability::PowerLoss, |desk| async move {
        let large = || builder(1, 9_000).build(Compression::None).unwrap();
        assert!(desk.append(1, batch(1), AckLevel::Topic).is_none());
        assert!(desk.append(2, large(), AckLevel::Topic).is_none());
        desk.partition.borrow_mut().watch(WaiterId::new(60), Offset::ZERO).unwrap();
        let mut effects = Vec::new();
        desk.partition.borrow_mut().stop(&mut effects);
        desk.tell(effects);
        assert_eq!(desk.answer_of(2), Some(Err(ErrorCode::ShuttingDown)));
        assert_eq!(*desk.woken.borrow(), [60]);
        let refused = desk.append(3, batch(1), AckLevel::Topic).unwrap();
        assert_eq!(refused.unwrap_err(), ErrorCode::ShuttingDown);
        desk.pump_until(|desk| desk.answer_of(1).is_some()).await;
        assert!(desk.answer_of(1).unwrap().is_ok(), "what was taken is still answered");
    });
    check(Durability::PowerLoss, |desk| async move {
        assert!(desk.append(1, batch(1), AckLevel::Topic).is_none());
        let mut effects = Vec::new();
        desk.partition.borrow_mut().delete(&mut effects);
        desk.tell(effects);
        assert_eq!(desk.answer_of(1), Some(Err(ErrorCode::UnknownTopicOrPartition)));
        let refused = desk.append(2, batch(1), AckLevel::Topic).unwrap();
        assert_eq!(refused.unwrap_err(), ErrorCode::UnknownTopicOrPartition);
        let fetch = desk.partition.borrow().check_fetch(Offset::ZERO).map(|_| ());
        assert_eq!(fetch.unwrap_err().code(), ErrorCode::UnknownTopicOrPartition);
    });
}

#[test]
fn waiting_for_stable_storage_works_at_every_level() {
    check(Durability::ProcessCrash, |desk| async move {
        desk.append_safely(batch(4), AckLevel::Topic).await.unwrap();
        let wait = |waiter| {
            let (id, now) = (WaiterId::new(waiter), desk.io.wall_clock());
            desk.partition.borrow_mut().wait_durable(id, Offset::new(4), now)
        };
        assert!(matches!(wait(5), Appending::Waits));
        desk.pump_until(|desk| desk.answer_of(5).is_some()).await;
        assert_eq!(desk.partition.borrow().log().durable().get(), 4);
        assert!(matches!(wait(6), Appending::Done(Ok(_))));
    });
}
