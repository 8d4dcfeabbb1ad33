//! The tasks of one executor and how they are woken, from its own thread or another.
//!
//! Wakers are `std`'s safe ones: an `Arc` with the task's id. On the executor's thread a wake pushes
//! the id to a plain queue; from elsewhere it goes through a lock-free queue, and through an eventfd
//! when the executor sleeps.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};

use crate::uring::kernel::eventfd;
use crate::uring::runtime::incoming::Incoming;

/// Names one task; the generation tells it from a later one in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TaskId {
    index: u32,
    generation: u32,
}

/// What wakers on other threads know of an executor.
pub(in crate::uring) struct Home {
    id: u64,
    incoming: Incoming<TaskId>,
    eventfd: OwnedFd,
}

struct Header {
    id: TaskId,
    /// Set while the id is in a queue, so that it is there once.
    queued: AtomicBool,
    home: Arc<Home>,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    header: Arc<Header>,
    waker: Waker,
}

struct Slot {
    generation: u32,
    /// Absent while it runs, and in a free place.
    task: Option<Task>,
}

thread_local! {
    static LOCAL: Local = const { Local { home: Cell::new(0), ready: RefCell::new(VecDeque::new()) } };
}

/// What a thread knows of the executor that runs on it.
struct Local {
    /// 0 when none does.
    home: Cell<u64>,
    ready: RefCell<VecDeque<TaskId>>,
}

/// All tasks of one executor.
pub(in crate::uring) struct Tasks {
    home: Arc<Home>,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
}

impl Tasks {
    /// Makes the calling thread the executor's.
    pub(in crate::uring) fn new() -> std::io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let home = Home {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            incoming: Incoming::new(),
            eventfd: eventfd::make()?,
        };
        LOCAL.with(|local| {
            assert_eq!(local.home.replace(home.id), 0, "two executors on one thread");
        });
        Ok(Self { home: Arc::new(home), slots: RefCell::default(), free: RefCell::default() })
    }

    /// Returns what a foreign wake rings.
    pub(in crate::uring) fn eventfd(&self) -> &OwnedFd {
        &self.home.eventfd
    }

    pub(in crate::uring) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let mut slots = self.slots.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot { generation: 0, task: None });
            u32::try_from(slots.len() - 1).unwrap_or(u32::MAX)
        });
        let Some(slot) = slot_of(&mut slots, index) else {
            unreachable!("a free place is in the table")
        };
        let id = TaskId { index, generation: slot.generation };
        let (queued, home) = (AtomicBool::new(false), Arc::clone(&self.home));
        let header = Arc::new(Header { id, queued, home });
        let waker = Waker::from(Arc::clone(&header));
        slot.task = Some(Task { future: Box::pin(future), header: Arc::clone(&header), waker });
        drop(slots);
        header.wake();
    }

    /// Polls up to `polls_max` tasks that are ready. Tells whether more are.
    pub(in crate::uring) fn run(&self, polls_max: usize) -> bool {
        for _ in 0..polls_max {
            let Some(id) = LOCAL.with(|local| local.ready.borrow_mut().pop_front()) else {
                return self.take_incoming();
            };
            self.poll(id);
        }
        self.take_incoming() || self.has_ready()
    }

    /// Tells whether a task of this thread is ready.
    pub(in crate::uring) fn has_ready(&self) -> bool {
        LOCAL.with(|local| !local.ready.borrow().is_empty())
    }

    /// Announces that the executor is about to sleep. `false`: something came in, it must not.
    pub(in crate::uring) fn fall_asleep(&self) -> bool {
        self.home.incoming.fall_asleep()
    }

    pub(in crate::uring) fn wake_up(&self) {
        self.home.incoming.wake_up();
    }

    /// Tells whether a foreign wake has come in.
    pub(in crate::uring) fn has_incoming(&self) -> bool {
        !self.home.incoming.is_empty()
    }

    /// Drops every task where it stands, those included that a drop starts.
    pub(in crate::uring) fn drop_all(&self) {
        loop {
            let dropped: Vec<Task> =
                self.slots.borrow_mut().iter_mut().filter_map(|slot| slot.task.take()).collect();
            if dropped.is_empty() {
                break;
            }
        }
        LOCAL.with(|local| local.ready.borrow_mut().clear());
    }

    fn take_incoming(&self) -> bool {
        let mut any = false;
        LOCAL.with(|local| {
            let mut ready = local.ready.borrow_mut();
            while let Some(id) = self.home.incoming.pop() {
                ready.push_back(id);
                any = true;
            }
        });
        any
    }

    fn poll(&self, id: TaskId) {
        let taken = slot_of(&mut self.slots.borrow_mut(), id.index)
            .filter(|slot| slot.generation == id.generation)
            .and_then(|slot| slot.task.take());
        // A late wake of a task that has ended.
        let Some(mut task) = taken else { return };
        // Cleared first: a wake from here on is for the next poll.
        task.header.queued.swap(false, Ordering::AcqRel);
        let polled = task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slot_of(&mut slots, id.index) else { return };
        if polled.is_pending() {
            slot.task = Some(task);
            return;
        }
        slot.generation = slot.generation.wrapping_add(1);
        drop(slots);
        self.free.borrow_mut().push(id.index);
        // The task is dropped here, outside of any borrow: its drop may spawn and wake.
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.drop_all();
        LOCAL.with(|local| local.home.set(0));
    }
}

impl Wake for Header {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let at_home = LOCAL.try_with(|local| {
            let at_home = local.home.get() == self.home.id;
            if at_home {
                local.ready.borrow_mut().push_back(self.id);
            }
            at_home
        });
        // A thread that is ending has no local state any more, and runs no executor.
        if !at_home.unwrap_or(false) {
            self.home.wake_from_afar(self.id);
        }
    }
}

impl Home {
    fn wake_from_afar(&self, id: TaskId) {
        if self.incoming.push(id) {
            eventfd::ring(&self.eventfd);
        }
    }
}

fn slot_of(slots: &mut [Slot], index: u32) -> Option<&mut Slot> {
    slots.get_mut(usize::try_from(index).ok()?)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::wait::{Bell, YieldNow};

    fn run_all(tasks: &Tasks) {
        while tasks.run(16) {}
    }

    #[test]
    fn tasks_take_turns_and_free_their_place() {
        let tasks = Tasks::new().unwrap();
        let trace = Rc::new(RefCell::new(Vec::new()));
        for task in 0..3 {
            let trace = Rc::clone(&trace);
            tasks.spawn(async move {
                for round in 0..2 {
                    trace.borrow_mut().push((round, task));
                    YieldNow::default().await;
                }
            });
        }
        run_all(&tasks);
        assert_eq!(*trace.borrow(), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
        tasks.spawn(async {});
        run_all(&tasks);
        assert_eq!(tasks.slots.borrow().len(), 3);
    }

    #[test]
    fn a_late_wake_does_not_reach_the_next_task_in_the_place() {
        let tasks = Tasks::new().unwrap();
        let stale = Rc::new(RefCell::new(None));
        let keep = Rc::clone(&stale);
        tasks.spawn(std::future::poll_fn(move |cx| {
            *keep.borrow_mut() = Some(cx.waker().clone());
            std::task::Poll::Ready(())
        }));
        run_all(&tasks);
        let polls = Rc::new(Cell::new(0));
        let count = Rc::clone(&polls);
        tasks.spawn(std::future::poll_fn(move |_| {
            count.set(count.get() + 1);
            std::task::Poll::Pending
        }));
        run_all(&tasks);
        stale.take().unwrap().wake();
        run_all(&tasks);
        assert_eq!(polls.get(), 1);
    }

    #[test]
    fn a_wake_from_another_thread_keeps_the_executor_from_sleeping() {
        let tasks = Tasks::new().unwrap();
        let waker = Rc::new(RefCell::new(None));
        let (keep, woken) = (Rc::clone(&waker), Rc::new(Cell::new(false)));
        let seen = Rc::clone(&woken);
        tasks.spawn(std::future::poll_fn(move |cx| {
            if keep.borrow().is_some() {
                seen.set(true);
                return std::task::Poll::Ready(());
            }
            *keep.borrow_mut() = Some(cx.waker().clone());
            std::task::Poll::Pending
        }));
        run_all(&tasks);
        assert!(tasks.fall_asleep());
        let foreign = waker.borrow().clone().unwrap();
        std::thread::scope(|scope| drop(scope.spawn(|| foreign.wake_by_ref())));
        assert!(tasks.has_incoming());
        assert!(!tasks.fall_asleep());
        run_all(&tasks);
        assert!(woken.get());
    }

    #[test]
    fn dropping_tasks_may_start_and_wake_others() {
        let tasks = Rc::new(Tasks::new().unwrap());
        struct SpawnOnDrop(Rc<Tasks>, Rc<Bell>);
        impl Drop for SpawnOnDrop {
            fn drop(&mut self) {
                self.1.ring();
                self.0.spawn(async {});
            }
        }
        let bell = Rc::new(Bell::new());
        let (guard, waits) = (SpawnOnDrop(Rc::clone(&tasks), Rc::clone(&bell)), Rc::clone(&bell));
        tasks.spawn(async move { waits.wait().await });
        tasks.spawn(async move {
            std::future::pending::<()>().await;
            drop(guard);
        });
        run_all(&tasks);
        tasks.drop_all();
        assert!(tasks.slots.borrow().iter().all(|slot| slot.task.is_none()));
        assert_eq!(Rc::strong_count(&tasks), 1);
    }
}
