//! Replies that go in the order of their requests although the requests run side by side: a late one holds
//! back those behind it, but not their work.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, Stream};

use super::{Answered, Reply, ReplyFuture};

/// The replies of one connection in the order of its requests.
#[derive(Default)]
pub(super) struct InOrder {
    /// The number of the first place.
    first: u64,
    /// A place for each request whose reply was not taken yet: the reply, or nothing while it is worked on.
    places: VecDeque<Option<Reply>>,
    /// One reply that is being worked on, polled at every wake. While there is no other, as with a client that waits for each
    /// answer, no set is needed, whose members each have memory of their own.
    alone: Option<Numbered>,
    under_way: FuturesUnordered<Numbered>,
}

/// A reply that is being worked on, with the number of its place.
struct Numbered {
    number: u64,
    reply: ReplyFuture,
}

impl Future for Numbered {
    type Output = (u64, Reply);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let number = self.number;
        self.reply.as_mut().poll(context).map(|reply| (number, reply))
    }
}

impl InOrder {
    /// Adds a reply that is ready; it goes behind all that were added before.
    pub(super) fn push_ready(&mut self, reply: Reply) {
        self.places.push_back(Some(reply));
    }

    /// Adds a reply that is being worked on.
    pub(super) fn push(&mut self, reply: ReplyFuture) {
        let number = self.first + self.places.len() as u64;
        self.places.push_back(None);
        let numbered = Numbered { number, reply };
        if self.alone.is_none() {
            self.alone = Some(numbered);
        } else {
            self.under_way.push(numbered);
        }
    }

    /// Lets all work go on until one more request is answered. Its reply may have to wait for others.
    pub(super) fn poll_work(&mut self, context: &mut Context<'_>) -> Poll<Option<Answered>> {
        let alone = self.alone.as_mut().map(|alone| Pin::new(alone).poll(context));
        if let Some(Poll::Ready(worked)) = alone {
            self.alone = None;
            return Poll::Ready(Some(self.place(worked)));
        }
        match Pin::new(&mut self.under_way).poll_next(context) {
            Poll::Ready(Some(worked)) => Poll::Ready(Some(self.place(worked))),
            Poll::Ready(None) if alone.is_none() => Poll::Ready(None),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Puts a reply into its place.
    fn place(&mut self, (number, mut reply): (u64, Reply)) -> Answered {
        let answered = reply.answered();
        let place = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        if let Some(place) = self.places.get_mut(place) {
            *place = Some(reply);
        }
        answered
    }

    /// The first reply, if it is ready.
    pub(super) fn take_first(&mut self) -> Option<Reply> {
        let reply = self.places.front_mut()?.take()?;
        self.places.pop_front();
        self.first += 1;
        Some(reply)
    }

    /// Has every reply that is being worked on polled once more; the one that is apart is, at any wake.
    pub(super) fn poll_all_again(&mut self) {
        let under_way = std::mem::take(&mut self.under_way);
        self.under_way = under_way.into_iter().collect();
    }

    /// Whether no reply is owed.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of the replies that are ready and wait for others.
    pub(super) fn ready_bytes(&self) -> usize {
        self.places.iter().flatten().map(Reply::bytes).sum()
    }
}
