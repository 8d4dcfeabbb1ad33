//! The sending task of a producer: takes finished batches from the slots, packs them into requests for
//! their owners, and brings the outcomes back. Apart because it alone knows what is in flight.

mod route;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kolk_model::ids::ProducerId;
use kolk_model::map::Map;
use kolk_model::offset::Offset;
use kolk_native::reply::{AssignedProducer, ProduceRefusal, Produced, Reply};
use kolk_native::request::{Produce, ProducePartition, Request};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::delivery::BatchCell;
use super::lane::{Lane, Outcome, Step, Ticket};
use super::settings::ProducerSettings;
use super::shared::Shared;
use super::slot::{Offer, Slot};
use crate::backoff::Backoff;
use crate::cluster::connection::Connection;
use crate::cluster::{Cluster, View};
use crate::error::ClientError;

/// What wakes the sender, beside full slots and its timers.
pub(super) enum Event {
    /// A request came back, or did not.
    Replied { door: usize, items: Vec<(usize, Ticket)>, outcome: Result<Reply, ClientError> },
    /// An attempt to connect ended.
    Connected { door: usize, outcome: Result<Arc<Connection>, ClientError> },
    /// An attempt to learn where partitions are ended.
    Refreshed(Result<Arc<View>, ClientError>),
    /// An attempt to get a producer id ended.
    Assigned(Result<AssignedProducer, ClientError>),
    /// Send everything now, and say who waits.
    Flush(oneshot::Sender<Vec<Arc<BatchCell>>>),
    /// Stop.
    Close(oneshot::Sender<()>),
}

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// A lane may go on.
    Lane(usize),
    /// A door may be tried again.
    Door(usize),
    /// The brokers may be asked again.
    Refresh,
    /// A producer id may be asked for again.
    Assign,
    /// Old batches are looked for.
    Expiry,
    /// What is known grows old.
    Age,
}

/// One partition.
struct LaneState {
    slot: Arc<Slot>,
    lane: Lane,
    /// Its owner's door, if known.
    door: Option<usize>,
    /// Whether it is among its door's ready lanes.
    ready: bool,
    /// The last producer id it was given.
    producer: Option<ProducerId>,
}

/// One owner.
struct DoorState {
    address: Arc<str>,
    connection: Option<Arc<Connection>>,
    connecting: bool,
    failures: u32,
    /// Not to be tried before.
    retry_at: Option<Instant>,
    /// Requests.
    in_flight: usize,
    /// Lanes that may have something to send.
    ready: VecDeque<usize>,
}

/// The sending task.
pub(super) struct Sender {
    shared: Arc<Shared>,
    cluster: Arc<Cluster>,
    settings: ProducerSettings,
    backoff: Backoff,
    events: mpsc::UnboundedReceiver<Event>,
    post: mpsc::UnboundedSender<Event>,
    lanes: Vec<LaneState>,
    doors: Vec<DoorState>,
    door_of: Map<Arc<str>, usize>,
    timers: BTreeSet<(Instant, Timer)>,
    /// Lanes whose owner is unknown.
    unrouted: Vec<usize>,
    refreshing: bool,
    refresh_failures: u32,
    producer: Option<AssignedProducer>,
    assigning: bool,
    assign_failures: u32,
    /// Not to be asked for before.
    assign_at: Option<Instant>,
    /// Lanes that wait for a producer id.
    unassigned: Vec<usize>,
}

/// How often old batches are looked for.
const EXPIRY_TICK: Duration = Duration::from_millis(250);

/// Events taken in one turn, so that a flood of replies does not hold up sending.
const TURN_EVENTS_MAX: usize = 64;

impl Sender {
    pub(super) fn new(
        shared: Arc<Shared>,
        cluster: Arc<Cluster>,
        settings: ProducerSettings,
        post: mpsc::UnboundedSender<Event>,
        events: mpsc::UnboundedReceiver<Event>,
    ) -> Self {
        let backoff = Backoff::new(cluster.settings());
        Self {
            shared,
            cluster,
            settings,
            backoff,
            events,
            post,
            lanes: Vec::new(),
            doors: Vec::new(),
            door_of: Map::new(),
            timers: BTreeSet::new(),
            unrouted: Vec::new(),
            refreshing: false,
            refresh_failures: 0,
            producer: None,
            assigning: false,
            assign_failures: 0,
            assign_at: None,
            unassigned: Vec::new(),
        }
    }

    /// Runs until told to close, or until its producer is gone.
    pub(super) async fn run(mut self) {
        let now = Instant::now();
        self.timers.insert((now + EXPIRY_TICK, Timer::Expiry));
        self.timers.insert((now + self.cluster.settings().metadata_age_max, Timer::Age));
        let shared = Arc::clone(&self.shared);
        loop {
            self.take_told();
            self.fire_timers(Instant::now());
            for door in 0..self.doors.len() {
                self.dispatch(door);
            }
            let alarm = self.timers.first().map_or_else(Instant::now, |(at, _)| *at);
            let first = tokio::select! {
                event = self.events.recv() => event,
                () = shared.wake.notified() => None,
                () = tokio::time::sleep_until(alarm) => None,
            };
            let mut next = first;
            for _ in 0..TURN_EVENTS_MAX {
                let Some(event) = next.or_else(|| self.events.try_recv().ok()) else { break };
                if let Event::Close(done) = event {
                    // Whoever asked may be gone.
                    let _unheard = done.send(());
                    return;
                }
                self.handle(event);
                next = None;
            }
        }
    }

    /// Takes up slots that callers have put something into.
    fn take_told(&mut self) {
        for slot in self.shared.take_told() {
            let place = *slot.lane.get_or_init(|| self.lanes.len());
            if place == self.lanes.len() {
                let lane = Lane::new(self.settings.idempotence);
                let (door, producer) = (None, None);
                self.lanes.push(LaneState { slot, lane, door, ready: false, producer });
                // Whoever made the slot has just learned where it is.
                if !self.route(place, &self.cluster.view()) {
                    self.unroute(place);
                }
            }
            self.make_ready(place);
        }
    }

    /// Puts a lane among those of its door that may have something to send.
    fn make_ready(&mut self, place: usize) {
        let Some(state) = self.lanes.get_mut(place).filter(|state| !state.ready) else {
            return;
        };
        if let Some(door) = state.door.and_then(|door| self.doors.get_mut(door)) {
            state.ready = true;
            door.ready.push_back(place);
        }
    }

    fn fire_timers(&mut self, now: Instant) {
        while let Some((_, timer)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.pop_first();
            match timer {
                Timer::Lane(place) => self.make_ready(place),
                // Every door is dispatched in this turn anyway.
                Timer::Door(_) => {}
                Timer::Refresh => self.refresh(),
                Timer::Assign => self.assign(),
                Timer::Expiry => {
                    self.expire(now);
                    self.timers.insert((now + EXPIRY_TICK, Timer::Expiry));
                }
                Timer::Age => {
                    self.refresh();
                    let age_max = self.cluster.settings().metadata_age_max;
                    self.timers.insert((now + age_max, Timer::Age));
                }
            }
        }
    }

    /// Sends what a door may take.
    fn dispatch(&mut self, place: usize) {
        let now = Instant::now();
        while let Some(connection) = self.usable(place) {
            let (items, partitions) = self.pack(place, now);
            if items.is_empty() {
                return;
            }
            let Some(door) = self.doors.get_mut(place) else { return };
            door.in_flight += 1;
            let durability = self.settings.durability;
            let request = Request::Produce(Produce { durability, partitions });
            let post = self.post.clone();
            let sink = Box::new(move |outcome| {
                // Without a sender nobody waits.
                let _unwanted = post.send(Event::Replied { door: place, items, outcome });
            });
            connection.submit(&request, self.cluster.settings().request_timeout, sink);
        }
    }

    /// The door's connection, if there is something to send and room to send it.
    fn usable(&mut self, place: usize) -> Option<Arc<Connection>> {
        let door = self.doors.get(place)?;
        if door.ready.is_empty() || door.in_flight >= self.settings.in_flight_max {
            return None;
        }
        match door.connection.clone().filter(|connection| connection.is_open()) {
            Some(connection) => Some(connection),
            None => {
                self.reconnect(place);
                None
            }
        }
    }

    /// Takes batches of the door's ready lanes, up to one request's bytes.
    fn pack(
        &mut self,
        place: usize,
        now: Instant,
    ) -> (Vec<(usize, Ticket)>, Vec<ProducePartition>) {
        let (mut items, mut partitions, mut bytes) = (Vec::new(), Vec::new(), 0);
        while bytes < self.settings.request_bytes {
            let Some(lane) = self.doors.get_mut(place).and_then(|door| door.ready.pop_front())
            else {
                break;
            };
            let Some((ticket, batches)) = self.advance(lane, now) else {
                continue;
            };
            bytes += batches.len();
            if let Some(state) = self.lanes.get_mut(lane) {
                state.ready = true;
                items.push((lane, ticket));
                let id = state.slot.id;
                partitions.push(ProducePartition { id, batches, expected_next_offset: None });
            }
            // Round robin, so that one busy partition does not fill every request.
            if let Some(door) = self.doors.get_mut(place) {
                door.ready.push_back(lane);
            }
        }
        (items, partitions)
    }

    /// The next batch of a lane; `None` if it has none now, and then it is not ready any more.
    fn advance(&mut self, place: usize, now: Instant) -> Option<(Ticket, bytes::Bytes)> {
        let state = self.lanes.get_mut(place)?;
        state.ready = false;
        loop {
            match state.lane.step(now) {
                Step::Send(ticket, bytes) => return Some((ticket, bytes)),
                Step::Wait => return None,
                Step::Pause(at) => {
                    self.timers.insert((at, Timer::Lane(place)));
                    return None;
                }
                Step::NeedsProducer => match self.producer {
                    Some(producer) if state.producer != Some(producer.id) => {
                        state.producer = Some(producer.id);
                        state.lane.set_producer(producer);
                    }
                    _ => {
                        self.unassigned.push(place);
                        self.assign();
                        return None;
                    }
                },
                Step::Empty => match state.slot.offer(now, self.settings.linger) {
                    Offer::Batch(batch) => state.lane.push(batch),
                    Offer::Later(due) => {
                        self.timers.insert((due, Timer::Lane(place)));
                        return None;
                    }
                    Offer::Nothing => return None,
                },
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Replied { door, items, outcome } => self.replied(door, items, outcome),
            Event::Connected { door, outcome } => self.connected(door, outcome),
            Event::Refreshed(outcome) => self.refreshed(outcome),
            Event::Assigned(outcome) => self.assigned(outcome),
            Event::Flush(answer) => {
                self.take_told();
                let mut cells = Vec::new();
                for place in 0..self.lanes.len() {
                    if let Some(state) = self.lanes.get(place) {
                        cells.extend(state.lane.cells().cloned());
                        cells.extend(state.slot.seal());
                    }
                    self.make_ready(place);
                }
                // Whoever asked may have gone away.
                let _unheard = answer.send(cells);
            }
            Event::Close(_) => {}
        }
    }

    fn replied(
        &mut self,
        place: usize,
        items: Vec<(usize, Ticket)>,
        outcome: Result<Reply, ClientError>,
    ) {
        if let Some(door) = self.doors.get_mut(place) {
            door.in_flight -= 1;
        }
        match outcome {
            Ok(Reply::Produce(reply)) if reply.partitions.len() == items.len() => {
                for ((lane, ticket), outcome) in items.into_iter().zip(reply.partitions) {
                    self.settle(lane, ticket, partition_outcome(outcome));
                }
            }
            Ok(Reply::Refused(refusal)) => {
                let error = ClientError::from(refusal);
                for (lane, ticket) in items {
                    self.settle(lane, ticket, Outcome::Refused(error.clone()));
                }
            }
            // A broken connection, or an answer that makes no sense.
            lost => {
                if let (Err(error), Some(door)) = (&lost, self.doors.get(place)) {
                    tracing::debug!(address = %door.address, %error, "produce request lost");
                }
                if let Some(door) = self.doors.get_mut(place) {
                    door.connection = None;
                }
                for (lane, ticket) in items {
                    self.settle(lane, ticket, Outcome::Lost);
                }
            }
        }
    }

    fn settle(&mut self, place: usize, ticket: Ticket, outcome: Outcome) {
        let moved = matches!(&outcome, Outcome::Refused(error) if route::is_moved(error));
        let Some(state) = self.lanes.get_mut(place) else { return };
        let pause = self.backoff.pause(state.lane.failed_rounds());
        if let Some(error) = state.lane.settle(ticket, outcome, Instant::now(), pause) {
            tracing::debug!(topic = %state.slot.topic, partition = %state.slot.id.partition, %error, "batch refused");
        }
        if moved {
            self.unroute(place);
        }
        self.make_ready(place);
    }

    /// Gives up what is too old.
    fn expire(&mut self, now: Instant) {
        let limit = self.settings.delivery_timeout;
        let Some(oldest) = now.checked_sub(limit) else { return };
        let error = ClientError::TimedOut { what: "the delivery of a record", limit };
        for state in &mut self.lanes {
            // Records that have not left their slot are behind those that wait in the lane.
            state.lane.expire(oldest, &error);
            state.slot.expire(oldest, &error);
        }
    }
}

impl Drop for Sender {
    /// Whoever still waits learns that it was in vain.
    fn drop(&mut self) {
        let error = ClientError::Closed { what: "the producer was closed" };
        self.shared.close(&error);
        for state in &mut self.lanes {
            state.slot.close(&error);
            for cell in state.lane.cells() {
                cell.complete(Err(error.clone()));
            }
        }
    }
}

fn partition_outcome(outcome: Result<Produced, ProduceRefusal>) -> Outcome {
    match outcome {
        Ok(produced) => Outcome::Written(produced),
        Err(ProduceRefusal { code, detail, end_offset }) => {
            debug_assert!(end_offset.is_none_or(|end| end <= Offset::MAX), "{end_offset:?}");
            Outcome::Refused(ClientError::refused(code, &detail))
        }
    }
}
