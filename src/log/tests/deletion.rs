//! Logs that are deleted in bad moments: with a group on its way, after a failed write.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::error::Op;
use kolk_io::sim::{Fault, Sim};
use kolk_model::batch::BatchView;

use crate::recovery::{TopicFate, remove_deleted_topics};
use crate::settings::SyncPolicy;
use crate::tests::life::{DIR, batch_of, config, id, put, start};

#[test]
fn a_log_goes_while_its_group_waits_for_the_next_journal_file() {
    for seed in 0..200 {
        let sim = Sim::new(seed);
        sim.run(move |io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config(SyncPolicy::OnDemand)).await.unwrap();
            let clock = io.clone();
            io.spawn(async move {
                for stamp in 0..200 {
                    let bytes = batch_of(9_000, stamp);
                    let view = BatchView::parse(&bytes).unwrap().0;
                    // Refused once the log is gone.
                    let _refused = log.append(&[view], SyncPolicy::OnDemand);
                    clock.sleep(Duration::from_micros(300)).await;
                }
            });
            io.sleep(Duration::from_micros(5_000 + seed * 200)).await;
            storage.delete(id(0)).await.unwrap();
            let other = storage.create(id(1), config(SyncPolicy::EachGroup)).await.unwrap();
            put(&io, &other, 9_000, 1).await;
        });
    }
}

#[test]
fn a_log_that_a_failed_write_took_offline_can_be_deleted() {
    let sim = Sim::new(1);
    sim.inject(Fault::eio(Op::Write, ".log").for_ever());
    let deleted = Rc::new(Cell::new(false));
    let told = Rc::clone(&deleted);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        for stamp in 0..10 {
            put(&io, &log, 40_000, stamp).await;
        }
        assert!(log.damage().is_some());
        io.spawn(async move {
            storage.delete(id(0)).await.unwrap();
            told.set(true);
        });
        io.sleep(Duration::from_secs(60)).await;
    });
    assert!(deleted.get(), "it never ends");
    let files = sim.with_disk_mut(|disk| disk.files());
    assert!(files.iter().all(|name| !name.ends_with(".log")), "{files:?}");
}

#[test]
fn a_start_goes_on_beside_a_deleted_topic_that_can_not_be_removed() {
    let sim = Sim::new(1);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        put(&io, &log, 9_000, 1).await;
    });
    let left = |sim: &Sim| {
        sim.with_disk_mut(|disk| disk.files().iter().any(|path| path.contains("/topics/")))
    };
    for op in [Op::List, Op::Remove] {
        let sim = Sim::with_disk(sim.with_disk_mut(|disk| disk.clone()), 2);
        sim.inject(Fault::eio(op, &id(0).topic.to_string()));
        for removed in [false, true] {
            sim.run(|io| async move {
                let fate = |_| TopicFate::Deleted;
                remove_deleted_topics(&io, Path::new(DIR), &fate).await.unwrap();
            });
            assert_eq!(left(&sim), !removed, "{op}");
        }
    }
}
