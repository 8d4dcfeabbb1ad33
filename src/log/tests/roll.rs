//! What a roll waits for, and what a crash in the middle of one leaves.

use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::error::Op;
use kolk_io::sim::{Fault, FaultKind, Sim, SimIo};
use kolk_model::batch::BatchView;
use kolk_model::offset::Offset;

use crate::log::{Log, segment_name};
use crate::settings::SyncPolicy;
use crate::tests::life::{batch_of, config, id, read_all, start};

async fn put_durable(io: &SimIo, log: &Log<SimIo>, stamp: u64) {
    let bytes = batch_of(10_000, stamp);
    let view = BatchView::parse(&bytes).unwrap().0;
    while log.append(&[view], SyncPolicy::EachGroup).is_err() {
        io.sleep(Duration::from_micros(200)).await;
    }
    while log.durable() < log.log_end() {
        io.sleep(Duration::from_micros(200)).await;
    }
}

#[test]
fn appends_do_not_wait_for_the_index_of_the_segment_before() {
    let sim = Sim::new(1);
    sim.inject(Fault::eio(Op::Write, ".index").with_kind(FaultKind::Hang).for_ever());
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        let mut stamp = 0;
        while log.segment_count() < 2 {
            stamp += 1;
            put_durable(&io, &log, stamp).await;
        }
        put_durable(&io, &log, stamp + 1).await;
    });
    assert_eq!(sim.count(Op::Rename, ".index"), 0, "it still hangs");
}

#[test]
fn a_segment_that_is_there_before_the_old_one_is_sealed_goes_at_the_next_start() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        // The old segment is never cut to its length.
        let first = segment_name(Offset::ZERO);
        sim.inject(Fault::eio(Op::Truncate, &first).with_kind(FaultKind::Hang));
        let (end, base) = sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
            for stamp in 0..5 {
                put_durable(&io, &log, stamp).await;
            }
            log.roll();
            io.sleep(Duration::from_secs(1)).await;
            assert_eq!(log.segment_count(), 1);
            (log.durable(), log.log_end())
        });
        let next = segment_name(base);
        let has_next =
            |sim: &Sim| sim.with_disk_mut(|disk| disk.files().iter().any(|f| f.ends_with(&next)));
        assert!(has_next(&sim), "seed {seed}: the next segment is made meanwhile");
        let sim = Sim::with_disk(if seed % 2 == 0 { sim.kill() } else { sim.crash() }, seed);
        sim.run(move |io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.log(id(0)).unwrap();
            assert_eq!((log.damage(), log.log_end()), (None, end));
            assert_eq!((log.segment_count(), read_all(&log).await.len()), (1, 5));
            put_durable(&io, &log, 9).await;
        });
        assert!(!has_next(&sim), "seed {seed}");
    }
}

#[test]
fn indexes_of_segments_that_were_rolled_leave_memory() {
    let sim = Sim::new(1);
    let (segments, indexes) = sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        for stamp in 0..600 {
            put_durable(&io, &log, stamp).await;
            log.roll();
            io.sleep(Duration::from_millis(50)).await;
        }
        let state = log.inner.state.borrow();
        (state.segments.len(), state.segments.iter().filter(|s| s.index.is_some()).count())
    });
    assert!(segments > 600 && indexes <= 300, "{indexes} of {segments}");
}
