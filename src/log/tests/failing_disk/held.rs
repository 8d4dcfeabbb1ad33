//! Logs that a start can't bring up: the others are served, and what their segments lack is not lost, however many starts and
//! checkpoints there are until the disk is well again.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::error::Op;
use kolk_io::sim::{Fault, Sim, SimDisk, SimIo};
use kolk_layout::field::bytes;
use kolk_metric::shard::ShardMetrics;
use kolk_model::offset::Offset;

use crate::error::{Damage, LogError};
use crate::log::{log_dir, segment_name};
use crate::settings::SyncPolicy;
use crate::shard_log::ShardLog;
use crate::tests::fuzz::Chance;
use crate::tests::life::{DIR, batch_of, config, id, put, read_all, recovered, small_settings};

/// How many bytes the values of the log's records have: some go to the segment directly, and some of the segments are rolled.
const VALUES: [usize; 16] = [
    9_000, 40_000, 9_000, 9_000, 70_000, 500, 9_000, 40_000, 40_000, 9_000, 9_000, 300, 40_000,
    9_000, 9_000, 9_000,
];

/// Records that are with the journal alone.
const SMALL: [usize; 6] = [9_000; 6];

/// Starts though logs are damaged.
async fn start(io: &SimIo) -> ShardLog<SimIo> {
    let mut found = recovered(io, 1, &small_settings(), SyncPolicy::EachGroup).await;
    let (image, metrics) = (found.shards.remove(0), Rc::new(ShardMetrics::new(0)));
    ShardLog::open(io.clone(), Path::new(DIR), image, small_settings(), metrics).await.unwrap()
}

/// A disk with the first records in log 0 and one in log 1, after a power cut: redo of several segments is in the journal.
fn written(seed: u64, values: &'static [usize]) -> SimDisk {
    let sim = Sim::new(seed);
    sim.run(move |io| async move {
        let storage = start(&io).await;
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        let other = storage.create(id(1), config(SyncPolicy::EachGroup)).await.unwrap();
        for (stamp, value_bytes) in (0..).zip(values) {
            put(&io, &log, *value_bytes, stamp).await;
        }
        put(&io, &other, 9_000, 1).await;
    });
    sim.crash()
}

/// One start with a log 0 that is offline; log 1 is served. It ends in one of three ways.
fn live_without(disk: SimDisk, seed: u64, fault: Option<&Fault>, check: fn(&Damage)) -> SimDisk {
    let sim = Sim::with_disk(disk, seed);
    if let Some(fault) = fault {
        sim.inject(fault.clone());
    }
    sim.run(move |io| async move {
        let storage = start(&io).await;
        assert_eq!(generations(&io).await, 2);
        let log = storage.log(id(0)).unwrap();
        let damage = log.damage().expect("it can't be brought up");
        check(&damage);
        let refused = log.read(Offset::ZERO, log.log_end(), 1).await;
        assert!(matches!(refused, Err(LogError::Offline { .. })), "{refused:?}");
        let other = storage.log(id(1)).unwrap();
        put(&io, &other, 9_000, seed).await;
        log.inner.shard.journal.want_checkpoint();
        io.sleep(Duration::from_secs(1)).await;
        if seed.is_multiple_of(3) {
            storage.shutdown().await.unwrap();
        }
    });
    if seed % 3 == 1 { sim.kill() } else { sim.crash() }
}

/// One start and a clean stop.
fn live(disk: SimDisk, seed: u64) -> SimDisk {
    let sim = Sim::with_disk(disk, seed);
    sim.run(|io| async move { start(&io).await.shutdown().await.unwrap() });
    sim.kill()
}

/// The first segment of log 0.
fn segment_path() -> PathBuf {
    Path::new(DIR).join(log_dir(id(0))).join(segment_name(Offset::ZERO))
}

fn moved(disk: SimDisk, from: PathBuf, to: PathBuf) -> SimDisk {
    let sim = Sim::with_disk(disk, 1);
    sim.run(|io| async move {
        io.rename(&from, &to).await.unwrap();
        for changed in [from, to] {
            io.sync_dir(changed.parent().unwrap()).await.unwrap();
        }
    });
    sim.kill()
}

/// How many generations of the journal are kept.
async fn generations(io: &SimIo) -> usize {
    io.list_dir(&Path::new(DIR).join("journal")).await.unwrap().len()
}

/// Log 0 has all that was acknowledged, and takes more.
fn check_whole(disk: SimDisk, seed: u64, values: &'static [usize]) {
    Sim::with_disk(disk, seed).run(move |io| async move {
        let storage = start(&io).await;
        assert_eq!(generations(&io).await, 1, "nothing of earlier runs is needed");
        let log = storage.log(id(0)).unwrap();
        assert_eq!(log.damage(), None);
        let found = read_all(&log).await;
        assert_eq!(found.len(), values.len());
        for ((found, stamp), value_bytes) in found.iter().zip(0..).zip(values) {
            let wanted = batch_of(*value_bytes, stamp);
            assert_eq!(found.as_ref().get(17..), wanted.get(17..), "record {stamp}");
        }
        put(&io, &log, 9_000, 99).await;
        assert_eq!(read_all(&log).await.len(), values.len() + 1);
    });
}

#[test]
fn a_log_whose_files_the_disk_refuses_at_a_start_is_offline_alone_and_loses_nothing() {
    let mut tried = 0;
    for seed in 0..6 {
        for op in [Op::Open, Op::Read, Op::Write, Op::Sync, Op::Truncate, Op::List, Op::SyncDir] {
            for skip in 0..3 {
                let disk = written(seed, &VALUES);
                let fault = Fault::eio(op, &log_dir(id(0))).after(skip).for_ever();
                let probe = Sim::with_disk(disk.clone(), seed);
                probe.inject(fault.clone());
                let met = probe.run(|io| async move {
                    let found = recovered(&io, 1, &small_settings(), SyncPolicy::EachGroup).await;
                    !found.damaged.is_empty()
                });
                if !met {
                    continue;
                }
                tried += 1;
                let mut disk = probe.kill();
                for life in 0..2 {
                    disk = live_without(disk, seed + life, Some(&fault), |damage| {
                        let Damage::Device { file, .. } = damage else { panic!("{damage:?}") };
                        assert!(file.starts_with(&log_dir(id(0))), "{file}");
                    });
                }
                check_whole(disk, seed, &VALUES);
            }
        }
    }
    assert!(tried > 40, "{tried} starts met their fault");
}

fn rotten(disk: &mut SimDisk) {
    // A group of log 0: two creations and a record stand before it.
    assert!(disk.rot("/data/journal/1/0/0.journal", 3 * 4096 + 9_000, 1));
}

#[test]
fn rot_in_the_journal_that_is_mended_was_none() {
    for seed in 0..3 {
        let mut disk = written(seed, &SMALL);
        rotten(&mut disk);
        for life in 0..3 {
            disk = live_without(disk, seed + life, None, |damage| {
                // However often it is said again.
                assert!(damage.to_string().len() < 100, "{damage}");
                assert!(matches!(damage, Damage::Corrupt { .. }), "{damage:?}");
            });
        }
        rotten(&mut disk);
        check_whole(disk, seed, &SMALL);
    }
}

#[test]
fn a_segment_that_is_brought_back_was_never_missing() {
    for seed in 0..3 {
        let disk = written(seed, &VALUES);
        let (segment, aside) = (segment_path(), Path::new(DIR).join("aside"));
        let (from, to) = (segment.clone(), aside.clone());
        // Another generation, to which the segment is none that the journal has created.
        let mut disk = moved(live(disk, seed), from, to);
        for life in 0..3 {
            disk = live_without(disk, seed + life, None, |damage| {
                assert!(damage.to_string().contains("missing"), "{damage}");
            });
        }
        check_whole(moved(disk, aside, segment), seed, &VALUES);
    }
}

#[test]
fn a_log_whose_history_nobody_can_find_stays_offline_and_every_journal_stays() {
    let mut disk = written(1, &SMALL);
    rotten(&mut disk);
    disk = live_without(disk, 1, None, |_| {});
    for _ in 0..3 {
        let sim = Sim::with_disk(disk, 1);
        sim.run(|io| async move {
            let list = Path::new(DIR).join("journal/2/held");
            io.remove_file_if_there(&list).await.unwrap();
            let storage = start(&io).await;
            let damage = storage.log(id(0)).unwrap().damage().unwrap();
            assert!(damage.to_string().contains("group 4"), "{damage}");
            assert!(damage.to_string().len() < 150, "{damage}");
            put(&io, &storage.log(id(1)).unwrap(), 9_000, 7).await;
            assert_eq!(
                generations(&io).await,
                3,
                "what may have it, who says so, and the live one"
            );
        });
        disk = sim.kill();
    }
}

#[test]
fn the_history_of_a_log_that_is_deleted_goes_with_it() {
    let mut disk = written(1, &SMALL);
    rotten(&mut disk);
    let sim = Sim::with_disk(disk, 1);
    sim.run(|io| async move {
        let storage = start(&io).await;
        assert_eq!(generations(&io).await, 2);
        storage.delete(id(0)).await.unwrap();
        storage.shutdown().await.unwrap();
    });
    Sim::with_disk(sim.kill(), 2).run(|io| async move {
        let storage = start(&io).await;
        assert!(storage.log(id(0)).is_none());
        assert_eq!(generations(&io).await, 1);
    });
}

#[test]
fn a_log_that_rot_took_offline_comes_back_when_that_is_mended() {
    for stop in [true, false] {
        let disk = live(written(1, &VALUES), 1);
        let path = segment_path().display().to_string();
        let rot = |disk: &mut SimDisk| assert!(disk.rot(&path, 20_000, 4));
        let mut disk = disk;
        rot(&mut disk);
        let sim = Sim::with_disk(disk, 2);
        sim.run(move |io| async move {
            let storage = start(&io).await;
            let log = storage.log(id(0)).unwrap();
            while log.read(Offset::ZERO, log.log_end(), 1 << 20).await.is_ok() {}
            assert!(matches!(log.damage(), Some(Damage::Corrupt { .. })), "{:?}", log.damage());
            log.inner.shard.journal.want_checkpoint();
            io.sleep(Duration::from_secs(1)).await;
            assert_eq!(storage.metrics().journal.checkpoints.get(), 1);
            if stop {
                storage.shutdown().await.unwrap();
            }
        });
        let mut disk = sim.kill();
        rot(&mut disk);
        check_whole(disk, 3, &VALUES);
    }
}

#[test]
fn histories_outlive_starts_that_end_anywhere_on_any_number_of_shards() {
    let ops = [Op::Open, Op::Read, Op::Write, Op::Sync, Op::Truncate, Op::List, Op::SyncDir];
    let (mut ended, mut offline) = (0, 0);
    for seed in 0..60 {
        let mut chance = Chance(seed * 2 + 1);
        let mut disk = written(seed, &VALUES);
        for life in 0..6 {
            let sim = Sim::with_disk(disk, seed * 10 + life);
            if chance.below(3) > 0 {
                let fault = Fault::eio(ops[chance.below(ops.len())], &log_dir(id(0)));
                sim.inject(fault.after(bytes(chance.below(3))).for_ever());
            }
            let shards = u16::try_from(1 + chance.below(3)).unwrap();
            let steps = 20 + bytes(chance.below(400));
            let found = sim.run_steps(steps, move |io| async move {
                let found = recovered(&io, shards, &small_settings(), SyncPolicy::EachGroup).await;
                found.damaged.len()
            });
            ended += u32::from(found.is_some());
            offline += u32::from(found == Some(1));
            disk = if chance.below(2) == 0 { sim.kill() } else { sim.crash() };
        }
        check_whole(disk, seed, &VALUES);
    }
    assert!((60..300).contains(&ended) && offline > 15, "{ended} of 360 ended, {offline} without");
}
