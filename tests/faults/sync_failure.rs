//! Syncs that fail, writes that end early, power that goes: on a disk of our own, which forgets what was not synced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::broker::{Broker, Place};
use crate::machine::Absent;
use crate::machine::disk::{Disk, Fault};
use crate::no_space::{SMALL_JOURNAL, place_on, workshop};
use crate::scribe::{Answer, OUTCOME_UNKNOWN, STORAGE_ERROR, Scribe, create, leader};

/// So large that a batch goes straight to its segment.
const DIRECT_BYTES: usize = 100_000;
const SMALL_BYTES: usize = 500;
const SOME: usize = 30;
const RECOVERED_MAX: Duration = Duration::from_secs(10);
/// Power cuts under load.
const CUTS: u64 = 6;
/// How long a load runs before a cut.
const LOAD: Duration = Duration::from_millis(400);

/// A broker on the disk, and a producer on each of its shards. They go in this order.
struct Stage {
    /// On shard 0 and on shard 1.
    scribes: [Scribe; 2],
    place: Place,
    disk: Disk,
    _shop: tempfile::TempDir,
}

impl Stage {
    /// Gives the partitions on shard 0 and on shard 1 as well.
    fn set(name: &str, value_bytes: usize) -> Result<(Self, [u32; 2]), Absent> {
        let shop = workshop(name);
        let disk = Disk::mount(&shop.path().join("disk"))?;
        std::fs::create_dir(disk.folder().join("place")).expect("a fresh disk");
        let place = place_on(disk.folder());
        let broker = place.start_with(2, &SMALL_JOURNAL);
        create(place.kafka(), "web", &[("segment.bytes", "1048576")]);
        let first = u32::from(leader(&place, "web", 0));
        let partitions = [first, 1 - first];
        broker.stop();
        let door = place.kafka();
        let scribes = partitions.map(|partition| Scribe::new(door, "web", partition, value_bytes));
        Ok((Self { scribes, place, disk, _shop: shop }, partitions))
    }
}

/// After a failure: the broker is killed and the power cut, and everything acknowledged is there.
fn survive(place: &Place, disk: &Disk, scribes: &mut [Scribe; 2], broker: Broker<'_>) {
    broker.kill();
    disk.cut_power(place);
    let broker = place.start_with(2, &SMALL_JOURNAL);
    for scribe in scribes.iter_mut() {
        scribe.write_again(RECOVERED_MAX);
        scribe.check();
        scribe.write_all(SOME);
        scribe.check();
    }
    broker.stop();
}

/// A fault meets the log on shard 0 once; that log takes no more, everything else goes on.
fn one_log(name: &str, fault: Fault) -> Result<(), Absent> {
    let (mut stage, [partition, _]) = Stage::set(name, DIRECT_BYTES)?;
    let Stage { scribes, place, disk, .. } = &mut stage;
    let broker = place.start_with(2, &SMALL_JOURNAL);
    scribes.iter_mut().for_each(|scribe| scribe.write_all(SOME));
    let [broken, whole] = &mut *scribes;
    disk.break_at(&format!("/{partition}/00000"), fault, 1);
    let code = broken.write_until_refused(SOME);
    assert!([OUTCOME_UNKNOWN, STORAGE_ERROR].contains(&code), "code {code}");
    assert_eq!(disk.struck(), 1);
    // Not even once more into success.
    for _ in 0..5 {
        assert_eq!(broken.write(), Answer::Refused(STORAGE_ERROR));
    }
    whole.write_all(SOME);
    whole.check();
    let said = broker.log();
    assert!(said.contains("log goes offline") && said.contains(".log"), "{said}");
    survive(place, disk, scribes, broker);
    Ok(())
}

/// A fault meets the journal of a shard once; the shard reads only, the other goes on.
fn one_journal(name: &str, fault: Fault) -> Result<(), Absent> {
    let (mut stage, _) = Stage::set(name, SMALL_BYTES)?;
    let Stage { scribes, place, disk, .. } = &mut stage;
    let broker = place.start_with(2, &SMALL_JOURNAL);
    scribes.iter_mut().for_each(|scribe| scribe.write_all(SOME));
    let [broken, whole] = &mut *scribes;
    for file in 0..3 {
        disk.break_at(&format!("/0/{file}.journal"), fault, 1);
    }
    let code = broken.write_until_refused(SOME);
    assert!([OUTCOME_UNKNOWN, STORAGE_ERROR].contains(&code), "code {code}");
    assert_eq!(disk.struck(), 1);
    for _ in 0..5 {
        assert_eq!(broken.write(), Answer::Refused(STORAGE_ERROR));
    }
    whole.write_all(SOME);
    whole.check();
    // What was acknowledged before can still be read.
    broken.check();
    let said = broker.log();
    assert!(said.contains("ERROR") && said.contains("journal"), "{said}");
    survive(place, disk, scribes, broker);
    Ok(())
}

pub(crate) fn segment() -> Result<(), Absent> {
    one_log("sync-segment", Fault::SyncFails)
}

pub(crate) fn journal() -> Result<(), Absent> {
    one_journal("sync-journal", Fault::SyncFails)
}

pub(crate) fn short_segment_write() -> Result<(), Absent> {
    one_log("short-segment", Fault::ShortWrite)
}

pub(crate) fn short_journal_write() -> Result<(), Absent> {
    one_journal("short-journal", Fault::ShortWrite)
}

/// Both producers write for a while, then the broker is killed and the power cut.
fn cut_under_load(stage: &mut Stage, load: Duration, broken: Option<Fault>) {
    let Stage { scribes, place, disk, .. } = stage;
    let broker = place.start_with(2, &SMALL_JOURNAL);
    if let Some(fault) = broken {
        disk.break_at("/journal/", fault, u32::MAX);
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for scribe in scribes {
            scope.spawn(|| scribe.write_until(&stop));
        }
        std::thread::sleep(load);
        broker.kill();
        disk.cut_power(place);
        stop.store(true, Ordering::Relaxed);
    });
}

pub(crate) fn power_cut() -> Result<(), Absent> {
    for value_bytes in [SMALL_BYTES, DIRECT_BYTES] {
        let (mut stage, _) = Stage::set("power", value_bytes)?;
        for cut in 0..CUTS {
            cut_under_load(&mut stage, LOAD + Duration::from_millis(37 * cut), None);
            let Stage { place, scribes, .. } = &mut stage;
            let broker = place.start_with(2, &SMALL_JOURNAL);
            scribes.iter_mut().for_each(Scribe::check);
            broker.stop();
        }
        let counts = stage.scribes.each_ref().map(Scribe::count);
        eprintln!("{CUTS} power cuts, {counts:?} records of {value_bytes} bytes acknowledged");
        assert!(counts.iter().all(|count| *count > SOME), "{counts:?}");
    }
    Ok(())
}

/// The same with a disk whose syncs do nothing: records are gone, or the other test could not fail.
pub(crate) fn lying_disk() -> Result<(), Absent> {
    let (mut stage, _) = Stage::set("lie", SMALL_BYTES)?;
    cut_under_load(&mut stage, LOAD, Some(Fault::SyncLies));
    let Stage { place, scribes, .. } = &mut stage;
    let broker = place.start_with(2, &SMALL_JOURNAL);
    let judged = scribes.each_mut().map(Scribe::judge);
    assert!(judged.iter().any(Result::is_err), "a disk that lies was not found out");
    eprintln!("found out: {judged:?}");
    broker.kill();
    Ok(())
}
