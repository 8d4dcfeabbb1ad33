//! What a roll waits for, what a crash in the middle of one leaves, and what becomes of indexes.

use std::time::Duration;

use bytes::Bytes;
use kolk_io::door::Io;
use kolk_io::error::Op;
use kolk_io::sim::{Fault, FaultKind, Sim, SimIo};
use kolk_layout::segment::index::SegmentIndex;
use kolk_model::batch::{self, BatchView};
use kolk_model::offset::Offset;

use crate::log::{Log, index_name, segment_name};
use crate::settings::{LogConfig, SyncPolicy};
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

/// A batch that takes as many offsets as one can.
fn widest(stamp: u64) -> Bytes {
    let mut batch = batch_of(100, stamp).to_vec();
    let delta = batch.get_mut(23..27).unwrap();
    delta.copy_from_slice(&i32::MAX.to_be_bytes());
    batch::seal(&mut batch);
    batch.into()
}

#[test]
fn a_segment_never_spans_more_offsets_than_its_index_can_tell() {
    let sim = Sim::new(4);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let config = LogConfig { index_interval_bytes: 64, ..config(SyncPolicy::EachGroup) };
        let log = storage.create(id(0), config).await.unwrap();
        for stamp in 1..=6 {
            let bytes = widest(stamp);
            let view = BatchView::parse(&bytes).unwrap().0;
            while log.append(&[view], SyncPolicy::EachGroup).is_err() {
                io.sleep(Duration::from_micros(200)).await;
            }
        }
        while log.durable() < log.log_end() {
            io.sleep(Duration::from_micros(200)).await;
        }
        check_widest(&log).await;
        storage.shutdown().await.unwrap();
    });
    Sim::with_disk(sim.crash(), 5).run(|io| async move {
        let log = start(&io, 1).await.remove(0).log(id(0)).unwrap();
        check_widest(&log).await;
    });
}

async fn check_widest(log: &Log<SimIo>) {
    let end = log.log_end();
    assert_eq!(end, Offset::new(6 << 31));
    for n in 0..6_u64 {
        for from in [n << 31, ((n + 1) << 31) - 1] {
            let read = log.read(Offset::new(from), end, 1).await.unwrap().concat();
            let first = BatchView::parse(&read).unwrap().0;
            assert_eq!(first.base_offset(), Offset::new(n << 31), "from {from}");
        }
    }
    assert_eq!(read_all(log).await.len(), 6);
}

#[test]
fn a_part_of_an_index_never_takes_the_place_of_the_whole() {
    let sim = Sim::new(1);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        for stamp in 0..15 {
            put_durable(&io, &log, stamp).await;
        }
        let (of, whole) = {
            let state = log.inner.state.borrow();
            let active = state.active();
            ((active.base, active.version), active.index.clone().unwrap())
        };
        let part = whole.upto(whole.covered() / 2);
        assert!(0 < part.covered() && part.covered() < whole.covered());
        // The order in which two writers that wait get their turn is nobody's affair.
        for index in [&part, &whole, &part] {
            log.save_index(of, index).await.unwrap();
        }
        let file = io.read_file(&log.dir().join(index_name(of.0)), 1 << 20).await.unwrap();
        let found = SegmentIndex::decode(of.0, &file.unwrap()).unwrap();
        assert_eq!(found.covered(), whole.covered());
    });
}
