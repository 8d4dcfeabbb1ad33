//! Power cuts of a whole machine: the broker in a qemu guest under load, its disk behind an nbdkit that keeps what was not flushed
//! in memory of its own. Both are killed together, the guest is started again, and the ledger outside compares. Apart from
//! the other tests because it takes minutes and wants programs that few machines have: `cargo xtask powercut`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test drives the real world and may fail loudly"
)]
#![allow(dead_code, reason = "files of the other tests, of which not all is used here")]

mod guest;

#[path = "../integration/broker.rs"]
mod broker;
#[path = "../integration/kafka/wire.rs"]
mod kafka_wire;
#[path = "../integration/crash/ledger.rs"]
mod ledger;
#[path = "../faults/scribe.rs"]
mod scribe;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use guest::{Flushes, Guest, Workshop};
use scribe::{Scribe, create};

const CUTS_DEFAULT: usize = 20;
/// A topic: name, settings, bytes of a value. It has two partitions, so that both shards write.
type Topic = (&'static str, &'static [(&'static str, &'static str)], usize);
const TOPICS: [Topic; 2] = [
    ("small", &[("segment.bytes", "65536")], 400),
    ("large", &[("segment.bytes", "1048576")], 70_000),
];
/// Acknowledged once it is written, and neither rolled nor large, since a sync of any file makes a disk flush all it holds.
const UNSYNCED: [Topic; 1] = [("unsynced", &[("kolk.durability", "process-crash")], 400)];
/// Records of each producer before a cut may come, and how much longer it may take.
const RECORDS_MIN: usize = 3;
const LOAD_MAX_MS: u64 = 3_000;
const LOAD_WAIT: Duration = Duration::from_secs(120);

/// All producers write until some records are acknowledged and a while more; then the power goes.
fn cut(guest: Guest, scribes: &mut [Scribe], extra: Duration) -> Duration {
    let stop = AtomicBool::new(false);
    let before: Vec<usize> = scribes.iter().map(Scribe::count).collect();
    let enough: Vec<AtomicBool> = scribes.iter().map(|_| AtomicBool::new(false)).collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for ((scribe, before), enough) in scribes.iter_mut().zip(before).zip(&enough) {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    scribe.write();
                    enough.store(scribe.count() >= before + RECORDS_MIN, Ordering::Relaxed);
                }
            });
        }
        while !enough.iter().all(|enough| enough.load(Ordering::Relaxed)) {
            assert!(begun.elapsed() < LOAD_WAIT, "the guest takes no records:\n{}", guest.said());
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(extra);
        // First the records, then the power: what is acknowledged from now on nobody hears of.
        guest.cut_power();
        stop.store(true, Ordering::Relaxed);
    });
    begun.elapsed()
}

fn set_up(shop: &Workshop, topics: &[Topic]) -> (Guest, Vec<Scribe>) {
    let guest = shop.start();
    let mut scribes = Vec::new();
    for (name, settings, bytes) in topics {
        create(shop.door(), name, settings);
        scribes.extend([0, 1].map(|partition| Scribe::new(shop.door(), name, partition, *bytes)));
    }
    (guest, scribes)
}

/// One cut where something must be missing, or the loop of cuts could not fail.
fn loss(what: &str, flushes: Flushes, topics: &[Topic]) {
    let shop = Workshop::open("loss", flushes).expect("it could be opened before");
    let (guest, mut scribes) = set_up(&shop, topics);
    cut(guest, &mut scribes, Duration::from_millis(500));
    let Some(guest) = shop.try_start() else {
        println!("{what}: the guest does not even come up again");
        return;
    };
    let judged: Vec<_> = scribes.iter_mut().map(Scribe::judge).collect();
    println!("{what}: {judged:?}");
    assert!(judged.iter().any(Result::is_err), "nothing is missing: the cuts prove nothing");
    guest.cut_power();
}

fn main() -> ExitCode {
    let cuts = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(CUTS_DEFAULT);
    let shop = match Workshop::open("cut", Flushes::Kept) {
        Ok(shop) => shop,
        Err(why) => {
            println!("power cuts are SKIPPED: {why}");
            println!("test result: ok. 0 passed; 0 failed; 1 skipped");
            return ExitCode::SUCCESS;
        }
    };
    loss("acknowledged before fdatasync", Flushes::Kept, &UNSYNCED);
    loss("a disk that ignores flushes", Flushes::Ignored, &TOPICS);
    let (mut guest, mut scribes) = set_up(&shop, &TOPICS);
    for number in 1..=cuts {
        let extra =
            Duration::from_millis(7_919 * u64::try_from(number).expect("few") % LOAD_MAX_MS);
        let load = cut(guest, &mut scribes, extra);
        let begun = Instant::now();
        guest = shop.start();
        let up = begun.elapsed();
        scribes.iter_mut().for_each(Scribe::check);
        let count: usize = scribes.iter().map(Scribe::count).sum();
        println!(
            "cut {number} after {load:.1?}, up again in {up:.1?}: all {count} records are there"
        );
    }
    guest.cut_power();
    println!("test result: ok. {} passed; 0 failed", cuts + 2);
    ExitCode::SUCCESS
}
