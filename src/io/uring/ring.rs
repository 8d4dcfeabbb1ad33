//! The private ring: submissions collected per turn, answers handed to their futures.
//!
//! Tasks push submissions; one turn gives all of them to the kernel with one `io_uring_enter`,
//! which sleeps as well where the ring's own loop turns it, and hands out what is complete. Beside
//! glommio the kernel rings an eventfd for answers that come later.
#![allow(unsafe_code, reason = "submissions point to memory that the table of operations holds")]

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::Future;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, opcode};

use super::kernel::eventfd;
use crate::wait::Bell;
use slots::{Abandoned, Answers, Half, Noted, Slots, Token, UNHEEDED};

mod descriptor;
mod slots;

pub(super) use descriptor::Descriptor;
pub(super) use slots::{Finished, Held, HeldMemory, Makes, Peer};

impl Finished {
    /// Returns the single result: bytes or zero, or a positive error number.
    pub(super) fn result(&self) -> Result<u32, i32> {
        to_result(self.outcome.last.unwrap_or(-libc::ECANCELED))
    }
}

/// Splits the kernel's signed result into a count or a positive error number.
pub(super) fn to_result(result: i32) -> Result<u32, i32> {
    u32::try_from(result).map_err(|_| -result)
}

/// Workers that the kernel may have at a time for a ring's blocking operations, syncs and allocations. Its own bound is four a
/// core, 8 on two cores: whatever syncs beside a checkpoint's would wait for one of those to end.
const WORKERS_MAX: u32 = 64;

/// Counts of one ring since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingCounts {
    /// Calls of `io_uring_enter` by this ring, sleeping ones included; those of glommio's own rings
    /// are not in it.
    pub enters: u64,
    /// Submissions given to the kernel; a linked write and sync is two.
    pub submissions: u64,
    /// Answers reaped.
    pub answers: u64,
    /// Times an eventfd woke the executor: another thread or, on glommio, this ring.
    pub doorbells: u64,
}

/// What the running kernel can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    /// `ftruncate` goes through the ring (6.9).
    pub(super) ftruncate: bool,
    /// An enter may wait for a limited time (5.11).
    timed_wait: bool,
}

/// How long a turn may sleep when nothing is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    No,
    For(Duration),
    Forever,
}

/// Who looks after the ring while its executor sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// The executor's loop, which sleeps in the ring itself.
    Loop,
    /// An eventfd that the kernel rings: the executor sleeps elsewhere.
    Doorbell,
}

/// One executor's private ring.
pub(super) struct Ring {
    /// `None` once the executor has ended.
    uring: RefCell<Option<IoUring>>,
    slots: RefCell<Slots>,
    /// Rung by the kernel with each answer, if the executor sleeps elsewhere.
    eventfd: Option<OwnedFd>,
    features: Features,
    /// Rung when something waits for submission.
    pub(super) pushed: Bell,
    counts: Cell<RingCounts>,
    /// Reused between turns, so that reaping allocates nothing.
    wakers: RefCell<Vec<Waker>>,
    /// Reused between gather sends.
    iovecs: RefCell<Vec<libc::iovec>>,
}

impl Ring {
    /// Sets the ring up: `entries` submissions a turn, answers for many more. The ring holds `hold` open until its last
    /// operation has ended.
    pub(super) fn new(entries: u32, watch: Watch, hold: Option<&File>) -> std::io::Result<Self> {
        let uring = set_up(entries)?;
        if let Some(hold) = hold {
            uring.submitter().register_files(&[hold.as_raw_fd()])?;
        }
        let mut probe = Probe::new();
        // Where the kernel refuses, as before 5.15, it has fewer workers and syncs wait for each other.
        let _refused = uring.submitter().register_iowq_max_workers(&mut [WORKERS_MAX, 0]);
        uring.submitter().register_probe(&mut probe)?;
        let features = Features {
            ftruncate: probe.is_supported(opcode::Ftruncate::CODE),
            timed_wait: uring.params().is_feature_ext_arg(),
        };
        let eventfd = match watch {
            Watch::Loop => None,
            Watch::Doorbell => Some(eventfd::make()?),
        };
        if let Some(eventfd) = &eventfd {
            uring.submitter().register_eventfd(eventfd.as_raw_fd())?;
        }
        Ok(Self {
            uring: RefCell::new(Some(uring)),
            slots: RefCell::default(),
            eventfd,
            features,
            pushed: Bell::new(),
            counts: Cell::default(),
            wakers: RefCell::default(),
            iovecs: RefCell::default(),
        })
    }

    pub(super) const fn features(&self) -> Features {
        self.features
    }

    pub(super) fn counts(&self) -> RingCounts {
        self.counts.get()
    }

    /// Returns the eventfd of a ring that is watched by one.
    pub(super) const fn doorbell(&self) -> Option<&OwnedFd> {
        self.eventfd.as_ref()
    }

    pub(super) fn count_doorbell(&self) {
        self.count(|counts| counts.doorbells += 1);
    }

    /// Starts an operation of one submission. `build` is given the memory at its final address.
    ///
    /// # Safety
    /// What the submission points to must be inside `held`, and its descriptor must be the held
    /// one, or outlive the ring.
    pub(super) unsafe fn start(
        self: &Rc<Self>,
        held: Held,
        build: impl FnOnce(&mut Held) -> Entry,
    ) -> InFlight {
        let token = self.insert(Answers::One, held);
        if let Some(token) = token {
            let entry = self.with_held(token, build).user_data(token.user_data(Half::Last));
            // SAFETY: the caller's promise; the table holds `held` until the kernel has answered.
            unsafe { self.push(&[entry]) };
        }
        InFlight { ring: Rc::clone(self), token, cancel: Cancel::Never }
    }

    /// Starts a linked pair: the second is run only if the first did not fail. Both answer, though an answer is a wake-up: Linux
    /// 6.18 can take a short write for no failure, runs the second, and of a write that was to keep quiet when it succeeds
    /// nobody hears that it was short (seen on a file system in user space).
    ///
    /// # Safety
    /// As for [`Ring::start`], for both.
    pub(super) unsafe fn start_linked(
        self: &Rc<Self>,
        held: Held,
        build: impl FnOnce(&mut Held) -> [Entry; 2],
    ) -> InFlight {
        let token = self.insert(Answers::Two, held);
        if let Some(token) = token {
            let [first, last] = self.with_held(token, build);
            let first = first.flags(Flags::IO_LINK).user_data(token.user_data(Half::First));
            let last = last.user_data(token.user_data(Half::Last));
            // SAFETY: the caller's promise; the table holds `held` until the kernel has answered.
            unsafe { self.push(&[first, last]) };
        }
        InFlight { ring: Rc::clone(self), token, cancel: Cancel::Never }
    }

    /// Lends an empty list for the parts of one system call.
    pub(super) fn with_iovecs<T>(&self, call: impl FnOnce(&mut Vec<libc::iovec>) -> T) -> T {
        let mut iovecs = self.iovecs.borrow_mut();
        let result = call(&mut iovecs);
        iovecs.clear();
        result
    }

    /// Gives the kernel what waits for submission, sleeps if asked to and nothing is complete, and
    /// hands out what is.
    pub(super) fn turn(&self, wait: Wait) {
        self.enter(wait);
        self.reap();
        // Answers beyond the queue's size wait in the kernel until an enter asks for them.
        while self.has_overflown() {
            self.enter(Wait::No);
            self.reap();
        }
    }

    /// Tells whether answers are there, or would be after an enter.
    pub(super) fn has_answers(&self) -> bool {
        self.uring
            .borrow_mut()
            .as_mut()
            .is_some_and(|uring| !uring.completion().is_empty() || uring.submission().taskrun())
    }

    /// Tells whether a linked pair, a write with its sync, is on its way: a worker of the kernel's has the second half.
    pub(super) fn has_pairs(&self) -> bool {
        self.slots.borrow().pairs() > 0
    }

    /// Ends the ring: cancels what waits for sockets, waits for the disk, closes.
    ///
    /// Operations that wait get no answer from then on; later ones fail at once.
    pub(super) fn close(&self) {
        let Some(uring) = self.uring.borrow_mut().take() else { return };
        drain(uring, &self.slots);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.uring.borrow().is_none()
    }

    fn has_overflown(&self) -> bool {
        self.uring.borrow_mut().as_mut().is_some_and(|uring| uring.submission().cq_overflow())
    }

    fn insert(&self, answers: Answers, held: Held) -> Option<Token> {
        let open = self.uring.borrow().is_some();
        open.then(|| self.slots.borrow_mut().insert(answers, held))
    }

    fn with_held<T>(&self, token: Token, build: impl FnOnce(&mut Held) -> T) -> T {
        match self.slots.borrow_mut().held_mut(token) {
            Some(held) => build(held),
            None => unreachable!("the entry was made in this call"),
        }
    }

    /// # Safety
    /// As for [`Ring::start`].
    unsafe fn push(&self, entries: &[Entry]) {
        loop {
            let mut guard = self.uring.borrow_mut();
            let Some(uring) = guard.as_mut() else { return };
            // SAFETY: the caller's promise.
            if unsafe { uring.submission().push_multiple(entries) }.is_ok() {
                break;
            }
            drop(guard);
            // A full queue: an enter makes room at once, the kernel copies submissions.
            self.enter(Wait::No);
        }
        self.pushed.ring();
    }

    fn enter(&self, wanted: Wait) {
        loop {
            let mut guard = self.uring.borrow_mut();
            let Some(uring) = guard.as_mut() else { return };
            let wait = if uring.completion().is_empty() { wanted } else { Wait::No };
            let submission = uring.submission();
            let waiting = submission.len();
            let asked = submission.cq_overflow() || submission.taskrun();
            drop(submission);
            if wait == Wait::No && waiting == 0 && !asked {
                return;
            }
            let entered = self.enter_once(uring, wait);
            drop(guard);
            self.count(|counts| counts.enters += 1);
            match entered {
                Ok(submitted) => {
                    self.count(|counts| counts.submissions += submitted as u64);
                    if submitted >= waiting {
                        return;
                    }
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::ETIME) => return,
                    Some(libc::EINTR) if wait != Wait::No => return,
                    Some(libc::EINTR) => {}
                    // The answers' queue overflows or memory is short: make room, then go on. Not to sleep: what was answered
                    // has woken tasks. What was not submitted goes with the next turn.
                    Some(libc::EBUSY | libc::EAGAIN) => {
                        self.reap();
                        if wanted != Wait::No {
                            return;
                        }
                    }
                    _ => unreachable!("io_uring_enter refuses a ring that it set up: {error}"),
                },
            }
        }
    }

    fn enter_once(&self, uring: &mut IoUring, wait: Wait) -> std::io::Result<usize> {
        let duration = match wait {
            Wait::No => {
                // Answers that come during this call are reaped right after it: no doorbell.
                uring.completion().disable_eventfd();
                let submitted = uring.submit();
                uring.completion().enable_eventfd();
                return submitted;
            }
            Wait::Forever => return uring.submit_and_wait(1),
            Wait::For(duration) => Timespec::from(duration),
        };
        if self.features.timed_wait {
            return uring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&duration));
        }
        // Before 5.11 a timeout is an operation: it ends with the first answer or by itself.
        let timeout = opcode::Timeout::new(&raw const duration).count(1).build();
        // SAFETY: the kernel copies the duration when it takes the submission, in this call.
        if unsafe { uring.submission().push(&timeout.user_data(UNHEEDED)) }.is_err() {
            return uring.submit();
        }
        uring.submit_and_wait(1)
    }

    fn reap(&self) {
        let mut wakers = self.wakers.take();
        let mut done = Vec::new();
        if let Some(uring) = self.uring.borrow_mut().as_mut() {
            let mut slots = self.slots.borrow_mut();
            for answer in uring.completion() {
                self.count(|counts| counts.answers += 1);
                match slots.answer(answer.user_data(), answer.result()) {
                    Noted::Wake(waker) => wakers.extend(waker),
                    Noted::Drop(finished) => done.push(finished),
                    Noted::Nothing => {}
                }
            }
        }
        // Outside of the borrows: what is dropped or woken here may come back to the ring.
        drop(done);
        wakers.drain(..).for_each(Waker::wake);
        self.wakers.replace(wakers);
    }

    /// Asks the kernel to give up an operation; it then answers, with ECANCELED or its result.
    fn cancel(&self, token: Token) {
        let cancel = opcode::AsyncCancel::new(token.user_data(Half::Last)).build();
        // SAFETY: the submission points nowhere.
        unsafe { self.push(&[cancel.user_data(UNHEEDED)]) };
    }

    fn count(&self, change: impl FnOnce(&mut RingCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.close();
    }
}

fn set_up(entries: u32) -> std::io::Result<IoUring> {
    let mut builder = IoUring::builder();
    // Waiting connections each have a poll in the kernel; a storm of them must not overflow.
    builder.setup_clamp().setup_cqsize(entries.saturating_mul(8));
    // Answers are worked out at our next system call instead of interrupting us (5.19). Not only at
    // our next enter (DEFER_TASKRUN): that would hold back the second half of a linked pair.
    match builder.clone().setup_coop_taskrun().setup_taskrun_flag().build(entries) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => builder.build(entries),
        uring => uring,
    }
}

/// Waits for every operation of a ring that ends, so that its memory may be freed.
fn drain(mut uring: IoUring, slots: &RefCell<Slots>) {
    // Nobody listens any more, and a late ring would write into a read of glommio's.
    let _without_doorbell = uring.submitter().unregister_eventfd();
    for _ in 0..DRAIN_ROUNDS_MAX {
        if slots.borrow().in_kernel() == 0 {
            return;
        }
        // Cancellations of single operations go first, and what nobody has submitted yet.
        let timeout = Timespec::from(DRAIN_WAIT);
        let _submitted = uring.submit();
        // ENOENT when nothing can be cancelled, EINVAL before 6.0: the disk answers by itself.
        let _cancelled =
            uring.submitter().register_sync_cancel(Some(timeout), CancelBuilder::any());
        let wait = SubmitArgs::new().timespec(&timeout);
        if uring.completion().is_empty() {
            let _waited = uring.submitter().submit_with_args(1, &wait);
        }
        let mut noted = Vec::new();
        for answer in uring.completion() {
            noted.push(slots.borrow_mut().answer(answer.user_data(), answer.result()));
        }
    }
    // The kernel may still write to this memory: rather lose it for good.
    tracing::error!(operations = slots.borrow().in_kernel(), "operations do not end, left behind");
    std::mem::forget(slots.take());
    std::mem::forget(uring);
}

const DRAIN_ROUNDS_MAX: usize = 1000;
const DRAIN_WAIT: Duration = Duration::from_millis(20);

/// What happens in the kernel to an operation whose future is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cancel {
    /// It runs to its end: everything on disks.
    Never,
    /// It is given up: waits for sockets, which may never end.
    OnDrop,
}

/// The wait for an operation. Dropping it is safe at any time.
pub(super) struct InFlight {
    ring: Rc<Ring>,
    /// `None` when the ring had ended before the start, and after the answer was taken.
    token: Option<Token>,
    cancel: Cancel,
}

impl InFlight {
    /// Gives the operation up in the kernel when this is dropped.
    pub(super) fn cancelled_on_drop(mut self) -> Self {
        self.cancel = Cancel::OnDrop;
        self
    }
}

impl Future for InFlight {
    /// `None` when the executor's ring has ended.
    type Output = Option<Finished>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(token) = self.token else { return Poll::Ready(None) };
        let taken = self.ring.slots.borrow_mut().take(token, cx.waker());
        match taken {
            Some(finished) => {
                self.token = None;
                Poll::Ready(Some(finished))
            }
            None if self.ring.uring.borrow().is_none() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some(token) = self.token else { return };
        let abandoned = self.ring.slots.borrow_mut().abandon(token);
        if self.cancel == Cancel::OnDrop && matches!(abandoned, Abandoned::InKernel(_)) {
            self.ring.cancel(token);
        }
    }
}
