//! Writes and syncs of segments that fail in bad moments: a log goes offline at once, and nothing is tried again into success.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::error::Op;
use kolk_io::sim::{Fault, FaultKind, Sim};
use kolk_model::batch::BatchView;
use kolk_model::offset::Offset;

use crate::error::LogError;
use crate::log::segment_name;
use crate::log::writer::ExtentState;
use crate::settings::SyncPolicy;
use crate::tests::life::{
    ENOSPC, batch_of, config, id, put, read_all, recovered, small_settings, start, tried,
};

mod descriptors;
mod full;
mod held;

#[test]
fn a_clean_stop_ends_when_a_page_write_beside_it_fails() {
    let mut failed = 0;
    for seed in 0..60 {
        let sim = Sim::new(seed);
        sim.inject(Fault::eio(Op::Write, &format!("{}/0/", id(0).topic)));
        let ended = Rc::new(Cell::new(false));
        let told = Rc::clone(&ended);
        let unfinished = sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
            let late = storage.create(id(1), config(SyncPolicy::EachGroup)).await.unwrap();
            for stamp in 0..6 {
                put(&io, &log, 9_000, stamp).await;
            }
            // The stop has to wait for this one; the checkpoint begins with the other one's pages meanwhile.
            let bytes = batch_of(9_000, 1);
            let view = BatchView::parse(&bytes).unwrap().0;
            while late.append(&[view], SyncPolicy::EachGroup).is_err() {
                io.sleep(Duration::from_micros(200)).await;
            }
            log.inner.shard.journal.want_checkpoint();
            io.spawn(async move {
                // Whether it calls itself clean is not the question.
                let _outcome = storage.shutdown().await;
                told.set(true);
            });
            io.sleep(Duration::from_secs(60)).await;
            let state = log.inner.state.borrow();
            state.writer.extents.iter().any(|extent| extent.state == ExtentState::Writing)
        });
        assert!(ended.get(), "seed {seed}: it never ends");
        failed += u32::from(unfinished);
        Sim::with_disk(sim.crash(), seed).run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            assert_eq!(read_all(&storage.log(id(0)).unwrap()).await.len(), 6);
        });
    }
    assert!(failed > 20, "the write failed in {failed} of 60 runs");
}

#[test]
fn a_segment_whose_last_sync_finds_no_space_takes_its_log_offline() {
    const RECORDS: u64 = 15;
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let log = sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
            for stamp in 0..RECORDS {
                put(&io, &log, 9_000, stamp).await;
            }
            io.sleep(Duration::from_secs(1)).await;
            log
        });
        let full = FaultKind::Errno(ENOSPC);
        sim.inject(Fault::eio(Op::Sync, &segment_name(Offset::ZERO)).with_kind(full));
        sim.run(|io| async move {
            for _ in 0..2 {
                log.roll();
                io.sleep(Duration::from_secs(1)).await;
            }
            log.inner.shard.journal.want_checkpoint();
            io.sleep(Duration::from_secs(1)).await;
            assert!(log.damage().is_some(), "seed {seed}: pages may be lost");
        });
        Sim::with_disk(sim.crash(), seed).run(move |io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.log(id(0)).unwrap();
            assert_eq!(log.damage(), None, "seed {seed}");
            assert_eq!(u64::try_from(read_all(&log).await.len()).unwrap(), RECORDS, "seed {seed}");
        });
    }
}

#[test]
fn a_log_that_can_not_be_sealed_goes_offline_though_the_next_segment_hangs() {
    let sim = Sim::new(1);
    let log = sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        for stamp in 0..5 {
            put(&io, &log, 9_000, stamp).await;
        }
        log
    });
    sim.inject(Fault::eio(Op::SyncDir, "/0").with_kind(FaultKind::Hang));
    sim.inject(Fault::eio(Op::Truncate, &segment_name(Offset::ZERO)));
    sim.run(|io| async move {
        log.roll();
        io.sleep(Duration::from_secs(10)).await;
        assert!(log.damage().is_some());
    });
}

#[test]
fn a_segment_whose_roll_the_journal_lacks_outlives_the_log_start() {
    let mut rolled = 0;
    for skip in 0..4 {
        let sim = Sim::new(3);
        sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
            for stamp in 0..3 {
                put(&io, &log, 40_000, stamp).await;
            }
            log.roll();
            for stamp in 3..6 {
                put(&io, &log, 40_000, stamp).await;
            }
            assert_eq!(log.segment_count(), 2);
            storage.shutdown().await.unwrap();
        });
        let sim = Sim::with_disk(sim.crash(), 3);
        let hang = Fault::eio(Op::Write, "0.journal").with_kind(FaultKind::Hang);
        sim.inject(hang.for_ever().after(skip));
        let told = Rc::new(Cell::new(false));
        let reached = Rc::clone(&told);
        sim.run(|io| async move {
            let own = io.clone();
            io.spawn(async move {
                let storage = start(&own, 1).await.remove(0);
                let log = storage.log(id(0)).unwrap();
                // An index is being saved, that of the segment before for instance.
                let turn = log.index_turn().await;
                log.roll();
                own.sleep(Duration::from_secs(1)).await;
                let (end, trimmer) = (log.log_end(), log.clone());
                own.spawn(async move { drop(trimmer.set_log_start(end).await) });
                own.sleep(Duration::from_secs(1)).await;
                if log.log_start() == end {
                    drop(turn);
                    own.sleep(Duration::from_secs(5)).await;
                    reached.set(!log.inner.state.borrow().controls_settled());
                }
            });
            io.sleep(Duration::from_secs(30)).await;
        });
        rolled += u32::from(told.get());
        let damaged = Sim::with_disk(sim.kill(), 4).run(|io| async move {
            recovered(&io, 1, &small_settings(), SyncPolicy::EachGroup).await.damaged
        });
        assert_eq!(damaged, vec![], "after {skip} journal writes");
    }
    assert!(rolled > 0, "the log start was durable and the roll was not");
}

#[test]
fn an_index_that_can_not_be_read_is_made_again() {
    let sim = Sim::new(1);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        for stamp in 0..30 {
            put(&io, &log, 9_000, stamp).await;
        }
        storage.shutdown().await.unwrap();
    });
    for op in [Op::Open, Op::Read] {
        let sim = Sim::with_disk(sim.with_disk_mut(|disk| disk.clone()), 2);
        sim.inject(Fault::eio(op, ".index").for_ever());
        sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            assert_eq!(read_all(&storage.log(id(0)).unwrap()).await.len(), 30);
        });
        assert!(sim.count(op, ".index") > 0, "{op}: nobody tried");
    }
}

#[test]
fn a_start_without_room_for_the_last_pages_goes_on_from_memory() {
    for seed in 0..10 {
        let sim = Sim::new(seed);
        sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
            for stamp in 0..6 {
                put(&io, &log, 9_000, stamp).await;
            }
        });
        let sim = Sim::with_disk(sim.kill(), seed);
        sim.inject(Fault::eio(Op::Write, ".log").with_kind(FaultKind::Errno(ENOSPC)));
        sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.log(id(0)).unwrap();
            log.inner.shard.journal.want_checkpoint();
            io.sleep(Duration::from_secs(1)).await;
            put(&io, &log, 9_000, 6).await;
        });
        Sim::with_disk(sim.crash(), seed).run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            assert_eq!(read_all(&storage.log(id(0)).unwrap()).await.len(), 7);
        });
    }
}

#[test]
fn a_journal_file_that_finds_no_room_is_not_tried_without_pause() {
    let sim = Sim::new(1);
    sim.inject(
        Fault::eio(Op::Allocate, "1.journal").with_kind(FaultKind::Errno(ENOSPC)).for_ever(),
    );
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        let clock = io.clone();
        io.spawn(async move {
            for stamp in 0..60 {
                put(&clock, &log, 9_000, stamp).await;
            }
        });
        io.sleep(Duration::from_secs(10)).await;
    });
    let tried = sim.count(Op::Allocate, "1.journal");
    assert!((2..15).contains(&tried), "{tried} times in 10 s");
}

#[test]
fn starts_that_fail_again_and_again_leave_one_journal_behind() {
    let sim = Sim::new(1);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        for stamp in 0..6 {
            put(&io, &log, 9_000, stamp).await;
        }
    });
    let mut disk = sim.kill();
    for round in 0..6 {
        let sim = Sim::with_disk(disk, round);
        let full = FaultKind::Errno(ENOSPC);
        sim.inject(Fault::eio(Op::Allocate, "/journal/").with_kind(full).for_ever());
        sim.run(move |io| async move {
            let refused = tried(&io, 1, &small_settings(), SyncPolicy::EachGroup).await;
            assert!(matches!(refused, Err(LogError::Io(_))), "{refused:?}");
            let found = io.list_dir(Path::new("/data/journal")).await.unwrap();
            assert_eq!(found.len(), 2, "the live one and this one's: {found:?}");
        });
        disk = if round % 2 == 0 { sim.kill() } else { sim.crash() };
    }
    Sim::with_disk(disk, 9).run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        assert_eq!(read_all(&storage.log(id(0)).unwrap()).await.len(), 6);
    });
}
