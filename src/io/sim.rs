//! A seeded simulation of one machine: clock, scheduler, chance and a disk that tells lies.
//!
//! Everything that may vary is drawn from one seed: which runnable task runs next, how long each
//! operation takes, and what a power cut leaves of bytes and names that were not synced. One seed
//! is one run, byte for byte; [`Sim::fingerprint`] shows it. The clock is virtual: it jumps to the
//! next event when nothing is runnable, so an hour costs nothing.
//!
//! ```
//! use kolk_io::door::{File, Io, OpenMode};
//! use kolk_io::buf::AlignedBuf;
//! use kolk_io::sim::Sim;
//! use std::path::Path;
//!
//! let sim = Sim::new(7);
//! sim.run(|io| async move {
//!     let file = io.open(Path::new("/f"), OpenMode::CreateNew).await.unwrap();
//!     io.sync_dir(Path::new("/")).await.unwrap();
//!     let page = AlignedBuf::from_bytes(&[1; 4096]).into_slice();
//!     file.write_and_sync_at(0, &[page]).await.unwrap();
//! });
//! let disk = sim.crash();
//! assert_eq!(disk.read("/f").unwrap(), vec![1; 4096]);
//! let sim = Sim::with_disk(disk, 8); // the next life
//! # drop(sim);
//! ```

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use crate::error::Op;
use crate::time::WallClock;

mod chance;
mod content;
mod disk;
mod fault;
mod record;
mod sim_io;
mod world;

pub use disk::SimDisk;
pub use fault::{Fault, FaultKind};
pub use record::OpEntry;
pub use sim_io::{SimFile, SimIo};

use world::World;

/// One simulated machine, from power-on to the end that the test gives it.
pub struct Sim {
    world: Rc<World>,
    seed: u64,
    /// Somebody else tells which seed has failed.
    quiet: bool,
}

impl Sim {
    /// Starts a machine with an empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_disk(SimDisk::new(), seed)
    }

    /// Starts a machine with a disk that lived before.
    #[must_use]
    pub fn with_disk(disk: SimDisk, seed: u64) -> Self {
        Self { world: Rc::new(World::new(disk, seed)), seed, quiet: false }
    }

    /// Leaves it to the caller to tell which seed has failed.
    #[must_use]
    pub const fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Returns the machine's door, to be handed to code under test.
    #[must_use]
    pub fn io(&self) -> SimIo {
        SimIo::new(Rc::clone(&self.world))
    }

    /// Runs until the task that `main` gives has ended, and returns its value. Tasks it has
    /// started stay where they are and go on in the next run.
    ///
    /// # Panics
    /// If every task waits and no event is to come: the code under test has locked itself up.
    pub fn run<T: 'static, F>(&self, main: impl FnOnce(SimIo) -> F) -> T
    where
        F: Future<Output = T> + 'static,
    {
        match self.run_steps(u64::MAX, main) {
            Some(value) => value,
            None => unreachable!("a run without a limit of steps ends with a value"),
        }
    }

    /// Runs as [`Sim::run`], but at most `steps_max` steps (a poll or an event each); `None` when
    /// they did not suffice. Its task stays: crash the machine then.
    ///
    /// # Panics
    /// As [`Sim::run`].
    pub fn run_steps<T: 'static, F>(
        &self,
        steps_max: u64,
        main: impl FnOnce(SimIo) -> F,
    ) -> Option<T>
    where
        F: Future<Output = T> + 'static,
    {
        let output = Rc::new(RefCell::new(None));
        let task = main(self.io());
        let slot = Rc::clone(&output);
        self.world.spawn(async move {
            let value = task.await;
            *slot.borrow_mut() = Some(value);
        });
        for _ in 0..steps_max {
            if let Some(value) = output.borrow_mut().take() {
                return Some(value);
            }
            assert!(self.world.step(), "seed {}: every task waits for ever", self.seed);
        }
        output.borrow_mut().take()
    }

    /// Cuts the power: completed writes and changes of names that were not synced survive in a
    /// random subset, down to sectors; what was in flight happens, in part, or not.
    #[must_use]
    pub fn crash(self) -> SimDisk {
        self.world.end();
        let mut disk = self.world.disk.take();
        self.world.with_chance(|chance| disk.power_cut(chance));
        disk
    }

    /// Kills the process: everything completed stays as it is, durable or not; what was in flight
    /// happens, in part, or not.
    #[must_use]
    pub fn kill(self) -> SimDisk {
        self.world.end();
        let mut disk = self.world.disk.take();
        disk.close_all();
        disk
    }

    /// Puts a fault in force.
    pub fn inject(&self, fault: Fault) {
        self.world.faults.borrow_mut().add(fault);
    }

    /// Lifts all faults.
    pub fn clear_faults(&self) {
        self.world.faults.borrow_mut().clear();
    }

    /// Makes every operation of the disk take `times` as long.
    pub fn slow_down(&self, times: u32) {
        self.world.slowness.set(times);
    }

    /// Plants a flaw: code that asks for it by this name breaks a rule of its own.
    pub fn plant(&self, flaw: &str) {
        self.world.flaws.borrow_mut().push(flaw.to_owned());
    }

    /// Sets the disk's size in bytes.
    pub fn set_capacity(&self, bytes: u64) {
        self.world.disk.borrow_mut().set_capacity(bytes);
    }

    /// Changes the disk or asks it while the machine runs, behind the tasks' back.
    pub fn with_disk_mut<T>(&self, act: impl FnOnce(&mut SimDisk) -> T) -> T {
        act(&mut self.world.disk.borrow_mut())
    }

    /// Sets the wall clock, which then goes on from there. The monotonic clock does not notice.
    pub fn set_wall_clock(&self, reading: WallClock) {
        self.world.set_wall_ns(reading.as_ns());
    }

    /// Returns the steps so far: where a test may crash the next run of the same seed.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.world.steps()
    }

    /// Returns a mix of everything that happened; equal for equal seeds and programs.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.world.fingerprint()
    }

    /// Returns the operations started so far, the first million of them.
    #[must_use]
    pub fn operations(&self) -> Vec<OpEntry> {
        self.world.record.borrow().entries()
    }

    /// Counts the operations of a kind on paths that contain `path_contains`.
    #[must_use]
    pub fn count(&self, op: Op, path_contains: &str) -> u64 {
        self.world.record.borrow().count(op, path_contains)
    }

    /// Forgets the operations listed so far.
    pub fn clear_operations(&self) {
        self.world.record.borrow_mut().clear();
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.quiet {
            tracing::error!(seed = self.seed, steps = self.steps(), "simulation failed");
            report_seed(self.seed, self.steps());
        }
        // Tasks hold the world and the world its tasks: cut the knot.
        self.world.end();
    }
}

#[expect(clippy::print_stderr, reason = "the test harness shows it beside the panic")]
fn report_seed(seed: u64, steps: u64) {
    eprintln!("simulation failed: seed {seed}, after {steps} steps");
}

#[cfg(test)]
mod tests;
