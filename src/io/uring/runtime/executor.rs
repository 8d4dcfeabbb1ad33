//! The loop of one executor: run what is ready, give the kernel what was pushed, sleep in the same
//! call until something happens.
//!
//! One `io_uring_enter` submits, reaps and sleeps. Why it is the default and glommio's loop is not:
//! decision 0001.
#![allow(unsafe_code, reason = "the doorbell reads into memory that the table of operations holds")]

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use io_uring::opcode;
use io_uring::types::Fd;

use super::tasks::Tasks;
use super::timers::Timers;
use crate::uring::kernel::clock;
use crate::uring::ring::{Descriptor, Held, HeldMemory, Ring, Wait, Watch};
use crate::uring::shard::ShardSpec;

/// Polls of tasks between two looks at the kernel.
const ROUND_POLLS_MAX: usize = 64;

/// Everything that belongs to one executor, shared by its handles.
pub(in crate::uring) struct Executor {
    pub(in crate::uring) ring: Rc<Ring>,
    pub(in crate::uring) tasks: Tasks,
    pub(in crate::uring) timers: Rc<Timers>,
    doorbell: Rc<Descriptor>,
    spin: Duration,
}

impl Executor {
    /// Makes an executor for the calling thread.
    pub(in crate::uring) fn new(spec: &ShardSpec) -> std::io::Result<Self> {
        let tasks = Tasks::new()?;
        let doorbell = Descriptor::new(tasks.eventfd().try_clone()?, "eventfd".into());
        Ok(Self {
            ring: Rc::new(Ring::new(spec.ring_entries, Watch::Loop, spec.hold.as_deref())?),
            tasks,
            timers: Rc::default(),
            doorbell: Rc::new(doorbell),
            spin: spec.spin,
        })
    }

    /// Runs until the task `main` has ended and returns its value. The other tasks stay.
    pub(in crate::uring) fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T {
        let output = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&output);
        self.tasks.spawn(async move {
            let value = main.await;
            *slot.borrow_mut() = Some(value);
        });
        self.tasks.spawn(listen(Rc::clone(&self.ring), Rc::clone(&self.doorbell)));
        loop {
            self.timers.fire();
            let more = self.tasks.run(ROUND_POLLS_MAX);
            if let Some(value) = output.borrow_mut().take() {
                return value;
            }
            if more {
                self.ring.turn(Wait::No);
            } else {
                self.rest();
            }
        }
    }

    /// Ends everything: drops the tasks, then waits for what the kernel still works on.
    pub(in crate::uring) fn end(&self) {
        self.tasks.drop_all();
        self.ring.close();
    }

    /// Nothing is ready: looks around for a while if so configured, then sleeps.
    fn rest(&self) {
        if self.spins() || !self.tasks.fall_asleep() {
            return self.ring.turn(Wait::No);
        }
        self.ring.turn(match self.timers.next_due() {
            Some(due) => Wait::For(due - clock::now()),
            None => Wait::Forever,
        });
        self.tasks.wake_up();
    }

    /// Spins until something happens or the time for it is over. Tells whether something did.
    fn spins(&self) -> bool {
        if self.spin.is_zero() {
            return false;
        }
        self.ring.turn(Wait::No);
        let end = clock::now() + self.spin;
        let end = self.timers.next_due().map_or(end, |due| due.min(end));
        loop {
            if self.tasks.has_incoming() || self.tasks.has_ready() || self.ring.has_answers() {
                return true;
            }
            if clock::now() >= end {
                return false;
            }
            if self.ring.has_pairs() {
                // The worker that syncs has this core, and unasked the kernel may have it wait until the next tick, some 3 ms.
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.end();
    }
}

/// Keeps a read of the eventfd in the kernel: this is what ends a sleep from another thread.
async fn listen(ring: Rc<Ring>, doorbell: Rc<Descriptor>) {
    loop {
        let memory = HeldMemory::Counter(Box::new([0; 8]));
        let descriptor = Some(Rc::clone(&doorbell));
        let held = Held { descriptor, memory, ..Held::default() };
        let fd = Fd(doorbell.raw());
        // SAFETY: the eight bytes and the descriptor are in `held`.
        let started = unsafe {
            ring.start(held, |held| {
                let HeldMemory::Counter(counter) = &mut held.memory else {
                    unreachable!("the doorbell holds its counter")
                };
                opcode::Read::new(fd, counter.as_mut_ptr(), 8).build()
            })
        };
        if started.cancelled_on_drop().await.is_none() {
            return;
        }
        ring.count_doorbell();
    }
}
