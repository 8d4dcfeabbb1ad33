//! What goes wrong with the disk, within a budget: where a fault takes the only good copy of something, that may be missed from
//! then on, but aloud; everything else is owed as before.

use kolk_io::error::Op;
use kolk_io::sim::{Fault as SimFault, FaultKind as SimFaultKind, Sim, SimDisk};

use crate::chance::Chance;
use crate::outside::Outside;
use crate::scenario::{Fault, FaultKind};

/// EIO.
const EIO: i32 = 5;
/// A disk that is not full.
const ROOM_BYTES: u64 = 1 << 40;

/// The disk that a run begins with.
pub(crate) fn disk(outside: &Outside) -> SimDisk {
    let mut disk = SimDisk::new();
    if outside.scenario.run.shear {
        disk.shear();
    }
    disk
}

/// Puts the faults of one life in force; tells whether the disk is to fill up.
pub(crate) fn begin(outside: &Outside, sim: &Sim, chance: &mut Chance) -> bool {
    let mut full = false;
    outside.faults.set(false);
    for fault in &outside.scenario.fault {
        if !fault.kind.is_of_a_life() || !chance.percent(fault.percent) {
            continue;
        }
        outside.trace.note(format_args!("fault: {:?} on '{}'", fault.kind, fault.path));
        // A slow disk is no excuse for anything.
        outside.faults.set(outside.faults.get() || fault.kind != FaultKind::Slow);
        if fault.kind.takes_copies() {
            outside.excuse_all("the disk has lied");
        }
        match fault.kind {
            FaultKind::Full => full = true,
            FaultKind::Slow => sim.slow_down(u32::try_from(chance.between(5, 100)).unwrap_or(5)),
            FaultKind::Eio => inject(sim, fault, SimFaultKind::Errno(EIO), chance),
            FaultKind::Hang => inject(sim, fault, SimFaultKind::Hang, chance),
            FaultKind::ShortWrite => {
                let bytes = chance.below(20) * 512;
                inject(sim, fault, SimFaultKind::ShortWrite { bytes }, chance);
            }
            FaultKind::Misdirect => {
                let pages = chance.between(1, 40);
                inject(sim, fault, SimFaultKind::Misdirect { pages }, chance);
            }
            FaultKind::FlipBit => inject(sim, fault, SimFaultKind::FlipBit, chance),
            FaultKind::LyingSync => inject(sim, fault, SimFaultKind::Lie, chance),
            FaultKind::Rot | FaultKind::Clock => {}
        }
    }
    full
}

fn inject(sim: &Sim, fault: &Fault, kind: SimFaultKind, chance: &mut Chance) {
    let name = fault.ops.get(chance.index(fault.ops.len())).map_or("write", String::as_str);
    let op = match name {
        "read" => Op::Read,
        "sync" => Op::Sync,
        "open" => Op::Open,
        "allocate" => Op::Allocate,
        "rename" => Op::Rename,
        "sync_dir" => Op::SyncDir,
        _ => Op::Write,
    };
    let skip = chance.between(0, fault.skip_max);
    sim.inject(SimFault::eio(op, &fault.path).with_kind(kind).after(skip));
}

/// Leaves the disk nearly no room.
pub(crate) fn fill(sim: &Sim, chance: &mut Chance) {
    let used = sim.with_disk_mut(|disk| disk.used_bytes());
    sim.set_capacity(used + chance.below(200_000));
}

/// Gives the room back.
pub(crate) fn make_room(sim: &Sim) {
    sim.set_capacity(ROOM_BYTES);
}

/// What happens to a disk at rest: bits flip.
pub(crate) fn between_lives(outside: &Outside, disk: &mut SimDisk, chance: &mut Chance) {
    for fault in &outside.scenario.fault {
        if fault.kind != FaultKind::Rot || !chance.percent(fault.percent) {
            continue;
        }
        let files: Vec<String> = disk
            .files()
            .into_iter()
            .filter(|path| path.contains(&fault.path))
            .filter(|path| disk.read(path).is_some_and(|bytes| !bytes.is_empty()))
            .collect();
        let Some(path) = files.get(chance.index(files.len())) else { continue };
        let bytes = disk.read(path).map_or(0, |bytes| bytes.len() as u64);
        let (position, mask) = (chance.below(bytes), 1 << chance.below(8));
        disk.rot(path, position, mask);
        outside.trace.note(format_args!("rot: {path} at {position}, bits {mask:#04x}"));
        excuse(outside, path);
    }
}

/// A segment's rot is its partition's affair; that of a journal or of the catalogue may stop anything.
fn excuse(outside: &Outside, path: &str) {
    let topics = outside.topics.borrow().clone();
    for (at, id) in topics {
        let prefix = format!("/data/topics/{id}/");
        let Some(rest) = path.strip_prefix(&prefix) else { continue };
        let partition = rest.split('/').next().and_then(|number| number.parse().ok());
        if let Some(partition) = partition {
            outside.with_book((at, partition), |book| {
                book.excuse.get_or_insert_with(|| format!("{path} has rotten"));
            });
            return;
        }
    }
    outside.excuse_all(&format!("{path} has rotten"));
}
