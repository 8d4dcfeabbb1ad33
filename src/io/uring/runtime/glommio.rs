//! The executor on glommio: its tasks, timers and sleep, with the private ring beside.
//!
//! glommio has no door for a foreign ring, but it reads files: a read of the eventfd that the kernel
//! rings with each answer waits in glommio's own ring and so ends its sleep. What glommio's traps
//! are, and what this costs next to our own loop: decision 0001.
#![allow(unsafe_code, reason = "glommio takes the doorbell's descriptor over as a raw number")]

use std::future::Future;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::rc::Rc;

use glommio::io::BufferedFile;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};

use crate::uring::kernel::eventfd;
use crate::uring::ring::{Ring, Wait, Watch};
use crate::uring::shard::{ShardError, ShardSpec};

/// glommio's memory for its own direct I/O, which is not used here. It is locked three times over,
/// so the least it takes: 8 executors then fit into an ordinary user's 8 MiB of locked memory.
const MEMORY_BYTES: usize = 64 * 1024;
/// glommio's rings carry timers and the doorbell alone.
const RING_ENTRIES: usize = 128;

/// An executor of glommio, with its ring.
pub(in crate::uring) struct GlommioExecutor {
    executor: LocalExecutor,
    ring: Rc<Ring>,
    doorbell: OwnedFd,
}

impl GlommioExecutor {
    /// Makes an executor for the calling thread, pinned if so specified.
    pub(in crate::uring) fn new(spec: &ShardSpec) -> Result<Self, ShardError> {
        let name = || spec.name.clone();
        let no_ring = |source| ShardError::NoRing { name: name(), source };
        let executor = make_executor(spec)
            .map_err(|error| ShardError::NoExecutor { name: name(), reason: error.to_string() })?;
        let ring = Rc::new(
            Ring::new(spec.ring_entries, Watch::Doorbell, spec.hold.as_deref()).map_err(no_ring)?,
        );
        let doorbell = ring.doorbell().map(OwnedFd::try_clone);
        let Some(doorbell) = doorbell.transpose().map_err(no_ring)? else {
            unreachable!("a ring watched by a doorbell has one")
        };
        Ok(Self { executor, ring, doorbell })
    }

    pub(in crate::uring) const fn ring(&self) -> &Rc<Ring> {
        &self.ring
    }

    /// Runs until `main` has ended; the other tasks are dropped with the executor.
    pub(in crate::uring) fn run<T>(self, main: impl Future<Output = T>) -> T {
        let Self { executor, ring, doorbell } = self;
        executor.run(async {
            // SAFETY: glommio becomes the descriptor's only owner.
            let bell = unsafe { BufferedFile::from_raw_fd(doorbell.into_raw_fd()) };
            let listener = glommio::spawn_local(listen(Rc::clone(&ring), bell));
            let driver = glommio::spawn_local(drive(Rc::clone(&ring)));
            let value = main.await;
            ring.close();
            if let Some(doorbell) = ring.doorbell() {
                eventfd::ring(doorbell);
            }
            listener.await;
            driver.cancel().await;
            value
        })
    }
}

fn make_executor(spec: &ShardSpec) -> Result<LocalExecutor, glommio::GlommioError<()>> {
    let placement = spec.core.map_or(Placement::Unbound, Placement::Fixed);
    let builder = LocalExecutorBuilder::new(placement)
        .name(&spec.name)
        .io_memory(MEMORY_BYTES)
        .ring_depth(RING_ENTRIES)
        .preempt_timer(spec.preempt)
        // Not used (see `workers`), but there is always one; a pinned one would wait for us.
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1));
    let spinning = !spec.spin.is_zero() && spec.core.is_some();
    let builder = if spinning { builder.spin_before_park(spec.spin) } else { builder };
    builder.make()
}

/// Turns the ring whenever something was pushed: all pushes of one round of tasks are one enter.
async fn drive(ring: Rc<Ring>) {
    loop {
        ring.pushed.wait().await;
        ring.turn(Wait::No);
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
        ring.turn(Wait::No);
    }
    if let Err(error) = bell.close().await {
        tracing::warn!(%error, "the doorbell's descriptor can't be closed");
    }
}
