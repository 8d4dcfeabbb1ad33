//! Starting and ending one executor: a thread, glommio on it, the private ring beside.
#![allow(unsafe_code, reason = "glommio takes the doorbell's descriptor over as a raw number")]
#![allow(clippy::disallowed_methods, reason = "this is where the threads of shards are started")]

use std::future::Future;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use glommio::io::BufferedFile;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};

use super::ring::Ring;
use super::ticker;
use super::uring_io::UringIo;

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
    /// How long the executor looks for work before it sleeps; needs `core`. Zero, the default,
    /// sleeps at once: right wherever cores are shared. 20–50 µs spare a wake-up per request.
    pub spin: Duration,
    /// After how long a task that runs should yield. Default: 5 ms.
    pub preempt: Duration,
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
    /// glommio could not be set up: io_uring denied, locked memory, no such core.
    #[error("shard {name}: the executor can't start: {reason}")]
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
    /// A panic ended the thread.
    #[error("shard {name}: ended by a panic")]
    Panicked {
        /// The executor's name.
        name: String,
    },
}

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
/// [`ShardError::NoRing`] and [`ShardError::NoExecutor`].
pub fn run_here<T, F, M>(spec: ShardSpec, main: M) -> Result<T, ShardError>
where
    T: 'static,
    F: Future<Output = T> + 'static,
    M: FnOnce(UringIo) -> F,
{
    let (report, _unheard) = sync_channel(1);
    run_shard(spec, main, &report)
}

/// glommio's memory for its own direct I/O, which is not used here. It is locked three times over,
/// so the least it takes: 8 executors then fit into an ordinary user's 8 MiB of locked memory.
const GLOMMIO_MEMORY_BYTES: usize = 64 * 1024;
/// glommio's rings carry timers and the doorbell alone.
const GLOMMIO_RING_ENTRIES: usize = 128;
/// Threads for calls that block. Unbound: a pinned one would wait for its own executor. Two, so
/// that freeing a large file's blocks does not hold up everything else.
const POOL_THREADS: usize = 2;

fn run_shard<T, F, M>(spec: ShardSpec, main: M, ready: &SyncSender<()>) -> Result<T, ShardError>
where
    T: 'static,
    F: Future<Output = T> + 'static,
    M: FnOnce(UringIo) -> F,
{
    let executor = make_executor(&spec)?;
    let no_ring = |source| ShardError::NoRing { name: spec.name.clone(), source };
    let ring = Rc::new(Ring::new(spec.ring_entries).map_err(no_ring)?);
    let bell = ring.doorbell().map_err(no_ring)?;
    Ok(executor.run(async move {
        // SAFETY: glommio becomes the descriptor's only owner.
        let bell = unsafe { BufferedFile::from_raw_fd(bell.into_raw_fd()) };
        let doorbell = glommio::spawn_local(listen(Rc::clone(&ring), bell));
        let driver = glommio::spawn_local(drive(Rc::clone(&ring)));
        let io = UringIo::new(Rc::clone(&ring));
        let ticks = glommio::spawn_local(ticker::tick(io.clone()));
        // The starter may have given up waiting; then nobody needs to know.
        let _unheard = ready.try_send(());
        let value = main(io).await;
        ring.close();
        ring.ring_doorbell();
        doorbell.await;
        driver.cancel().await;
        ticks.cancel().await;
        value
    }))
}

fn make_executor(spec: &ShardSpec) -> Result<LocalExecutor, ShardError> {
    let placement = spec.core.map_or(Placement::Unbound, Placement::Fixed);
    let builder = LocalExecutorBuilder::new(placement)
        .name(&spec.name)
        .io_memory(GLOMMIO_MEMORY_BYTES)
        .ring_depth(GLOMMIO_RING_ENTRIES)
        .preempt_timer(spec.preempt)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(POOL_THREADS));
    let spinning = !spec.spin.is_zero() && spec.core.is_some();
    let builder = if spinning { builder.spin_before_park(spec.spin) } else { builder };
    let failed = |error: glommio::GlommioError<()>| ShardError::NoExecutor {
        name: spec.name.clone(),
        reason: error.to_string(),
    };
    builder.make().map_err(failed)
}

/// Turns the ring whenever something was pushed: all pushes of one round of tasks are one enter.
async fn drive(ring: Rc<Ring>) {
    loop {
        ring.pushed.wait().await;
        ring.turn();
    }
}

/// Turns the ring whenever the kernel has answered, until the ring is closed.
async fn listen(ring: Rc<Ring>, bell: BufferedFile) {
    while !ring.is_closed() {
        // The read waits in glommio's ring, so this is also what lets the executor sleep.
        if let Err(error) = bell.read_at(0, 8).await {
            unreachable!("a read of an eventfd fails: {error}");
        }
        ring.count_doorbell();
        ring.turn();
    }
    if let Err(error) = bell.close().await {
        tracing::warn!(%error, "the doorbell's descriptor can't be closed");
    }
}
