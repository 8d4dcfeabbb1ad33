//! One play: a workload against a broker that is up, from the first record to the verdict on the last.
//!
//! The loop is open where the workload has a rate: each record has a moment at which it is due, and its time counts from
//! there. Without one it is closed, which finds the throughput at saturation and no honest latency; the report says which.

mod conditional;
mod consume;
mod produce;

mod ledger;
mod tally;

pub(crate) mod workload;

mod lanes;
mod schedule;

mod bodies;
mod record;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use kolk_driver::clock::{Clock, Moment};
use kolk_driver::driver::{Consumer, Driver};
use kolk_machine::latency::{Percentiles, Times};
use kolk_machine::usage::{self, Usage, Watched};
use serde::{Deserialize, Serialize};

use self::bodies::Bodies;
use self::conditional::EventWriter;
use self::consume::Progress;
use self::lanes::Lanes;
use self::ledger::{Ledger, Verdict};
use self::produce::{Bounds, Matter, Pace, Writer, Written};
use self::record::stamp_bytes;
use self::schedule::Schedule;
pub(crate) use self::tally::SlotFigures;
use self::tally::{Measured, Tally, Window};
use self::workload::Case;
use crate::error::{BenchError, Outcome};

/// Repeats bodies, keys and arrivals of a run.
pub(crate) const SEED: u64 = 0x6b6f_6c6b;
/// From the last preparation to the first record.
const START_DELAY: Duration = Duration::from_millis(20);

/// What all threads of a play stand on.
pub(crate) struct Ground<'a> {
    pub(crate) clock: Clock,
    pub(crate) driver: &'a dyn Driver,
    sent_bytes: AtomicU64,
}

impl Ground<'_> {
    /// Counts a record that was sent; gives the bytes of all so far.
    fn sent(&self, bytes: usize) -> u64 {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed).saturating_add(bytes as u64)
    }
}

/// What came of a play.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Played {
    /// Before the measured window.
    pub(crate) warmup_seconds: f64,
    /// Length of the measured window.
    pub(crate) seconds: f64,
    /// From when a record was due to its acknowledgement.
    pub(crate) acknowledged: Measured,
    /// From when it was due to its consumer; all groups together.
    pub(crate) consumed: Option<Measured>,
    /// From when it was due, and there was room for it, to when the load generator got round to it.
    pub(crate) schedule_lag: Percentiles,
    /// Records that were due within the run and that the broker left no room to send. Each counts with the time until the end,
    /// the least that it would have taken.
    pub(crate) unsent: u64,
    /// Conditional appends that found somebody else's record.
    pub(crate) conflicts: Option<u64>,
    pub(crate) verdict: Verdict,
    pub(crate) usage: Usage,
    /// LZ4-compressed by plain bytes of the bodies.
    pub(crate) lz4_ratio: f64,
    pub(crate) notes: Vec<String>,
}

impl Played {
    /// Bytes that the broker moved within the window, in and out.
    pub(crate) fn moved_bytes(&self) -> u64 {
        self.acknowledged.bytes + self.consumed.as_ref().map_or(0, |consumed| consumed.bytes)
    }
}

/// Plays it; the topic is made before and deleted after.
pub(crate) fn play(driver: &dyn Driver, case: &Case, watched: &Watched) -> Outcome<Played> {
    driver.create()?;
    let stage = Stage::set(driver, case)?;
    let played = stage.play(watched);
    // What a broker keeps of a broken play goes with its data.
    let deleted = driver.delete();
    let played = played?;
    deleted?;
    Ok(played)
}

/// The two kinds of writer.
enum AnyWriter {
    Plain(Writer),
    Event(EventWriter),
}

impl AnyWriter {
    fn sequences(&self) -> &[u64] {
        match self {
            Self::Plain(writer) => writer.sequences(),
            Self::Event(writer) => writer.sequences(),
        }
    }

    const fn conflicts(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Event(writer) => writer.conflicts(),
        }
    }

    fn greet(&mut self, ground: &Ground<'_>) -> Outcome<()> {
        match self {
            Self::Plain(writer) => writer.greet(ground),
            // Each has one client, which its first append connects.
            Self::Event(_) => Ok(()),
        }
    }

    fn run(
        &mut self,
        ground: &Ground<'_>,
        window: &Window,
        pace: Pace,
        bounds: Bounds,
    ) -> Outcome<Written> {
        match self {
            Self::Plain(writer) => writer.run(ground, window, pace, bounds),
            Self::Event(writer) => writer.run(ground, window, pace, bounds),
        }
    }
}

/// A group's consumers and how far they are.
struct Group {
    consumers: Vec<Box<dyn Consumer>>,
    progress: Progress,
}

/// What writers are to do: the pace of each, and bounds for all.
struct Orders {
    paces: Vec<Pace>,
    bounds: Bounds,
}

/// What the threads of a play gave.
struct Ran {
    written: Vec<Written>,
    /// By group and consumer.
    read: Vec<Vec<(Tally, Ledger)>>,
    usage: Usage,
}

/// Clients that are connected, and what they are to do.
struct Stage<'a> {
    case: &'a Case,
    ground: Ground<'a>,
    writers: Vec<AnyWriter>,
    lane_count: u32,
    lz4_ratio: f64,
    notes: Vec<String>,
}

impl<'a> Stage<'a> {
    fn set(driver: &'a dyn Driver, case: &'a Case) -> Outcome<Self> {
        let ground = Ground { clock: Clock::start(), driver, sent_bytes: AtomicU64::new(0) };
        let workload = &case.workload;
        let body_bytes = workload.record_bytes.saturating_sub(stamp_bytes(workload.record_bytes));
        let bodies = Arc::new(Bodies::new(workload.body, body_bytes, SEED));
        let lz4_ratio = bodies.lz4_ratio();
        let producers = workload.produce.threads();
        let lane_count = lanes::count(workload.keys, workload.share(0));
        let open = |producer: u32| -> Outcome<AnyWriter> {
            let (bodies, record_bytes) = (Arc::clone(&bodies), workload.record_bytes);
            if workload.produce.conditional {
                let who = (producer, producers);
                let of = (bodies, record_bytes);
                let writer = EventWriter::open(&ground, who, workload.partitions, of, SEED);
                return writer.map(AnyWriter::Event);
            }
            let share = workload.share(producer);
            let lanes = Lanes::new(workload.keys, share, SEED);
            // Each begins elsewhere in the pool.
            let first_body = kolk_driver::chance::mix(u64::from(producer)) >> 1;
            let room = workload.produce.room(workload.record_bytes);
            let in_flight_max = workload.fill.map_or(room, |fill| fill.in_flight.max(room));
            let matter = Matter {
                share,
                lanes,
                lane_count,
                bodies,
                record_bytes,
                first_body,
                in_flight_max,
            };
            Writer::open(&ground, matter).map(AnyWriter::Plain)
        };
        let writers = (0..producers).map(open).collect::<Outcome<Vec<AnyWriter>>>()?;
        Ok(Self { case, ground, writers, lane_count, lz4_ratio, notes: Vec::new() })
    }

    fn play(mut self, watched: &Watched) -> Outcome<Played> {
        self.greet()?;
        self.fill()?;
        let mut groups = self.groups()?;
        let time = self.case.workload.time;
        let begin = self.ground.clock.now().after(START_DELAY);
        let from = begin.after(Duration::from_secs_f64(time.warmup_seconds));
        let window = Window::new(begin, from, from.after(Duration::from_secs_f64(time.seconds)));
        let workload = &self.case.workload;
        let in_flight = self.bearable(workload.produce.room(workload.record_bytes));
        let bounds = Bounds { in_flight, bytes: workload.produce.bytes_max };
        self.ground.sent_bytes.store(0, Ordering::Relaxed);
        let paces = (0..self.writers.len() as u64).map(|index| self.pace(index, begin)).collect();
        let orders = Orders { paces, bounds };
        let Ran { written, read, usage } = self.run(&window, orders, &mut groups, watched)?;
        let (mut tally, mut lag) = (Tally::new()?, Times::new()?);
        for one in &written {
            tally.merge(&one.tally)?;
            lag.add(&one.lag);
        }
        let acknowledged = tally.measured(&window);
        if acknowledged.records == 0 {
            let what = "nothing was acknowledged within the measured window".to_owned();
            return Err(BenchError::Workload(what));
        }
        let owed: Vec<Moment> = written.into_iter().flat_map(|one| one.owed).collect();
        let (consumed, verdict) = self.close(&read, &window, &owed)?;
        let conditional = self.case.workload.produce.conditional;
        Ok(Played {
            warmup_seconds: time.warmup_seconds,
            seconds: window.seconds(),
            acknowledged,
            consumed,
            schedule_lag: lag.summary(),
            unsent: owed.len() as u64,
            conflicts: conditional.then(|| self.writers.iter().map(AnyWriter::conflicts).sum()),
            verdict,
            usage,
            lz4_ratio: self.lz4_ratio,
            notes: self.notes,
        })
    }

    /// Records on their way from each producer: as many as it may have, and the broker bears from all.
    fn bearable(&self, in_flight: u32) -> u32 {
        share_of(
            self.ground.driver.in_flight_max(),
            self.case.workload.produce.threads(),
            in_flight,
        )
    }

    fn pace(&self, index: u64, begin: Moment) -> Pace {
        let produce = &self.case.workload.produce;
        let Some(rate) = produce.rate else { return Pace::Closed };
        let count = u64::from(produce.threads());
        let kind = (produce.arrivals, produce.burst);
        let mut schedule = Schedule::new(rate, (index, count), kind, SEED);
        schedule.begin(begin);
        Pace::Open(schedule)
    }

    /// Connects every client of a workload that says how many there are.
    fn greet(&mut self) -> Outcome<()> {
        if self.case.workload.produce.connections.is_none() {
            return Ok(());
        }
        let Self { writers, ground, .. } = self;
        let ground = &*ground;
        std::thread::scope(|scope| {
            let threads = writers.iter_mut().map(|writer| scope.spawn(|| writer.greet(ground)));
            join_all(threads.collect()).map(drop)
        })
    }

    /// Puts there what the workload wants to be there before.
    fn fill(&mut self) -> Outcome<()> {
        let Some(fill) = self.case.workload.fill else { return Ok(()) };
        let now = self.ground.clock.now();
        let never = Moment::from_ns(u64::MAX);
        let window = Window::new(now, now, never);
        let in_flight = self.bearable(fill.in_flight);
        let bounds = Bounds { in_flight, bytes: fill.bytes };
        let paces = self.writers.iter().map(|_| Pace::Closed).collect();
        let orders = Orders { paces, bounds };
        write(&self.ground, &mut self.writers, &window, orders)?;
        if fill.cold {
            rustix::fs::sync();
            let note = match std::fs::write("/proc/sys/vm/drop_caches", "3") {
                Ok(()) => "the page cache was dropped before the measure".to_owned(),
                Err(error) => {
                    format!("the page cache was NOT dropped ({error}): reads may be warm")
                }
            };
            self.notes.push(note);
        }
        Ok(())
    }

    fn groups(&self) -> Outcome<Vec<Group>> {
        let (part, partitions) = (self.case.workload.consume, self.case.workload.partitions);
        let open = |group: u32| -> Outcome<Group> {
            let mut consumers = Vec::new();
            for consumer in 0..part.consumers.min(partitions) {
                let step = part.consumers as usize;
                let own = (0..partitions).skip(consumer as usize).step_by(step);
                let name = format!("group-{group}-{consumer}");
                let own: Vec<u32> = own.collect();
                consumers.push(self.ground.driver.consumer(&name, &own)?);
            }
            let silence = Duration::from_secs_f64(self.case.workload.time.silence_seconds);
            Ok(Group { consumers, progress: Progress::new(silence) })
        };
        (0..part.groups).map(open).collect()
    }

    fn run(
        &mut self,
        window: &Window,
        orders: Orders,
        groups: &mut [Group],
        watched: &Watched,
    ) -> Outcome<Ran> {
        let Self { ground, writers, lane_count, .. } = self;
        let (ground, lanes, clock) = (&*ground, *lane_count, ground.clock);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(move || {
                let ends = || (window.from(), window.to());
                usage::watch(watched, clock, window.begin(), ends).map_err(BenchError::from)
            });
            let (mut progresses, mut readers) = (Vec::new(), Vec::new());
            for Group { consumers, progress } in groups {
                let progress = &*progress;
                progresses.push(progress);
                let mut threads = Vec::new();
                for consumer in consumers {
                    let consumer = consumer.as_mut();
                    threads
                        .push(scope.spawn(move || {
                            consume::run(ground, window, consumer, progress, lanes)
                        }));
                }
                readers.push(threads);
            }
            let written = write(ground, writers, window, orders);
            let sent: u64 = writers.iter().flat_map(AnyWriter::sequences).sum();
            for progress in progresses {
                if written.is_ok() { progress.expect(sent) } else { progress.give_up() }
            }
            let read = readers.into_iter().map(join_all).collect::<Outcome<Vec<_>>>();
            window.end(clock.now());
            let usage = join(watcher);
            Ok(Ran { written: written?, read: read?, usage: usage? })
        })
    }

    /// Adds up what was read and compares it with what was acknowledged.
    fn close(
        &self,
        read: &[Vec<(Tally, Ledger)>],
        window: &Window,
        owed: &[Moment],
    ) -> Outcome<(Option<Measured>, Verdict)> {
        let mut acknowledged = vec![0_u64; self.lane_count as usize];
        for writer in &self.writers {
            for (sum, own) in acknowledged.iter_mut().zip(writer.sequences()) {
                *sum += own;
            }
        }
        let (mut tally, mut verdict) = (Tally::new()?, Verdict::default());
        for group in read {
            for (own, _) in group {
                tally.merge(own)?;
            }
            // What was never sent was never read.
            owed.iter().for_each(|due| tally.owe(window, *due));
            let ledgers: Vec<Ledger> = group.iter().map(|(_, ledger)| ledger.clone()).collect();
            verdict = verdict.and(Ledger::close(&ledgers, &acknowledged));
        }
        Ok(((!read.is_empty()).then(|| tally.measured(window)), verdict))
    }
}

/// What each of some may have of what all may have, at most what it wants and at least one.
fn share_of(all: u32, count: u32, wanted: u32) -> u32 {
    wanted.min((all / count.max(1)).max(1))
}

/// All writers at once, each on a thread.
fn write(
    ground: &Ground<'_>,
    writers: &mut [AnyWriter],
    window: &Window,
    orders: Orders,
) -> Outcome<Vec<Written>> {
    std::thread::scope(|scope| {
        let (mut threads, bounds) = (Vec::new(), orders.bounds);
        for (writer, pace) in writers.iter_mut().zip(orders.paces) {
            threads.push(scope.spawn(move || writer.run(ground, window, pace, bounds)));
        }
        join_all(threads)
    })
}

fn join_all<T>(threads: Vec<ScopedJoinHandle<'_, Outcome<T>>>) -> Outcome<Vec<T>> {
    // All of them are waited for, also behind one that failed.
    let ended: Vec<Outcome<T>> = threads.into_iter().map(join).collect();
    ended.into_iter().collect()
}

fn join<T>(thread: ScopedJoinHandle<'_, Outcome<T>>) -> Outcome<T> {
    let crashed =
        |_| Err(BenchError::Workload("a thread of the load generator panicked".to_owned()));
    thread.join().unwrap_or_else(crashed)
}
