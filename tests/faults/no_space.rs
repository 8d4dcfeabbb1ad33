//! A disk without room: appends are refused so that a client tries again, all else goes on, and room is used as soon as it is there.

use std::path::Path;
use std::time::{Duration, Instant};

use kolk_model::durability::AckLevel;
use kolk_native::reply::Reply;

use crate::broker::command::{kolk, kolk_ok};
use crate::broker::{KOLK, Place};
use crate::machine::Absent;
use crate::machine::mount::Mount;
use crate::scribe::{STORAGE_ERROR, Scribe, create, leader};
use crate::wire::{self, Wire};

const MIB: u64 = 1 << 20;
const DISK: u64 = 64 * MIB;
/// What is laid on the disk beforehand, to be taken away again.
const BALLAST: u64 = 24 * MIB;
const RECORD_BYTES: usize = 60_000;
/// More than the disk holds.
const RECORDS_MAX: usize = 2_000;
const RECOVERY_MAX: Duration = Duration::from_secs(10);
pub(crate) const SMALL_JOURNAL: [&str; 6] = [
    "--set",
    "journal_file_bytes=1048576",
    "--set",
    "journal_files=3",
    "--set",
    "journal_group_bytes_max=524288",
];

/// A place whose data directory is on a file system of its own.
pub(crate) fn place_on(folder: &Path) -> Place {
    Place::launched(folder.join("place"), &[], Path::new(KOLK))
}

/// A folder of the test's own for images and mounts.
pub(crate) fn workshop(name: &str) -> tempfile::TempDir {
    let prefix = format!("{name}-");
    tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("the target folder is writable")
}

pub(crate) fn full_disk() -> Result<(), Absent> {
    let shop = workshop("full");
    let disk = Mount::ext4(&shop.path().join("disk"), &shop.path().join("image"), DISK)?;
    let ballast = disk.folder().join("ballast");
    let laid = std::fs::write(&ballast, vec![b'b'; usize::try_from(BALLAST).expect("64-bit")]);
    laid.expect("there is room still");
    std::fs::create_dir(disk.folder().join("place")).expect("there is room still");
    let place = place_on(disk.folder());
    let broker = place.start_with(2, &SMALL_JOURNAL);
    let mut native = Wire::greeted(&place);
    let settings = [("segment.bytes", "4194304")];
    create(place.kafka(), "web", &settings);
    let topic = native.create_topic("native");
    let mut scribes =
        [0, 1].map(|partition| Scribe::new(place.kafka(), "web", partition, RECORD_BYTES));
    for scribe in &mut scribes {
        let code = scribe.write_until_refused(RECORDS_MAX);
        assert_eq!(code, STORAGE_ERROR, "the code that Kafka's clients try again after");
    }
    let written = scribes.each_ref().map(Scribe::count);
    eprintln!("full after {written:?} records of {RECORD_BYTES} bytes");
    // The native wire says the same in its words. There may be room in what is allocated already.
    let value = vec![b'n'; RECORD_BYTES];
    let refusal =
        (0..RECORDS_MAX).find_map(|_| native.produce(topic, wire::batch(&[&value])).err());
    let refusal = refusal.expect("the disk is full");
    assert!(refusal.code.retriable(), "{refusal:?}");
    // Everything else goes on.
    scribes.iter_mut().for_each(Scribe::check);
    assert_eq!(leader(&place, "web", 0) + leader(&place, "web", 1), 1, "a leader on each shard");
    whoever_looks_is_told(&place);
    std::fs::remove_file(&ballast).expect("the test's own file");
    all_is_well_though_nobody_appends(&place);
    for scribe in &mut scribes {
        let took = scribe.write_again(RECOVERY_MAX);
        eprintln!("appended again after {took:?}");
        scribe.write_all(20);
    }
    native.produce(topic, wire::batch(&[b"small"])).expect("there is room again");
    // Nobody has room for a kill to take anything away.
    broker.kill();
    let broker = place.start_with(2, &SMALL_JOURNAL);
    for scribe in &mut scribes {
        scribe.check();
        scribe.write_again(RECOVERY_MAX);
    }
    let mut native = Wire::greeted(&place);
    let reply = native.call(&wire::produce(topic, wire::batch(&[b"last"]), AckLevel::PowerLoss));
    assert!(matches!(reply, Some(Reply::Produce(_))), "{reply:?}");
    broker.stop();
    Ok(())
}

/// By the HTTP door, the command line and the metrics, with what helps.
fn whoever_looks_is_told(place: &Place) {
    let (status, said) = place.http("/health").expect("the HTTP door answers");
    assert!(status == 503 && said.contains("make room or delete a topic"), "{status}: {said}");
    let health = kolk(place, &["cluster", "health"]);
    let said = String::from_utf8_lossy(&health.stdout);
    assert!(health.status.code() == Some(1) && said.contains("make room"), "{said}");
    let count = |name| place.metric(name).unwrap_or_default();
    assert!(count("kolk_log_without_room") >= 1.0, "no log lacks room");
    assert!(count("kolk_log_appends_without_room_total") >= 3.0, "three were refused");
}

fn all_is_well_though_nobody_appends(place: &Place) {
    let begun = Instant::now();
    while place.http("/health").map(|(status, _)| status) != Some(200) {
        assert!(begun.elapsed() < RECOVERY_MAX, "still no room");
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("well again after {:?}", begun.elapsed());
    kolk_ok(place, &["cluster", "health"]);
}
