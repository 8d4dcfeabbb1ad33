//! Ordering, bounds and ends of an outbox, driven by hand.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::budget::Budget;
use crate::tests::poll_once::{WakeCount, poll_once};

const LIMITS: OutboxLimits =
    OutboxLimits { requests_max: 4, request_bytes_max: 100, reply_bytes_max: 1_000 };

struct Bench {
    outbox: Outbox,
    budget: Budget,
    share: OutputShare,
}

/// A reply that is completed from outside.
#[derive(Clone, Default)]
struct Switch(Rc<RefCell<(bool, Option<Waker>)>>);

impl Switch {
    fn complete(&self) {
        let mut state = self.0.borrow_mut();
        state.0 = true;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}

impl Bench {
    fn new() -> Self {
        let share = OutputShare::new(1 << 20);
        let outbox = Outbox::new(LIMITS, share.clone());
        Self { outbox, budget: Budget::new(10_000), share }
    }

    fn reply(&self, text: &'static str, frame_bytes: usize) -> Reply {
        let charge = poll_once(&mut self.budget.acquire(frame_bytes)).expect("budget is large");
        Reply {
            head: Bytes::from_static(text.as_bytes()),
            payload: vec![],
            charge,
            then: Then::Continue,
        }
    }

    fn later(&self, text: &'static str, frame_bytes: usize) -> (Switch, ReplyFuture) {
        let switch = Switch::default();
        let state = Rc::clone(&switch.0);
        let mut reply = Some(self.reply(text, frame_bytes));
        let future = poll_fn(move |context| {
            let mut state = state.borrow_mut();
            if state.0 {
                return Poll::Ready(reply.take().expect("polled once after completion"));
            }
            state.1 = Some(context.waker().clone());
            Poll::Pending
        });
        (switch, Box::pin(future))
    }

    fn ordered(&self, text: &'static str, frame_bytes: usize) -> Switch {
        let (switch, reply) = self.later(text, frame_bytes);
        self.outbox.submit_ordered(frame_bytes, reply);
        switch
    }

    fn unordered(&self, text: &'static str, frame_bytes: usize) -> Switch {
        let (switch, reply) = self.later(text, frame_bytes);
        self.outbox.submit_unordered(frame_bytes, reply);
        switch
    }

    fn in_order(&self, text: &'static str, frame_bytes: usize) -> Switch {
        let (switch, reply) = self.later(text, frame_bytes);
        self.outbox.begin_in_order(frame_bytes, reply);
        switch
    }

    fn turn(&self) -> Option<Turn> {
        match self.outbox.poll_turn(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    /// Sends what is ready; returns it as text, parts separated by a bar.
    fn send(&self) -> String {
        match self.turn() {
            Some(Turn::Send(sending)) => {
                let parts: Vec<_> = sending
                    .parts
                    .iter()
                    .map(|part| String::from_utf8_lossy(part).into_owned())
                    .collect();
                self.outbox.sent(sending);
                parts.join("|")
            }
            Some(Turn::Finished) => "finished".to_owned(),
            None => "nothing".to_owned(),
        }
    }

    fn room(&self, frame_bytes: usize) -> Option<Room> {
        match self.outbox.poll_room(frame_bytes, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(room) => Some(room),
            Poll::Pending => None,
        }
    }
}

#[test]
fn produce_replies_keep_the_order_of_their_requests() {
    let bench = Bench::new();
    let first = bench.ordered("first", 1);
    let second = bench.ordered("second", 1);
    let third = bench.ordered("third", 1);
    assert_eq!(bench.send(), "nothing");
    second.complete();
    assert_eq!(bench.send(), "nothing");
    first.complete();
    assert_eq!(bench.send(), "first|second");
    third.complete();
    assert_eq!(bench.send(), "third");
}

#[test]
fn a_long_poll_holds_up_nobody() {
    let bench = Bench::new();
    let fetch = bench.unordered("fetch", 1);
    let produce = bench.ordered("produce", 1);
    produce.complete();
    assert_eq!(bench.send(), "produce");
    bench.outbox.submit_ready(bench.reply("ready", 1));
    assert_eq!(bench.send(), "ready");
    fetch.complete();
    assert_eq!(bench.send(), "fetch");
}

#[test]
fn a_slow_produce_does_not_hold_up_a_fetch() {
    let bench = Bench::new();
    let _produce = bench.ordered("produce", 1);
    let fetch = bench.unordered("fetch", 1);
    assert_eq!(bench.send(), "nothing");
    fetch.complete();
    assert_eq!(bench.send(), "fetch");
}

#[test]
fn the_sender_is_woken_by_a_submission_and_by_the_first_produce() {
    let bench = Bench::new();
    let (count, waker) = WakeCount::with_waker();
    let mut context = Context::from_waker(&waker);
    assert!(bench.outbox.poll_turn(&mut context).is_pending());
    let first = bench.ordered("first", 1);
    assert_eq!(count.get(), 1);
    assert!(bench.outbox.poll_turn(&mut context).is_pending());
    let second = bench.ordered("second", 1);
    assert_eq!(count.get(), 2);
    assert!(bench.outbox.poll_turn(&mut context).is_pending());
    second.complete();
    assert_eq!(count.get(), 2);
    first.complete();
    assert_eq!(count.get(), 3);
    assert!(bench.outbox.poll_turn(&mut context).is_ready());
}

#[test]
fn too_many_requests_stop_the_reading() {
    let bench = Bench::new();
    let replies: Vec<_> = (0..4).map(|_| bench.ordered("x", 1)).collect();
    assert_eq!(bench.room(1), None);
    for reply in &replies {
        reply.complete();
    }
    assert_eq!(bench.send(), "x|x|x|x");
    assert_eq!(bench.room(1), Some(Room::Free));
}

#[test]
fn too_many_request_bytes_stop_the_reading_until_replies_are_sent() {
    let bench = Bench::new();
    let reply = bench.ordered("x", 60);
    assert_eq!(bench.room(40), Some(Room::Free));
    assert_eq!(bench.room(41), None);
    reply.complete();
    assert_eq!(bench.budget.used(), 60);
    assert_eq!(bench.send(), "x");
    assert_eq!(bench.budget.used(), 0);
    assert_eq!(bench.room(100), Some(Room::Free));
}

#[test]
fn an_answered_request_holds_nothing_while_its_reply_waits() {
    let bench = Bench::new();
    let long_poll = bench.in_order("long poll", 10);
    bench.in_order("produce", 60).complete();
    assert_eq!((bench.send().as_str(), bench.budget.used()), ("nothing", 10));
    assert_eq!(bench.room(90), Some(Room::Free));
    bench.outbox.submit_ready(bench.reply("ready", 90));
    assert_eq!(bench.budget.used(), 10);
    let (first, reply) = bench.later("at once", 80);
    first.complete();
    bench.outbox.begin_in_order(80, reply);
    assert_eq!(bench.budget.used(), 10);
    long_poll.complete();
    assert_eq!(bench.send(), "ready|long poll|produce|at once");
    assert_eq!((bench.room(100), bench.budget.used()), (Some(Room::Free), 0));
}

#[test]
fn a_frame_above_the_limit_is_taken_in_alone() {
    let bench = Bench::new();
    assert_eq!(bench.room(5_000), Some(Room::Free));
    let _first = bench.ordered("x", 5_000);
    assert_eq!(bench.room(1), None);
}

#[test]
fn replies_nobody_reads_stop_the_reading() {
    let bench = Bench::new();
    let mut large = bench.reply("head", 1);
    large.payload = vec![Bytes::from(vec![0; 1_000])];
    bench.outbox.submit_ready(large);
    assert_eq!(bench.room(1), None);
    assert_eq!(bench.share.queued_bytes(), 1_004);
    let Some(Turn::Send(sending)) = bench.turn() else { panic!("a reply is ready") };
    assert_eq!(bench.room(1), None);
    bench.outbox.sent(sending);
    assert_eq!(bench.room(1), Some(Room::Free));
    assert_eq!(bench.share.queued_bytes(), 0);
}

#[test]
fn replies_are_not_collected_beyond_the_limit_of_reply_bytes() {
    let bench = Bench::new();
    let mut large = bench.reply("large", 1);
    large.payload = vec![Bytes::from(vec![b'.'; 1_000])];
    bench.outbox.submit_ready(large);
    let fetch = bench.unordered("fetch", 1);
    fetch.complete();
    assert!(!bench.send().contains("fetch"));
    assert_eq!(bench.send(), "fetch");
}

#[test]
fn the_receiver_is_woken_when_there_is_room() {
    let bench = Bench::new();
    let (count, waker) = WakeCount::with_waker();
    let mut large = bench.reply("x", 1);
    large.payload = vec![Bytes::from(vec![b'.'; 1_000])];
    bench.outbox.submit_ready(large);
    assert!(bench.outbox.poll_room(1, &mut Context::from_waker(&waker)).is_pending());
    assert!(bench.send().starts_with("x|"));
    assert_eq!(count.get(), 1);
    let _long_poll = bench.in_order("long poll", 1);
    let produce = bench.in_order("produce", 99);
    assert!(bench.outbox.poll_room(1, &mut Context::from_waker(&waker)).is_pending());
    produce.complete();
    assert_eq!((bench.send().as_str(), count.get()), ("nothing", 2));
    assert_eq!(bench.room(1), Some(Room::Free));
}

#[test]
fn replies_owed_are_sent_after_the_end_of_input() {
    let bench = Bench::new();
    let produce = bench.ordered("produce", 1);
    let fetch = bench.unordered("fetch", 1);
    bench.outbox.end_input();
    assert_eq!(bench.room(1), Some(Room::Closed));
    assert_eq!(bench.send(), "nothing");
    produce.complete();
    assert_eq!(bench.send(), "produce");
    assert_eq!(bench.send(), "nothing");
    fetch.complete();
    assert_eq!(bench.send(), "fetch");
    assert_eq!(bench.send(), "finished");
}

#[test]
fn an_abort_gives_everything_back() {
    let bench = Bench::new();
    let _produce = bench.ordered("produce", 7);
    let _fetch = bench.unordered("fetch", 8);
    bench.outbox.submit_ready(bench.reply("ready", 9));
    assert_eq!(bench.budget.used(), 15);
    bench.outbox.abort();
    assert_eq!(bench.budget.used(), 0);
    assert_eq!(bench.share.queued_bytes(), 0);
    assert_eq!(bench.send(), "finished");
    assert_eq!(bench.room(1), Some(Room::Closed));
}

#[test]
fn what_comes_after_an_abort_is_dropped_and_counts_nowhere() {
    let bench = Bench::new();
    bench.outbox.abort();
    bench.outbox.submit_ready(bench.reply("ready", 1));
    bench.ordered("produce", 2).complete();
    bench.unordered("fetch", 3).complete();
    let _later = bench.in_order("later", 4);
    let (first, reply) = bench.later("at once", 5);
    first.complete();
    bench.outbox.begin_in_order(5, reply);
    bench.outbox.end_waiting();
    assert_eq!(bench.send(), "finished");
    assert_eq!((bench.share.queued_bytes(), bench.budget.used()), (0, 0));
}

#[test]
fn nothing_is_sent_behind_a_reply_that_closes() {
    let bench = Bench::new();
    let mut last = bench.reply("last", 1);
    last.then = Then::Close;
    bench.outbox.submit_ready(last);
    bench.outbox.submit_ready(bench.reply("never", 1));
    let Some(Turn::Send(sending)) = bench.turn() else { panic!("a reply is ready") };
    assert_eq!((sending.replies, sending.then), (1, Then::Close));
}

#[test]
fn fetches_of_one_connection_share_its_limit() {
    let limits = OutboxLimits { reply_bytes_max: 1 << 20, ..LIMITS };
    let share = OutputShare::new(64 << 20);
    let outbox = Outbox::new(limits, share);
    let first = outbox.grant_fetch(900 << 10);
    assert_eq!(first.bytes(), 900 << 10);
    let second = outbox.grant_fetch(900 << 10);
    assert_eq!(second.bytes(), 124 << 10);
    drop(first);
    drop(second);
    assert_eq!(outbox.grant_fetch(usize::MAX).bytes(), 1 << 20);
}

#[test]
fn a_turn_is_bounded() {
    let share = OutputShare::new(64 << 20);
    let limits = OutboxLimits { requests_max: 10_000, reply_bytes_max: 64 << 20, ..LIMITS };
    let bench =
        Bench { outbox: Outbox::new(limits, share.clone()), budget: Budget::new(10_000), share };
    for _ in 0..TURN_REPLIES_MAX + 1 {
        bench.outbox.submit_ready(bench.reply("x", 1));
    }
    let Some(Turn::Send(sending)) = bench.turn() else { panic!("replies are ready") };
    assert_eq!(sending.replies, TURN_REPLIES_MAX);
    bench.outbox.sent(sending);
    assert_eq!(bench.send(), "x");
}

#[test]
fn long_polls_answer_when_waiting_is_over() {
    let bench = Bench::new();
    let is_over = bench.outbox.is_waiting_over();
    let mut reply = Some(bench.reply("poll", 1));
    let poll = poll_fn(move |_| match is_over.get() {
        true => Poll::Ready(reply.take().expect("polled once after completion")),
        false => Poll::Pending,
    });
    bench.outbox.submit_unordered(1, Box::pin(poll));
    assert_eq!(bench.send(), "nothing");
    bench.outbox.end_waiting();
    assert_eq!(bench.send(), "poll");
}

#[test]
fn the_receiver_is_woken_by_the_end() {
    let bench = Bench::new();
    let (count, waker) = WakeCount::with_waker();
    bench.outbox.watch_end(&Context::from_waker(&waker));
    bench.outbox.abort();
    assert_eq!(count.get(), 1);
}

#[test]
fn the_last_word_goes_behind_all_replies_owed() {
    let bench = Bench::new();
    let produce = bench.ordered("produce", 1);
    bench.outbox.end_input_with(bench.reply("last", 0));
    assert_eq!(bench.send(), "nothing");
    produce.complete();
    assert_eq!(bench.send(), "produce");
    assert_eq!(bench.send(), "last");
    assert_eq!(bench.send(), "finished");
}

#[test]
fn replies_in_order_are_worked_on_at_once_and_wait_for_the_first() {
    let bench = Bench::new();
    let first = bench.in_order("first", 1);
    let second = bench.in_order("second", 1);
    let third = bench.in_order("third", 1);
    assert!(bench.turn().is_none());
    second.complete();
    assert!(bench.turn().is_none());
    assert_eq!(bench.share.queued_bytes(), 6, "what waits for others counts");
    first.complete();
    assert_eq!(bench.send(), "first|second");
    third.complete();
    assert_eq!(bench.send(), "third");
    assert_eq!(bench.share.queued_bytes(), 0);
}

#[test]
fn a_request_in_order_begins_when_it_is_taken_in() {
    let bench = Bench::new();
    let begun = Rc::new(RefCell::new(Vec::new()));
    for number in 0..3 {
        let (begun, mut reply) = (Rc::clone(&begun), Some(bench.reply("x", 1)));
        let future = poll_fn(move |_| {
            begun.borrow_mut().push(number);
            Poll::Ready(reply.take().expect("polled until ready"))
        });
        bench.outbox.begin_in_order(1, Box::pin(future));
    }
    assert_eq!(*begun.borrow(), [0, 1, 2]);
    assert_eq!(bench.send(), "x|x|x");
}

#[test]
fn the_first_reply_is_worked_on_although_those_behind_it_fill_the_connection() {
    const LARGE: &str = match std::str::from_utf8(&[b'x'; 2_000]) {
        Ok(text) => text,
        Err(_) => "",
    };
    let bench = Bench::new();
    let first = bench.in_order("first", 1);
    bench.in_order(LARGE, 1).complete();
    assert!(bench.turn().is_none());
    first.complete();
    assert_eq!(bench.send().len(), LARGE.len() + 6);
}

#[test]
fn an_abort_gives_back_what_waits_for_others() {
    let bench = Bench::new();
    let _first = bench.in_order("first", 1);
    bench.in_order("second", 1).complete();
    assert!(bench.turn().is_none());
    bench.outbox.abort();
    assert_eq!((bench.share.queued_bytes(), bench.budget.used()), (0, 0));
}
