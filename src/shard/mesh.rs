//! The ways between shards. For each pair of shards and each direction there is one lane of requests and
//! one of replies: a reply never stands behind a request, so that two shards that are both full of requests
//! still empty each other.
//!
//! What a shard says to another within one turn of its executor travels as one message through a bounded
//! channel. A channel is full when its receiver is behind; then the sender's lane fills, which is bounded by
//! the waiters of the sending shard. Receivers wait for nothing but messages. Within a lane the order is
//! kept, and a connection's requests for one partition all take the same lane.

use std::rc::Rc;

use kolk_io::channel::{Receiver, Sender, pair};
use kolk_io::door::Io;
use kolk_model::ids::ShardId;

use crate::message::{Answer, Call};
use crate::owner::inbox::{take_answers, take_calls};
use crate::shard::Shard;
use crate::state::lane::{Lane, Parcel};
use crate::state::{Lanes, ShardState};

/// One shard's ends of the mesh. Made for all shards at once, then moved each to its shard's executor.
#[derive(Debug)]
pub struct Seat {
    shard: ShardId,
    ways: Vec<Way>,
}

/// The channels between two shards, seen from one of them.
#[derive(Debug)]
struct Way {
    other: ShardId,
    calls_out: Sender<Parcel<Call>>,
    calls_in: Receiver<Parcel<Call>>,
    answers_out: Sender<Parcel<Answer>>,
    answers_in: Receiver<Parcel<Answer>>,
}

/// The seats of a node's shards, in order, with room for `slots` messages in each channel.
#[must_use]
pub fn seats(shards: u16, slots: usize) -> Vec<Seat> {
    let ids = || (0..shards).map(ShardId::new);
    let mut seats: Vec<Seat> = ids().map(|shard| Seat { shard, ways: Vec::new() }).collect();
    for low in ids() {
        for high in ids().filter(|high| *high > low) {
            let (low_way, high_way) = between(low, high, slots);
            for (shard, way) in [(low, low_way), (high, high_way)] {
                if let Some(seat) = seats.get_mut(usize::from(shard.get())) {
                    seat.ways.push(way);
                }
            }
        }
    }
    seats
}

/// The two ends between two shards.
fn between(low: ShardId, high: ShardId, slots: usize) -> (Way, Way) {
    let (low_calls_out, high_calls_in) = pair(slots);
    let (high_calls_out, low_calls_in) = pair(slots);
    let (low_answers_out, high_answers_in) = pair(slots);
    let (high_answers_out, low_answers_in) = pair(slots);
    let low_way = Way {
        other: high,
        calls_out: low_calls_out,
        calls_in: low_calls_in,
        answers_out: low_answers_out,
        answers_in: low_answers_in,
    };
    let high_way = Way {
        other: low,
        calls_out: high_calls_out,
        calls_in: high_calls_in,
        answers_out: high_answers_out,
        answers_in: high_answers_in,
    };
    (low_way, high_way)
}

impl Seat {
    /// The shard it is for.
    #[must_use]
    pub const fn shard(&self) -> ShardId {
        self.shard
    }

    /// Connects the shard to the others. On the shard's own executor; the others may follow at any time, what
    /// is said to them until then waits.
    ///
    /// # Panics
    /// When the seat is another shard's.
    pub fn connect<I: Io>(self, shard: &Shard<I>) {
        let state = &shard.state;
        assert_eq!(self.shard, state.id, "a seat is for one shard");
        for way in self.ways {
            let Way { other, calls_out, calls_in, answers_out, answers_in } = way;
            let own = || Rc::clone(state);
            state.io.spawn(send(own(), other, calls_out, |lanes| &lanes.requests));
            state.io.spawn(send(own(), other, answers_out, |lanes| &lanes.replies));
            state.io.spawn(receive_calls(own(), other, calls_in));
            state.io.spawn(receive_answers(own(), other, answers_in));
        }
    }
}

async fn send<I: Io, T: Send>(
    state: Rc<ShardState<I>>,
    other: ShardId,
    channel: Sender<Parcel<T>>,
    lane: impl Fn(&Lanes) -> &Lane<T>,
) {
    let Some(lanes) = state.lanes.get(usize::from(other.get())) else { return };
    while let Some(values) = lane(lanes).take().await {
        state.metrics.requests.mesh_batches.inc();
        if channel.send(values).await.is_err() {
            tracing::debug!(shard = %state.id, %other, "the other shard has ended");
            return;
        }
    }
}

async fn receive_calls<I: Io>(
    state: Rc<ShardState<I>>,
    other: ShardId,
    channel: Receiver<Parcel<Call>>,
) {
    while let Some(calls) = channel.recv().await {
        take_calls(&state, other, calls.into_iter()).await;
    }
}

async fn receive_answers<I: Io>(
    state: Rc<ShardState<I>>,
    other: ShardId,
    channel: Receiver<Parcel<Answer>>,
) {
    while let Some(answers) = channel.recv().await {
        if let Some(lanes) = state.lanes.get(usize::from(other.get())) {
            lanes.heard_at.set(state.io.now());
        }
        take_answers(&state, answers.into_iter());
    }
}
