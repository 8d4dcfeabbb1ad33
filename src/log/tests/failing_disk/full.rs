//! A disk that is full for a while: which logs are counted as lacking room, and when no more; and the same of the journal.

use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::error::Op;
use kolk_io::sim::{Fault, FaultKind, Sim, SimIo};
use kolk_model::batch::BatchView;

use crate::error::{AppendRefused, Damage};
use crate::log::Log;
use crate::settings::SyncPolicy;
use crate::shard_log::ShardLog;
use crate::shard_log::room::Want;
use crate::tests::life::{ENOSPC, batch_of, config, id, put, read_all, start};

/// Longer than a log that lacks room is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(5);
/// A segment of the tests so full that the next batch of [`BATCH`] begins another one.
const SEGMENT_FULL: u64 = 196_000;
const BATCH: usize = 9_000;

fn full(sim: &Sim) {
    let fault = Fault::eio(Op::Allocate, "topics").with_kind(FaultKind::Errno(ENOSPC));
    sim.inject(fault.for_ever());
}

/// Appends a batch, waiting where the log is busy.
async fn appended(io: &SimIo, log: &Log<SimIo>, stamp: u64) -> Result<(), AppendRefused> {
    let bytes = batch_of(BATCH, stamp);
    let view = BatchView::parse(&bytes).unwrap().0;
    loop {
        match log.append(&[view], SyncPolicy::EachGroup) {
            Err(AppendRefused::Busy) => io.sleep(Duration::from_micros(200)).await,
            ended => return ended.map(drop),
        }
    }
}

async fn refused(io: &SimIo, log: &Log<SimIo>, stamp: u64) {
    assert_eq!(appended(io, log, stamp).await, Err(AppendRefused::StorageFull));
}

fn lacking(storage: &ShardLog<SimIo>) -> u64 {
    storage.metrics().log.without_room.get()
}

fn wanted(log: &Log<SimIo>) -> Option<Want> {
    log.inner.state.borrow().without_room
}

/// Storage with two empty logs.
async fn two_logs(io: &SimIo) -> ShardLog<SimIo> {
    let storage = start(io, 1).await.remove(0);
    for partition in 0..2 {
        storage.create(id(partition), config(SyncPolicy::EachGroup)).await.unwrap();
    }
    storage
}

/// Storage whose disk is full, with two logs that have been refused an append.
fn full_storage(sim: &Sim) -> ShardLog<SimIo> {
    let storage = sim.run(|io| async move { two_logs(&io).await });
    full(sim);
    let own = storage.clone();
    sim.run(move |io| async move {
        for log in own.logs() {
            refused(&io, &log, 1).await;
        }
        assert_eq!(lacking(&own), 2);
    });
    storage
}

#[test]
fn a_log_counts_once_however_often_it_is_refused_and_no_more_when_it_appends() {
    for seed in 0..10 {
        let sim = Sim::new(seed);
        let storage = sim.run(|io| async move { two_logs(&io).await });
        full(&sim);
        let own = storage.clone();
        sim.run(move |io| async move {
            let (first, second) = (own.log(id(0)).unwrap(), own.log(id(1)).unwrap());
            assert_eq!(lacking(&own), 0, "nobody has wanted anything");
            for stamp in 0..3 {
                refused(&io, &first, stamp).await;
                assert_eq!(lacking(&own), 1);
            }
            // What still fits is taken, and the log lacks room all the same.
            put(&io, &first, 500, 4).await;
            assert_eq!(lacking(&own), 1);
            refused(&io, &second, 5).await;
            assert_eq!(lacking(&own), 2);
            assert_eq!(own.metrics().log.appends_without_room.get(), 4);
        });
        sim.clear_faults();
        sim.run(move |io| async move {
            let (first, second) = (storage.log(id(0)).unwrap(), storage.log(id(1)).unwrap());
            assert_eq!(appended(&io, &first, 6).await, Ok(()));
            assert_eq!((wanted(&first), lacking(&storage)), (None, 1), "the other one waits");
            assert_eq!(appended(&io, &second, 7).await, Ok(()));
            assert_eq!(lacking(&storage), 0);
            assert_eq!(storage.metrics().log.appends_without_room.get(), 4);
        });
    }
}

#[test]
fn room_is_found_where_nobody_appends_any_more() {
    for seed in 0..10 {
        let sim = Sim::new(seed);
        let storage = full_storage(&sim);
        let own = storage.clone();
        sim.run(move |io| async move {
            io.sleep(LEFT_ALONE).await;
            assert_eq!(lacking(&own), 2, "there is none yet");
            let log = own.log(id(0)).unwrap();
            assert!(!log.inner.state.borrow().storage_full, "the next append tries by itself");
        });
        sim.clear_faults();
        let own = storage.clone();
        sim.run(move |io| async move {
            io.sleep(LEFT_ALONE).await;
            assert_eq!(lacking(&own), 0);
        });
        // It is looked after anew when there is none once more.
        full(&sim);
        let own = storage.clone();
        sim.run(move |io| async move {
            let log = own.log(id(1)).unwrap();
            let mut stamp = 1;
            while appended(&io, &log, stamp).await.is_ok() {
                stamp += 1;
            }
            assert_eq!(lacking(&own), 1);
        });
        sim.clear_faults();
        sim.run(move |io| async move {
            io.sleep(LEFT_ALONE).await;
            assert_eq!(lacking(&storage), 0);
            storage.shutdown().await.unwrap();
        });
    }
}

#[test]
fn a_roll_that_found_no_room_is_done_when_there_is_some() {
    for seed in 0..10 {
        let sim = Sim::new(seed);
        let storage = sim.run(|io| async move {
            let storage = two_logs(&io).await;
            let log = storage.log(id(0)).unwrap();
            let mut stamp = 0;
            while log.size_bytes() < SEGMENT_FULL {
                put(&io, &log, BATCH, stamp).await;
                stamp += 1;
            }
            assert_eq!(log.segment_count(), 1);
            storage
        });
        full(&sim);
        let own = storage.clone();
        sim.run(move |io| async move {
            let log = own.log(id(0)).unwrap();
            for stamp in 0..2 {
                refused(&io, &log, stamp).await;
                assert_eq!((wanted(&log), lacking(&own)), (Some(Want::Roll), 1));
            }
            io.sleep(LEFT_ALONE).await;
            assert_eq!((log.segment_count(), lacking(&own)), (1, 1));
        });
        sim.clear_faults();
        sim.run(move |io| async move {
            io.sleep(LEFT_ALONE).await;
            let log = storage.log(id(0)).unwrap();
            assert_eq!((log.segment_count(), lacking(&storage)), (2, 0));
            let before = read_all(&log).await.len();
            assert_eq!(appended(&io, &log, 9).await, Ok(()));
            put(&io, &log, BATCH, 10).await;
            assert_eq!(read_all(&log).await.len(), before + 2);
        });
    }
}

#[test]
fn a_log_that_takes_no_appends_any_more_lacks_no_room() {
    let sim = Sim::new(1);
    let storage = full_storage(&sim);
    sim.run(move |io| async move {
        storage.delete(id(0)).await.unwrap();
        assert_eq!(lacking(&storage), 1);
        let log = storage.log(id(1)).unwrap();
        log.fence(Damage::Device { file: "it".to_owned(), reason: "broke".to_owned() });
        assert_eq!(lacking(&storage), 0);
        io.sleep(LEFT_ALONE).await;
        storage.delete(id(1)).await.unwrap();
        assert_eq!(lacking(&storage), 0);
    });
    let sim = Sim::new(2);
    let storage = full_storage(&sim);
    sim.run(move |io| async move {
        storage.shutdown().await.unwrap();
        assert_eq!(lacking(&storage), 0);
        io.sleep(LEFT_ALONE).await;
        assert_eq!(lacking(&storage), 0);
    });
}

#[test]
fn a_log_that_is_deleted_while_it_finds_no_room_is_not_counted() {
    for micros in 0..60 {
        let sim = Sim::new(micros);
        let storage = sim.run(|io| async move { two_logs(&io).await });
        full(&sim);
        sim.run(move |io| async move {
            let log = storage.log(id(0)).unwrap();
            let bytes = batch_of(BATCH, 1);
            let view = BatchView::parse(&bytes).unwrap().0;
            let busy = log.append(&[view], SyncPolicy::EachGroup);
            assert_eq!(busy, Err(AppendRefused::Busy));
            io.sleep(Duration::from_micros(micros * 10)).await;
            storage.delete(id(0)).await.unwrap();
            io.sleep(LEFT_ALONE).await;
            assert_eq!(lacking(&storage), 0, "{micros}");
        });
    }
}

#[test]
fn a_step_ahead_that_finds_no_room_counts_until_a_smaller_one_finds_some() {
    for seed in 0..10 {
        let sim = Sim::new(seed);
        let storage = sim.run(|io| async move {
            let storage = two_logs(&io).await;
            put(&io, &storage.log(id(0)).unwrap(), BATCH, 0).await;
            storage
        });
        let once = Fault::eio(Op::Allocate, "topics").with_kind(FaultKind::Errno(ENOSPC));
        sim.inject(once);
        sim.run(move |io| async move {
            let log = storage.log(id(0)).unwrap();
            let mut counted = 0;
            for stamp in 1..20 {
                assert_eq!(appended(&io, &log, stamp).await, Ok(()));
                io.sleep(Duration::from_secs(1)).await;
                counted += lacking(&storage);
            }
            assert!((1..4).contains(&counted), "seed {seed}: for {counted} s");
        });
    }
}

fn journal_waits(storage: &ShardLog<SimIo>) -> u64 {
    storage.metrics().journal.without_room.get()
}

#[test]
fn a_journal_shows_that_its_snapshot_finds_no_room() {
    let sim = Sim::new(1);
    let storage = sim.run(|io| async move { two_logs(&io).await });
    let fault = Fault::eio(Op::Write, "snapshot").with_kind(FaultKind::Errno(ENOSPC));
    sim.inject(fault.for_ever());
    let own = storage.clone();
    sim.run(move |io| async move {
        let log = own.log(id(0)).unwrap();
        assert_eq!(journal_waits(&own), 0);
        log.inner.shard.journal.want_checkpoint();
        io.sleep(LEFT_ALONE).await;
        assert_eq!((journal_waits(&own), lacking(&own)), (1, 0));
    });
    sim.clear_faults();
    sim.run(move |io| async move {
        io.sleep(LEFT_ALONE).await;
        assert_eq!(journal_waits(&storage), 0);
    });
}

#[test]
fn a_journal_shows_that_a_file_it_waits_for_finds_no_room() {
    let sim = Sim::new(1);
    let storage = sim.run(|io| async move { two_logs(&io).await });
    let fault = Fault::eio(Op::Allocate, ".journal").with_kind(FaultKind::Errno(ENOSPC));
    sim.inject(fault.for_ever());
    let own = storage.clone();
    sim.run(move |io| async move {
        let (log, clock) = (own.log(id(0)).unwrap(), io.clone());
        // What the first file holds needs no other one.
        for stamp in 0..12 {
            put(&io, &log, BATCH, stamp).await;
        }
        io.sleep(LEFT_ALONE).await;
        assert_eq!(journal_waits(&own), 0);
        io.spawn(async move {
            for stamp in 0..40 {
                put(&clock, &log, BATCH, stamp).await;
            }
        });
        io.sleep(LEFT_ALONE).await;
        assert_eq!(journal_waits(&own), 1);
    });
    sim.clear_faults();
    sim.run(move |io| async move {
        io.sleep(LEFT_ALONE).await;
        assert_eq!(journal_waits(&storage), 0);
        let log = storage.log(id(0)).unwrap();
        assert_eq!(read_all(&log).await.len(), 52, "the rest went on by itself");
    });
}
