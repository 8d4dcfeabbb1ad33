//! A disk of our own below the broker: a FUSE file system in memory that knows of every byte whether it was synced, and does
//! what it is told to: fails, cuts short, delays, hangs, lies, loses power.

mod tree;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, KernelConfig, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::{Absent, need_root, run};
use crate::broker::Place;
use tree::Tree;

/// Nothing may be remembered by the kernel: a power cut changes files behind its back.
const NOT_AT_ALL: Duration = Duration::ZERO;
const BLOCK: u32 = 4_096;
const BLOCKS: u64 = 1 << 20;

/// What the disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A sync fails, and what was not synced is gone: as with a kernel that marks pages clean after a failed write-back.
    SyncFails,
    /// A sync says that all is well and does nothing.
    SyncLies,
    /// A write takes the first quarter. Not half: io_uring compares what came of its own second try with what that was asked for,
    /// and takes a half for the whole.
    ShortWrite,
    /// A write takes so long.
    Late(Duration),
    /// Writes and syncs are not answered before [`Disk::release`].
    Hang,
}

/// Where and how often.
struct Rule {
    fault: Fault,
    /// A part of the path.
    path: String,
    left: u32,
}

/// What is answered later.
type Parked = Box<dyn FnOnce(&mut Tree) + Send>;

#[derive(Default)]
struct State {
    tree: Tree,
    rules: Vec<Rule>,
    parked: Vec<Parked>,
    /// Where writes were cut short: the kernel tries the rest, which fails, and so the cut is seen.
    cut: Vec<(u64, u64)>,
    /// How often each fault came to pass.
    struck: BTreeMap<&'static str, u32>,
}

impl State {
    /// The fault that a call on this file meets.
    fn meets(&mut self, ino: u64, faults: fn(Fault) -> bool) -> Option<Fault> {
        let path = self.tree.path(ino);
        let applies =
            |rule: &&mut Rule| rule.left > 0 && faults(rule.fault) && path.contains(&rule.path);
        let rule = self.rules.iter_mut().find(applies)?;
        rule.left -= 1;
        let name = match rule.fault {
            Fault::SyncFails => "sync fails",
            Fault::SyncLies => "sync lies",
            Fault::ShortWrite => "short write",
            Fault::Late(_) => "late",
            Fault::Hang => "hang",
        };
        *self.struck.entry(name).or_default() += 1;
        Some(rule.fault)
    }
}

/// The disk, mounted until it is dropped.
pub(crate) struct Disk {
    folder: PathBuf,
    state: Arc<Mutex<State>>,
    _session: BackgroundSession,
}

impl Disk {
    /// Mounts an empty one.
    pub(crate) fn mount(folder: &Path) -> Result<Self, Absent> {
        need_root()?;
        if !Path::new("/dev/fuse").exists() {
            return Err(Absent::new("no /dev/fuse"));
        }
        std::fs::create_dir_all(folder).expect("the test's folder is writable");
        let state = Arc::new(Mutex::new(State::default()));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("kolk-faults".to_owned())];
        let session = fuser::spawn_mount(View(Arc::clone(&state)), folder, &config);
        let session = session.map_err(|error| Absent(format!("FUSE: {error}")))?;
        Ok(Self { folder: folder.to_owned(), state, _session: session })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no call panics")
    }

    /// Where it is mounted.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has so many calls on files whose path contains this meet the fault.
    pub(crate) fn break_at(&self, path: &str, fault: Fault, times: u32) {
        self.state().rules.push(Rule { fault, path: path.to_owned(), left: times });
    }

    /// How often faults came to pass.
    pub(crate) fn struck(&self) -> u32 {
        self.state().struck.values().sum()
    }

    /// Takes all faults back and answers what hangs.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.cut.clear();
        for parked in std::mem::take(&mut state.parked) {
            parked(&mut state.tree);
        }
    }

    /// Every byte that was not synced is gone. The broker on it has just been killed.
    pub(crate) fn cut_power(&self, place: &Place) {
        // The kernel may still be ending what the process had in flight, and holds its lock until then.
        let lock = std::fs::File::open(place.data().join("meta/LOCK")).expect("a broker ran");
        lock.lock().expect("the kernel lets go of it");
        drop(lock);
        let mut state = self.state();
        state.parked.clear();
        state.rules.clear();
        state.cut.clear();
        state.tree.cut_power();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The end of the session alone leaves the mount behind. Lazily, as for the others.
        if let Err(Absent(why)) = run("umount", &["-l", &self.folder.to_string_lossy()]) {
            eprintln!("{why}");
        }
    }
}

/// The file system as the kernel sees it.
struct View(Arc<Mutex<State>>);

impl View {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no call panics")
    }
}

const fn is_sync(fault: Fault) -> bool {
    matches!(fault, Fault::SyncFails | Fault::SyncLies | Fault::Hang)
}

const fn is_write(fault: Fault) -> bool {
    matches!(fault, Fault::ShortWrite | Fault::Late(_) | Fault::Hang)
}

// Not direct I/O for all, which the kernel does wrongly below io_uring (a short read is read again from its start): whoever opens
// a file with O_DIRECT has it all the same.
const OPENED: FopenFlags = FopenFlags::empty();

impl Filesystem for View {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // What hangs must not use up what all files share.
        let set = config.set_max_background(u16::MAX);
        set.map(drop).map_err(|_| std::io::ErrorKind::InvalidInput.into())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.state();
        match state.tree.find(parent.0, name) {
            Some(ino) => reply.entry(&NOT_AT_ALL, &state.tree.about(ino), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let state = self.state();
        if state.tree.exists(ino.0) {
            reply.attr(&NOT_AT_ALL, &state.tree.about(ino.0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.state();
        if !state.tree.exists(ino.0) {
            return reply.error(Errno::ENOENT);
        }
        if let Some(size) = size {
            state.tree.resize(ino.0, size);
        }
        reply.attr(&NOT_AT_ALL, &state.tree.about(ino.0));
    }

    fn mkdir(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let mut state = self.state();
        if state.tree.find(parent.0, name).is_some() {
            return reply.error(Errno::EEXIST);
        }
        let ino = state.tree.add(parent.0, name, FileType::Directory);
        reply.entry(&NOT_AT_ALL, &state.tree.about(ino), Generation(0));
    }

    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let mut state = self.state();
        let ino = match state.tree.find(parent.0, name) {
            Some(ino) => ino,
            None => state.tree.add(parent.0, name, FileType::RegularFile),
        };
        let about = state.tree.about(ino);
        reply.created(&NOT_AT_ALL, &about, Generation(0), FileHandle(0), OPENED);
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        match self.state().tree.remove(parent.0, name) {
            Some(_) => reply.ok(),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut state = self.state();
        match state.tree.find(parent.0, name) {
            Some(ino) if !state.tree.entries(ino).is_empty() => reply.error(Errno::ENOTEMPTY),
            Some(_) => {
                state.tree.remove(parent.0, name);
                reply.ok();
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if self.state().tree.rename((parent.0, name), (newparent.0, newname)) {
            reply.ok();
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn open(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), OPENED);
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        reply.data(self.state().tree.read(ino.0, offset, size));
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut state = self.state();
        let len = u32::try_from(data.len()).expect("a write of the kernel");
        let reaches = |(cut, at): &(u64, u64)| {
            *cut == ino.0 && (offset..offset + u64::from(len)).contains(at)
        };
        if state.cut.iter().any(reaches) {
            return reply.error(Errno::EIO);
        }
        match state.meets(ino.0, is_write) {
            Some(Fault::ShortWrite) => {
                let part = data.len() / 4;
                state.tree.write(ino.0, offset, &data[..part]);
                state.cut.push((ino.0, offset + u64::try_from(part).expect("64-bit")));
                reply.written(u32::try_from(part).expect("less than before"));
            }
            Some(Fault::Late(delay)) => {
                let (state, data) = (Arc::clone(&self.0), data.to_vec());
                std::thread::spawn(move || {
                    std::thread::sleep(delay);
                    state.lock().expect("no call panics").tree.write(ino.0, offset, &data);
                    reply.written(len);
                });
            }
            Some(_) => {
                let data = data.to_vec();
                state.parked.push(Box::new(move |tree| {
                    tree.write(ino.0, offset, &data);
                    reply.written(len);
                }));
            }
            None => {
                state.tree.write(ino.0, offset, data);
                reply.written(len);
            }
        }
    }

    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn fsync(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let mut state = self.state();
        match state.meets(ino.0, is_sync) {
            Some(Fault::SyncFails) => {
                state.tree.forget_unsynced(ino.0);
                reply.error(Errno::EIO);
            }
            Some(Fault::SyncLies) => reply.ok(),
            Some(_) => state.parked.push(Box::new(move |tree| {
                tree.sync(ino.0);
                reply.ok();
            })),
            None => {
                state.tree.sync(ino.0);
                reply.ok();
            }
        }
    }

    fn fsyncdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        // Names are durable at once: what is tried here is the bytes.
        reply.ok();
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let state = self.state();
        let skipped = usize::try_from(offset).expect("64-bit");
        for (number, (name, child)) in (1..).zip(state.tree.entries(ino.0)).skip(skipped) {
            let kind = state.tree.about(child).kind;
            if reply.add(INodeNo(child), number, kind, &name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCK, 255, BLOCK);
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let mut state = self.state();
        let size = state.tree.about(ino.0).size.max(offset + length);
        state.tree.resize(ino.0, size);
        reply.ok();
    }
}
