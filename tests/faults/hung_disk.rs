//! A disk that answers late, or for a while not at all, below the files of one shard.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::machine::Absent;
use crate::machine::disk::{Disk, Fault};
use crate::no_space::{SMALL_JOURNAL, place_on, workshop};
use crate::scribe::{Scribe, create, leader};

const MIB: u64 = 1 << 20;
const RECORD_BYTES: usize = 20_000;
const LATE: Duration = Duration::from_millis(20);
const LATE_RECORDS: usize = 60;
const HANGS: Duration = Duration::from_secs(3);
/// Producers that wait for the hung shard.
const WAITING: usize = 8;
/// What an append to the other shard may take while one hangs.
const OTHER_MAX: Duration = Duration::from_secs(1);
const MEMORY_MAX: u64 = 128 * MIB;

pub(crate) fn late_writes() -> Result<(), Absent> {
    let shop = workshop("late");
    let disk = Disk::mount(&shop.path().join("disk"))?;
    std::fs::create_dir(disk.folder().join("place")).expect("a fresh disk");
    let place = place_on(disk.folder());
    let broker = place.start_with(2, &SMALL_JOURNAL);
    create(place.kafka(), "web", &[("segment.bytes", "262144")]);
    disk.break_at("/", Fault::Late(LATE), u32::MAX);
    let mut scribes =
        [0, 1].map(|partition| Scribe::new(place.kafka(), "web", partition, RECORD_BYTES));
    std::thread::scope(|scope| {
        for scribe in &mut scribes {
            scope.spawn(|| scribe.write_all(LATE_RECORDS));
        }
    });
    for scribe in &mut scribes {
        assert!(scribe.slowest >= LATE, "an append was acknowledged before its write");
        scribe.check();
    }
    eprintln!("{} calls came late", disk.struck());
    broker.kill();
    disk.cut_power(&place);
    let broker = place.start_with(2, &SMALL_JOURNAL);
    scribes.iter_mut().for_each(Scribe::check);
    broker.stop();
    Ok(())
}

pub(crate) fn one_shard() -> Result<(), Absent> {
    let shop = workshop("hung");
    let disk = Disk::mount(&shop.path().join("disk"))?;
    std::fs::create_dir(disk.folder().join("place")).expect("a fresh disk");
    let place = place_on(disk.folder());
    let broker = place.start_with(2, &SMALL_JOURNAL);
    create(place.kafka(), "web", &[]);
    let hung = u32::from(leader(&place, "web", 0) != 1);
    assert_eq!(leader(&place, "web", hung), 1);
    let mut waiting: Vec<Scribe> = (0..WAITING)
        .map(|number| {
            let name = format!("waiting-{number}");
            create(place.kafka(), &name, &[]);
            let partition = u32::from(leader(&place, &name, 0) != 1);
            Scribe::new(place.kafka(), &name, partition, RECORD_BYTES)
        })
        .collect();
    // Through the door of its own shard: with a file system in user space the hung executor waits as a whole.
    let mut other = Scribe::new(place.kafka_shard(0), "web", 1 - hung, RECORD_BYTES);
    waiting.iter_mut().for_each(|scribe| scribe.write_all(3));
    other.write_all(3);
    let memory = broker.memory_bytes();
    for file in 0..3 {
        disk.break_at(&format!("/1/{file}.journal"), Fault::Hang, u32::MAX);
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for scribe in &mut waiting {
            scope.spawn(|| scribe.write_until(&stop));
        }
        let begun = std::time::Instant::now();
        let before = other.count();
        other.slowest = Duration::ZERO;
        while begun.elapsed() < HANGS {
            other.write_all(1);
        }
        let (count, slowest) = (other.count() - before, other.slowest);
        eprintln!("the other shard took {count} records, the slowest in {slowest:?}");
        assert!(slowest < OTHER_MAX, "{slowest:?}");
        assert!(disk.struck() > 0, "nothing hung");
        let grown = broker.memory_bytes().saturating_sub(memory);
        assert!(grown < MEMORY_MAX, "memory grew by {} MiB", grown / MIB);
        stop.store(true, Ordering::Relaxed);
        disk.release();
    });
    for scribe in &mut waiting {
        assert!(scribe.slowest >= HANGS / 2, "{:?}", scribe.slowest);
        scribe.write_all(1);
        scribe.check();
    }
    other.check();
    broker.kill();
    disk.cut_power(&place);
    let broker = place.start_with(2, &SMALL_JOURNAL);
    waiting.iter_mut().chain([&mut other]).for_each(Scribe::check);
    broker.stop();
    Ok(())
}
