//! Starting and ending one executor: a thread, and a runtime on it.
#![allow(unsafe_code, reason = "pinning a thread is a plain system call")]
#![allow(clippy::disallowed_methods, reason = "this is where the threads of shards are started")]

use std::fs::File;
use std::future::Future;
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::runtime::executor::Executor;
use super::runtime::glommio::GlommioExecutor;
use super::runtime::ticker;
use super::uring_io::{Tasks, UringIo};

/// How an executor is started.
#[derive(Clone, Debug)]
pub struct ShardSpec {
    /// The thread's name, as `top -H` shows it; the kernel keeps 15 bytes.
    pub name: String,
    /// The CPU to pin the thread to; `None` leaves it to the kernel's scheduler.
    pub core: Option<usize>,
    /// Submissions that fit into the private ring before a turn is forced, up to 32768.
    /// Default: 1024.
    pub ring_entries: u32,
    /// How long the executor looks for work before it sleeps; on glommio it needs `core`. Zero,
    /// the default, sleeps at once: right wherever cores are shared. More than the time between two
    /// requests spares each of them a wake-up. Such an executor also writes to [`OpenMode::Cached`](crate::door::OpenMode::Cached)
    /// files on its own thread, until one such write takes more than a millisecond: the ring has them for the second after it.
    pub spin: Duration,
    /// After how long glommio looks at its rings though tasks are ready. Default: 5 ms. Our own
    /// loop looks after each round of tasks.
    pub preempt: Duration,
    /// What runs the tasks. Default: [`Runtime::Ring`].
    pub runtime: Runtime,
    /// A file that the ring holds open until the kernel has ended its last operation, however the process ends: the lock on
    /// what the operations touch. Default: none.
    pub hold: Option<Arc<File>>,
}

/// What runs an executor's tasks and timers. Files and sockets go through the same private ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// Our own loop, which sleeps in the ring: one system call a turn.
    #[default]
    Ring,
    /// glommio, with the ring beside it: about ten system calls a wake-up more.
    Glommio,
}

impl std::fmt::Display for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ring => "ring",
            Self::Glommio => "glommio",
        })
    }
}

/// A text that names no runtime. The caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a runtime: ring and glommio are known")]
pub struct RuntimeError {
    /// What was given.
    pub text: String,
}

impl std::str::FromStr for Runtime {
    type Err = RuntimeError;

    fn from_str(text: &str) -> Result<Self, RuntimeError> {
        let all = [Self::Ring, Self::Glommio];
        let found = all.into_iter().find(|runtime| runtime.to_string() == text);
        found.ok_or_else(|| RuntimeError { text: text.to_owned() })
    }
}

impl ShardSpec {
    /// Returns the defaults for an executor of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            core: None,
            ring_entries: 1024,
            spin: Duration::ZERO,
            preempt: Duration::from_millis(5),
            runtime: Runtime::default(),
            hold: None,
        }
    }

    /// Pins the executor to a CPU.
    #[must_use]
    pub fn on_core(self, core: usize) -> Self {
        Self { core: Some(core), ..self }
    }
}

/// Why an executor did not start, or ended without its value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// The kernel gave no thread.
    #[error("shard {name}: no thread: {source}")]
    NoThread {
        /// The executor's name.
        name: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The thread can't be pinned: there is no such core, or it is not ours.
    #[error("shard {name}: can't run on core {core}: {source}")]
    NoCore {
        /// The executor's name.
        name: String,
        /// The CPU that was asked for.
        core: usize,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// glommio could not be set up: io_uring denied, locked memory, no such core.
    #[error("shard {name}: glommio can't start: {reason}")]
    NoExecutor {
        /// The executor's name.
        name: String,
        /// glommio's words.
        reason: String,
    },
    /// The private ring could not be set up; the start-up checks say how to mend it.
    #[error("shard {name}: no io_uring: {source}")]
    NoRing {
        /// The executor's name.
        name: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The executor did not report in time. It may still come up.
    #[error("shard {name}: not ready after {} ms", waited.as_millis())]
    NotReady {
        /// The executor's name.
        name: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The executor did not end in time. It may still do so.
    #[error("shard {name}: still running after {} ms", waited.as_millis())]
    NotEnded {
        /// The executor's name.
        name: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A panic ended the thread.
    #[error("shard {name}: ended by a panic")]
    Panicked {
        /// The executor's name.
        name: String,
    },
}

/// How often a wait for an executor's end looks.
const JOIN_PAUSE: Duration = Duration::from_millis(2);

/// A started executor, held by the thread that started it.
pub struct ShardHandle<T> {
    name: String,
    ready: Receiver<()>,
    thread: JoinHandle<Result<T, ShardError>>,
}

impl<T> ShardHandle<T> {
    /// Waits until the executor runs its task, and takes the handle back with the reason if it
    /// does not come to that.
    ///
    /// # Errors
    /// What [`ShardHandle::join`] gives when the start failed; [`ShardError::NotReady`] when it
    /// takes longer than `timeout`.
    pub fn wait_ready(self, timeout: Duration) -> Result<Self, ShardError> {
        match self.ready.recv_timeout(timeout) {
            Ok(()) => Ok(self),
            Err(RecvTimeoutError::Timeout) => {
                Err(ShardError::NotReady { name: self.name, waited: timeout })
            }
            // The thread has ended before it was ready: its own error says why.
            Err(RecvTimeoutError::Disconnected) => {
                let name = self.name.clone();
                self.join().and(Err(ShardError::Panicked { name }))
            }
        }
    }

    /// Waits for the executor's end and returns its task's value.
    ///
    /// # Errors
    /// Why it did not start, or that it ended by a panic.
    pub fn join(self) -> Result<T, ShardError> {
        self.thread.join().unwrap_or(Err(ShardError::Panicked { name: self.name }))
    }
}

/// As [`ShardHandle::join`] for each, in order, but all together not longer than `timeout`: an executor that hangs is left to
/// itself and gives [`ShardError::NotEnded`].
pub fn join_all<T>(handles: Vec<ShardHandle<T>>, timeout: Duration) -> Vec<Result<T, ShardError>> {
    let begun = Instant::now();
    let join = |handle: ShardHandle<T>| {
        while !handle.thread.is_finished() {
            if begun.elapsed() >= timeout {
                return Err(ShardError::NotEnded { name: handle.name, waited: timeout });
            }
            std::thread::sleep(JOIN_PAUSE);
        }
        handle.join()
    };
    handles.into_iter().map(join).collect()
}

/// Starts an executor on a thread of its own and runs the task that `main` gives there. When the
/// task ends, the executor ends: other tasks are dropped where they stand.
///
/// # Errors
/// [`ShardError::NoThread`]; everything else is told by [`ShardHandle::wait_ready`].
pub fn spawn_shard<T, F, M>(spec: ShardSpec, main: M) -> Result<ShardHandle<T>, ShardError>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
    M: FnOnce(UringIo) -> F + Send + 'static,
{
    let name = spec.name.clone();
    let (report, ready) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name(name.clone())
        .spawn(move || run_shard(spec, main, &report))
        .map_err(|source| ShardError::NoThread { name: name.clone(), source })?;
    Ok(ShardHandle { name, ready, thread })
}

/// Runs the task that `main` gives on an executor of the calling thread, to its end. For work of
/// its own before the shards start, such as recovery.
///
/// # Errors
/// [`ShardError::NoRing`], [`ShardError::NoCore`] and [`ShardError::NoExecutor`].
pub fn run_here<T, F, M>(spec: ShardSpec, main: M) -> Result<T, ShardError>
where
    T: 'static,
    F: Future<Output = T> + 'static,
    M: FnOnce(UringIo) -> F,
{
    let (report, _unheard) = sync_channel(1);
    run_shard(spec, main, &report)
}

fn run_shard<T, F, M>(spec: ShardSpec, main: M, ready: &SyncSender<()>) -> Result<T, ShardError>
where
    T: 'static,
    F: Future<Output = T> + 'static,
    M: FnOnce(UringIo) -> F,
{
    match spec.runtime {
        Runtime::Ring => run_on_ring(spec, main, ready),
        Runtime::Glommio => run_on_glommio(&spec, main, ready),
    }
}

fn run_on_ring<T, F, M>(spec: ShardSpec, main: M, ready: &SyncSender<()>) -> Result<T, ShardError>
where
    T: 'static,
    F: Future<Output = T> + 'static,
    M: FnOnce(UringIo) -> F,
{
    let name = || spec.name.clone();
    if let Some(core) = spec.core {
        pin(core).map_err(|source| ShardError::NoCore { name: name(), core, source })?;
    }
    let executor = Executor::new(&spec);
    let executor = Rc::new(executor.map_err(|source| ShardError::NoRing { name: name(), source })?);
    let ring = Rc::clone(&executor.ring);
    let io = UringIo::new(ring, Tasks::Ring(Rc::clone(&executor)), spec.spin);
    executor.tasks.spawn(ticker::tick(io.clone()));
    // The starter may have given up waiting; then nobody needs to know.
    let _unheard = ready.try_send(());
    let value = executor.run(main(io));
    // Explicitly: handles that outlive the tasks must not keep the ring alive.
    executor.end();
    Ok(value)
}

fn run_on_glommio<T, F, M>(
    spec: &ShardSpec,
    main: M,
    ready: &SyncSender<()>,
) -> Result<T, ShardError>
where
    F: Future<Output = T>,
    M: FnOnce(UringIo) -> F,
{
    let executor = GlommioExecutor::new(spec)?;
    let io = UringIo::new(Rc::clone(executor.ring()), Tasks::Glommio, spec.spin);
    Ok(executor.run(async {
        let ticks = glommio::spawn_local(ticker::tick(io.clone()));
        let _unheard = ready.try_send(());
        let value = main(io).await;
        ticks.cancel().await;
        value
    }))
}

fn pin(core: usize) -> std::io::Result<()> {
    let cores = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: zeroes are an empty set; it is a plain struct of numbers.
    let mut cores = unsafe { cores.assume_init() };
    if core >= 8 * size_of::<libc::cpu_set_t>() {
        return Err(std::io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: `core` is a bit of the set, checked above.
    unsafe { libc::CPU_SET(core, &mut cores) };
    // SAFETY: the call reads the set, whose size it is told; 0 is the calling thread.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const cores) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn an_executor_that_hangs_is_left_behind_and_the_others_are_heard() {
        let go_on = Arc::new(AtomicBool::new(true));
        let hangs = Arc::clone(&go_on);
        let stuck = spawn_shard(ShardSpec::new("stuck"), move |_| async move {
            // As a disk that does not answer would: the thread itself stands still.
            while hangs.load(Ordering::Relaxed) {
                std::thread::sleep(JOIN_PAUSE);
            }
        });
        let well = spawn_shard(ShardSpec::new("well"), |_| async {});
        let begun = Instant::now();
        let ended = join_all(vec![stuck.unwrap(), well.unwrap()], Duration::from_millis(300));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(matches!(&ended[0], Err(ShardError::NotEnded { name, .. }) if name == "stuck"));
        assert!(ended[1].is_ok(), "{:?}", ended[1]);
        go_on.store(false, Ordering::Relaxed);
    }
}
