//! Everybody on this shard who waits for an answer: a connection's future, another shard, a fetch that
//! sleeps. One slab, so that waiting allocates nothing of its own.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use kolk_model::ids::ShardId;
use kolk_partition::effect::WaiterId;

use crate::message::Reply;
use crate::state::budget::Held;

/// The waiters of one shard.
#[derive(Debug)]
pub(crate) struct Waiters {
    slab: RefCell<Slab>,
    waiters_max: usize,
}

/// No waiter is free: the shard has too much to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyWait;

#[derive(Debug, Default)]
struct Slab {
    seats: Vec<Seat>,
    free: Vec<u32>,
    /// Futures of this shard that were not answered yet.
    local: usize,
    /// Seats in use that may be kept as long as a client likes to wait.
    long: usize,
}

/// How long a seat is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    /// Until a disk or another shard is done.
    Short,
    /// Until there is something to read, or a client has waited enough.
    Long,
}

/// Of all seats this part is kept free of long stays: clients that only wait must not keep others from their work.
const SHORT_PART: usize = 4;

#[derive(Debug)]
struct Seat {
    /// Counts the seat's users, so that a late answer can't reach the next one.
    turn: u32,
    stay: Stay,
    state: State,
}

#[derive(Debug)]
enum State {
    Free,
    /// A future of this shard.
    Local(Option<Waker>),
    /// The answer is there, the future has not looked yet.
    Answered(Reply),
    /// The future was dropped; the answer will be, too, and then what the request still holds.
    Dropped(Option<Held>),
    /// The answer goes to another shard.
    Remote(ShardId, WaiterId),
    /// May be rung any number of times.
    Bell {
        rung: bool,
        waker: Option<Waker>,
    },
}

impl Waiters {
    pub(crate) const fn new(waiters_max: usize) -> Self {
        let slab = Slab { seats: Vec::new(), free: Vec::new(), local: 0, long: 0 };
        Self { slab: RefCell::new(slab), waiters_max }
    }

    /// A seat for a future of this shard.
    pub(crate) fn open_local(&self) -> Result<WaiterId, TooManyWait> {
        let waiter = self.open(State::Local(None), Stay::Short)?;
        self.slab.borrow_mut().local += 1;
        Ok(waiter)
    }

    /// As [`Self::open_local`], for one who may wait as long as a client likes.
    pub(crate) fn open_long(&self) -> Result<WaiterId, TooManyWait> {
        let waiter = self.open(State::Local(None), Stay::Long)?;
        self.slab.borrow_mut().local += 1;
        Ok(waiter)
    }

    /// A seat for another shard's waiter.
    pub(crate) fn open_remote(
        &self,
        shard: ShardId,
        waiter: WaiterId,
    ) -> Result<WaiterId, TooManyWait> {
        self.open(State::Remote(shard, waiter), Stay::Short)
    }

    /// A seat that is rung, for one who may wait as long as a client likes.
    pub(crate) fn open_bell(&self) -> Result<WaiterId, TooManyWait> {
        self.open(State::Bell { rung: false, waker: None }, Stay::Long)
    }

    fn open(&self, state: State, stay: Stay) -> Result<WaiterId, TooManyWait> {
        let mut slab = self.slab.borrow_mut();
        let slab = &mut *slab;
        let is_long = stay == Stay::Long;
        if is_long && slab.long >= self.waiters_max - self.waiters_max / SHORT_PART {
            return Err(TooManyWait);
        }
        if let Some(index) = slab.free.pop()
            && let Some(seat) = slab.seats.get_mut(index as usize)
        {
            (seat.state, seat.stay) = (state, stay);
            slab.long += usize::from(is_long);
            return Ok(name(index, seat.turn));
        }
        let index = slab.seats.len();
        if index >= self.waiters_max {
            return Err(TooManyWait);
        }
        slab.seats.push(Seat { turn: 0, stay, state });
        slab.long += usize::from(is_long);
        u32::try_from(index).map(|index| name(index, 0)).map_err(|_| TooManyWait)
    }

    /// Gives the seat back without an answer.
    pub(crate) fn close(&self, waiter: WaiterId) {
        let closed = self.slab.borrow_mut().take(waiter);
        // Dropped here, outside the borrow: a reply's bytes may run code of their own.
        drop(closed);
    }

    /// Answers. For another shard's waiter gives back where the reply must go.
    pub(crate) fn answer(
        &self,
        waiter: WaiterId,
        reply: Reply,
    ) -> Option<(ShardId, WaiterId, Reply)> {
        let mut slab = self.slab.borrow_mut();
        let seat = slab.seat(waiter)?;
        match std::mem::replace(&mut seat.state, State::Free) {
            State::Local(waker) => {
                seat.state = State::Answered(reply);
                slab.local -= 1;
                drop(slab);
                if let Some(waker) = waker {
                    waker.wake();
                }
                None
            }
            State::Remote(shard, remote) => {
                slab.free(waiter);
                Some((shard, remote, reply))
            }
            State::Dropped(held) => {
                slab.local -= 1;
                slab.free(waiter);
                drop(slab);
                drop(held);
                None
            }
            other @ (State::Free | State::Answered(_) | State::Bell { .. }) => {
                debug_assert!(false, "{waiter:?} was answered in state {other:?}");
                seat.state = other;
                None
            }
        }
    }

    /// Looks whether the answer is there; takes it and gives the seat back.
    pub(crate) fn poll(&self, waiter: WaiterId, cx: &Context<'_>) -> Poll<Option<Reply>> {
        let mut slab = self.slab.borrow_mut();
        let Some(seat) = slab.seat(waiter) else { return Poll::Ready(None) };
        match &mut seat.state {
            State::Answered(_) => {}
            State::Local(waker) => {
                keep(waker, cx);
                return Poll::Pending;
            }
            _ => return Poll::Ready(None),
        }
        match slab.take(waiter) {
            Some(State::Answered(reply)) => Poll::Ready(Some(reply)),
            _ => Poll::Ready(None),
        }
    }

    /// Keeps what a request holds until its answer comes, for nobody waits for it any more. Where the answer is
    /// there already it is given back at once.
    pub(crate) fn abandon_holding(&self, waiter: WaiterId, held: Held) {
        if self.abandon(waiter) == StillToCome::Yes
            && let Some(seat) = self.slab.borrow_mut().seat(waiter)
        {
            seat.state = State::Dropped(Some(held));
        }
    }

    /// The future of this shard was dropped: its answer will be thrown away. Tells whether it is still to come.
    pub(crate) fn abandon(&self, waiter: WaiterId) -> StillToCome {
        let mut slab = self.slab.borrow_mut();
        let Some(seat) = slab.seat(waiter) else { return StillToCome::No };
        if matches!(seat.state, State::Local(_)) {
            seat.state = State::Dropped(None);
            return StillToCome::Yes;
        }
        let answered = slab.take(waiter);
        drop(slab);
        drop(answered);
        StillToCome::No
    }

    /// Rings a bell; harmless when nobody has it any more.
    pub(crate) fn ring(&self, waiter: WaiterId) {
        let waker = {
            let mut slab = self.slab.borrow_mut();
            match slab.seat(waiter).map(|seat| &mut seat.state) {
                Some(State::Bell { rung, waker }) => {
                    *rung = true;
                    waker.take()
                }
                _ => None,
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until the bell was rung since the last look.
    pub(crate) fn poll_bell(&self, waiter: WaiterId, cx: &Context<'_>) -> Poll<()> {
        let mut slab = self.slab.borrow_mut();
        match slab.seat(waiter).map(|seat| &mut seat.state) {
            Some(State::Bell { rung, waker }) if !*rung => {
                keep(waker, cx);
                Poll::Pending
            }
            Some(State::Bell { rung, .. }) => {
                *rung = false;
                Poll::Ready(())
            }
            _ => Poll::Ready(()),
        }
    }

    /// Futures of this shard that were not answered yet, dropped ones included.
    pub(crate) fn local(&self) -> usize {
        self.slab.borrow().local
    }

    /// Seats in use.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        let slab = self.slab.borrow();
        slab.seats.len() - slab.free.len()
    }
}

/// A future of this shard that waits for its answer; `None` when there will be none. Dropping it is harmless.
#[derive(Debug)]
pub(crate) struct Waiting {
    waiters: Rc<Waiters>,
    /// `None` once the answer was taken.
    waiter: Option<WaiterId>,
}

impl Waiting {
    pub(crate) fn new(waiters: &Rc<Waiters>, waiter: WaiterId) -> Self {
        Self { waiters: Rc::clone(waiters), waiter: Some(waiter) }
    }

    /// Who waits, unless the answer was taken.
    pub(crate) const fn waiter(&self) -> Option<WaiterId> {
        self.waiter
    }
}

impl Waiting {
    /// Waits no longer, and leaves what the request holds until its answer comes.
    pub(crate) fn leave(mut self, held: Held) {
        if let Some(waiter) = self.waiter.take() {
            self.waiters.abandon_holding(waiter, held);
        }
    }
}

impl Future for Waiting {
    type Output = Option<Reply>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Reply>> {
        let Some(waiter) = self.waiter else { return Poll::Ready(None) };
        let polled = self.waiters.poll(waiter, cx);
        if polled.is_ready() {
            self.waiter = None;
        }
        polled
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.waiters.abandon(waiter);
        }
    }
}

/// Whether an answer may still arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StillToCome {
    Yes,
    No,
}

impl Slab {
    fn seat(&mut self, waiter: WaiterId) -> Option<&mut Seat> {
        let (index, turn) = parts(waiter);
        self.seats.get_mut(index as usize).filter(|seat| seat.turn == turn)
    }

    /// Frees the seat and gives what was in it.
    fn take(&mut self, waiter: WaiterId) -> Option<State> {
        let seat = self.seat(waiter)?;
        let state = std::mem::replace(&mut seat.state, State::Free);
        if matches!(state, State::Local(_) | State::Dropped(_)) {
            self.local -= 1;
        }
        self.free(waiter);
        Some(state)
    }

    fn free(&mut self, waiter: WaiterId) {
        let (index, _) = parts(waiter);
        if let Some(seat) = self.seat(waiter) {
            seat.state = State::Free;
            seat.turn = seat.turn.wrapping_add(1);
            self.long -= usize::from(seat.stay == Stay::Long);
            self.free.push(index);
        }
    }
}

fn keep(place: &mut Option<Waker>, cx: &Context<'_>) {
    if !place.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *place = Some(cx.waker().clone());
    }
}

fn name(index: u32, turn: u32) -> WaiterId {
    WaiterId::new(u64::from(turn) << 32 | u64::from(index))
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
const fn parts(waiter: WaiterId) -> (u32, u32) {
    (waiter.get() as u32, (waiter.get() >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use kolk_model::error::ErrorCode;

    use super::*;
    use crate::request::Refusal;

    fn reply(detail: &str) -> Reply {
        Reply::Produced(Err(Refusal::new(ErrorCode::Overloaded, detail)))
    }

    fn look(waiters: &Waiters, waiter: WaiterId) -> Option<String> {
        let cx = Context::from_waker(Waker::noop());
        match waiters.poll(waiter, &cx) {
            Poll::Ready(Some(Reply::Produced(Err(refusal)))) => Some(refusal.detail),
            Poll::Ready(other) => panic!("{other:?}"),
            Poll::Pending => None,
        }
    }

    #[test]
    fn an_answer_reaches_the_one_who_waits_for_it() {
        let waiters = Waiters::new(4);
        let (a, b) = (waiters.open_local().unwrap(), waiters.open_local().unwrap());
        assert_eq!(look(&waiters, a), None);
        assert!(waiters.answer(b, reply("b")).is_none());
        assert!(waiters.answer(a, reply("a")).is_none());
        assert_eq!(look(&waiters, a).as_deref(), Some("a"));
        assert_eq!(look(&waiters, b).as_deref(), Some("b"));
        assert_eq!((waiters.count(), waiters.local()), (0, 0));
    }

    #[test]
    fn an_answer_for_another_shard_is_given_back_to_be_sent() {
        let waiters = Waiters::new(4);
        let (shard, theirs) = (ShardId::new(3), WaiterId::new(77));
        let seat = waiters.open_remote(shard, theirs).unwrap();
        let sent = waiters.answer(seat, reply("x")).unwrap();
        assert_eq!((sent.0, sent.1), (shard, theirs));
        assert_eq!(waiters.count(), 0);
    }

    #[test]
    fn a_dropped_future_frees_its_seat_when_the_answer_comes() {
        let waiters = Waiters::new(4);
        let early = waiters.open_local().unwrap();
        assert_eq!(waiters.abandon(early), StillToCome::Yes);
        assert_eq!((waiters.count(), waiters.local()), (1, 1));
        assert!(waiters.answer(early, reply("late")).is_none());
        let late = waiters.open_local().unwrap();
        assert!(waiters.answer(late, reply("never seen")).is_none());
        assert_eq!(waiters.abandon(late), StillToCome::No);
        assert_eq!((waiters.count(), waiters.local()), (0, 0));
    }

    #[test]
    fn a_seat_that_was_given_back_answers_to_its_new_name_only() {
        let waiters = Waiters::new(1);
        let first = waiters.open_local().unwrap();
        waiters.close(first);
        let second = waiters.open_local().unwrap();
        assert_ne!(first, second);
        waiters.ring(first);
        assert!(waiters.answer(first, reply("stray")).is_none());
        assert_eq!(look(&waiters, second), None);
        assert_eq!(waiters.open_local(), Err(TooManyWait));
    }

    #[test]
    fn long_polls_leave_seats_to_the_others() {
        let waiters = Waiters::new(8);
        let bells: Vec<_> = (0..6).map(|_| waiters.open_bell().unwrap()).collect();
        assert_eq!(waiters.open_bell(), Err(TooManyWait));
        assert_eq!(waiters.open_long(), Err(TooManyWait));
        let short: Vec<_> = (0..2).map(|_| waiters.open_local().unwrap()).collect();
        assert_eq!(waiters.open_local(), Err(TooManyWait));
        waiters.close(bells[0]);
        let long = waiters.open_long().unwrap();
        assert_eq!((waiters.open_bell(), waiters.local()), (Err(TooManyWait), 3));
        assert!(waiters.answer(long, reply("long")).is_none());
        assert_eq!(look(&waiters, long).as_deref(), Some("long"));
        assert!(waiters.open_bell().is_ok(), "seats of the short are not those of the long");
        short.into_iter().for_each(|waiter| waiters.close(waiter));
        assert_eq!((waiters.count(), waiters.local()), (6, 0));
        assert_eq!(waiters.open_bell(), Err(TooManyWait));
    }

    #[test]
    fn a_bell_rung_before_the_look_is_not_missed() {
        let waiters = Waiters::new(4);
        let bell = waiters.open_bell().unwrap();
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(waiters.poll_bell(bell, &cx), Poll::Pending);
        waiters.ring(bell);
        waiters.ring(bell);
        assert_eq!(waiters.poll_bell(bell, &cx), Poll::Ready(()));
        assert_eq!(waiters.poll_bell(bell, &cx), Poll::Pending);
        waiters.close(bell);
        assert_eq!((waiters.count(), waiters.local()), (0, 0));
    }
}
