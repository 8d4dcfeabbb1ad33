//! Descriptors that are all taken for a while.

use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::error::Op;
use kolk_io::sim::{Fault, FaultKind, Sim};

use crate::error::LogError;
use crate::settings::SyncPolicy;
use crate::tests::life::{config, id, put, read_all, start};

/// The process may open no more files, as Linux numbers it.
const EMFILE: i32 = 24;

#[test]
fn logs_wait_for_descriptors_and_do_not_go_offline() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let taken = Fault::eio(Op::Open, "topics/").with_kind(FaultKind::Errno(EMFILE)).for_ever();
        let storage = sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            for partition in 0..6 {
                let log = storage.create(id(partition), config(SyncPolicy::EachGroup)).await;
                put(&io, &log.unwrap(), 40_000, 0).await;
            }
            storage
        });
        sim.inject(taken);
        let own = storage.clone();
        sim.run(move |io| async move {
            for log in own.logs() {
                let io = io.clone();
                io.clone().spawn(async move {
                    for stamp in 1..12 {
                        put(&io, &log, 40_000, stamp).await;
                    }
                });
            }
            io.sleep(Duration::from_secs(5)).await;
            for log in own.logs() {
                assert_eq!(log.damage(), None);
            }
        });
        sim.clear_faults();
        sim.run(move |io| async move {
            io.sleep(Duration::from_secs(10)).await;
            for log in storage.logs() {
                assert_eq!((log.damage(), read_all(&log).await.len()), (None, 12), "seed {seed}");
            }
            storage.shutdown().await.unwrap();
        });
    }
}

#[test]
fn an_index_that_finds_no_descriptor_is_loaded_later() {
    let sim = Sim::new(1);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        for stamp in 0..60 {
            put(&io, &log, 9_000, stamp).await;
        }
        storage.shutdown().await.unwrap();
    });
    let sim = Sim::with_disk(sim.kill(), 2);
    let log = sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        storage.log(id(0)).unwrap()
    });
    sim.inject(Fault::eio(Op::Open, "topics/").with_kind(FaultKind::Errno(EMFILE)).for_ever());
    let own = log.clone();
    sim.run(move |_| async move {
        let refused = own.read(own.log_start(), own.log_end(), 1).await;
        assert!(matches!(refused, Err(LogError::Io(_))), "{refused:?}");
    });
    sim.clear_faults();
    sim.run(move |_| async move {
        assert_eq!((log.damage(), read_all(&log).await.len()), (None, 60));
    });
}
