//! One producer's thread: sends each record when it is due, or as soon as there is room, and takes acknowledgements.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use kolk_driver::ack::{AckSink, Fate};
use kolk_driver::clock::{Moment, wake_precisely};
use kolk_driver::driver::{Labour, Outgoing, Producer};
use kolk_machine::latency::Times;

use super::Ground;
use super::bodies::Bodies;
use super::lanes::{Lane, Lanes, Share};
use super::record::{Stamp, stamp_bytes};
use super::schedule::Schedule;
use super::tally::{Done, Tally, Window};
use crate::error::{BenchError, Outcome};

/// How long a broker may be silent while acknowledgements are due.
const SILENCE: Duration = Duration::from_secs(60);
/// Records that a producer may owe at the end; beyond, a broker is so far behind that the rest changes nothing.
const OWED_MAX: usize = 10_000_000;
/// Up to so many records on their way a producer's client works on its own thread, where the library leaves that open: each
/// record is then spared two hand-overs from thread to thread. With more on their way the hand-overs hide behind each other, and
/// records are made while another thread sends: kolk took 2 to 9 % more of `bulk` that way, with 16,384 on their way.
const IN_FLIGHT_CALLER_MAX: u32 = 16;

/// When a producer sends.
#[derive(Clone, Debug)]
pub(crate) enum Pace {
    /// When the schedule says.
    Open(Schedule),
    /// When there is room.
    Closed,
}

/// One producer: its clients, its lanes, and how far each of them is.
pub(crate) struct Writer {
    clients: Vec<Box<dyn Producer>>,
    fates: Receiver<Fate>,
    lanes: Lanes,
    /// The next number of each lane of all producers; others' stay at 0.
    sequences: Vec<u64>,
    bodies: Arc<Bodies>,
    /// Records so far; picks the body.
    count: u64,
    value: Vec<u8>,
    in_flight: u32,
}

/// What one producer measured.
pub(crate) struct Written {
    pub(crate) tally: Tally,
    /// How late records were handed to the client although it had room: the lag of the load generator itself.
    pub(crate) lag: Times,
    /// Records that were due before the end and that there was no room to send.
    pub(crate) owed: Vec<Moment>,
}

impl Written {
    pub(crate) fn new() -> Outcome<Self> {
        Ok(Self { tally: Tally::new()?, lag: Times::new()?, owed: Vec::new() })
    }

    /// Takes down what the schedule still owes when the window is over.
    pub(crate) fn owe(&mut self, window: &Window, pace: &mut Pace) {
        let Pace::Open(schedule) = pace else { return };
        while schedule.due() < window.to() && self.owed.len() < OWED_MAX {
            self.tally.owe(window, schedule.due());
            self.owed.push(schedule.due());
            schedule.advance();
        }
    }
}

/// How many records a writer may have on their way, and when the measure ends by size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) in_flight: u32,
    /// Bytes over all writers; the shared counter is in the ground.
    pub(crate) bytes: u64,
}

/// The lanes of one writer, how many there are in all, and the bodies of its records.
pub(crate) struct Matter {
    pub(crate) share: Share,
    pub(crate) lanes: Lanes,
    pub(crate) lane_count: u32,
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) record_bytes: usize,
    /// Where in the bodies it begins.
    pub(crate) first_body: u64,
    /// The most records that it will have on their way.
    pub(crate) in_flight_max: u32,
}

/// Where the clients of a producer work that has so many of them, and so many records on their way.
pub(super) const fn labour(clients: u32, in_flight_max: u32) -> Labour {
    // A thread can wait in one client alone.
    if clients == 1 && in_flight_max <= IN_FLIGHT_CALLER_MAX {
        Labour::Caller
    } else {
        Labour::Background
    }
}

impl Writer {
    /// Connects its clients.
    pub(crate) fn open(ground: &Ground<'_>, matter: Matter) -> Outcome<Self> {
        let Matter { share, lanes, lane_count, bodies, record_bytes, first_body, in_flight_max } =
            matter;
        let (sink, fates) = AckSink::new(ground.clock);
        let mut clients = Vec::new();
        let labour = labour(share.own_clients(), in_flight_max);
        for _ in 0..share.own_clients() {
            clients.push(ground.driver.producer(sink.clone(), labour)?);
        }
        let sequences = vec![0; lane_count as usize];
        let value = vec![0; record_bytes];
        Ok(Self {
            clients,
            fates,
            lanes,
            sequences,
            bodies,
            count: first_body,
            value,
            in_flight: 0,
        })
    }

    /// Records that were sent in each lane; all of them are acknowledged after [`Writer::run`].
    pub(crate) fn sequences(&self) -> &[u64] {
        &self.sequences
    }

    /// Sends until the window ends, then waits for what is on its way.
    pub(crate) fn run(
        &mut self,
        ground: &Ground<'_>,
        window: &Window,
        mut pace: Pace,
        bounds: Bounds,
    ) -> Outcome<Written> {
        wake_precisely();
        let mut written = Written::new()?;
        let mut room_since = Moment::default();
        loop {
            self.take_all(window, &mut written)?;
            let now = ground.clock.now();
            if now >= window.to() {
                break;
            }
            if self.in_flight >= bounds.in_flight {
                // What is due meanwhile is sent late and charged from when it was due.
                self.take_one(window, &mut written, window.to().since(now))?;
                room_since = ground.clock.now();
                continue;
            }
            let intended = match &mut pace {
                Pace::Closed => now,
                Pace::Open(schedule) if schedule.due() > now => {
                    let time = schedule.watch.sleep(schedule.due().since(now), self.in_flight > 0);
                    self.rest(time.min(window.to().since(now)))?;
                    continue;
                }
                Pace::Open(schedule) => {
                    let due = schedule.due();
                    schedule.advance();
                    written.lag.record(now.since(due.max(room_since)));
                    due
                }
            };
            let lane = self.lanes.choose();
            self.send(lane, intended)?;
            if now >= window.from() && ground.sent(self.value.len()) >= bounds.bytes {
                window.end(ground.clock.now());
            }
        }
        written.owe(window, &mut pace);
        self.settle(ground, window, &mut written)?;
        Ok(written)
    }

    /// Sends a record through each client and waits for them, so that all are connected before anything is measured.
    pub(crate) fn greet(&mut self, ground: &Ground<'_>) -> Outcome<()> {
        let begin = ground.clock.now();
        for lane in self.lanes.of_each_client() {
            self.send(lane, ground.clock.now())?;
        }
        // A window that has ended measures nothing.
        let window = Window::new(begin, begin, begin);
        self.settle(ground, &window, &mut Written::new()?)
    }

    /// Waits for what is on its way.
    fn settle(
        &mut self,
        ground: &Ground<'_>,
        window: &Window,
        written: &mut Written,
    ) -> Outcome<()> {
        let begin = ground.clock.now();
        self.clients.iter_mut().try_for_each(|client| client.finish())?;
        while self.in_flight > 0 {
            self.take_one(window, written, SILENCE)?;
            if self.in_flight > 0 && ground.clock.now().since(begin) > SILENCE {
                let what = format!("{} records were never acknowledged", self.in_flight);
                return Err(BenchError::refused("produce", what));
            }
        }
        Ok(())
    }

    fn rest(&mut self, time: Duration) -> Outcome<()> {
        match self.clients.first_mut() {
            Some(client) if !time.is_zero() => Ok(client.rest(time)?),
            _ => Ok(()),
        }
    }

    fn send(&mut self, lane: Lane, intended: Moment) -> Outcome<()> {
        let key = self.lanes.key(lane);
        let unknown = || BenchError::Workload(format!("{lane:?}"));
        let sequence = self.sequences.get_mut(lane.number as usize).ok_or_else(unknown)?;
        let client = self.clients.get_mut(lane.client as usize).ok_or_else(unknown)?;
        let body_at = stamp_bytes(self.value.len());
        if let Some(body) = self.value.get_mut(body_at..) {
            body.copy_from_slice(self.bodies.get(self.count));
        }
        Stamp { intended, sequence: *sequence, lane: lane.number }.write(&mut self.value);
        let key = key.as_ref().map(<[u8; 8]>::as_slice);
        let record = Outgoing { partition: lane.partition, key, value: &self.value, intended };
        client.send(&record)?;
        *sequence += 1;
        self.count += 1;
        self.in_flight += 1;
        Ok(())
    }

    /// Takes what has come.
    fn take_all(&mut self, window: &Window, written: &mut Written) -> Outcome<()> {
        while let Ok(fate) = self.fates.try_recv() {
            self.take(window, written, fate)?;
        }
        Ok(())
    }

    /// Waits for one.
    fn take_one(&mut self, window: &Window, written: &mut Written, wait: Duration) -> Outcome<()> {
        // With several clients each of them takes what all were told.
        let Some(client) = self.clients.first_mut() else { return Ok(()) };
        match client.take(&self.fates, wait) {
            Ok(fate) => self.take(window, written, fate),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                Err(BenchError::refused("produce", "the client is gone with records on their way"))
            }
        }
    }

    fn take(&mut self, window: &Window, written: &mut Written, fate: Fate) -> Outcome<()> {
        match fate {
            Fate::Acknowledged { intended, at } => {
                self.in_flight = self.in_flight.saturating_sub(1);
                let bytes = self.value.len() as u64;
                written.tally.add(window, Done { intended, at, bytes })
            }
            Fate::Failed { reason } => Err(BenchError::refused("produce", reason)),
        }
    }
}
