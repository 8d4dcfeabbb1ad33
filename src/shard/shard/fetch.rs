//! Fetch, from a connection's side: of one shard's partitions in one go, of several shards' in rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use kolk_io::door::Io;
use kolk_metric::requests::Call;
use kolk_model::error::ErrorCode;
use kolk_model::ids::ShardId;
use kolk_model::map::Set;
use kolk_partition::effect::WaiterId;

use crate::message::{BytesAwaited, FetchPart, FetchedPart, Reply, Request};
use crate::owner::fetch::{await_bytes, fetch, fetch_now, refused};
use crate::request::{FetchOp, FetchSlot, FetchedSlot, Refusal};
use crate::shard::{Shard, wrong_reply};
use crate::state::waiters::{TooManyWait, Waiting};
use crate::state::{Busy, NOBODY, Phase, ShardState};

/// A fetch under way. Dropping it ends it.
#[must_use = "the answer comes out of it"]
pub struct Fetching {
    step: Step,
}

enum Step {
    /// Empty once it was taken.
    Done(Vec<FetchedSlot>),
    Runs(Pin<Box<dyn Future<Output = Vec<FetchedSlot>>>>),
}

impl<I: Io> Shard<I> {
    /// Reads partitions: answers when `bytes_min` bytes are there, a partition has an error, or `wait_max` is
    /// over. One answer for each slot, in their order; a partition that is named again is refused there.
    pub fn fetch(&self, op: FetchOp) -> Fetching {
        let state = &self.state;
        if let Err(refusal) = state.check_open() {
            let part = part_of(&op, op.slots.clone(), op.wait_max);
            return Fetching { step: Step::Done(refused(&part, &refusal).slots) };
        }
        if names_again(&op.slots) {
            return self.fetch_first_named(op);
        }
        let owner_of = |slot: &FetchSlot| state.placement.owner(slot.partition);
        let own = op.slots.iter().filter(|slot| owner_of(slot) == state.id).count();
        let requests = &state.metrics.requests;
        requests.own.add(own as u64);
        requests.call(Call::Fetch).forwarded.add((op.slots.len() - own) as u64);
        let first = op.slots.first().map_or(state.id, owner_of);
        if op.slots.iter().any(|slot| owner_of(slot) != first) {
            let (own, busy) = (Rc::clone(state), Busy::new(state));
            return Fetching::running(async move {
                let slots = fetch_several(own, op).await;
                drop(busy);
                slots
            });
        }
        let FetchOp { slots, bytes_min, bytes_max, wait_max } = op;
        let part = FetchPart { slots, bytes_min, bytes_max, wait: wait_max };
        if first == state.id {
            if let Some(fetched) = fetch_now(state, &part) {
                return Fetching { step: Step::Done(fetched.slots) };
            }
            let (own, busy) = (Rc::clone(state), Busy::new(state));
            return Fetching::running(async move {
                let fetched = fetch(own, part, None).await;
                drop(busy);
                fetched.slots
            });
        }
        let asked = Asked::new(state, first, Request::Fetch(part.clone()));
        let over = state.io.sleep(part.wait + LATE_AFTER);
        Fetching::running(async move {
            let fetched = unless_over(pin!(fetched(&part, asked)), pin!(over)).await;
            fetched.map_or_else(|| unanswered(&part.slots).collect(), |fetched| fetched.slots)
        })
    }
}

impl<I: Io> Shard<I> {
    /// As [`Shard::fetch`], of each partition where it is named first: a small request could have a thousand places of
    /// one log read from disk.
    #[cold]
    fn fetch_first_named(&self, op: FetchOp) -> Fetching {
        let mut named = BTreeSet::new();
        let is_first: Vec<bool> =
            op.slots.iter().map(|slot| named.insert(slot.partition)).collect();
        let first = op.slots.iter().zip(&is_first).filter(|(_, is_first)| **is_first);
        let slots = first.map(|(slot, _)| *slot).collect();
        // Who is refused something must hear it at once.
        let read = self.fetch(FetchOp { slots, wait_max: Duration::ZERO, ..op });
        Fetching::running(async move {
            let mut read = read.await.into_iter();
            let again = || FetchedSlot { result: Err(named_again()), marks: None };
            let slot = |is_first| if is_first { read.next() } else { None }.unwrap_or_else(again);
            is_first.into_iter().map(slot).collect()
        })
    }
}

/// Whether a partition is named twice. Most name theirs in order, which costs least to find out.
fn names_again(slots: &[FetchSlot]) -> bool {
    if slots.is_sorted_by(|one, next| one.partition < next.partition) {
        return false;
    }
    let mut named: Vec<_> = slots.iter().map(|slot| slot.partition).collect();
    named.sort_unstable();
    named.windows(2).any(|pair| matches!(pair, [one, next] if one == next))
}

#[cold]
fn named_again() -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, "the request names the partition more than once")
}

/// Time after which an answer of another shard is waited for no longer, where a client waits for other
/// partitions, too: many times what a shard needs that does its work, and what a client hardly notices once.
const LATE_AFTER: Duration = Duration::from_millis(100);

/// What is said of partitions whose shard has not answered: nothing, which is no end of the log.
fn unanswered(slots: &[FetchSlot]) -> impl Iterator<Item = FetchedSlot> {
    slots.iter().map(|_| FetchedSlot { result: Ok(Vec::new()), marks: None })
}

async fn unless_over<T>(
    mut wait: Pin<&mut impl Future<Output = T>>,
    mut over: Pin<&mut impl Future<Output = ()>>,
) -> Option<T> {
    poll_fn(|cx| match wait.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => over.as_mut().poll(cx).map(|()| None),
    })
    .await
}

impl Fetching {
    fn running(future: impl Future<Output = Vec<FetchedSlot>> + 'static) -> Self {
        Self { step: Step::Runs(Box::pin(future)) }
    }

    /// Whether the answer is there already: polling will not wait.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.step, Step::Done(_))
    }
}

impl Future for Fetching {
    type Output = Vec<FetchedSlot>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.step {
            Step::Done(slots) => Poll::Ready(std::mem::take(slots)),
            Step::Runs(future) => future.as_mut().poll(cx),
        }
    }
}

fn part_of(op: &FetchOp, slots: Vec<FetchSlot>, wait: Duration) -> FetchPart {
    FetchPart { slots, bytes_min: op.bytes_min, bytes_max: op.bytes_max, wait }
}

/// A question to another shard that may wait there. When it is dropped before its answer came, the other
/// shard is told to wait no longer.
struct Asked<I: Io> {
    state: Rc<ShardState<I>>,
    shard: ShardId,
    waiter: WaiterId,
    answer: Result<Waiting, Refusal>,
}

impl<I: Io> Asked<I> {
    fn new(state: &Rc<ShardState<I>>, shard: ShardId, request: Request) -> Self {
        let (waiter, answer) = match state.waiters.open_long() {
            Ok(waiter) => {
                state.ask(shard, waiter, request);
                (waiter, Ok(Waiting::new(&state.waiters, waiter)))
            }
            Err(full) => (NOBODY, Err(full.into())),
        };
        Self { state: Rc::clone(state), shard, waiter, answer }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, Refusal>> {
        match &mut self.answer {
            Ok(waiting) => Pin::new(waiting).poll(cx).map(|reply| reply.ok_or_else(wrong_reply)),
            Err(refusal) => Poll::Ready(Err(refusal.clone())),
        }
    }
}

impl<I: Io> Drop for Asked<I> {
    fn drop(&mut self) {
        if self.answer.as_ref().is_ok_and(|waiting| waiting.waiter().is_some()) {
            self.state.ask(self.shard, self.waiter, Request::Hurry);
        }
    }
}

async fn fetched<I: Io>(part: &FetchPart, mut asked: Asked<I>) -> FetchedPart {
    part_in(part, poll_fn(|cx| asked.poll(cx)).await)
}

fn part_in(part: &FetchPart, reply: Result<Reply, Refusal>) -> FetchedPart {
    match reply {
        Ok(Reply::Fetched(fetched)) if fetched.slots.len() == part.slots.len() => fetched,
        Ok(_) => refused(part, &wrong_reply()),
        Err(refusal) => refused(part, &refusal),
    }
}

/// One shard's share of a fetch.
struct Share {
    shard: ShardId,
    /// Places of its slots in the fetch.
    places: Vec<usize>,
    slots: Vec<FetchSlot>,
}

/// Asks all shards for what they have; while that is not enough, waits until one of them has its share of what
/// is missing, and asks again. A shard that does not answer holds up its own partitions only.
async fn fetch_several<I: Io>(state: Rc<ShardState<I>>, op: FetchOp) -> Vec<FetchedSlot> {
    let shares = shares(&state, &op);
    let deadline = state.io.now() + op.wait_max;
    loop {
        let parts = gather(&state, &op, &shares).await;
        let available: u64 = parts.iter().flatten().map(|part| part.available).sum();
        let settled = parts.iter().flatten().any(|part| part.settled);
        let left = deadline - state.io.now();
        let bytes_min = op.bytes_min.min(op.bytes_max);
        let over = left.is_zero() || state.phase.get() != Phase::Open;
        if settled || over || available >= bytes_min {
            return merge(&op, &shares, parts);
        }
        // When all shards together have what is missing, one of them has at least its equal share of it.
        let more = (bytes_min - available).div_ceil(shares.len().max(1) as u64);
        let awaited = shares.iter().zip(&parts).map(|(share, part)| {
            let awaited = part.as_ref().map(|part| {
                let bytes_min = part.available + more;
                BytesAwaited { slots: share.slots.clone(), bytes_min, wait: left }
            });
            (share.shard, awaited)
        });
        let waits = first_of(&state, awaited.collect());
        // Those that wait elsewhere are hurried when their time is over; a shard that is late can't be.
        if unless_over(pin!(waits), pin!(state.io.sleep(left))).await.is_none() {
            tracing::trace!("a fetch over several shards waited its time out");
        }
    }
}

fn shares<I: Io>(state: &ShardState<I>, op: &FetchOp) -> Vec<Share> {
    let mut shares: BTreeMap<ShardId, Share> = BTreeMap::new();
    for (place, slot) in op.slots.iter().enumerate() {
        let shard = state.placement.owner(slot.partition);
        let share = shares.entry(shard).or_insert_with(|| Share {
            shard,
            places: Vec::new(),
            slots: Vec::new(),
        });
        share.places.push(place);
        share.slots.push(*slot);
    }
    shares.into_values().collect()
}

/// One shard's answer, or the question that it has not answered yet.
enum Gathered<I: Io> {
    Part(FetchedPart),
    Asked(FetchPart, Asked<I>),
    /// It owes an older answer, and is not asked before that has come.
    Late,
}

/// What every shard has now; nothing for those that are late.
async fn gather<I: Io>(
    state: &Rc<ShardState<I>>,
    op: &FetchOp,
    shares: &[Share],
) -> Vec<Option<FetchedPart>> {
    let ask = |share: &Share| {
        let part = part_of(op, share.slots.clone(), Duration::ZERO);
        if state.late.borrow().contains_key(&share.shard) {
            return Gathered::Late;
        }
        let asked = Asked::new(state, share.shard, Request::Fetch(part.clone()));
        Gathered::Asked(part, asked)
    };
    let remote = |share: &&Share| share.shard != state.id;
    let mut asked: BTreeMap<ShardId, Gathered<I>> =
        shares.iter().filter(remote).map(|share| (share.shard, ask(share))).collect();
    for share in shares.iter().filter(|share| share.shard == state.id) {
        let part = part_of(op, share.slots.clone(), Duration::ZERO);
        let fetched = match fetch_now(state, &part) {
            Some(fetched) => fetched,
            None => fetch(Rc::clone(state), part, None).await,
        };
        asked.insert(share.shard, Gathered::Part(fetched));
    }
    let answered = poll_fn(|cx| {
        let mut all = true;
        for place in asked.values_mut() {
            if let Gathered::Asked(part, question) = place {
                match question.poll(cx) {
                    Poll::Ready(reply) => *place = Gathered::Part(part_in(part, reply)),
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    });
    if unless_over(pin!(answered), pin!(state.io.sleep(LATE_AFTER))).await.is_none() {
        tracing::debug!("a shard is late with its part of a fetch");
    }
    let part = |(shard, gathered): (ShardId, Gathered<I>)| match gathered {
        Gathered::Part(part) => (shard, Some(part)),
        Gathered::Asked(_, asked) => {
            expect_late(state, shard, asked);
            (shard, None)
        }
        Gathered::Late => (shard, None),
    };
    // By shard, as the shares are.
    asked.into_iter().map(part).map(|(_, part)| part).collect()
}

/// Notes that a shard owes an answer, until it has come.
fn expect_late<I: Io>(state: &Rc<ShardState<I>>, shard: ShardId, mut asked: Asked<I>) {
    if state.late.borrow().contains_key(&shard) {
        return;
    }
    state.late.borrow_mut().insert(shard, Set::new());
    let state = Rc::clone(state);
    let io = state.io.clone();
    io.spawn(async move {
        drop(poll_fn(|cx| asked.poll(cx)).await);
        let waiting = state.late.borrow_mut().remove(&shard).unwrap_or_default();
        waiting.into_iter().for_each(|bell| state.waiters.ring(bell));
    });
}

/// The wait for what a late shard owes: how many bytes it has says nothing before that has come.
struct Owed<I: Io> {
    state: Rc<ShardState<I>>,
    shard: ShardId,
    bell: Result<WaiterId, TooManyWait>,
}

impl<I: Io> Owed<I> {
    fn new(state: &Rc<ShardState<I>>, shard: ShardId) -> Self {
        let bell = state.waiters.open_bell();
        if let (Ok(bell), Some(waiting)) = (bell, state.late.borrow_mut().get_mut(&shard)) {
            waiting.insert(bell);
        }
        Self { state: Rc::clone(state), shard, bell }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.state.late.borrow().contains_key(&self.shard) {
            return Poll::Ready(());
        }
        // Without a bell the other shards or the time of the fetch end the wait.
        self.bell.map_or(Poll::Pending, |bell| self.state.waiters.poll_bell(bell, cx))
    }
}

impl<I: Io> Drop for Owed<I> {
    fn drop(&mut self) {
        let Ok(bell) = self.bell else { return };
        if let Some(waiting) = self.state.late.borrow_mut().get_mut(&self.shard) {
            waiting.remove(&bell);
        }
        self.state.waiters.close(bell);
    }
}

type Wait = Pin<Box<dyn Future<Output = ()>>>;

/// Waits until one shard has what is awaited of it, or its wait is over; the others wait no longer then. Of a shard that is
/// late nothing is awaited but its answer.
async fn first_of<I: Io>(state: &Rc<ShardState<I>>, awaited: Vec<(ShardId, Option<BytesAwaited>)>) {
    let wait = |(shard, awaited): (ShardId, Option<BytesAwaited>)| -> Wait {
        let own = Rc::clone(state);
        let Some(awaited) = awaited else {
            let owed = Owed::new(&own, shard);
            return Box::pin(poll_fn(move |cx| owed.poll(cx)));
        };
        if shard != state.id {
            let mut asked = Asked::new(&own, shard, Request::AwaitBytes(awaited));
            return Box::pin(async move {
                if poll_fn(|cx| asked.poll(cx)).await.is_err() {
                    tracing::debug!("a fetch could not wait at another shard");
                }
            });
        }
        Box::pin(async move {
            if await_bytes(&own, &awaited, None).await.is_err() {
                tracing::debug!("a fetch could not wait");
            }
        })
    };
    let mut waits: Vec<Wait> = awaited.into_iter().map(wait).collect();
    poll_fn(|cx| {
        let ready = waits.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready());
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Puts the answers back into the order of the fetch, within its bound of bytes.
fn merge(op: &FetchOp, shares: &[Share], parts: Vec<Option<FetchedPart>>) -> Vec<FetchedSlot> {
    let mut answers: BTreeMap<usize, FetchedSlot> = BTreeMap::new();
    for (share, part) in shares.iter().zip(parts) {
        let slots = part.map_or_else(|| unanswered(&share.slots).collect(), |part| part.slots);
        answers.extend(share.places.iter().copied().zip(slots));
    }
    let mut bytes = 0;
    for slot in answers.values_mut() {
        let Ok(slices) = &mut slot.result else { continue };
        let own: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        if bytes > 0 && bytes + own > op.bytes_max {
            slices.clear();
        } else {
            bytes += own;
        }
    }
    answers.into_values().collect()
}
