//! The simulated machine: virtual clock, tasks in seeded order, operations that complete later.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use super::chance::{Chance, mix};
use super::disk::SimDisk;
use super::fault::Faults;
use super::record::OpRecord;
use crate::time::{Monotonic, ns_of};

type Task = Pin<Box<dyn Future<Output = ()>>>;
type Effect = Box<dyn FnOnce(&Rc<World>, Firing)>;

/// How an operation's effect happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Firing {
    /// As the kernel completes it.
    Complete,
    /// The process was killed while it ran: part of it may have happened.
    Interrupted,
}

/// All state of one simulation.
pub(super) struct World {
    clock_ns: Cell<u64>,
    wall_offset_ns: Cell<u64>,
    chance: RefCell<Chance>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    next_task: Cell<u64>,
    /// Woken tasks arrive here: wakers must be `Send`, the world is not.
    woken: Receiver<u64>,
    wake: Sender<u64>,
    ready: RefCell<Vec<u64>>,
    events: RefCell<BTreeMap<(u64, u64), Effect>>,
    next_event: Cell<u64>,
    steps: Cell<u64>,
    fingerprint: Cell<u64>,
    ended: Cell<bool>,
    /// Every operation of the disk takes so many times as long.
    pub(super) slowness: Cell<u32>,
    pub(super) flaws: RefCell<Vec<String>>,
    pub(super) disk: RefCell<SimDisk>,
    pub(super) faults: RefCell<Faults>,
    pub(super) record: RefCell<OpRecord>,
}

impl World {
    pub(super) fn new(disk: SimDisk, seed: u64) -> Self {
        let (wake, woken) = channel();
        Self {
            clock_ns: Cell::new(0),
            wall_offset_ns: Cell::new(disk.wall_ns),
            chance: RefCell::new(Chance::new(seed)),
            tasks: RefCell::default(),
            next_task: Cell::new(0),
            woken,
            wake,
            ready: RefCell::default(),
            events: RefCell::default(),
            next_event: Cell::new(0),
            steps: Cell::new(0),
            fingerprint: Cell::new(seed),
            ended: Cell::new(false),
            slowness: Cell::new(1),
            flaws: RefCell::default(),
            disk: RefCell::new(disk),
            faults: RefCell::default(),
            record: RefCell::default(),
        }
    }

    pub(super) fn now(&self) -> Monotonic {
        Monotonic::new(self.clock_ns.get())
    }

    pub(super) fn wall_ns(&self) -> u64 {
        self.wall_offset_ns.get().saturating_add(self.clock_ns.get())
    }

    pub(super) fn set_wall_ns(&self, ns: u64) {
        self.wall_offset_ns.set(ns.saturating_sub(self.clock_ns.get()));
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps.get()
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint.get()
    }

    /// Mixes a fact into the run's fingerprint.
    pub(super) fn note(&self, fact: u64) {
        self.fingerprint.set(mix(self.fingerprint.get() ^ fact));
    }

    pub(super) fn with_chance<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.chance.borrow_mut())
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if self.ended.get() {
            return;
        }
        let id = self.next_task.get();
        self.next_task.set(id + 1);
        self.tasks.borrow_mut().insert(id, Box::pin(task));
        self.ready.borrow_mut().push(id);
    }

    /// Makes `effect` happen after `delay` of virtual time.
    pub(super) fn schedule(
        &self,
        delay: Duration,
        effect: impl FnOnce(&Rc<Self>, Firing) + 'static,
    ) {
        if self.ended.get() {
            return;
        }
        let event = self.next_event.get();
        self.next_event.set(event + 1);
        let due = self.clock_ns.get().saturating_add(ns_of(delay));
        // The random part of the key orders events of one instant.
        let order = (self.with_chance(Chance::next) << 32) | (event & 0xffff_ffff);
        self.events.borrow_mut().insert((due, order), Box::new(effect));
    }

    /// Lets one thing happen. `false` means that nothing ever will: all tasks wait for each other.
    pub(super) fn step(self: &Rc<Self>) -> bool {
        self.collect_woken();
        let due = self.events.borrow().first_key_value().map(|(key, _)| key.0);
        let runnable = !self.ready.borrow().is_empty();
        let event_is_due = due.is_some_and(|due| due <= self.clock_ns.get());
        if runnable && !(event_is_due && self.with_chance(|chance| chance.percent(50))) {
            self.poll_one();
        } else if due.is_some() {
            self.fire_next(Firing::Complete);
        } else {
            return false;
        }
        self.steps.set(self.steps.get() + 1);
        true
    }

    /// Ends the run: drops the tasks, then lets a random part of what is in flight still happen.
    pub(super) fn end(self: &Rc<Self>) {
        self.drop_tasks();
        while !self.events.borrow().is_empty() {
            match self.with_chance(|chance| chance.below(3)) {
                0 => self.fire_next(Firing::Complete),
                1 => self.fire_next(Firing::Interrupted),
                _ => {
                    let lost = self.events.borrow_mut().pop_first();
                    drop(lost);
                }
            }
        }
        self.ended.set(true);
        self.drop_tasks();
        self.disk.borrow_mut().wall_ns = self.wall_ns();
    }

    /// Drops the tasks outside of any borrow: what they own may spawn or schedule when dropped.
    fn drop_tasks(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
    }

    fn collect_woken(&self) {
        let mut ready = self.ready.borrow_mut();
        while let Ok(task) = self.woken.try_recv() {
            if !ready.contains(&task) && self.tasks.borrow().contains_key(&task) {
                ready.push(task);
            }
        }
    }

    fn poll_one(&self) {
        let id = {
            let mut ready = self.ready.borrow_mut();
            let picked = self.with_chance(|chance| chance.index(ready.len()));
            ready.swap_remove(picked)
        };
        // Running takes time: a task that spins sees the clock move.
        let took_ns = self.with_chance(|chance| 200 + chance.below(1800));
        self.clock_ns.set(self.clock_ns.get() + took_ns);
        self.note(id);
        // Taken out while it runs, so that it may spawn.
        let Some(mut task) = self.tasks.borrow_mut().remove(&id) else { return };
        let waker = Waker::from(Arc::new(TaskWaker { id, wake: self.wake.clone() }));
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.tasks.borrow_mut().insert(id, task);
        }
    }

    fn fire_next(self: &Rc<Self>, firing: Firing) {
        let Some(((due, order), effect)) = self.events.borrow_mut().pop_first() else { return };
        self.clock_ns.set(self.clock_ns.get().max(due));
        self.note(order);
        effect(self, firing);
    }
}

struct TaskWaker {
    id: u64,
    wake: Sender<u64>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // The receiver is gone only when the whole world is.
        let _gone = self.wake.send(self.id).is_err();
    }
}
