//! One writer of event sourcing: appends an event to an aggregate only if nobody else did since it last looked; on a conflict
//! it looks again and tries again. An aggregate is a partition here, because that is what the condition is about.

use std::sync::Arc;
use std::time::Duration;

use kolk_driver::chance::Chance;
use kolk_driver::clock::{Moment, wake_precisely};
use kolk_driver::driver::{Appended, Conditional, Outgoing};

use super::Ground;
use super::bodies::Bodies;
use super::produce::{Bounds, Pace, Written};
use super::record::{Stamp, stamp_bytes};
use super::tally::{Done, Window};
use crate::error::{BenchError, Outcome};

/// Tries of one event before the run is broken off.
const TRIES_MAX: u32 = 10_000;

/// A writer and what it knows of each aggregate.
pub(crate) struct EventWriter {
    client: Box<dyn Conditional>,
    producer: u32,
    /// Where each aggregate ended when this writer last heard of it.
    ends: Vec<u64>,
    sequences: Vec<u64>,
    bodies: Arc<Bodies>,
    count: u64,
    value: Vec<u8>,
    chance: Chance,
    conflicts: u64,
}

impl EventWriter {
    /// Connects writer `producer` of `producers`.
    pub(crate) fn open(
        ground: &Ground<'_>,
        (producer, producers): (u32, u32),
        partitions: u32,
        (bodies, record_bytes): (Arc<Bodies>, usize),
        seed: u64,
    ) -> Outcome<Self> {
        Ok(Self {
            client: ground.driver.conditional()?,
            producer,
            ends: vec![0; partitions as usize],
            sequences: vec![0; producers.saturating_mul(partitions) as usize],
            bodies,
            count: u64::from(producer) << 32,
            value: vec![0; record_bytes],
            chance: Chance::new(seed ^ u64::from(producer)),
            conflicts: 0,
        })
    }

    pub(crate) fn sequences(&self) -> &[u64] {
        &self.sequences
    }

    /// Appends that found somebody else's event.
    pub(crate) const fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// Appends until the window ends.
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
            let now = ground.clock.now();
            if now >= window.to() {
                written.owe(window, &mut pace);
                return Ok(written);
            }
            let intended = match &mut pace {
                Pace::Closed => now,
                Pace::Open(schedule) if schedule.due() > now => {
                    ground.clock.sleep_until(schedule.due().min(window.to()));
                    continue;
                }
                Pace::Open(schedule) => {
                    let due = schedule.due();
                    schedule.advance();
                    written.lag.record(now.since(due.max(room_since)));
                    due
                }
            };
            self.append(intended)?;
            room_since = ground.clock.now();
            let done = Done { intended, at: room_since, bytes: self.value.len() as u64 };
            written.tally.add(window, done)?;
            if now >= window.from() && ground.sent(self.value.len()) >= bounds.bytes {
                window.end(ground.clock.now());
            }
        }
    }

    fn append(&mut self, intended: Moment) -> Outcome<()> {
        let aggregate = self.chance.below(self.ends.len() as u64);
        let partition = u32::try_from(aggregate).unwrap_or(0);
        let aggregates = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        let lane = self.producer.saturating_mul(aggregates).saturating_add(partition);
        let unknown = || BenchError::Workload(format!("there is no lane {lane}"));
        let sequence = self.sequences.get_mut(lane as usize).ok_or_else(unknown)?;
        let end = self.ends.get_mut(partition as usize).ok_or_else(unknown)?;
        let body_at = stamp_bytes(self.value.len());
        if let Some(body) = self.value.get_mut(body_at..) {
            body.copy_from_slice(self.bodies.get(self.count));
        }
        Stamp { intended, sequence: *sequence, lane }.write(&mut self.value);
        for _ in 0..TRIES_MAX {
            let record = Outgoing { partition, key: None, value: &self.value, intended };
            match self.client.append(&record, *end)? {
                Appended::Yes { next } => {
                    *end = next;
                    *sequence += 1;
                    self.count += 1;
                    return Ok(());
                }
                Appended::Conflict { end: Some(real) } => {
                    self.conflicts += 1;
                    *end = real;
                }
                Appended::Conflict { end: None } => std::thread::sleep(Duration::from_micros(100)),
            }
        }
        Err(BenchError::refused("conditional append", "somebody else was first, 10,000 times"))
    }
}
