//! Single small records at a steady rate, whether or not the broker keeps up. A record's time counts from the moment it
//! was due: a broker that stalls delays all that should have been sent meanwhile, and the figures show it (Gil Tene's
//! "coordinated omission").

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kolk_machine::latency::Times;
use kolk_machine::latency::maxima::Maxima;
use kolk_model::durability::AckLevel;

use super::Target;
use super::acks::{Request, requests};
use super::meter::{Limit, Meter, Stage, Throughput};
use super::produce::check;
use crate::error::{BenchError, Outcome};
use crate::load::batches::BatchShape;
use crate::load::topology::DoorPartitions;
use crate::load::wire::{Wait, Wire};

const REPLY_BYTES: usize = 64 * 1024;
/// Records that may be on their way; beyond, the broker is hopelessly behind and the run ends.
const IN_FLIGHT_MAX: usize = 1_000_000;
/// Bytes written at once while catching up.
const BURST_BYTES_MAX: usize = 64 * 1024;
/// With more time than this until the next record the thread sleeps instead of looking around.
const SLEEP_MIN: Duration = Duration::from_millis(2);

/// What to send, how often, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenLoopPlan {
    pub(crate) shape: BatchShape,
    pub(crate) durability: AckLevel,
    /// Records a second, over all connections.
    pub(crate) rate: u32,
    pub(crate) warmup: Limit,
    pub(crate) limit: Limit,
    /// The seconds of the maxima count from here.
    pub(crate) since: Instant,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Paced {
    pub(crate) measured: Throughput,
    /// By the second in which a record was due; zero outside of the measured part.
    pub(crate) maxima: Maxima,
}

/// Puts the load on; the topic must exist.
pub(crate) fn run(target: &Target<'_>, plan: &OpenLoopPlan) -> Outcome<Paced> {
    let shares = target.shares()?;
    let meter = Meter::new(plan.warmup, plan.limit).watching(target.pid);
    let count = u32::try_from(shares.len()).unwrap_or(u32::MAX).max(1);
    let between = Duration::from_secs(1) * count / plan.rate.max(1);
    let work = |share: &DoorPartitions| {
        Connection::open(share, plan, between)?.drive(&meter, Maxima::new(plan.since))
    };
    let all = target.in_threads(&shares, work)?;
    let (mut times, mut maxima) = (Times::new()?, Maxima::new(plan.since));
    for (own_times, own_maxima) in &all {
        times.add(own_times);
        maxima.add(own_maxima);
    }
    meter.end(Instant::now());
    Ok(Paced { measured: meter.throughput(times.summary()), maxima })
}

struct Connection {
    wire: Wire,
    requests: Vec<Request>,
    /// When each record on its way was due, by partition.
    due: Vec<VecDeque<Instant>>,
    in_flight: usize,
    next_due: Instant,
    between: Duration,
    turn: usize,
}

impl Connection {
    fn open(share: &DoorPartitions, plan: &OpenLoopPlan, between: Duration) -> Outcome<Self> {
        let mut wire = Wire::connect(&share.address, REPLY_BYTES)?;
        let requests = requests(&mut wire, share, plan.shape, plan.durability)?;
        let due = requests.iter().map(|_| VecDeque::new()).collect();
        let next_due = Instant::now();
        Ok(Self { wire, requests, due, in_flight: 0, next_due, between, turn: 0 })
    }

    fn drive(mut self, meter: &Meter, mut maxima: Maxima) -> Outcome<(Times, Maxima)> {
        let mut times = Times::new()?;
        let mut stage = Stage::Warmup;
        let mut out = Vec::new();
        while stage != Stage::Over || self.in_flight > 0 {
            if stage != Stage::Over {
                self.send_due(&mut out)?;
            }
            let idle = self.in_flight == 0;
            let mut reply = self.wire.next_reply(Wait::Poll)?;
            let now = Instant::now();
            if reply.is_none() {
                let spare = self.next_due.saturating_duration_since(now);
                if idle && spare > SLEEP_MIN {
                    std::thread::sleep(spare - SLEEP_MIN);
                } else {
                    std::hint::spin_loop();
                }
                continue;
            }
            let (mut replies, mut records, mut bytes) = (0, 0, 0);
            while let Some(frame) = reply {
                check(&frame)?;
                let number = usize::try_from(frame.correlation.get()).unwrap_or(usize::MAX);
                drop(frame);
                let wrong = || BenchError::Workload(format!("reply {number} was not asked for"));
                let due = self.due.get_mut(number).and_then(VecDeque::pop_front);
                let request = self.requests.get(number).ok_or_else(wrong)?;
                if stage == Stage::Measured {
                    let due = due.ok_or_else(wrong)?;
                    let time = now.saturating_duration_since(due);
                    times.record(time);
                    maxima.record(due, time);
                }
                self.in_flight -= 1;
                replies += 1;
                records += request.records;
                bytes += request.payload_bytes;
                reply = self.wire.buffered_reply()?;
            }
            stage = meter.add(replies, records, bytes, now);
        }
        Ok((times, maxima))
    }

    /// Sends every record that is due.
    fn send_due(&mut self, out: &mut Vec<u8>) -> Outcome<()> {
        let now = Instant::now();
        out.clear();
        while self.next_due <= now && out.len() < BURST_BYTES_MAX {
            self.turn = if self.turn + 1 < self.requests.len() { self.turn + 1 } else { 0 };
            let (Some(request), Some(due)) =
                (self.requests.get(self.turn), self.due.get_mut(self.turn))
            else {
                break;
            };
            out.extend_from_slice(&request.frame);
            due.push_back(self.next_due);
            self.next_due += self.between;
            self.in_flight += 1;
        }
        if self.in_flight > IN_FLIGHT_MAX {
            let what = format!("{IN_FLIGHT_MAX} records are on their way: the rate is too high");
            return Err(BenchError::Workload(what));
        }
        if out.is_empty() { Ok(()) } else { self.wire.send_bytes(out) }
    }
}
