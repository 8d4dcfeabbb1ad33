//! One run: lives of a broker on one disk, each ended in its own way, and a last one in which everything must go well.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::sim::{Sim, SimDisk, SimIo};

use crate::chance::{Chance, mix};
use crate::check::{acknowledged, bounds, consumers, damage, groups, producers, progress};
use crate::client;
use crate::client::{admin, churn, reader};
use crate::outside::Outside;
use crate::outside::ledger::Promise;
use crate::scenario::Scenario;
use crate::trace::Telling;
use crate::verdict::{Violation, judged, violated};
use broker::Broker;

pub(crate) mod broker;
pub(crate) mod clock;
pub(crate) mod fault;

/// Steps of a clean stop, at most.
const STOP_STEPS_MAX: u64 = 400_000;
/// Lives in a hundred at whose end a broker is looked at while it is still, and steps for that, at most.
const LOOK_PERCENT: u64 = 30;
const LOOK_STEPS_MAX: u64 = 400_000;
/// Steps of the last life, at most.
const LAST_STEPS_MAX: u64 = 3_000_000;

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) hash: u64,
    pub(crate) events: u64,
    pub(crate) steps: u64,
    pub(crate) acknowledged: u64,
    pub(crate) read: u64,
    /// The last events, where something did not hold.
    pub(crate) last: Vec<String>,
    pub(crate) violation: Option<Violation>,
}

/// Runs a scenario with a seed.
pub(crate) fn run(scenario: &Scenario, seed: u64, telling: &Telling) -> Ran {
    let outside = Rc::new(Outside::new(scenario, seed, telling));
    let mut course = Course {
        outside: Rc::clone(&outside),
        chance: Chance::new(seed ^ 0x11_fe5),
        seed,
        disk: fault::disk(&outside),
        boot: 1,
        steps: 0,
        served: false,
    };
    let violation = judged(|| course.all()).err();
    Ran {
        hash: outside.trace.hash(),
        events: outside.trace.count(),
        steps: course.steps,
        acknowledged: outside.acknowledged.get(),
        read: outside.read.get(),
        last: if violation.is_some() { outside.trace.last() } else { Vec::new() },
        violation,
    }
}

/// A run under way.
struct Course {
    outside: Rc<Outside>,
    chance: Chance,
    seed: u64,
    disk: SimDisk,
    boot: u64,
    steps: u64,
    /// A broker of this run has served.
    served: bool,
}

/// Tells at the end of a life, whatever ends it, what was done to some files.
struct FilesTold<'a> {
    sim: &'a Sim,
    part: Option<String>,
}

impl Drop for FilesTold<'_> {
    fn drop(&mut self) {
        let Some(part) = &self.part else { return };
        for op in self.sim.operations().iter().filter(|op| op.path.contains(part.as_str())) {
            println!("      {:?} {} at {} of {}", op.op, op.path, op.position, op.bytes);
        }
    }
}

/// A broker once it serves.
type Serving = Rc<RefCell<Option<Rc<Broker>>>>;

/// How a broker starts.
#[derive(Clone, Copy, Debug)]
struct Start {
    shards: u16,
    /// The kernel's boot id: another one after each power cut.
    boot: u64,
    /// Clients begin before everything was read.
    unread: bool,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kill,
    PowerCut,
    Stop,
}

impl Course {
    fn all(&mut self) {
        for life in 0..self.outside.scenario.run.lives {
            self.life(life);
        }
        self.last_life();
    }

    fn machine(&mut self, life: u64) -> Sim {
        let disk = std::mem::take(&mut self.disk);
        let seed = mix(self.seed.wrapping_mul(0x1_0001).wrapping_add(life));
        let sim = Sim::with_disk(disk, seed).quiet();
        if let Some(flaw) = &self.outside.scenario.flaw {
            sim.plant(flaw);
        }
        sim
    }

    fn shards(&mut self) -> u16 {
        let most = u64::from(self.outside.scenario.run.shards_max);
        u16::try_from(self.chance.between(1, most)).unwrap_or(1)
    }

    fn life(&mut self, life: u64) {
        let run = self.outside.scenario.run.clone();
        let (shards, steps) = (self.shards(), self.chance.between(run.steps_min, run.steps_max));
        let end = match self.chance.below(100) {
            draw if draw < run.power_cut_percent => End::PowerCut,
            draw if draw < run.power_cut_percent + run.stop_percent => End::Stop,
            _ => End::Kill,
        };
        let unread = self.chance.percent(run.unread_percent);
        self.outside
            .trace
            .note(format_args!("life {life}: {shards} shards, {steps} steps, {end:?}"));
        fault::between_lives(&self.outside, &mut self.disk, &mut self.chance);
        let sim = self.machine(life);
        let told = FilesTold { sim: &sim, part: self.outside.files.clone() };
        let full = fault::begin(&self.outside, &sim, &mut self.chance);
        let serving = Serving::default();
        let outside = Rc::clone(&self.outside);
        let start = Start { shards, boot: self.boot, unread };
        let slot = Rc::clone(&serving);
        // Nobody knows the time before a first start has come to its end.
        let jumps = if self.served {
            clock::begin(&self.outside, &sim, &mut self.chance, steps)
        } else {
            Vec::new()
        };
        let first = jumps.first().copied().unwrap_or(steps);
        sim.run_steps(first, move |io| async move {
            let watch = io.clone();
            io.spawn(async move {
                // On a disk that hangs time goes on all the same.
                loop {
                    watch.sleep(Duration::from_secs(1)).await;
                }
            });
            if let Some(broker) = begin(io, start, &outside).await {
                client::start(&broker, &outside);
                *slot.borrow_mut() = Some(broker);
                std::future::pending::<()>().await;
            }
        });
        for (at, next) in jumps.iter().zip(jumps.iter().skip(1).chain([&steps])) {
            clock::jump(&self.outside, &sim, &mut self.chance);
            sim.run_steps(next - at, |_| std::future::pending::<()>());
        }
        if full {
            // Full for a while, with whatever is under way; then there is room again.
            let more = self.chance.between(run.steps_min, run.steps_max / 2);
            fault::fill(&sim, &mut self.chance);
            sim.run_steps(more, |_| std::future::pending::<()>());
            fault::make_room(&sim);
            sim.run_steps(more, |_| std::future::pending::<()>());
        }
        sim.clear_faults();
        let broker = serving.borrow_mut().take();
        self.served |= broker.is_some();
        if let Some(broker) = &broker {
            bounds::memory(broker, &self.outside.scenario);
            self.look_small(&sim, broker);
        }
        match (end, broker) {
            (End::Stop, Some(broker)) => self.stop(&sim, &broker),
            (End::PowerCut, _) => self.outside.ended(Promise::PowerLoss),
            _ => self.outside.ended(Promise::ProcessCrash),
        }
        drop(told);
        self.end(sim, end);
    }

    /// Looks now and then at what a broker keeps on a disk that is well, where topics have a limit.
    fn look_small(&mut self, sim: &Sim, broker: &Rc<Broker>) {
        let scenario = &self.outside.scenario;
        let limits = scenario.topic.iter().any(|topic| topic.bytes_max().is_some());
        if !limits || !scenario.fault.is_empty() || !self.chance.percent(LOOK_PERCENT) {
            return;
        }
        let (looking, outside) = (Rc::clone(broker), Rc::clone(&self.outside));
        let looked = sim.run_steps(LOOK_STEPS_MAX, move |_| async move {
            bounds::kept_small(&looking, &outside).await;
        });
        if looked.is_none() {
            violated("progress", format!("a still broker takes more than {LOOK_STEPS_MAX} steps"));
        }
        sim.with_disk_mut(|disk| bounds::files(disk, broker, &self.outside));
    }

    /// Ends a machine: the process alone, or the power as well.
    fn end(&mut self, sim: Sim, end: End) {
        self.steps += sim.steps();
        self.outside.trace.fingerprint(sim.fingerprint());
        let cut = end == End::PowerCut || (end == End::Stop && self.chance.percent(50));
        self.disk = if cut { sim.crash() } else { sim.kill() };
        self.boot += u64::from(cut);
    }

    /// Stops a broker as an operator does; then everything is on stable storage.
    fn stop(&mut self, sim: &Sim, broker: &Rc<Broker>) {
        let stopping = Rc::clone(broker);
        match sim.run_steps(STOP_STEPS_MAX, move |_| async move { stopping.stop().await }) {
            Some(Ok(())) => {
                self.outside.trace.note(format_args!("stopped"));
                self.outside.ended(Promise::Nothing);
                let mut books = self.outside.books.borrow_mut();
                // What is offline is not among it.
                let whole = books.values_mut().filter(|book| book.owed == Promise::Nothing);
                for fact in whole.flat_map(|book| book.facts.values_mut()) {
                    fact.promise = Promise::PowerLoss;
                }
            }
            Some(Err(error)) if self.outside.faults.get() => {
                self.outside.trace.note(format_args!("not stopped: {error}"));
                self.outside.ended(Promise::PowerLoss);
            }
            Some(Err(error)) => violated("progress", format!("a clean stop failed: {error}")),
            None => violated("progress", "a clean stop does not end".to_owned()),
        }
    }

    /// The disk is well, the broker has to start, to serve everybody and to stop; a power cut then changes nothing.
    fn last_life(&mut self) {
        self.outside.faults.set(false);
        fault::between_lives(&self.outside, &mut self.disk, &mut self.chance);
        for life in [1 << 20, 1 << 21] {
            let shards = self.shards();
            self.outside.trace.note(format_args!("last life: {shards} shards"));
            let sim = self.machine(life);
            let outside = Rc::clone(&self.outside);
            let start = Start { shards, boot: self.boot, unread: false };
            let served = Serving::default();
            let slot = Rc::clone(&served);
            let done = sim.run_steps(LAST_STEPS_MAX, move |io| async move {
                let Some(broker) = begin(io, start, &outside).await else {
                    return;
                };
                client::start(&broker, &outside);
                progress::awaited(&broker, &outside).await;
                consumers::settled(&broker, &outside).await;
                groups::replayed(&broker, &outside).await;
                *slot.borrow_mut() = Some(broker);
            });
            if done.is_none() {
                violated(
                    "progress",
                    format!("the last life takes more than {LAST_STEPS_MAX} steps"),
                );
            }
            let broker = served.borrow_mut().take();
            let Some(broker) = broker else {
                self.end(sim, End::Kill);
                return;
            };
            bounds::memory(&broker, &self.outside.scenario);
            self.look_small(&sim, &broker);
            self.stop(&sim, &broker);
            if !self.outside.is_excused() {
                sim.with_disk_mut(|disk| {
                    bounds::disk(disk, shards);
                    bounds::leftovers(disk);
                });
            }
            self.end(sim, End::Stop);
        }
    }
}

/// Starts a broker and looks at what it has kept; `None` if it does not start and need not.
async fn begin(io: SimIo, start: Start, outside: &Outside) -> Option<Rc<Broker>> {
    let Start { shards, boot, unread } = start;
    let settings = outside.scenario.storage.settings();
    let broker = match Broker::start(io, shards, settings, boot).await {
        Ok(broker) => Rc::new(broker),
        Err(error) => {
            outside.trace.note(format_args!("not started: {error}"));
            let excuse = outside.excuse.borrow().clone();
            let faults = outside.faults.get().then(|| "faults".to_owned());
            damage::refused_start(&error.to_string(), excuse.or(faults).as_deref());
            return None;
        }
    };
    let report = &broker.report;
    outside.trace.note(format_args!(
        "started: generation {}, {} groups, {} torn",
        report.generation, report.groups, report.torn_groups
    ));
    let readable = take_stock(&broker, outside).await;
    churn::judge(&broker, outside);
    admin::create_topics(&broker, outside).await;
    if !unread {
        for (place, start, end) in readable {
            let found = reader::read_whole(&broker, outside, place, (start, end)).await;
            let Some((start, found)) = found else { continue };
            let now = outside.time(&broker.io);
            outside.with_book(place, |book| {
                acknowledged::read_whole(book, (start, end), &found, now);
            });
        }
    }
    consumers::kept(&broker, outside).await;
    groups::kept(&broker, outside).await;
    for lane in 0..outside.lanes.len() {
        producers::send_again(&broker, outside, lane).await;
    }
    Some(broker)
}

/// Asks where every log lies, before anybody else asks anything, and compares that with what was promised.
async fn take_stock(broker: &Broker, outside: &Outside) -> Vec<(crate::outside::Place, u64, u64)> {
    let topics: Vec<_> = outside.topics.borrow().iter().map(|(at, id)| (*at, *id)).collect();
    let mut readable = Vec::new();
    for (at, id) in topics {
        let described = match broker.connect().describe_topic(id).await {
            Ok(described) => described,
            Err(refusal) => violated("topics", format!("topic {at} was created: {refusal}")),
        };
        for state in described.partitions {
            let place = (at, state.partition.get());
            if let Some(refusal) = &state.refusal
                && !outside.faults.get()
            {
                outside.with_book(place, |book| damage::offline(book, refusal));
            }
            let Some(marks) = state.marks.filter(|_| state.refusal.is_none()) else { continue };
            let (start, end) = (marks.log_start.get(), marks.log_end.get());
            outside.trace.note(format_args!("{place:?} is {start} to {end}"));
            outside.restarted(place, (start, end), outside.time(&broker.io));
            outside.with_book(place, |book| {
                // Recovery has synced all it serves.
                for fact in book.facts.values_mut() {
                    fact.promise = Promise::PowerLoss;
                }
            });
            readable.push((place, start, end));
        }
    }
    let now = broker.io.now();
    outside.trace.note(format_args!("stock taken at {} ns", now.as_ns()));
    readable
}
