//! The kernel's answer to [`Io`]: files go through the ring, tasks and timers to the runtime.
#![allow(unsafe_code, reason = "submissions point to paths that the table of operations holds")]

use std::cell::RefCell;
use std::ffi::CString;
use std::future::Future;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use io_uring::opcode;
use io_uring::types::Fd;

use super::at_once::AtOnce;
use super::kernel::{clock, names};
use super::ring::{Descriptor, Held, HeldMemory, Makes, Ring, RingCounts};
use super::runtime::executor::Executor;
use super::runtime::timers::Timers;
use super::runtime::workers::{Lane, Workers};
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
    ring: Rc<Ring>,
    tasks: Tasks,
    workers: Rc<Workers>,
    on_lag: Rc<RefCell<Option<LagReport>>>,
    /// Set if the executor spins.
    at_once: Option<Rc<AtOnce>>,
}

/// Whose tasks and timers they are.
#[derive(Clone)]
pub(super) enum Tasks {
    Ring(Rc<Executor>),
    /// glommio finds its executor by the thread.
    Glommio,
}

type LagReport = Box<dyn FnMut(Duration)>;

impl UringIo {
    pub(super) fn new(ring: Rc<Ring>, tasks: Tasks, spin: Duration) -> Self {
        let at_once = (!spin.is_zero()).then(Rc::default);
        Self { ring, tasks, workers: Rc::default(), on_lag: Rc::default(), at_once }
    }

    /// Returns what the executor's private ring has done so far.
    #[must_use]
    pub fn ring_counts(&self) -> RingCounts {
        self.ring.counts()
    }

    /// Sets who is told how late the executor is: every 10 ms while it is busy, else every
    /// 100 ms. Not to be called by the report itself.
    pub fn on_lag(&self, report: impl FnMut(Duration) + 'static) {
        *self.on_lag.borrow_mut() = Some(Box::new(report));
    }

    pub(super) fn report_lag(&self, late: Duration) {
        if let Some(report) = &mut *self.on_lag.borrow_mut() {
            report(late);
        }
    }

    pub(super) const fn ring(&self) -> &Rc<Ring> {
        &self.ring
    }

    /// Runs a call that blocks on a thread of the executor's own.
    fn block<T: Send + 'static>(
        &self,
        lane: Lane,
        path: &Path,
        call: fn(&Path) -> Result<T, IoError>,
    ) -> impl Future<Output = Result<T, IoError>> + use<T> {
        let path = path.to_path_buf();
        self.workers.run(lane, move || call(&path))
    }

    async fn open_fd(
        self,
        op: Op,
        path: PathBuf,
        flags: libc::c_int,
    ) -> Result<Rc<Descriptor>, IoError> {
        let held = Held {
            memory: HeldMemory::Path(c_path(&path)?),
            makes: Makes::Descriptor,
            ..Held::default()
        };
        // SAFETY: the path is in `held`.
        let started = unsafe {
            self.ring().start(held, |held| {
                let HeldMemory::Path(path) = &held.memory else {
                    unreachable!("an open holds its path")
                };
                opcode::OpenAt::new(Fd(libc::AT_FDCWD), path.as_ptr())
                    .flags(flags | libc::O_CLOEXEC)
                    .mode(FILE_MODE)
                    .build()
            })
        };
        let finished = started.await.ok_or(IoError::ExecutorGone)?;
        match (finished.result(), finished.outcome.made) {
            (Ok(_), Some(fd)) => Ok(Rc::new(Descriptor::new(fd, path))),
            (Ok(_), None) => Err(IoError::ExecutorGone),
            (Err(errno), _) => Err(IoError::from_errno(op, errno, &path)),
        }
    }

    async fn sync_directory(self, path: PathBuf) -> Result<(), IoError> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let dir = self.clone().open_fd(Op::SyncDir, path, flags).await?;
        let entry = opcode::Fsync::new(Fd(dir.raw())).build();
        let held = Held { descriptor: Some(Rc::clone(&dir)), ..Held::default() };
        // SAFETY: the descriptor is held; there is no memory.
        let started = unsafe { self.ring().start(held, |_| entry) };
        let finished = started.await.ok_or(IoError::ExecutorGone)?;
        let error = |errno| IoError::from_errno(Op::SyncDir, errno, dir.name());
        finished.result().map(drop).map_err(error)
    }
}

/// Who may read what the broker writes: its user alone writes, its group and others read, less
/// what the umask takes away.
const FILE_MODE: libc::mode_t = 0o644;

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
        match &self.tasks {
            Tasks::Ring(executor) => executor.tasks.spawn(task),
            // glommio polls a new task inside the spawn; here it starts when its turn comes, so
            // that the spawner may hold what the task is going to borrow.
            Tasks::Glommio => drop(
                glommio::spawn_local(async {
                    YieldNow::default().await;
                    task.await;
                })
                .detach(),
            ),
        }
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<> {
        let timer = match &self.tasks {
            Tasks::Ring(executor) => Some(Timers::sleep(&executor.timers, duration)),
            Tasks::Glommio => None,
        };
        async move {
            match timer {
                Some(timer) => timer.await,
                None => glommio::timer::sleep(duration).await,
            }
        }
    }

    fn yield_now(&self) -> impl Future<Output = ()> + use<> {
        YieldNow::default()
    }

    fn open(
        &self,
        path: &Path,
        how: OpenMode,
    ) -> impl Future<Output = Result<UringFile, IoError>> + use<> {
        let flags = match how {
            OpenMode::ReadOnly => libc::O_DIRECT | libc::O_RDONLY,
            OpenMode::ReadWrite => libc::O_DIRECT | libc::O_RDWR,
            OpenMode::CreateNew => libc::O_DIRECT | libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
            OpenMode::CreateOrOpen => libc::O_DIRECT | libc::O_RDWR | libc::O_CREAT,
            OpenMode::Cached => libc::O_WRONLY,
        };
        let (io, path) = (self.clone(), path.to_path_buf());
        async move {
            let ring = Rc::clone(io.ring());
            let at_once = io.at_once.clone().filter(|_| how == OpenMode::Cached);
            Ok(UringFile::new(io.open_fd(Op::Open, path, flags).await?, ring, at_once))
        }
    }

    fn list_dir(
        &self,
        path: &Path,
    ) -> impl Future<Output = Result<Vec<DirEntry>, IoError>> + use<> {
        self.block(Lane::Names, path, names::list)
    }

    fn create_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        self.block(Lane::Names, path, names::create_dir)
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        self.clone().sync_directory(path.to_path_buf())
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        let (from, to) = (from.to_path_buf(), to.to_path_buf());
        self.workers.run(Lane::Names, move || names::rename(&from, &to))
    }

    fn remove_file(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        self.block(Lane::Removals, path, names::remove_file)
    }

    fn remove_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<> {
        self.block(Lane::Removals, path, names::remove_dir)
    }

    fn space(&self, path: &Path) -> impl Future<Output = Result<Space, IoError>> + use<> {
        self.block(Lane::Names, path, names::space)
    }
}

fn c_path(path: &Path) -> Result<CString, IoError> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| IoError::BadPath { path: path.to_path_buf() })
}
