//! The timers of one executor: a sorted map, asked once a turn.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::time::Monotonic;
use crate::uring::kernel::clock;

/// When a timer is due, and its number among those of the same instant.
type Key = (Monotonic, u64);

#[derive(Default)]
pub(in crate::uring) struct Timers {
    waiting: RefCell<BTreeMap<Key, Waker>>,
    next: Cell<u64>,
}

impl Timers {
    /// Returns the earliest instant at which a timer is due.
    pub(in crate::uring) fn next_due(&self) -> Option<Monotonic> {
        self.waiting.borrow().first_key_value().map(|((due, _), _)| *due)
    }

    /// Wakes the tasks whose timers are due.
    pub(in crate::uring) fn fire(&self) {
        let Some(due) = self.next_due() else { return };
        let now = clock::now();
        if due > now {
            return;
        }
        // One by one: to split the map would allocate, and a wake belongs outside the borrow.
        while let Some(waker) = self.take_due(now) {
            waker.wake();
        }
    }

    fn take_due(&self, now: Monotonic) -> Option<Waker> {
        let mut waiting = self.waiting.borrow_mut();
        let first = waiting.first_entry().filter(|first| first.key().0 <= now);
        first.map(OccupiedEntry::remove)
    }

    /// Waits until `duration` from now.
    pub(in crate::uring) fn sleep(timers: &Rc<Self>, duration: Duration) -> Sleep {
        Sleep { timers: Rc::clone(timers), due: clock::now() + duration, key: None }
    }
}

/// The wait for a timer.
pub(in crate::uring) struct Sleep {
    timers: Rc<Timers>,
    due: Monotonic,
    key: Option<Key>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if clock::now() >= self.due {
            return Poll::Ready(());
        }
        let key = self.key.unwrap_or_else(|| {
            let number = self.timers.next.get();
            self.timers.next.set(number + 1);
            (self.due, number)
        });
        self.key = Some(key);
        let replaced = self.timers.waiting.borrow_mut().insert(key, cx.waker().clone());
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.timers.waiting.borrow_mut().remove(&key);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(sleep: &mut Sleep) -> bool {
        Pin::new(sleep).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn timers_are_due_in_order_and_leave_when_dropped() {
        let timers = Rc::new(Timers::default());
        let mut late = Timers::sleep(&timers, Duration::from_secs(60));
        let mut early = Timers::sleep(&timers, Duration::from_secs(30));
        let mut now = Timers::sleep(&timers, Duration::ZERO);
        assert!(!poll(&mut late) && !poll(&mut early) && poll(&mut now));
        assert_eq!(timers.next_due(), Some(early.due));
        drop(early);
        assert_eq!(timers.next_due(), Some(late.due));
        timers.fire();
        assert_eq!(timers.waiting.borrow().len(), 1);
        drop(late);
        assert_eq!(timers.next_due(), None);
    }
}
