//! A clean stop beside a checkpoint that has begun to write pages, and what comes after it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::error::Op;
use kolk_io::sim::{Fault, FaultKind, Sim, SimIo};
use kolk_model::batch::BatchView;

use crate::error::LogError;
use crate::log::Log;
use crate::settings::SyncPolicy;
use crate::tests::life::{self, batch_of, config, id, read_all, recovered, small_settings, start};

/// Below what goes to the segment directly.
const VALUE_BYTES: usize = 9_000;
/// Together too little for a write of their own: their pages are the checkpoint's.
const RECORDS: u64 = 6;

async fn put(io: &SimIo, log: &Log<SimIo>, stamp: u64) {
    let bytes = batch_of(VALUE_BYTES, stamp);
    let view = BatchView::parse(&bytes).unwrap().0;
    while log.append(&[view], SyncPolicy::EachGroup).is_err() {
        io.sleep(Duration::from_micros(200)).await;
    }
}

/// Stops with one log at rest and another one that still has to be waited for, while a checkpoint begins to write the pages of the
/// first. Says whether it was writing them in the end.
async fn stop_beside_a_checkpoint(io: SimIo) -> bool {
    let storage = start(&io, 1).await.remove(0);
    let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
    let late = storage.create(id(1), config(SyncPolicy::EachGroup)).await.unwrap();
    for stamp in 0..RECORDS {
        put(&io, &log, stamp).await;
        while log.durable() < log.log_end() {
            io.sleep(Duration::from_micros(200)).await;
        }
    }
    put(&io, &late, 1).await;
    log.inner.shard.journal.want_checkpoint();
    io.spawn(async move { storage.shutdown().await.unwrap() });
    for _ in 0..100 {
        io.sleep(Duration::from_millis(10)).await;
        // Whoever waits at the log looks again whenever its directory was used.
        log.write_beside("producer.snapshot", &[1]).await.unwrap();
    }
    log.inner.state.borrow().writer.is_writing_lazily()
}

#[test]
fn a_clean_stop_never_believes_in_pages_that_a_checkpoint_still_writes() {
    let mut still_writing = 0;
    for seed in 0..40 {
        let sim = Sim::new(seed);
        // The write of the pages never ends.
        let write = Fault::eio(Op::Write, &format!("{}/0/", id(0).topic));
        sim.inject(write.with_kind(FaultKind::Hang));
        still_writing += u32::from(sim.run(stop_beside_a_checkpoint));
        let found = Sim::with_disk(sim.crash(), seed).run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.log(id(0)).unwrap();
            assert_eq!(log.damage(), None);
            read_all(&log).await
        });
        let wanted: Vec<_> = (0..RECORDS).map(|stamp| batch_of(VALUE_BYTES, stamp)).collect();
        assert_eq!(found.len(), wanted.len(), "seed {seed}: records are missing");
    }
    assert!(
        still_writing > 20,
        "the checkpoint began beside the stop in {still_writing} of 40 runs"
    );
}

#[test]
fn a_log_start_that_is_raised_while_the_broker_stops_costs_no_record() {
    let mut raised = 0;
    for seed in 0..150 {
        let sim = Sim::new(seed);
        let start_told = sim.run(move |io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
            for stamp in 0..RECORDS {
                put(&io, &log, stamp).await;
            }
            log.settle().await.unwrap();
            log.roll();
            put(&io, &log, RECORDS).await;
            log.settle().await.unwrap();
            let base = log.inner.state.borrow().active().base;
            let (stop, own) = (storage.clone(), log.clone());
            io.spawn(async move { stop.shutdown().await.unwrap() });
            io.sleep(Duration::from_micros(seed * 10)).await;
            // Whoever stops takes no more of them at some moment: refused is as good as done.
            let done = own.set_log_start(base).await.is_ok();
            while storage.log(id(0)).is_some() {
                io.sleep(Duration::from_micros(200)).await;
            }
            done.then_some(base)
        });
        raised += u32::from(start_told.is_some());
        Sim::with_disk(sim.crash(), seed).run(move |io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.log(id(0)).unwrap();
            assert_eq!(log.damage(), None);
            assert!(start_told.is_none_or(|told| log.log_start() == told), "{start_told:?}");
            assert!(!read_all(&log).await.is_empty());
        });
    }
    assert!((30..120).contains(&raised), "{raised} of 150 were raised");
}

#[test]
fn a_clean_stop_is_known_where_nothing_came_after_a_checkpoint() {
    let sim = Sim::new(1);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::OnDemand)).await.unwrap();
        life::put(&io, &log, VALUE_BYTES, 1).await;
        log.inner.shard.journal.want_checkpoint();
        io.sleep(Duration::from_secs(1)).await;
        assert_eq!(storage.metrics().journal.checkpoints.get(), 1);
        storage.shutdown().await.unwrap();
    });
    let short = Sim::with_disk(sim.kill(), 4).run(|io| async move {
        recovered(&io, 1, &small_settings(), SyncPolicy::OnDemand).await.possibly_short
    });
    assert_eq!(short, vec![]);
}

#[test]
fn a_log_that_is_created_after_the_stop_is_refused() {
    let sim = Sim::new(1);
    let ended = Rc::new(Cell::new(false));
    let told = Rc::clone(&ended);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        storage.shutdown().await.unwrap();
        io.spawn(async move {
            let refused = storage.create(id(0), config(SyncPolicy::EachGroup)).await;
            assert!(matches!(refused, Err(LogError::NoSuchLog { .. })));
            assert!(storage.log(id(0)).is_none());
            told.set(true);
        });
        io.sleep(Duration::from_secs(60)).await;
    });
    assert!(ended.get(), "it waits for ever");
}
