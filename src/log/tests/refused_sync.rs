//! Files of the journal whose sync the disk has refused: what it was to make durable is lost, and no later sync of the same file
//! brings it back, so that the next attempt has to be a new file.

use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::error::Op;
use kolk_io::sim::{Fault, Sim, SimIo};
use kolk_model::batch::BatchView;

use crate::log::Log;
use crate::settings::SyncPolicy;
use crate::tests::life::{batch_of, config, id, read_all, start};

/// Below what goes to the segment directly.
const VALUE_BYTES: usize = 9_000;

async fn put_durable(io: &SimIo, log: &Log<SimIo>, stamp: u64) {
    let bytes = batch_of(VALUE_BYTES, stamp);
    let view = BatchView::parse(&bytes).unwrap().0;
    loop {
        let end = log.log_end();
        if log.durable() == end && log.append(&[view], SyncPolicy::EachGroup).is_ok() {
            break;
        }
        io.sleep(Duration::from_micros(200)).await;
    }
    while log.durable() < log.log_end() {
        io.sleep(Duration::from_micros(200)).await;
    }
}

/// After `skip` syncs of `path` one is refused while so many records are acknowledged; then the power is cut.
fn check(path: &'static str, skip: u64, records: u64, anew: &str) {
    for seed in 0..10 {
        let sim = Sim::new(seed);
        sim.inject(Fault::eio(Op::Sync, path).after(skip));
        sim.run(move |io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
            for stamp in 0..records {
                put_durable(&io, &log, stamp).await;
            }
            // A checkpoint is tried again after a second.
            io.sleep(Duration::from_secs(3)).await;
        });
        assert!(sim.count(Op::Rename, anew) > 0, "seed {seed}: no new file took its place");
        let found = Sim::with_disk(sim.crash(), seed).run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.log(id(0)).unwrap();
            assert!(log.damage().is_none(), "{:?}", log.damage());
            read_all(&log).await
        });
        let wanted: Vec<_> = (0..records).map(|stamp| batch_of(VALUE_BYTES, stamp)).collect();
        assert_eq!(found.len(), wanted.len(), "seed {seed}: records are missing");
    }
}

#[test]
fn a_journal_file_whose_sync_was_refused_is_made_anew() {
    check("/1.journal", 0, 40, "/1.journal.tmp");
}

#[test]
fn a_snapshot_whose_sync_was_refused_is_written_to_a_new_file() {
    // The first sync is that of the start, which makes the slot.
    check("/snapshot.b", 1, 75, "/snapshot.tmp");
}
