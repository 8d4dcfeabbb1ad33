//! A device that fails below a file system that has promised room: ext4 on an image in a memory file system that is full.

use std::time::Duration;

use crate::machine::Absent;
use crate::machine::mount::Mount;
use crate::no_space::{SMALL_JOURNAL, place_on, workshop};
use crate::scribe::{Answer, Scribe, create};

const MIB: u64 = 1 << 20;
/// What ext4 believes to have.
const DISK: u64 = 256 * MIB;
/// What there is.
const MEMORY: u64 = 40 * MIB;
const RECORD_BYTES: usize = 60_000;
const RECORDS_MAX: usize = 4_000;
/// Once the device fails, so many more appends are tried.
const MORE: usize = 20;

pub(crate) fn full_device() -> Result<(), Absent> {
    let shop = workshop("broken");
    let memory = Mount::tmpfs(&shop.path().join("memory"), MEMORY)?;
    let image = memory.folder().join("image");
    let disk = Mount::ext4(&shop.path().join("disk"), &image, DISK)?;
    std::fs::create_dir(disk.folder().join("place")).expect("the device still works");
    let place = place_on(disk.folder());
    let mut broker = place.start_with(2, &SMALL_JOURNAL);
    create(place.kafka(), "web", &[("segment.bytes", "4194304")]);
    let mut scribes =
        [0, 1].map(|partition| Scribe::new(place.kafka(), "web", partition, RECORD_BYTES));
    let mut refused = 0;
    'full: for _ in 0..RECORDS_MAX {
        for scribe in &mut scribes {
            match scribe.write() {
                Answer::Acknowledged => {}
                Answer::Refused(_) => break 'full,
                Answer::Ended => panic!("the broker ended:\n{}", broker.log()),
            }
        }
    }
    for _ in 0..MORE {
        for scribe in &mut scribes {
            refused += usize::from(scribe.write() != Answer::Acknowledged);
        }
    }
    let written = scribes.each_ref().map(Scribe::count);
    eprintln!("the device failed after {written:?} records; {refused} refused after that");
    assert!(refused > 0, "the device never failed");
    assert!(broker.runs(), "{}", broker.log());
    // The broker's log is on the same device: who looks is told by its metrics.
    let told = |name| place.metric(name).unwrap_or_default();
    assert!(told("kolk_log_fenced") + told("kolk_journal_failed") > 0.0, "nobody is told");
    broker.kill();
    // More memory: the device works again, and holds what it was told to hold.
    memory.resize(2 * DISK)?;
    disk.again(&image)?;
    let broker = place.start_with(2, &SMALL_JOURNAL);
    for scribe in &mut scribes {
        let took = scribe.write_again(Duration::from_secs(5));
        eprintln!("appended again after {took:?}");
        scribe.write_all(10);
        scribe.check();
    }
    broker.stop();
    Ok(())
}
