//! The replies a connection owes: which are ready, in which order they go, and whether there is room for
//! more requests. Apart from sockets, so that ordering and bounds are tested by hand.
//!
//! Three lanes. Native produce replies keep the order of their requests: only the first is polled, the
//! others complete behind it. All other native replies go when they are ready, so that a long poll holds up
//! nobody. On the Kafka wire every reply goes in the order of its request, and all are worked on at once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, Stream};
use kolk_metric::net::CloseReason;

use crate::budget::Charge;
use crate::share::OutputShare;

mod in_order;

use in_order::InOrder;

/// A reply that is being worked on.
pub type ReplyFuture = Pin<Box<dyn Future<Output = Reply>>>;

/// A reply ready to be sent.
pub struct Reply {
    /// What stands before the payload.
    pub head: Bytes,
    /// Payload slices, in order; sent from where they are.
    pub payload: Vec<Bytes>,
    /// What the request holds of the shard's budget until it is answered, which is when nothing of its frame is needed.
    pub charge: Charge,
    /// Whether the connection ends behind this reply.
    pub then: Then,
}

/// What follows a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// More replies.
    Continue,
    /// The end of the connection.
    Close,
    /// The end of the connection, for a reason that the client must not mistake for its own doing.
    CloseFor(CloseReason),
}

impl Reply {
    fn bytes(&self) -> usize {
        self.head.len() + self.payload.iter().map(Bytes::len).sum::<usize>()
    }

    /// The request is answered: it holds nothing of the shard's budget any more.
    fn answered(&mut self) -> Answered {
        Answered { reply_bytes: self.bytes(), frame_bytes: self.charge.release() }
    }
}

/// What changes when a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answered {
    /// Bytes that wait to be sent.
    reply_bytes: usize,
    /// Bytes that wait for an answer no longer.
    frame_bytes: usize,
}

/// What one connection may hold.
#[derive(Debug, Clone, Copy)]
pub struct OutboxLimits {
    /// Requests without a reply sent.
    pub requests_max: usize,
    /// Bytes of the frames of requests without an answer; a larger frame is taken in alone.
    pub request_bytes_max: usize,
    /// Bytes of replies ready and not sent; the reply that passes the limit is the last taken in.
    pub reply_bytes_max: usize,
}

/// The replies of one connection. Cloning gives the same outbox: one half reads requests, one sends.
#[derive(Clone)]
pub struct Outbox(Rc<Shared>);

struct Shared {
    limits: OutboxLimits,
    share: OutputShare,
    lanes: RefCell<Lanes>,
    counts: Counts,
    input: Cell<Input>,
    is_waiting_over: Rc<Cell<bool>>,
    /// The sending half, waiting for a reply.
    sender: Cell<Option<Waker>>,
    /// The receiving half, waiting for room.
    receiver: Cell<Option<Waker>>,
}

#[derive(Default)]
struct Lanes {
    ordered: VecDeque<ReplyFuture>,
    unordered: FuturesUnordered<ReplyFuture>,
    in_order: InOrder,
    ready: VecDeque<Reply>,
    /// What is said behind everything else.
    last: Option<Reply>,
    /// The emptied list of the last turn: its memory serves the next.
    spare: Vec<Bytes>,
}

#[derive(Default)]
struct Counts {
    requests: Cell<usize>,
    request_bytes: Cell<usize>,
    reply_bytes: Cell<usize>,
    fetch_bytes_granted: Cell<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    /// No more requests; replies owed are sent.
    Ended,
    /// Nothing more is sent.
    Aborted,
}

/// What the sending half does next.
pub enum Turn {
    /// Send these bytes; then give the turn back to [`Outbox::sent`].
    Send(Sending),
    /// All replies owed are sent and no request will come.
    Finished,
}

/// The replies of one turn.
pub struct Sending {
    /// Slices in the order of the wire.
    pub parts: Vec<Bytes>,
    /// Replies among them.
    pub replies: usize,
    /// Whether the connection ends behind them.
    pub then: Then,
    bytes: usize,
}

/// Replies put into one turn at most; what is left goes with the next.
const TURN_REPLIES_MAX: usize = 256;

/// A list with room for more is not kept for the next turn: most connections seldom have so much to say.
const SPARE_MAX: usize = 64;

/// Bytes after which a turn takes no further reply.
const TURN_BYTES_MAX: usize = 4 << 20;

impl Outbox {
    /// An empty outbox with its own limits and the shard's share of output bytes.
    pub(crate) fn new(limits: OutboxLimits, share: OutputShare) -> Self {
        Self(Rc::new(Shared {
            limits,
            share,
            lanes: RefCell::default(),
            counts: Counts::default(),
            input: Cell::new(Input::Open),
            is_waiting_over: Rc::default(),
            sender: Cell::new(None),
            receiver: Cell::new(None),
        }))
    }

    /// Adds a request whose reply keeps the order of such requests.
    pub fn submit_ordered(&self, frame_bytes: usize, reply: ReplyFuture) {
        if self.is_aborted() {
            return;
        }
        self.count_in(frame_bytes);
        self.0.lanes.borrow_mut().ordered.push_back(reply);
        wake(&self.0.sender);
    }

    /// Adds a request whose reply goes when it is ready.
    pub fn submit_unordered(&self, frame_bytes: usize, reply: ReplyFuture) {
        if self.is_aborted() {
            return;
        }
        self.count_in(frame_bytes);
        self.0.lanes.borrow().unordered.push(reply);
        wake(&self.0.sender);
    }

    /// Begins a request whose reply goes in the order of the requests, and which runs beside all others. It
    /// runs up to its first wait within this call, so what it does until then is done in that order, too.
    pub fn begin_in_order(&self, frame_bytes: usize, mut reply: ReplyFuture) {
        // Polled again by the sending half, whose waker it keeps then.
        let begun = reply.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if self.is_aborted() {
            return;
        }
        self.count_in(frame_bytes);
        let in_order = &mut self.0.lanes.borrow_mut().in_order;
        match begun {
            Poll::Ready(mut reply) => {
                self.count_ready(reply.answered());
                in_order.push_ready(reply);
            }
            Poll::Pending => in_order.push(reply),
        }
        wake(&self.0.sender);
    }

    /// Adds a request that is answered already.
    pub fn submit_ready(&self, reply: Reply) {
        if self.is_aborted() {
            return;
        }
        self.count_in(reply.charge.bytes());
        self.push_ready(&mut self.0.lanes.borrow_mut().ready, reply);
        wake(&self.0.sender);
    }

    /// How many payload bytes a fetch that asks for `asked` may have; held until the grant is dropped,
    /// which is when the fetch is answered.
    pub fn grant_fetch(&self, asked: usize) -> FetchGrant {
        let counts = &self.0.counts;
        let used = counts.fetch_bytes_granted.get().saturating_add(counts.reply_bytes.get());
        let left = self.0.limits.reply_bytes_max.saturating_sub(used);
        let bytes = self.0.share.begin_fetch(asked.min(left));
        counts.fetch_bytes_granted.set(counts.fetch_bytes_granted.get() + bytes);
        FetchGrant { outbox: Rc::clone(&self.0), bytes }
    }

    /// Ready once another frame of `frame_bytes` bytes may be taken in, or none ever will.
    pub fn poll_room(&self, frame_bytes: usize, context: &mut Context<'_>) -> Poll<Room> {
        if self.0.input.get() != Input::Open {
            return Poll::Ready(Room::Closed);
        }
        let Shared { limits, counts, .. } = &*self.0;
        let requests = counts.requests.get();
        let request_bytes = counts.request_bytes.get().saturating_add(frame_bytes);
        let has_room = requests < limits.requests_max
            && counts.reply_bytes.get() < limits.reply_bytes_max
            && (request_bytes <= limits.request_bytes_max || counts.request_bytes.get() == 0);
        if has_room {
            return Poll::Ready(Room::Free);
        }
        self.watch_end(context);
        Poll::Pending
    }

    /// Wakes the receiving half when the input ends.
    pub fn watch_end(&self, context: &Context<'_>) {
        self.0.receiver.set(Some(context.waker().clone()));
    }

    /// Ready with what to send next.
    pub fn poll_turn(&self, context: &mut Context<'_>) -> Poll<Turn> {
        let mut lanes = self.0.lanes.borrow_mut();
        if self.0.input.get() == Input::Aborted {
            return Poll::Ready(Turn::Finished);
        }
        self.collect_ready(&mut lanes, context);
        if let Some(sending) = gather(&mut lanes) {
            return Poll::Ready(Turn::Send(sending));
        }
        let owes_nothing =
            lanes.ordered.is_empty() && lanes.unordered.is_empty() && lanes.in_order.is_empty();
        if owes_nothing && self.0.input.get() == Input::Ended {
            let Some(last) = lanes.last.take() else { return Poll::Ready(Turn::Finished) };
            self.count_in(last.charge.bytes());
            self.push_ready(&mut lanes.ready, last);
            return Poll::Ready(gather(&mut lanes).map_or(Turn::Finished, Turn::Send));
        }
        self.0.sender.set(Some(context.waker().clone()));
        Poll::Pending
    }

    /// The turn's bytes are with the kernel: their requests no longer count. Returns the bytes.
    pub fn sent(&self, sending: Sending) -> usize {
        let counts = &self.0.counts;
        counts.requests.set(counts.requests.get() - sending.replies);
        counts.reply_bytes.set(counts.reply_bytes.get() - sending.bytes);
        self.0.share.remove_queued(sending.bytes);
        let Sending { mut parts, bytes, .. } = sending;
        parts.clear();
        if parts.capacity() <= SPARE_MAX {
            self.0.lanes.borrow_mut().spare = parts;
        }
        wake(&self.0.receiver);
        bytes
    }

    /// No more requests will come. `last` is sent behind all replies owed.
    pub fn end_input_with(&self, last: Reply) {
        if self.0.input.get() == Input::Open {
            self.0.lanes.borrow_mut().last = Some(last);
        }
        self.end_input();
        self.end_waiting();
    }

    /// No more requests will come.
    pub fn end_input(&self) {
        if self.0.input.get() == Input::Open {
            self.0.input.set(Input::Ended);
        }
        wake(&self.0.sender);
        wake(&self.0.receiver);
    }

    /// Lets the requests that only wait for something to happen answer now: see
    /// [`Outbox::is_waiting_over`].
    pub fn end_waiting(&self) {
        self.0.is_waiting_over.set(true);
        let mut lanes = self.0.lanes.borrow_mut();
        // Moved into a new set, all are polled once more.
        let unordered = std::mem::take(&mut lanes.unordered);
        lanes.unordered = unordered.into_iter().collect();
        lanes.in_order.poll_all_again();
        drop(lanes);
        wake(&self.0.sender);
    }

    /// Set once requests that wait (a long poll) must answer with what there is. Their futures are polled
    /// when it changes.
    pub fn is_waiting_over(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.0.is_waiting_over)
    }

    /// Drops every reply owed: the client is gone. Whatever is submitted from now on is dropped, too: nobody takes
    /// it out any more, so it would count for ever.
    pub fn abort(&self) {
        self.0.input.set(Input::Aborted);
        // Dropped outside the borrow: a future may give back what another part of this outbox holds.
        let lanes = self.0.lanes.take();
        let ready: usize = lanes.ready.iter().map(Reply::bytes).sum();
        let unsent = ready + lanes.in_order.ready_bytes();
        self.0.counts.reply_bytes.set(self.0.counts.reply_bytes.get() - unsent);
        self.0.share.remove_queued(unsent);
        drop(lanes);
        wake(&self.0.sender);
        wake(&self.0.receiver);
    }

    /// Bytes of the frames of requests without an answer.
    pub(crate) fn request_bytes(&self) -> usize {
        self.0.counts.request_bytes.get()
    }

    /// Whether requests are still taken in.
    pub fn is_open(&self) -> bool {
        self.0.input.get() == Input::Open
    }

    fn is_aborted(&self) -> bool {
        self.0.input.get() == Input::Aborted
    }

    fn count_in(&self, frame_bytes: usize) {
        let counts = &self.0.counts;
        counts.requests.set(counts.requests.get() + 1);
        counts.request_bytes.set(counts.request_bytes.get() + frame_bytes);
    }

    fn push_ready(&self, ready: &mut VecDeque<Reply>, mut reply: Reply) {
        self.count_ready(reply.answered());
        ready.push_back(reply);
    }

    fn count_ready(&self, answered: Answered) {
        let Answered { reply_bytes, frame_bytes } = answered;
        let counts = &self.0.counts;
        counts.reply_bytes.set(counts.reply_bytes.get() + reply_bytes);
        self.0.share.add_queued(reply_bytes);
        counts.request_bytes.set(counts.request_bytes.get() - frame_bytes);
        wake(&self.0.receiver);
    }

    /// Takes what is ready, until the limit of reply bytes is passed.
    fn collect_ready(&self, lanes: &mut Lanes, context: &mut Context<'_>) {
        let Lanes { ordered, unordered, in_order, ready, .. } = lanes;
        let has_room = || self.0.counts.reply_bytes.get() < self.0.limits.reply_bytes_max;
        while has_room()
            && let Some(first) = ordered.front_mut()
            && let Poll::Ready(reply) = first.as_mut().poll(context)
        {
            ordered.pop_front();
            self.push_ready(ready, reply);
        }
        while has_room()
            && let Poll::Ready(Some(reply)) = Pin::new(&mut *unordered).poll_next(context)
        {
            self.push_ready(ready, reply);
        }
        // What waits for the first counts against the limit, which must not keep the first from being worked on.
        loop {
            ready.extend(std::iter::from_fn(|| in_order.take_first()));
            if !ready.is_empty() && !has_room() {
                break;
            }
            match in_order.poll_work(context) {
                Poll::Ready(Some(answered)) => self.count_ready(answered),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
    }
}

/// Whether the receiving half may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Take the frame in.
    Free,
    /// No frame is taken in any more.
    Closed,
}

/// The payload bytes that a fetch may bring; see [`Outbox::grant_fetch`].
pub struct FetchGrant {
    outbox: Rc<Shared>,
    bytes: usize,
}

impl FetchGrant {
    /// The bytes granted.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for FetchGrant {
    fn drop(&mut self) {
        let granted = &self.outbox.counts.fetch_bytes_granted;
        granted.set(granted.get() - self.bytes);
        self.outbox.share.end_fetch();
    }
}

fn wake(place: &Cell<Option<Waker>>) {
    if let Some(waker) = place.take() {
        waker.wake();
    }
}

/// The replies of one turn, from the front.
fn gather(lanes: &mut Lanes) -> Option<Sending> {
    let Lanes { ready, spare, .. } = lanes;
    if ready.is_empty() {
        return None;
    }
    let parts = std::mem::take(spare);
    let mut sending = Sending { parts, replies: 0, then: Then::Continue, bytes: 0 };
    sending.parts.reserve(ready.len().min(TURN_REPLIES_MAX));
    while sending.replies < TURN_REPLIES_MAX
        && sending.bytes < TURN_BYTES_MAX
        && sending.then == Then::Continue
        && let Some(reply) = ready.pop_front()
    {
        sending.bytes += reply.bytes();
        sending.replies += 1;
        sending.then = reply.then;
        let parts = std::iter::once(reply.head).chain(reply.payload);
        sending.parts.extend(parts.filter(|slice| !slice.is_empty()));
    }
    Some(sending)
}

#[cfg(test)]
mod tests;
