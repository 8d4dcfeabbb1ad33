//! The simulator's answer to [`Io`] and [`File`].

use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::chance::Chance;
use super::content::SECTOR_BYTES;
use super::disk::{Create, Errno, NodeId, SimDisk};
use super::fault::{FaultKind, HANGS, LIES};
use super::world::{Firing, World};
use crate::buf::{AlignedBuf, AlignedSlice, PAGE_BYTES};
use crate::door::{
    DirEntry, File, Io, OpenMode, Space, WRITE_SLICES_MAX, WriteSyncTiming, assert_aligned,
};
use crate::error::{IoError, Op};
use crate::time::{Monotonic, WallClock};
use crate::wait::{Completion, YieldNow};

/// The door to a simulated machine. Cloning gives the same machine.
#[derive(Clone)]
pub struct SimIo {
    world: Rc<World>,
}

/// An open file of a simulated machine.
#[derive(Clone)]
pub struct SimFile {
    handle: Rc<Handle>,
}

struct Handle {
    world: Rc<World>,
    node: NodeId,
    path: PathBuf,
    how: OpenMode,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.world.disk.borrow_mut().close(self.node);
    }
}

impl SimIo {
    pub(super) const fn new(world: Rc<World>) -> Self {
        Self { world }
    }

    /// Runs a change or question of names after a random delay.
    fn on_disk<T: 'static>(
        &self,
        op: Op,
        path: &Path,
        act: impl FnOnce(&mut SimDisk) -> Result<T, Errno> + 'static,
    ) -> Completion<Result<T, IoError>> {
        let path = path.to_path_buf();
        let errno = begin(&self.world, op, &path, 0, 0);
        let completion = Completion::new();
        let later = completion.clone();
        let delay = delay_of(&self.world, op);
        self.world.schedule(delay, move |world, firing| {
            let result = match errno {
                Ok(()) => act(&mut world.disk.borrow_mut()),
                Err(errno) => Err(errno),
            };
            if firing == Firing::Complete && !matches!(result, Err(HANGS)) {
                later.complete(result.map_err(|errno| IoError::from_errno(op, errno, &path)));
            }
        });
        completion
    }
}

impl Io for SimIo {
    type File = SimFile;

    fn now(&self) -> Monotonic {
        self.world.now()
    }

    fn wall_clock(&self) -> WallClock {
        WallClock::new(self.world.wall_ns())
    }

    fn random_u64(&self) -> u64 {
        self.world.with_chance(Chance::next)
    }

    fn has_flaw(&self, name: &'static str) -> bool {
        self.world.flaws.borrow().iter().any(|flaw| flaw == name)
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.world.spawn(task);
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<> {
        let completion = Completion::new();
        let later = completion.clone();
        self.world.schedule(duration, move |_, _| later.complete(()));
        completion
    }

    fn yield_now(&self) -> impl Future<Output = ()> + use<> {
        YieldNow::default()
    }

    fn open(
        &self,
        path: &Path,
        how: OpenMode,
    ) -> impl Future<Output = Result<SimFile, IoError>> + use<> {
        let create = match how {
            OpenMode::ReadOnly | OpenMode::ReadWrite | OpenMode::Cached => Create::No,
            OpenMode::CreateNew => Create::New,
            OpenMode::CreateOrOpen => Create::IfAbsent,
        };
        let (world, path) = (Rc::clone(&self.world), path.to_path_buf());
        let wanted = path.clone();
        let opened = self.on_disk(Op::Open, &path, move |disk| disk.open(&wanted, create));
        async move {
            let node = opened.await?;
            Ok(SimFile { handle: Rc::new(Handle { world, node, path, how }) })
        }
    }

    fn list_dir(
        &self,
        path: &Path,
    ) -> impl Future<Output = Result<Vec<DirEntry>, IoError>> + use<> {
        let dir = path.to_path_buf();
        self.on_disk(Op::List, path, move |disk| disk.list(&dir))
    }

    fn create_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        let dir = path.to_path_buf();
        self.on_disk(Op::CreateDir, path, move |disk| disk.create_dir(&dir))
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        let (dir, until) = (path.to_path_buf(), self.world.disk.borrow().sequence());
        self.on_disk(Op::SyncDir, path, move |disk| disk.sync_dir(&dir, until))
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        let (from, to) = (from.to_path_buf(), to.to_path_buf());
        self.on_disk(Op::Rename, &from.clone(), move |disk| disk.rename(&from, &to))
    }

    fn remove_file(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        let file = path.to_path_buf();
        self.on_disk(Op::Remove, path, move |disk| disk.remove_file(&file))
    }

    fn remove_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        let dir = path.to_path_buf();
        self.on_disk(Op::Remove, path, move |disk| disk.remove_dir(&dir))
    }

    fn space(&self, path: &Path) -> impl Future<Output = Result<Space, IoError>> + use<> {
        self.on_disk(Op::Space, path, |disk| Ok(disk.space()))
    }
}

impl SimFile {
    fn world(&self) -> &Rc<World> {
        &self.handle.world
    }

    /// Runs `act` after a random delay; the file stays open until then.
    fn later<T: 'static>(
        &self,
        op: Op,
        act: impl FnOnce(&Self, Firing) -> Result<T, Errno> + 'static,
    ) -> Completion<Result<T, IoError>> {
        let completion = Completion::new();
        let (later, file) = (completion.clone(), self.clone());
        let delay = delay_of(self.world(), op);
        self.world().schedule(delay, move |_, firing| {
            let result = act(&file, firing);
            if firing == Firing::Complete && !matches!(result, Err(HANGS)) {
                later.complete(result.map_err(|errno| file.error(op, errno)));
            }
        });
        completion
    }

    fn error(&self, op: Op, errno: Errno) -> IoError {
        IoError::from_errno(op, errno, &self.handle.path)
    }

    fn begin_write(&self, position: u64, pages: &[AlignedSlice]) -> Write {
        let path = &self.handle.path;
        assert!(self.handle.how != OpenMode::ReadOnly, "write to {path:?}, opened for reads");
        assert!(pages.len() <= WRITE_SLICES_MAX, "{} slices in one write", pages.len());
        let bytes = gather(pages);
        assert_aligned(Op::Write, position, bytes.len() as u64);
        let world = self.world();
        world.record.borrow_mut().push(Op::Write, path, position, bytes.len() as u64);
        let fault = world.faults.borrow_mut().meet(Op::Write, path);
        world.note(position ^ sum_of(&bytes));
        Write { position, bytes, fault }
    }

    /// Writes, and returns the bytes written.
    fn write(&self, write: &Write, firing: Firing) -> Result<u64, Errno> {
        let world = self.world();
        let mut disk = world.disk.borrow_mut();
        let Write { position, bytes, fault } = write;
        disk.check_room(self.handle.node, position + bytes.len() as u64)?;
        let sequence = disk.next_sequence();
        let content = disk.content_mut(self.handle.node)?;
        match fault {
            Some(FaultKind::Hang) => return Err(HANGS),
            Some(FaultKind::Errno(errno)) => {
                world.with_chance(|chance| content.write_torn(sequence, *position, bytes, chance));
                return Err(*errno);
            }
            Some(FaultKind::ShortWrite { bytes: wanted }) => {
                let whole = wanted / SECTOR_BYTES * SECTOR_BYTES;
                let written = whole.min(bytes.len() as u64);
                let end = usize::try_from(written).unwrap_or(bytes.len());
                content.write(sequence, *position, &bytes.slice(..end));
                return Ok(written);
            }
            Some(FaultKind::Misdirect { pages }) => {
                let at = position + pages * PAGE_BYTES as u64;
                content.write(sequence, at, bytes);
            }
            Some(FaultKind::FlipBit) => {
                let flipped = world.with_chance(|chance| flip_bit(bytes.to_vec(), chance));
                content.write(sequence, *position, &flipped.into());
            }
            Some(FaultKind::Lie) => {}
            None if firing == Firing::Interrupted => {
                world.with_chance(|chance| content.write_torn(sequence, *position, bytes, chance));
            }
            None => content.write(sequence, *position, bytes),
        }
        Ok(bytes.len() as u64)
    }

    fn check_written(&self, wanted: u64, written: u64) -> Result<(), IoError> {
        if written == wanted {
            return Ok(());
        }
        Err(IoError::ShortWrite { path: self.handle.path.clone(), wanted, written })
    }
}

impl File for SimFile {
    fn read_at(
        &self,
        position: u64,
        bytes: usize,
    ) -> impl Future<Output = Result<AlignedBuf, IoError>> + use<> {
        assert_aligned(Op::Read, position, bytes as u64);
        let world = self.world();
        record(world, Op::Read, &self.handle.path, position, bytes as u64);
        let fault = world.faults.borrow_mut().meet(Op::Read, &self.handle.path);
        self.later(Op::Read, move |file, _| {
            if let Some(errno) = fault.and_then(FaultKind::errno) {
                return Err(errno);
            }
            let disk = file.world().disk.borrow();
            let mut found = disk.content(file.handle.node)?.read(position, bytes);
            if fault == Some(FaultKind::FlipBit) {
                found = file.world().with_chance(|chance| flip_bit(found, chance));
            }
            let mut buf = AlignedBuf::with_capacity(bytes);
            buf.set_filled(found.len());
            buf.copy_from_slice(&found);
            Ok(buf)
        })
    }

    fn write_at(
        &self,
        position: u64,
        pages: &[AlignedSlice],
    ) -> impl Future<Output = Result<(), IoError>> + use<> {
        let write = self.begin_write(position, pages);
        let wanted = write.bytes.len() as u64;
        let written = self.later(Op::Write, move |file, firing| file.write(&write, firing));
        let file = self.clone();
        async move { file.check_written(wanted, written.await?) }
    }

    fn write_and_sync_at(
        &self,
        position: u64,
        pages: &[AlignedSlice],
    ) -> impl Future<Output = Result<WriteSyncTiming, IoError>> + use<> {
        let started = self.world().now();
        let write = self.begin_write(position, pages);
        let wanted = write.bytes.len() as u64;
        let completion = Completion::new();
        let (later, file) = (completion.clone(), self.clone());
        let delay = delay_of(self.world(), Op::Write);
        self.world().schedule(delay, move |world, firing| {
            let written = file.write(&write, firing);
            if firing == Firing::Interrupted || matches!(written, Err(HANGS)) {
                return;
            }
            // The sync starts in the kernel, whether anybody still waits or not.
            let checked = written
                .map_err(|errno| file.error(Op::Write, errno))
                .and_then(|written| file.check_written(wanted, written));
            match checked {
                Ok(()) => file.sync_linked(world, later, started),
                Err(error) => later.complete(Err(error)),
            }
        });
        completion
    }

    fn sync(&self) -> impl Future<Output = Result<(), IoError>> + use<> {
        let fault = begin(self.world(), Op::Sync, &self.handle.path, 0, 0);
        let until = self.world().disk.borrow().sequence();
        self.later(Op::Sync, move |file, _| file.finish_sync(fault, until))
    }

    /// The disk's cache, which a power cut takes parts of, stands for the kernel's as well: all that changes is when bytes leave it,
    /// and that is left to chance anyhow.
    fn begin_write_back(&self, _position: u64, _bytes: u64) {}

    fn allocate(&self, from: u64, bytes: u64) -> impl Future<Output = Result<(), IoError>> + use<> {
        let fault = begin(self.world(), Op::Allocate, &self.handle.path, from, bytes);
        self.later(Op::Allocate, move |file, _| {
            fault?;
            let mut disk = file.world().disk.borrow_mut();
            disk.check_room(file.handle.node, from + bytes)?;
            let sequence = disk.next_sequence();
            let content = disk.content_mut(file.handle.node)?;
            if content.len() < from + bytes {
                content.set_len(sequence, from + bytes);
            }
            Ok(())
        })
    }

    fn truncate(&self, bytes: u64) -> impl Future<Output = Result<(), IoError>> + use<> {
        let fault = begin(self.world(), Op::Truncate, &self.handle.path, 0, bytes);
        self.later(Op::Truncate, move |file, _| {
            fault?;
            let mut disk = file.world().disk.borrow_mut();
            let sequence = disk.next_sequence();
            disk.content_mut(file.handle.node)?.set_len(sequence, bytes);
            Ok(())
        })
    }

    fn len(&self) -> impl Future<Output = Result<u64, IoError>> + use<> {
        let fault = begin(self.world(), Op::Stat, &self.handle.path, 0, 0);
        self.later(Op::Stat, move |file, _| {
            fault?;
            Ok(file.world().disk.borrow().content(file.handle.node)?.len())
        })
    }

    fn close(self) -> impl Future<Output = Result<(), IoError>> + use<> {
        let closed = self.later(Op::Close, |_, _| Ok(()));
        drop(self);
        closed
    }
}

impl SimFile {
    /// The second half of a linked write and sync.
    fn sync_linked(
        &self,
        world: &Rc<World>,
        completion: Completion<Result<WriteSyncTiming, IoError>>,
        started: Monotonic,
    ) {
        let fault = begin(world, Op::Sync, &self.handle.path, 0, 0);
        let until = world.disk.borrow().sequence();
        let (file, written) = (self.clone(), world.now());
        world.schedule(delay_of(world, Op::Sync), move |world, firing| {
            let result = file.finish_sync(fault, until);
            if firing == Firing::Complete && !matches!(result, Err(HANGS)) {
                let now = world.now();
                let timing = WriteSyncTiming {
                    total_ns: now.as_ns() - started.as_ns(),
                    fdatasync_ns: Some(now.as_ns() - written.as_ns()),
                };
                let result = result.map_err(|errno| file.error(Op::Sync, errno));
                completion.complete(result.map(|()| timing));
            }
        });
    }

    fn finish_sync(&self, fault: Result<(), Errno>, until: u64) -> Result<(), Errno> {
        let mut disk = self.world().disk.borrow_mut();
        let content = disk.content_mut(self.handle.node)?;
        match fault {
            Ok(()) => content.sync(until),
            Err(HANGS) => {}
            Err(LIES) => return Ok(()),
            Err(_) => content.fail_sync(until),
        }
        fault
    }
}

/// A write on its way.
struct Write {
    position: u64,
    bytes: Bytes,
    fault: Option<FaultKind>,
}

fn gather(pages: &[AlignedSlice]) -> Bytes {
    let mut bytes = vec![0; pages.iter().map(AlignedSlice::len).sum()];
    let mut rest = bytes.as_mut_slice();
    for slice in pages {
        let (target, behind) = rest.split_at_mut(slice.len());
        slice.copy_to(target);
        rest = behind;
    }
    bytes.into()
}

/// Records an operation and returns the error it is going to meet.
fn begin(world: &World, op: Op, path: &Path, position: u64, bytes: u64) -> Result<(), Errno> {
    record(world, op, path, position, bytes);
    match world.faults.borrow_mut().meet(op, path).and_then(FaultKind::errno) {
        // Only a sync can be answered and not done.
        Some(LIES) if op != Op::Sync => Ok(()),
        Some(errno) => Err(errno),
        None => Ok(()),
    }
}

fn record(world: &World, op: Op, path: &Path, position: u64, bytes: u64) {
    world.record.borrow_mut().push(op, path, position, bytes);
    world.note(position ^ (bytes << 20));
}

/// A sum that tells apart what was written; pages are whole words.
fn sum_of(bytes: &[u8]) -> u64 {
    bytes.as_chunks().0.iter().fold(0, |sum: u64, word| {
        (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}

/// Flips one bit, if there is one.
fn flip_bit(mut bytes: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
    if !bytes.is_empty() {
        let at = chance.index(bytes.len());
        let bit = chance.below(8);
        bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
    }
    bytes
}

/// Draws how long an operation takes: mostly short, now and then very long, so that operations
/// overtake each other in every way.
fn delay_of(world: &World, op: Op) -> Duration {
    let (least_us, spread_us) = match op {
        Op::Sync | Op::SyncDir => (40, 400),
        Op::Read | Op::Write => (20, 150),
        _ => (5, 60),
    };
    world.with_chance(|chance| {
        let slow = if chance.percent(3) { 30 } else { 1 };
        Duration::from_micros((least_us + chance.below(spread_us)) * slow) * world.slowness.get()
    })
}
