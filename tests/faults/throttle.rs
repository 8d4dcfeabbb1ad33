//! A disk that takes so many bytes a second: producers wait, memory does not grow, and nothing that was promised is late to a reader.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::machine::Absent;
use crate::machine::control_group::ControlGroup;
use crate::machine::mount::Mount;
use crate::no_space::{SMALL_JOURNAL, place_on, workshop};
use crate::scribe::{Scribe, create};

const MIB: u64 = 1 << 20;
const DISK: u64 = 512 * MIB;
const BYTES_PER_SECOND: u64 = 2 * MIB;
const RECORD_BYTES: usize = 30_000;
/// Two on each partition of each topic.
const TOPICS: usize = 4;
const LOAD: Duration = Duration::from_secs(4);
const MEMORY_MAX: u64 = 192 * MIB;

pub(crate) fn throttled() -> Result<(), Absent> {
    let shop = workshop("throttle");
    let disk = Mount::ext4(&shop.path().join("disk"), &shop.path().join("image"), DISK)?;
    let group = ControlGroup::new("throttle", ("blkio", "io"))?;
    let device = disk.device()?;
    let one = format!("{device} {BYTES_PER_SECOND}");
    let two = format!("{device} wbps={BYTES_PER_SECOND}");
    std::fs::create_dir(disk.folder().join("place")).expect("a fresh disk");
    let place = place_on(disk.folder());
    let broker = place.start_with(2, &SMALL_JOURNAL);
    let mut scribes = Vec::new();
    for number in 0..TOPICS {
        let name = format!("web-{number}");
        create(place.kafka(), &name, &[("segment.bytes", "1048576")]);
        scribes.extend(
            [0, 1].map(|partition| Scribe::new(place.kafka(), &name, partition, RECORD_BYTES)),
        );
    }
    scribes.iter_mut().for_each(|scribe| scribe.write_all(2));
    let memory = broker.memory_bytes();
    group.take(broker.process());
    group.set(("blkio.throttle.write_bps_device", &one), ("io.max", &two))?;
    let before: usize = scribes.iter().map(Scribe::count).sum();
    let stop = AtomicBool::new(false);
    let others: Vec<_> = std::thread::scope(|scope| {
        let writing: Vec<_> =
            scribes.iter_mut().map(|scribe| scope.spawn(|| scribe.write_until(&stop))).collect();
        std::thread::sleep(LOAD);
        let grown = broker.memory_bytes().saturating_sub(memory);
        assert!(grown < MEMORY_MAX, "memory grew by {} MiB", grown / MIB);
        stop.store(true, Ordering::Relaxed);
        writing.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect()
    });
    let count = scribes.iter().map(Scribe::count).sum::<usize>() - before;
    let bytes = u64::try_from(count * RECORD_BYTES).expect("64-bit");
    let slowest = scribes.iter().map(|scribe| scribe.slowest).max();
    eprintln!("{count} records in {LOAD:?}, the slowest after {slowest:?}; {others:?}");
    assert!(count > 0 && others.is_empty(), "{count} records, {others:?}");
    // A burst may pass before the kernel counts; without the throttle it would be a hundred times as much.
    let allowed = BYTES_PER_SECOND * (LOAD.as_secs() + 4);
    assert!(bytes < allowed, "{bytes} bytes are more than the throttle lets through");
    scribes.iter_mut().for_each(Scribe::check);
    broker.kill();
    let broker = place.start_with(2, &SMALL_JOURNAL);
    scribes.iter_mut().for_each(Scribe::check);
    broker.stop();
    Ok(())
}
