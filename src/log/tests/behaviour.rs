//! What the storage engine promises, one sentence a test, on the simulated disk.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kolk_io::door::Io;
use kolk_io::error::Op;
use kolk_io::sim::{Fault, FaultKind, Sim, SimIo};
use kolk_model::batch::BatchView;
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::error::{AppendRefused, Damage, LogError, RecoveryError};
use crate::log::Log;
use crate::log::retention::Retention;
use crate::recovery::{RecoveryPlan, TopicFate, recover};
use crate::settings::{LogConfig, LogSettings, SyncPolicy};
use crate::shard_log::ShardLog;
use crate::tests::life::{batch_of, config, id, read_all, small_settings, start, start_with};

type Storage = ShardLog<SimIo>;

fn on<T: 'static, F: Future<Output = T> + 'static>(
    sim: &Sim,
    act: impl FnOnce(SimIo, Storage) -> F + 'static,
) -> T {
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        act(io, storage).await
    })
}

async fn create(storage: &Storage, partition: u32) -> Log<SimIo> {
    storage.create(id(partition), config(SyncPolicy::EachGroup)).await.unwrap()
}

/// Appends, waiting where the log is busy; returns without waiting for durability.
async fn put(io: &SimIo, log: &Log<SimIo>, bytes: &Bytes) -> Result<Offset, AppendRefused> {
    let view = BatchView::parse(bytes).unwrap().0;
    loop {
        match log.append(&[view], SyncPolicy::EachGroup) {
            Err(AppendRefused::Busy) => io.sleep(std::time::Duration::from_micros(200)).await,
            done => return done.map(|appended| appended.next_offset),
        }
    }
}

async fn until_durable(io: &SimIo, log: &Log<SimIo>, offset: Offset) {
    for _ in 0..10_000 {
        if log.durable() >= offset {
            return;
        }
        io.sleep(std::time::Duration::from_micros(200)).await;
    }
    panic!("{} is durable to {}, not {offset}", log.id(), log.durable());
}

async fn wait_until(io: &SimIo, mut reached: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if reached() {
            return;
        }
        io.sleep(Duration::from_micros(200)).await;
    }
    panic!("it never comes");
}

async fn put_durable(io: &SimIo, log: &Log<SimIo>, bytes: usize, stamp: u64) -> Offset {
    let next = put(io, log, &batch_of(bytes, stamp)).await.unwrap();
    until_durable(io, log, next).await;
    next
}

/// Enough batches for several segments.
async fn fill(io: &SimIo, log: &Log<SimIo>, count: u64) {
    for stamp in 1..=count {
        put_durable(io, log, 10_000, stamp).await;
    }
}

#[test]
fn one_group_and_one_sync_serve_all_logs_that_appended_meanwhile() {
    let sim = Sim::new(1);
    on(&sim, |io, storage| async move {
        let mut logs = Vec::new();
        for partition in 0..30 {
            logs.push(create(&storage, partition).await);
        }
        let metrics = &storage.metrics().journal;
        let (groups, syncs) = (metrics.groups.get(), metrics.fdatasyncs.get());
        for log in &logs {
            put(&io, log, &batch_of(100, 1)).await.unwrap();
        }
        for log in &logs {
            until_durable(&io, log, Offset::new(1)).await;
        }
        assert_eq!(metrics.groups.get() - groups, 1);
        assert_eq!(metrics.fdatasyncs.get() - syncs, 1);
    });
}

#[test]
fn small_bytes_are_copied_twice_and_large_ones_once() {
    let sim = Sim::new(2);
    on(&sim, |io, storage| async move {
        let log = create(&storage, 0).await;
        let copies =
            || (storage.metrics().copies.tail.get(), storage.metrics().copies.journal.get());
        put_durable(&io, &log, 1_000, 1).await;
        let (tail, journal) = copies();
        assert_eq!(tail, journal);
        put_durable(&io, &log, 100_000, 2).await;
        let (tail_after, journal_after) = copies();
        assert!(tail_after - tail > 100_000);
        assert!(journal_after - journal < 4096, "{}", journal_after - journal);
    });
}

#[test]
fn what_was_appended_becomes_durable_without_further_appends() {
    for seed in 0..50 {
        let sim = Sim::new(seed);
        on(&sim, |io, storage| async move {
            let mut logs = Vec::new();
            for partition in 0..4 {
                logs.push(create(&storage, partition).await);
            }
            for round in 0..12_u64 {
                for log in &logs {
                    let bytes = usize::try_from(io.random_u64() % 40_000).unwrap();
                    put(&io, log, &batch_of(bytes, round + 1)).await.unwrap();
                }
            }
            for log in &logs {
                until_durable(&io, log, log.log_end()).await;
            }
        });
    }
}

#[test]
fn a_burst_behind_unsynced_bytes_goes_on() {
    let sim = Sim::new(22);
    on(&sim, |io, storage| async move {
        let log = storage.create(id(2), config(SyncPolicy::OnDemand)).await.unwrap();
        let small = batch_of(200, 1);
        let view = BatchView::parse(&small).unwrap().0;
        log.append(std::slice::from_ref(&view), SyncPolicy::OnDemand).unwrap();
        for stamp in 2..12 {
            let large = batch_of(12_000, stamp);
            let view = BatchView::parse(&large).unwrap().0;
            for _ in 0..20 {
                match log.append(std::slice::from_ref(&view), SyncPolicy::OnDemand) {
                    Err(AppendRefused::Busy) => io.sleep(Duration::from_micros(200)).await,
                    done => {
                        done.unwrap();
                        break;
                    }
                }
            }
        }
        for _ in 0..1_000 {
            io.sleep(Duration::from_micros(200)).await;
        }
        assert_eq!(log.written(), log.log_end());
    });
}

#[test]
fn a_group_of_tiny_batches_fits_a_journal_file() {
    let sim = Sim::new(23);
    sim.run(|io| async move {
        let settings = LogSettings {
            journal_file_bytes: 64 << 10,
            journal_files: 600,
            group_bytes_max: 32 << 10,
            memory_bytes_max: 64 << 20,
            ..small_settings()
        };
        let storage = start_with(&io, 1, settings).await.remove(0);
        let created = Rc::new(Cell::new(0));
        // Creations have no payload at all: 1,000 of them in one group would be 80,000 bytes.
        for partition in 0..1_000 {
            let (storage, created) = (storage.clone(), Rc::clone(&created));
            io.spawn(async move {
                create(&storage, partition).await;
                created.set(created.get() + 1);
            });
        }
        wait_until(&io, || created.get() == 1_000).await;
        let logs = storage.logs();
        let mut builder = BatchBuilder::new();
        builder.append(TimestampMs::new(1), None, None, &[]).unwrap();
        let tiny = builder.build(Compression::None).unwrap();
        for log in &logs {
            log.append(&[BatchView::parse(&tiny).unwrap().0], SyncPolicy::EachGroup).unwrap();
        }
        wait_until(&io, || logs.iter().all(|log| log.durable() == log.log_end())).await;
    });
}

#[test]
fn pages_go_to_their_segment_before_a_checkpoint_asks_for_them() {
    let sim = Sim::new(11);
    sim.run(|io| async move {
        let settings =
            LogSettings { journal_files: 64, memory_bytes_max: 64 << 20, ..small_settings() };
        let storage = start_with(&io, 1, settings).await.remove(0);
        let config = LogConfig { segment_bytes: 16 << 20, ..config(SyncPolicy::EachGroup) };
        let log = storage.create(id(0), config).await.unwrap();
        for stamp in 1..=200 {
            put_durable(&io, &log, 10_000, stamp).await;
        }
        let metrics = storage.metrics();
        assert_eq!((metrics.journal.checkpoints.get(), metrics.log.direct_writes.get()), (0, 0));
        let state = log.inner.state.borrow();
        let (issued, end) = (state.writer.issued, state.writer.durable.position);
        assert!(end > 2_000_000, "{end}");
        assert!(end - issued < 600_000, "{issued} of {end} are on their way");
        assert!(state.writer.extents.len() <= 2, "{:?}", state.writer.extents);
    });
}

#[test]
fn many_logs_share_a_small_budget_and_go_on() {
    let sim = Sim::new(21);
    on(&sim, |io, storage| async move {
        let mut logs = Vec::new();
        for partition in 0..30 {
            logs.push(create(&storage, partition).await);
        }
        // A burst leaves each log with a large buffer; together they are far above the budget of 1 MiB.
        for round in 1..4 {
            for log in &logs {
                put_durable(&io, log, 90_000, round).await;
            }
        }
        for log in &logs {
            put_durable(&io, log, 100, 9).await;
            assert!(read_all(log).await.len() > 3);
        }
        assert!(storage.metrics().memory.used_bytes.get() < 8 << 20);
    });
}

#[test]
fn appends_of_several_buffers_each_leave_memory_all() {
    let sim = Sim::new(24);
    on(&sim, |io, storage| async move {
        let config = LogConfig { segment_bytes: 64 << 20, ..config(SyncPolicy::EachGroup) };
        let log = storage.create(id(0), config).await.unwrap();
        for stamp in 1..=30 {
            put_durable(&io, &log, 400_000, stamp).await;
        }
        // The budget is 1 MiB, and a buffer has 128 KiB.
        let used = storage.metrics().memory.used_bytes.get();
        assert!(used < 3 << 20, "{used} bytes in memory");
        assert_eq!(read_all(&log).await.len(), 30);
    });
}

#[test]
fn a_failed_journal_write_refuses_everything_and_loses_nothing_acknowledged() {
    for op in [Op::Write, Op::Sync] {
        let sim = Sim::new(3);
        let bytes = batch_of(200, 10);
        sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = create(&storage, 0).await;
            put_durable(&io, &log, 500, 1).await;
            RUNNING.with_borrow_mut(|running| *running = Some(log));
        });
        sim.inject(Fault::eio(op, "journal"));
        let sim_disk = {
            let kept = bytes.clone();
            on_running(&sim, move |io, log| async move {
                put(&io, &log, &kept).await.unwrap();
                for _ in 0..100 {
                    io.sleep(std::time::Duration::from_millis(1)).await;
                }
                assert_eq!(
                    log.durable(),
                    Offset::new(1),
                    "what was not synced is not acknowledged"
                );
                let refused = put(&io, &log, &batch_of(10, 4)).await;
                assert_eq!(refused, Err(AppendRefused::JournalFailed));
                assert_eq!(log.read(Offset::ZERO, Offset::new(1), 1).await.unwrap().len(), 1);
            });
            sim.clear_faults();
            sim.kill()
        };
        on(&Sim::with_disk(sim_disk, 4), |_, storage| async move {
            let log = storage.log(id(0)).unwrap();
            assert!(log.log_end() >= Offset::new(1));
            assert!(!read_all(&log).await.is_empty());
        });
    }
}

thread_local! {
    static RUNNING: std::cell::RefCell<Option<Log<SimIo>>> = const { std::cell::RefCell::new(None) };
}

/// Starts storage with one log that has one record, then lets `act` work on it in the same life.
fn on_running<F: Future<Output = ()> + 'static>(
    sim: &Sim,
    act: impl FnOnce(SimIo, Log<SimIo>) -> F + 'static,
) {
    let log = RUNNING.with_borrow_mut(Option::take);
    sim.run(|io| async move {
        if let Some(log) = log {
            act(io, log).await;
        }
    });
}

#[test]
fn a_segment_error_takes_only_its_log_offline() {
    let sim = Sim::new(5);
    let fault = Fault::eio(Op::Write, &format!("{}/0/", id(0).topic)).for_ever();
    sim.inject(fault);
    on(&sim, |io, storage| async move {
        let (bad, good) = (create(&storage, 0).await, create(&storage, 1).await);
        put(&io, &bad, &batch_of(60_000, 1)).await.unwrap();
        put_durable(&io, &good, 60_000, 2).await;
        assert!(matches!(bad.damage(), Some(Damage::Device { .. })), "{:?}", bad.damage());
        assert_eq!(bad.durable(), Offset::ZERO);
        assert!(matches!(put(&io, &bad, &batch_of(9, 3)).await, Err(AppendRefused::Offline(_))));
        assert!(matches!(
            bad.read(Offset::ZERO, Offset::ZERO, 9).await,
            Err(LogError::Offline { .. })
        ));
        put_durable(&io, &good, 100, 4).await;
    });
}

#[test]
fn a_log_that_the_disk_refused_is_whole_after_the_next_start() {
    let segments = format!("{}/0/", id(0).topic);
    let write = Fault::eio(Op::Write, &segments);
    // The first sync is that of the new segment.
    let sync = Fault::eio(Op::Sync, &segments).after(1);
    for (seed, fault) in [write, sync].into_iter().enumerate() {
        let sim = Sim::new(seed as u64);
        sim.inject(fault);
        on(&sim, |io, storage| async move {
            let log = create(&storage, 0).await;
            for stamp in 1..4 {
                put_durable(&io, &log, 3_000, stamp).await;
            }
            put(&io, &log, &batch_of(60_000, 4)).await.unwrap();
            wait_until(&io, || log.damage().is_some()).await;
            storage.shutdown().await.unwrap();
        });
        on(&Sim::with_disk(sim.crash(), 9), |io, storage| async move {
            let log = storage.log(id(0)).unwrap();
            assert_eq!(log.damage(), None);
            assert!(read_all(&log).await.len() >= 3);
            put_durable(&io, &log, 60_000, 5).await;
        });
    }
}

#[test]
fn a_full_disk_refuses_and_recovers_by_itself() {
    let sim = Sim::new(6);
    let full = std::rc::Rc::new(std::cell::Cell::new(false));
    let fault = Fault::eio(Op::Allocate, "topics").for_ever();
    let fault = fault.with_kind(FaultKind::Errno(28));
    let told = std::rc::Rc::clone(&full);
    sim.inject(fault);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = create(&storage, 0).await;
        assert_eq!(put(&io, &log, &batch_of(9_000, 1)).await, Err(AppendRefused::StorageFull));
        assert_eq!(log.log_end(), Offset::ZERO, "a refused append takes no offset");
        put_durable(&io, &log, 500, 2).await;
        assert_eq!(log.read(Offset::ZERO, Offset::new(1), 9).await.unwrap().len(), 1);
        told.set(true);
        RUNNING.with_borrow_mut(|running| *running = Some(log));
    });
    assert!(full.get());
    sim.clear_faults();
    on_running(&sim, |io, log| async move {
        put_durable(&io, &log, 9_000, 3).await;
    });
}

#[test]
fn a_roll_that_found_no_room_leaves_no_segment_behind() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        // Now a segment finds no room to grow, now the next one none to begin.
        let kind = FaultKind::Errno(28);
        sim.inject(
            Fault { times: 1 + seed % 3, ..Fault::eio(Op::Allocate, ".log").with_kind(kind) }
                .after(seed % 10),
        );
        on(&sim, |io, storage| async move {
            let log = create(&storage, 0).await;
            for stamp in 0..120 {
                while put(&io, &log, &batch_of(3_000, stamp)).await
                    == Err(AppendRefused::StorageFull)
                {
                    // It goes on with less, behind the base that the next segment would have had.
                    let _less = put(&io, &log, &batch_of(100, stamp)).await;
                }
            }
            let end = log.log_end();
            until_durable(&io, &log, end).await;
        });
        on(&Sim::with_disk(sim.crash(), seed), |_, storage| async move {
            let log = storage.log(id(0)).unwrap();
            assert_eq!(log.damage(), None);
            let first = read_all(&log).await;
            assert!(first.len() >= 120, "{} batches", first.len());
        });
    }
}

#[test]
fn readers_that_make_one_index_side_by_side_do_not_disturb_each_other() {
    let sim = Sim::new(1);
    on(&sim, |io, storage| async move {
        let log = create(&storage, 0).await;
        fill(&io, &log, 60).await;
        storage.shutdown().await.unwrap();
    });
    let mut disk = sim.crash();
    for path in disk.files().iter().filter(|path| path.ends_with(".index")) {
        assert!(disk.rot(path, 20, 1));
    }
    for seed in 0..30 {
        on(&Sim::with_disk(disk.clone(), seed), |io, storage| async move {
            let log = storage.log(id(0)).unwrap();
            let read = Rc::new(Cell::new(0));
            for _ in 0..4 {
                let (log, read) = (log.clone(), Rc::clone(&read));
                io.spawn(async move {
                    assert_eq!(read_all(&log).await.len(), 60);
                    read.set(read.get() + 1);
                });
            }
            wait_until(&io, || read.get() == 4).await;
        });
    }
}

#[test]
fn rot_below_the_end_is_found_at_the_read_and_named() {
    let sim = Sim::new(7);
    on(&sim, |io, storage| async move {
        let (log, other) = (create(&storage, 0).await, create(&storage, 1).await);
        fill(&io, &log, 60).await;
        put_durable(&io, &other, 100, 1).await;
        storage.shutdown().await.unwrap();
    });
    let mut disk = sim.crash();
    let segment = format!("/data/topics/{}/0/{:020}.log", id(0).topic, 0);
    for position in [10, 30_000] {
        assert!(disk.rot(&segment, position, 4));
        on(&Sim::with_disk(disk.clone(), 8), |io, storage| async move {
            let log = storage.log(id(0)).unwrap();
            let read = log.read(Offset::ZERO, log.log_end(), 1 << 20).await;
            let Err(LogError::Offline { damage: Damage::Corrupt { file, position, .. }, .. }) =
                read
            else {
                panic!("{read:?}");
            };
            assert!(file.ends_with(&format!("0/{:020}.log", 0)), "{file}");
            assert!(position.get() <= 30_000);
            let other = storage.log(id(1)).unwrap();
            assert_eq!(read_all(&other).await.len(), 1);
            put_durable(&io, &other, 100, 2).await;
        });
        assert!(disk.rot(&segment, position, 4));
    }
}

#[test]
fn a_damaged_index_is_rebuilt_from_its_segment() {
    let sim = Sim::new(9);
    on(&sim, |io, storage| async move {
        let log = create(&storage, 0).await;
        fill(&io, &log, 60).await;
        storage.shutdown().await.unwrap();
    });
    let mut disk = sim.crash();
    let indexes: Vec<String> = disk.files().into_iter().filter(|f| f.ends_with(".index")).collect();
    assert!(indexes.len() > 2, "{indexes:?}");
    for index in &indexes {
        assert!(disk.rot(index, 60, 1));
    }
    on(&Sim::with_disk(disk, 10), |_, storage| async move {
        let log = storage.log(id(0)).unwrap();
        assert_eq!(read_all(&log).await.len(), 60);
    });
}

#[test]
fn after_a_clean_stop_a_segment_is_exactly_its_batches() {
    let sim = Sim::new(11);
    on(&sim, |io, storage| async move {
        let log = create(&storage, 0).await;
        fill(&io, &log, 30).await;
        storage.shutdown().await.unwrap();
    });
    let disk = sim.crash();
    let mut next = Offset::ZERO;
    for name in disk.files().iter().filter(|name| name.ends_with(".log")) {
        let bytes = disk.read(name).unwrap();
        let mut scan = kolk_layout::segment::scan::Scan::new(0, next);
        scan.batches(&bytes, |_, _| {}).unwrap();
        assert_eq!(scan.position().get(), bytes.len() as u64, "{name}");
        next = scan.next_offset();
    }
    assert!(next > Offset::new(30));
}

#[test]
fn a_missing_journal_file_stops_the_start() {
    let sim = Sim::new(12);
    on(&sim, |io, storage| async move {
        let log = create(&storage, 0).await;
        put_durable(&io, &log, 100, 1).await;
        let path = std::path::Path::new("/data/journal/1/0");
        io.remove_file(&path.join("2.journal")).await.unwrap();
        io.sync_dir(path).await.unwrap();
    });
    let sim = Sim::with_disk(sim.crash(), 13);
    sim.run(|io| async move {
        let settings = small_settings();
        let plan = |accept_loss| RecoveryPlan {
            shards: 1,
            settings: &settings,
            boot: 0,
            accept_loss,
            placement: &|_| kolk_model::ids::ShardId::new(0),
            fate: &|_| TopicFate::Live(config(SyncPolicy::EachGroup)),
        };
        let dir = std::path::Path::new("/data");
        let refused = recover(&io, dir, &plan(false)).await;
        let Err(LogError::Recovery(RecoveryError::FileMissing { path })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(path, "journal/1/0/2.journal");
        let accepted = recover(&io, dir, &plan(true)).await.unwrap();
        assert_eq!(accepted.shards[0].logs.len(), 1);
    });
}

#[test]
fn rot_in_an_acknowledged_group_is_damage_and_a_torn_last_group_is_not() {
    let sim = Sim::new(14);
    on(&sim, |io, storage| async move {
        let (first, second) = (create(&storage, 0).await, create(&storage, 1).await);
        put_durable(&io, &first, 100, 1).await;
        put_durable(&io, &second, 100, 2).await;
        put_durable(&io, &second, 100, 3).await;
    });
    let disk = sim.kill();
    // Groups: two creations, then three appends, a page each.
    let cases = [(2, Some(id(0)), 2), (4, None, 1)];
    for (group, damaged, second_end) in cases {
        let mut disk = disk.clone();
        assert!(disk.rot("/data/journal/1/0/0.journal", group * 4096 + 300, 1));
        let sim = Sim::with_disk(disk, 15);
        sim.run(move |io| async move {
            let settings = small_settings();
            let plan = RecoveryPlan {
                shards: 1,
                settings: &settings,
                boot: 0,
                accept_loss: false,
                placement: &|_| kolk_model::ids::ShardId::new(0),
                fate: &|_| TopicFate::Live(config(SyncPolicy::EachGroup)),
            };
            let recovered = recover(&io, std::path::Path::new("/data"), &plan).await.unwrap();
            assert_eq!(recovered.damaged, damaged.into_iter().collect::<Vec<_>>());
            let second = recovered.shards[0].logs.iter().find(|log| log.id == id(1)).unwrap();
            let whole = second.epochs.len() == 1;
            assert!(whole);
            assert!(second.next_offset >= Offset::new(second_end), "{}", second.next_offset);
        });
    }
}

#[test]
fn retention_gives_up_whole_old_segments_only() {
    let sim = Sim::new(16);
    on(&sim, |io, storage| async move {
        let log = create(&storage, 0).await;
        fill(&io, &log, 60).await;
        let segments = log.segment_count();
        assert!(segments > 2);
        let kept = Retention { before: None, bytes_max: Some(u64::MAX) };
        assert_eq!(log.apply_retention(kept).await.unwrap(), Offset::ZERO);
        let by_size = Retention { before: None, bytes_max: Some(log.size_bytes() / 2) };
        let start = log.apply_retention(by_size).await.unwrap();
        assert!(start > Offset::ZERO && log.segment_count() < segments);
        assert!(matches!(
            log.read(Offset::ZERO, log.log_end(), 1).await,
            Err(LogError::OffsetOutOfRange { .. })
        ));
        let by_time = Retention { before: Some(TimestampMs::new(i64::MAX)), bytes_max: None };
        log.apply_retention(by_time).await.unwrap();
        assert_eq!(log.segment_count(), 1, "the active segment is never given up");
        read_all(&log).await;
    });
}

#[test]
fn a_log_start_that_is_raised_during_a_roll_costs_no_record() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        on(&sim, |io, storage| async move {
            let log = create(&storage, 0).await;
            let (other, own) = (log.clone(), io.clone());
            io.spawn(async move {
                loop {
                    let start = other.log_start().max(Offset::new(other.durable().get() / 2));
                    if other.set_log_start(start.next()).await.is_err() {
                        own.sleep(Duration::from_micros(50)).await;
                    }
                }
            });
            fill(&io, &log, 90).await;
            storage.shutdown().await.unwrap();
        });
        on(&Sim::with_disk(sim.crash(), seed), |_, storage| async move {
            let log = storage.log(id(0)).unwrap();
            assert_eq!((log.damage(), log.log_end()), (None, Offset::new(90 + 30)));
            read_all(&log).await;
        });
    }
}

#[test]
fn a_raised_log_start_is_told_of_once_it_is_durable() {
    let sim = Sim::new(3);
    on(&sim, |io, storage| async move {
        let log = create(&storage, 0).await;
        for stamp in 1..5 {
            put_durable(&io, &log, 100, stamp).await;
        }
        let syncs = || storage.metrics().journal.fdatasyncs.get();
        let before = syncs();
        let (other, raised) = (log.clone(), Rc::new(Cell::new(false)));
        let done = Rc::clone(&raised);
        io.spawn(async move {
            other.set_log_start(Offset::new(3)).await.unwrap();
            done.set(true);
        });
        while !raised.get() {
            assert_eq!(log.log_start() == Offset::ZERO, syncs() == before);
            io.yield_now().await;
        }
        assert_eq!(log.log_start(), Offset::new(3));
    });
}

#[test]
fn a_deleted_log_leaves_nothing_and_its_neighbour_alone() {
    let sim = Sim::new(17);
    on(&sim, |io, storage| async move {
        let (log, other) = (create(&storage, 0).await, create(&storage, 1).await);
        fill(&io, &log, 30).await;
        put_durable(&io, &other, 100, 1).await;
        storage.delete(id(0)).await.unwrap();
        assert!(matches!(storage.delete(id(0)).await, Err(LogError::NoSuchLog { .. })));
        assert!(matches!(
            log.read(Offset::ZERO, Offset::ZERO, 1).await,
            Err(LogError::NoSuchLog { .. })
        ));
        assert_eq!(read_all(&other).await.len(), 1);
    });
    let left = sim.with_disk_mut(|disk| disk.files());
    assert!(left.iter().all(|name| !name.contains("/0/0000")), "{left:?}");
}

#[test]
fn a_log_deleted_in_the_middle_of_anything_leaves_nothing() {
    for seed in 0..60 {
        let sim = Sim::new(seed);
        on(&sim, move |io, storage| async move {
            let log = create(&storage, 0).await;
            fill(&io, &log, 1 + seed % 30).await;
            put(&io, &log, &batch_of(10_000, 99)).await.unwrap();
            log.roll();
            let (other, bytes) = (log.clone(), vec![1; 5_000]);
            io.spawn(async move { other.write_beside("producer.snapshot", &bytes).await.unwrap() });
            io.sleep(Duration::from_micros(seed * 40)).await;
            storage.delete(id(0)).await.unwrap();
            io.sleep(Duration::from_secs(1)).await;
        });
        let left = sim.with_disk_mut(|disk| disk.files());
        assert!(left.iter().all(|name| !name.contains("/topics/")), "seed {seed}: {left:?}");
    }
}

#[test]
fn a_log_deleted_while_its_group_is_written_starts_no_write_of_its_own() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        on(&sim, move |io, storage| async move {
            let log = create(&storage, 0).await;
            put_durable(&io, &log, 100, 1).await;
            put(&io, &log, &batch_of(100, 2)).await.unwrap();
            // The group of that one is on its way now; what comes is for the segment, and waits for it.
            io.sleep(Duration::from_micros(10)).await;
            put(&io, &log, &batch_of(40_000, 3)).await.unwrap();
            storage.delete(id(0)).await.unwrap();
            io.sleep(Duration::from_secs(1)).await;
        });
    }
}

#[test]
fn records_are_found_by_time() {
    let sim = Sim::new(18);
    on(&sim, |io, storage| async move {
        let log = create(&storage, 0).await;
        fill(&io, &log, 60).await;
        let found = log.offset_for_timestamp(TimestampMs::new(40), log.log_end()).await.unwrap();
        assert_eq!(found.unwrap().timestamp, TimestampMs::new(40));
        let none = log.offset_for_timestamp(TimestampMs::new(61), log.log_end()).await.unwrap();
        assert_eq!(none, None);
    });
}

#[test]
fn leader_epochs_rise_by_one_at_each_start_and_know_their_first_offset() {
    let mut sim = Sim::new(19);
    for run in 0..3_u32 {
        on(&sim, move |io, storage| async move {
            let log = match storage.log(id(0)) {
                Some(log) => log,
                None => create(&storage, 0).await,
            };
            assert_eq!(log.epoch().get(), run);
            put_durable(&io, &log, 100, 1).await;
            let starts: Vec<u64> = log.epochs().iter().map(|epoch| epoch.start.get()).collect();
            assert_eq!(starts, (0..=u64::from(run)).collect::<Vec<_>>());
        });
        sim = Sim::with_disk(if run == 0 { sim.crash() } else { sim.kill() }, u64::from(run));
    }
}
