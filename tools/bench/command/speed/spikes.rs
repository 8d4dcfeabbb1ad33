//! Stalls at half load: how far the slowest of many acknowledgements are from the middle, beside the same of the raw disk, and
//! whether the seconds of the longest ones are those in which segments roll or the journal's files are freed.

mod chance;
mod events;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use kolk_machine::latency::Percentiles;
use kolk_machine::limits::commits::{Commits, RawDisk};
use kolk_model::durability::AckLevel;
use serde::Serialize;

use self::chance::Coincidence;
use self::events::Events;
use super::workload::SpikesPhase;
use super::{Speed, float, shape};
use crate::error::{BenchError, Outcome};
use crate::lab::broker::Broker;
use crate::load::open_loop::{self, OpenLoopPlan, Paced};
use crate::load::produce::{self, ProducePlan};
use crate::load::{Limit, Throughput, topology};

const TOPIC: &str = "spikes";

/// One side of the comparison, as it stands in the result.
#[derive(Clone, Debug, Serialize)]
struct Half {
    saturated_per_second: f64,
    rate: u32,
    latency: Percentiles,
    /// The longest time of what was due in each second, zero outside of the measured part.
    second_max_ns: Vec<u64>,
}

impl Half {
    fn tail_ratio(&self) -> f64 {
        float(self.latency.p9999_ns) / float(self.latency.p50_ns.max(1))
    }
}

impl Speed {
    /// The raw disk is paced for half of the time before the broker and for the other half after it, so that what the machine
    /// does beside has the same chance to disturb both.
    pub(super) fn spikes(&mut self, phase: &SpikesPhase) -> Outcome<()> {
        let time = Duration::from_secs(self.length.pick(phase.seconds, phase.quick_seconds));
        self.say("what the raw disk can take, and half of it");
        let disk = RawDisk::create(&self.scratch)?;
        let saturate = Duration::from_secs(phase.saturate_seconds);
        let most = disk.saturated(&self.broker_cores, saturate)?.per_second();
        let rate = half(most);
        let (mut raw, before) = disk.paced(&self.broker_cores, rate, time / 2)?;
        let (kolk, events) = self.broker_spikes(phase, time)?;
        self.say("half of what the raw disk can take, again");
        let (more, after) = disk.paced(&self.broker_cores, rate, time / 2)?;
        raw.add(&more);
        let second_max_ns = [before.ns(), after.ns()].concat();
        self.judge(&kolk, &raw_half(most, rate, &raw, second_max_ns));
        self.compare(&kolk, &events);
        self.details.insert("spikes_events", serde_json::json!(events));
        Ok(())
    }

    /// What the broker can take, and then half of it.
    fn broker_spikes(&self, phase: &SpikesPhase, time: Duration) -> Outcome<(Half, Vec<Events>)> {
        self.say("what the broker can take");
        let broker = self.start("spikes", Some(phase.memory_bytes_max))?;
        let segment_bytes = phase.segment_bytes.to_string();
        let settings = [("segment.bytes", segment_bytes.as_str())];
        topology::create_topic(broker.native(), TOPIC, phase.partitions, &settings)?;
        let most = self.saturated(&broker, phase)?.requests_per_second();
        let rate = half(most);
        self.say(&format!("half of it, {rate} records a second"));
        let plan = OpenLoopPlan {
            shape: shape(phase.record_bytes, 1),
            durability: AckLevel::PowerLoss,
            rate,
            warmup: Limit::Time(Duration::from_secs(phase.warmup_seconds)),
            limit: Limit::Time(time),
            since: Instant::now(),
        };
        let (paced, events) = self.paced(&broker, &plan)?;
        broker.stop()?;
        let Paced { measured, maxima } = paced;
        let second_max_ns = maxima.ns().to_vec();
        let half =
            Half { saturated_per_second: most, rate, latency: measured.latency, second_max_ns };
        Ok((half, events))
    }

    fn saturated(&self, broker: &Broker, phase: &SpikesPhase) -> Outcome<Throughput> {
        let plan = ProducePlan {
            shape: shape(phase.record_bytes, 1),
            batches_per_request: 1,
            partitions_per_request: 1,
            in_flight: phase.in_flight,
            durability: AckLevel::PowerLoss,
            warmup: Limit::Time(Duration::from_secs(phase.warmup_seconds)),
            limit: Limit::Time(Duration::from_secs(phase.saturate_seconds)),
        };
        Ok(produce::run(&self.target(broker, TOPIC), &plan)?.measured)
    }

    /// The open loop, with the broker's counters read beside it once a second.
    fn paced(&self, broker: &Broker, plan: &OpenLoopPlan) -> Outcome<(Paced, Vec<Events>)> {
        let (over, is_over) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let watch = scope.spawn(move || {
                kolk_machine::cores::pin(&self.load_cores);
                events::watch(broker, plan.since, &is_over)
            });
            let paced = open_loop::run(&self.target(broker, TOPIC), plan);
            drop(over);
            let crashed = |_| Err(BenchError::Workload("a thread panicked".to_owned()));
            let events = watch.join().unwrap_or_else(crashed);
            Ok((paced?, events?))
        })
    }

    fn judge(&mut self, kolk: &Half, raw: &Half) {
        self.put("tail_ratio", kolk.tail_ratio());
        self.limit("raw_commit_tail_ratio", raw.tail_ratio());
        for (what, half) in [("kolk", kolk), ("raw disk", raw)] {
            self.note(format!(
                "{what}, {} a second: p50 {} µs, p99.99 {} µs, the longest {} µs, of {}",
                half.rate,
                half.latency.p50_ns / 1_000,
                half.latency.p9999_ns / 1_000,
                half.latency.max_ns / 1_000,
                half.latency.count,
            ));
        }
        self.detail("spikes", kolk);
        self.detail("spikes_raw_commits", raw);
    }

    /// Whether the longest times fall together with what the storage does now and then.
    fn compare(&mut self, kolk: &Half, events: &[Events]) {
        let rolls: Vec<bool> = events.iter().map(|one| one.rolls > 0.0).collect();
        let recycles: Vec<bool> = events.iter().map(|one| one.recycles > 0.0).collect();
        let either: Vec<bool> =
            rolls.iter().zip(&recycles).map(|(roll, recycle)| *roll || *recycle).collect();
        for (what, seconds) in [
            ("a segment roll", &rolls),
            ("a recycle of journal files", &recycles),
            ("either", &either),
        ] {
            let coincidence = Coincidence::of(&kolk.second_max_ns, seconds);
            self.note(coincidence.sentence(what));
            match what {
                "a segment roll" => self.put("roll_spikes_chance", coincidence.chance()),
                "a recycle of journal files" => {
                    self.put("recycle_spikes_chance", coincidence.chance());
                }
                _ => self.detail("spikes_coincidence", &coincidence),
            }
        }
    }
}

fn raw_half(most: f64, rate: u32, raw: &Commits, second_max_ns: Vec<u64>) -> Half {
    let latency = raw.times.summary();
    Half { saturated_per_second: most, rate, latency, second_max_ns }
}

/// Half of a rate, at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn half(per_second: f64) -> u32 {
    ((per_second / 2.0) as u32).max(1)
}
