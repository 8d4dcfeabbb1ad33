//! The simulator's own promises: determinism, durability, faults, room.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::{Fault, FaultKind, Sim, SimFile, SimIo};
use crate::buf::{AlignedBuf, AlignedSlice};
use crate::door::{File, Io, OpenMode};
use crate::error::{IoError, Op};
use crate::time::WallClock;

fn page(byte: u8) -> AlignedSlice {
    AlignedBuf::from_bytes(&[byte; 4096]).into_slice()
}

async fn create(io: &SimIo, path: &str) -> SimFile {
    let path = Path::new(path);
    let file = io.open(path, OpenMode::CreateNew).await.unwrap();
    io.sync_dir(path.parent().unwrap()).await.unwrap();
    file
}

/// A program with concurrency, whose trace shows the order of things.
async fn busy_program(io: SimIo) -> Vec<(u64, u64)> {
    let trace = Rc::new(RefCell::new(Vec::new()));
    for task in 0..5 {
        let (io, trace) = (io.clone(), Rc::clone(&trace));
        io.clone().spawn(async move {
            let file = create(&io, &format!("/{task}")).await;
            for round in 0..4 {
                file.write_and_sync_at(round * 4096, &[page(task)]).await.unwrap();
                trace.borrow_mut().push((u64::from(task), io.now().as_ns()));
                io.yield_now().await;
            }
        });
    }
    while trace.borrow().len() < 20 {
        io.sleep(Duration::from_millis(1)).await;
    }
    trace.take()
}

#[test]
fn one_seed_is_one_run() {
    let run = |seed| {
        let sim = Sim::new(seed);
        let trace = sim.run(busy_program);
        (trace, sim.fingerprint(), sim.steps())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn time_jumps_when_nothing_is_runnable() {
    let sim = Sim::new(1);
    let (passed, wall) = sim.run(|io| async move {
        let (start, wall) = (io.now(), io.wall_clock());
        io.sleep(Duration::from_secs(3600)).await;
        (io.now() - start, io.wall_clock().as_ms() - wall.as_ms())
    });
    assert!(passed >= Duration::from_secs(3600) && passed < Duration::from_secs(3601));
    assert!((3_600_000..3_601_000).contains(&wall));
}

#[test]
fn the_wall_clock_jumps_alone_and_goes_on_after_a_crash() {
    let sim = Sim::new(1);
    sim.set_wall_clock(WallClock::new(5_000_000_000));
    sim.run(|io| async move { io.sleep(Duration::from_secs(1)).await });
    let next = Sim::with_disk(sim.crash(), 2);
    let wall = next.run(|io| async move { io.wall_clock() });
    assert!((6_000..6_100).contains(&wall.as_ms()), "{wall}");
}

#[test]
fn acknowledged_bytes_survive_a_crash_at_every_step() {
    let whole = Sim::new(3);
    whole.run(busy_program);
    for crash_at in 0..whole.steps() {
        let sim = Sim::new(3);
        let acked = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&acked);
        let _unfinished = sim.run_steps(crash_at, |io| async move {
            for nth in 0..4_u8 {
                let file = create(&io, &format!("/{nth}")).await;
                file.write_at(4096, &[page(9)]).await.unwrap();
                file.write_and_sync_at(0, &[page(nth + 1)]).await.unwrap();
                seen.borrow_mut().push(nth);
            }
            io.sleep(Duration::from_secs(9)).await;
        });
        let disk = sim.crash();
        for nth in acked.borrow().iter() {
            let bytes = disk.read(&format!("/{nth}")).unwrap();
            assert_eq!(bytes[..4096], [nth + 1; 4096], "crash at step {crash_at}");
            assert_eq!(bytes[4096..], [9; 4096], "crash at step {crash_at}");
        }
    }
}

#[test]
fn a_kill_keeps_what_was_completed_and_a_later_power_cut_may_lose_it() {
    let mut lost = 0;
    for seed in 0..60 {
        let sim = Sim::new(seed);
        sim.run(|io| async move {
            let file = create(&io, "/f").await;
            file.write_at(0, &[page(1), page(2)]).await.unwrap();
        });
        let disk = sim.kill();
        assert_eq!(disk.read("/f").unwrap()[4095..4097], [1, 2], "seed {seed}");
        let later = disk.after_power_cut(seed).read("/f").unwrap();
        lost += usize::from(later != disk.read("/f").unwrap());
    }
    assert!(lost > 0);
}

#[test]
fn a_dropped_future_does_not_stop_its_write() {
    let sim = Sim::new(1);
    sim.run(|io| async move {
        let file = create(&io, "/f").await;
        drop(file.write_at(0, &[page(1)]));
        io.sleep(Duration::from_secs(1)).await;
        assert_eq!(&*file.read_at(0, 4096).await.unwrap(), &[1; 4096]);
    });
}

#[test]
fn a_read_ends_with_the_file() {
    Sim::new(1).run(|io| async move {
        let file = create(&io, "/f").await;
        file.write_at(0, &[page(1)]).await.unwrap();
        file.truncate(1000).await.unwrap();
        assert_eq!(file.read_at(0, 8192).await.unwrap().len(), 1000);
        assert_eq!(file.read_at(4096, 8192).await.unwrap().len(), 0);
        assert_eq!(file.len().await.unwrap(), 1000);
        file.allocate(4096, 4096).await.unwrap();
        let read = file.read_at(0, 8192).await.unwrap();
        assert_eq!((read.len(), read[999], read[1000]), (8192, 1, 0));
        file.close().await.unwrap();
    });
}

#[test]
fn a_failed_write_and_a_failed_sync_are_told_apart() {
    let sim = Sim::new(1);
    sim.inject(Fault::eio(Op::Write, "journal").after(1));
    sim.inject(Fault::eio(Op::Sync, "journal").after(1));
    sim.run(|io| async move {
        let file = create(&io, "/0.journal").await;
        file.write_and_sync_at(0, &[page(1)]).await.unwrap();
        let failed = |result: Result<_, IoError>| match result {
            Err(IoError::Os { op, errno: libc::EIO, .. }) => op,
            other => panic!("{other:?}"),
        };
        assert_eq!(failed(file.write_and_sync_at(4096, &[page(2)]).await), Op::Write);
        assert_eq!(failed(file.write_and_sync_at(4096, &[page(2)]).await), Op::Sync);
        file.write_and_sync_at(4096, &[page(2)]).await.unwrap();
    });
    assert_eq!(sim.count(Op::Write, "journal"), 4);
    // The sync behind the failed write never began.
    assert_eq!(sim.count(Op::Sync, "journal"), 3);
}

#[test]
fn a_short_write_is_an_error_that_says_how_short() {
    let sim = Sim::new(1);
    let short = FaultKind::ShortWrite { bytes: 5000 };
    sim.inject(Fault::eio(Op::Write, "/f").with_kind(short));
    sim.run(|io| async move {
        let file = create(&io, "/f").await;
        let error = file.write_at(0, &[page(1), page(2)]).await.unwrap_err();
        let IoError::ShortWrite { wanted, written, .. } = error else { panic!("{error}") };
        assert_eq!((wanted, written), (8192, 4608));
        assert_eq!(file.len().await.unwrap(), 4608);
    });
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let sim = Sim::new(1);
    sim.set_capacity(8192);
    sim.run(|io| async move {
        let file = create(&io, "/f").await;
        file.write_at(0, &[page(1)]).await.unwrap();
        let other = create(&io, "/g").await;
        assert!(other.allocate(0, 8192).await.unwrap_err().is_no_space());
        assert!(other.write_at(4096, &[page(1)]).await.unwrap_err().is_no_space());
        assert_eq!(io.space(Path::new("/")).await.unwrap().free_bytes, 4096);
        file.close().await.unwrap();
        io.remove_file(Path::new("/f")).await.unwrap();
        other.allocate(0, 8192).await.unwrap();
    });
}

#[test]
fn a_metadata_file_is_replaced_whole_or_not_at_all() {
    let write = |bytes: &'static [u8]| {
        move |io: SimIo| async move {
            io.write_file_atomic(Path::new("/meta/CURRENT"), bytes).await.unwrap();
        }
    };
    let prepare = |seed| {
        let sim = Sim::new(seed);
        sim.run(|io| async move {
            io.create_dir_all(Path::new("/meta")).await.unwrap();
            io.sync_dir(Path::new("/")).await.unwrap();
        });
        sim.run(write(b"one"));
        sim
    };
    for seed in 0..20 {
        for steps in 0..60 {
            let sim = prepare(seed);
            let done = sim.run_steps(steps, write(b"the second")).is_some();
            let next = Sim::with_disk(sim.crash(), seed);
            let read = next.run(|io| async move {
                io.read_file(Path::new("/meta/CURRENT"), 4096).await.unwrap().unwrap()
            });
            assert!(read == b"the second" || (read == b"one" && !done), "seed {seed}, {steps}");
            next.run(write(b"three"));
        }
    }
}

#[test]
fn whole_trees_are_created_and_removed() {
    Sim::new(1).run(|io| async move {
        let dir = Path::new("/a/b/c");
        io.create_dir_all(dir).await.unwrap();
        io.create_dir_all(dir).await.unwrap();
        create(&io, "/a/b/f").await;
        let listed = io.list_dir(Path::new("/a/b")).await.unwrap();
        assert_eq!(
            listed.iter().map(|e| (&*e.name, e.is_dir)).collect::<Vec<_>>(),
            [("c", true), ("f", false)]
        );
        io.remove_dir_all(Path::new("/a")).await.unwrap();
        io.remove_dir_all(Path::new("/a")).await.unwrap();
        assert!(io.list_dir(Path::new("/a")).await.unwrap_err().is_not_found());
        assert_eq!(io.read_file(Path::new("/a/b/f"), 10).await.unwrap(), None);
    });
}

#[test]
fn a_metadata_file_over_the_limit_is_refused() {
    Sim::new(1).run(|io| async move {
        let path = Path::new("/f");
        io.write_file_atomic(path, &[1; 5000]).await.unwrap();
        assert_eq!(io.read_file(path, 5000).await.unwrap().unwrap().len(), 5000);
        let error = io.read_file(path, 4999).await.unwrap_err();
        assert_eq!(error, IoError::TooLarge { path: path.into(), bytes: 5000, bytes_max: 4999 });
        io.write_file_atomic(path, b"").await.unwrap();
        assert_eq!(io.read_file(path, 0).await.unwrap(), Some(Vec::new()));
    });
}

#[test]
fn silent_faults_say_nothing_and_change_what_they_say() {
    let sim = Sim::new(1);
    sim.inject(Fault::eio(Op::Write, "/f").with_kind(FaultKind::Misdirect { pages: 2 }));
    sim.inject(Fault::eio(Op::Write, "/g").with_kind(FaultKind::FlipBit));
    sim.inject(Fault::eio(Op::Read, "/h").with_kind(FaultKind::FlipBit));
    let differ = |found: &[u8]| found.iter().filter(|byte| **byte != 7).count();
    sim.run(move |io| async move {
        for name in ["/f", "/g", "/h"] {
            create(&io, name).await.write_at(0, &[page(7)]).await.unwrap();
        }
        let open = |name: &str| io.open(Path::new(name), OpenMode::ReadOnly);
        let elsewhere = open("/f").await.unwrap().read_at(0, 12_288).await.unwrap();
        assert_eq!((&elsewhere[..8192], differ(&elsewhere[8192..])), (&[0; 8192][..], 0));
        let written = open("/g").await.unwrap().read_at(0, 4096).await.unwrap();
        assert_eq!(differ(&written), 1);
        let once = open("/h").await.unwrap();
        assert_eq!(differ(&once.read_at(0, 4096).await.unwrap()), 1);
        assert_eq!(differ(&once.read_at(0, 4096).await.unwrap()), 0);
    });
}

#[test]
fn a_sync_that_lies_leaves_it_to_the_next_one() {
    let kept = |syncs: u64| {
        let outcomes = (0..40).map(|seed| {
            let sim = Sim::new(seed);
            sim.inject(Fault::eio(Op::Sync, "/f").with_kind(FaultKind::Lie));
            sim.run(move |io| async move {
                let file = create(&io, "/f").await;
                file.write_at(0, &[page(7)]).await.unwrap();
                for _ in 0..syncs {
                    file.sync().await.unwrap();
                }
            });
            sim.crash().read("/f").unwrap() == [7; 4096]
        });
        outcomes.filter(|kept| *kept).count()
    };
    assert!(kept(1) < 40);
    assert_eq!(kept(2), 40);
}

#[test]
fn a_slow_disk_takes_longer_and_a_planted_flaw_is_seen_by_its_name_alone() {
    let took = |times| {
        let sim = Sim::new(5);
        sim.slow_down(times);
        sim.plant("flaw");
        sim.run(|io| async move {
            assert_eq!((io.has_flaw("flaw"), io.has_flaw("other")), (true, false));
            create(&io, "/f").await.write_and_sync_at(0, &[page(1)]).await.unwrap();
            io.now().as_ns()
        })
    };
    assert!(took(20) > 10 * took(1), "{} and {}", took(20), took(1));
}
