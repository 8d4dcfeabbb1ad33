//! The kernel's answer to [`Io`]: names and directories through the ring, tasks through glommio.
#![allow(unsafe_code, reason = "submissions point to paths that the table of operations holds")]

use std::ffi::CString;
use std::future::Future;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use io_uring::opcode;
use io_uring::squeue::Entry;
use io_uring::types::Fd;

use super::clock;
use super::descriptor::Descriptor;
use super::directory;
use super::ring::{Ring, RingCounts};
use super::slots::{Finished, Held, HeldMemory, Makes};
use super::uring_file::UringFile;
use crate::door::{DirEntry, Io, OpenMode, Space};
use crate::error::{IoError, Op};
use crate::time::{Monotonic, WallClock};
use crate::wait::YieldNow;

/// One executor's door to the real world. Cloning is cheap and gives the same executor.
///
/// It is made by [`spawn_shard`](super::shard::spawn_shard) and works on that executor only.
#[derive(Clone)]
pub struct UringIo {
    pub(super) ring: Rc<Ring>,
}

impl UringIo {
    pub(super) const fn new(ring: Rc<Ring>) -> Self {
        Self { ring }
    }

    /// Returns what the executor's private ring has done so far.
    #[must_use]
    pub fn ring_counts(&self) -> RingCounts {
        self.ring.counts()
    }

    /// Runs an operation on one path.
    async fn on_path(
        self,
        op: Op,
        makes: Makes,
        path: PathBuf,
        build: impl FnOnce(*const libc::c_char) -> Entry,
    ) -> Result<Finished, IoError> {
        let memory = HeldMemory::Paths(c_path(&path)?, None);
        let held = Held { memory, makes, ..Held::default() };
        // SAFETY: the path is in `held`.
        let started = unsafe {
            self.ring.start(held, |held| {
                let HeldMemory::Paths(path, _) = &held.memory else {
                    unreachable!("an operation on a path holds it")
                };
                build(path.as_ptr())
            })
        };
        let finished = started.await.ok_or(IoError::ExecutorGone)?;
        match finished.result() {
            Ok(_) => Ok(finished),
            Err(errno) => Err(IoError::from_errno(op, errno, &path)),
        }
    }

    async fn open_fd(
        self,
        op: Op,
        path: PathBuf,
        flags: libc::c_int,
    ) -> Result<Rc<Descriptor>, IoError> {
        let name = path.clone();
        let opened = self.on_path(op, Makes::Descriptor, path, move |path| {
            opcode::OpenAt::new(Fd(libc::AT_FDCWD), path)
                .flags(flags | libc::O_CLOEXEC)
                .mode(FILE_MODE)
                .build()
        });
        let fd = opened.await?.outcome.made.ok_or(IoError::ExecutorGone)?;
        Ok(Rc::new(Descriptor::new(fd, name)))
    }

    async fn sync_directory(self, path: PathBuf) -> Result<(), IoError> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let dir = self.clone().open_fd(Op::SyncDir, path, flags).await?;
        let entry = opcode::Fsync::new(Fd(dir.raw())).build();
        let held = Held { descriptor: Some(Rc::clone(&dir)), ..Held::default() };
        // SAFETY: the descriptor is held; there is no memory.
        let started = unsafe { self.ring.start(held, |_| entry) };
        let finished = started.await.ok_or(IoError::ExecutorGone)?;
        let error = |errno| IoError::from_errno(Op::SyncDir, errno, dir.name());
        finished.result().map(drop).map_err(error)
    }

    async fn rename_path(self, from: PathBuf, to: PathBuf) -> Result<(), IoError> {
        let memory = HeldMemory::Paths(c_path(&from)?, Some(c_path(&to)?));
        // SAFETY: both paths are in `held`.
        let started = unsafe {
            self.ring.start(Held { memory, ..Held::default() }, |held| {
                let HeldMemory::Paths(from, Some(to)) = &held.memory else {
                    unreachable!("a rename holds two paths")
                };
                let here = Fd(libc::AT_FDCWD);
                opcode::RenameAt::new(here, from.as_ptr(), here, to.as_ptr()).build()
            })
        };
        let finished = started.await.ok_or(IoError::ExecutorGone)?;
        finished.result().map(drop).map_err(|errno| IoError::from_errno(Op::Rename, errno, &from))
    }

    async fn unlink(self, path: PathBuf, flags: libc::c_int) -> Result<(), IoError> {
        let unlinked = self.on_path(Op::Remove, Makes::Nothing, path, move |path| {
            opcode::UnlinkAt::new(Fd(libc::AT_FDCWD), path).flags(flags).build()
        });
        unlinked.await.map(drop)
    }
}

/// Who may read what the broker writes: its user alone writes, its group and others read, less
/// what the umask takes away.
const FILE_MODE: libc::mode_t = 0o644;
const DIR_MODE: libc::mode_t = 0o755;

impl Io for UringIo {
    type File = UringFile;

    fn now(&self) -> Monotonic {
        clock::now()
    }

    fn wall_clock(&self) -> WallClock {
        clock::wall_clock()
    }

    fn random_u64(&self) -> u64 {
        clock::random_u64()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        glommio::spawn_local(task).detach();
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<> {
        glommio::timer::sleep(duration)
    }

    fn yield_now(&self) -> impl Future<Output = ()> + use<> {
        YieldNow::default()
    }

    fn open(
        &self,
        path: &Path,
        how: OpenMode,
    ) -> impl Future<Output = Result<UringFile, IoError>> + use<> {
        let flags = libc::O_DIRECT
            | match how {
                OpenMode::ReadOnly => libc::O_RDONLY,
                OpenMode::ReadWrite => libc::O_RDWR,
                OpenMode::CreateNew => libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
                OpenMode::CreateOrOpen => libc::O_RDWR | libc::O_CREAT,
            };
        let (io, path) = (self.clone(), path.to_path_buf());
        async move {
            let ring = Rc::clone(&io.ring);
            Ok(UringFile::new(io.open_fd(Op::Open, path, flags).await?, ring))
        }
    }

    fn list_dir(
        &self,
        path: &Path,
    ) -> impl Future<Output = Result<Vec<DirEntry>, IoError>> + use<> {
        let path = path.to_path_buf();
        directory::in_pool(move || directory::list(&path))
    }

    fn create_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        let path = path.to_path_buf();
        let created = self.clone().on_path(Op::CreateDir, Makes::Nothing, path, |path| {
            opcode::MkDirAt::new(Fd(libc::AT_FDCWD), path).mode(DIR_MODE).build()
        });
        async move { created.await.map(drop) }
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        self.clone().sync_directory(path.to_path_buf())
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        self.clone().rename_path(from.to_path_buf(), to.to_path_buf())
    }

    fn remove_file(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        self.clone().unlink(path.to_path_buf(), 0)
    }

    fn remove_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        self.clone().unlink(path.to_path_buf(), libc::AT_REMOVEDIR)
    }

    fn space(&self, path: &Path) -> impl Future<Output = Result<Space, IoError>> + use<> {
        let path = path.to_path_buf();
        directory::in_pool(move || directory::space(&path))
    }
}

fn c_path(path: &Path) -> Result<CString, IoError> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| IoError::BadPath { path: path.to_path_buf() })
}
