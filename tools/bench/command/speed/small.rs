//! Little at a time: small records that wait for the disk or for nothing, beside what a write or a round trip costs without a
//! broker; and nothing at all.

use std::time::Duration;

use kolk_machine::cores;
use kolk_machine::latency::Percentiles;
use kolk_machine::limits::commits::RawDisk;
use kolk_machine::limits::echo::{self, EchoPlan};
use kolk_model::durability::{AckLevel, Durability};

use super::workload::{AckPhase, IdlePhase};
use super::{Speed, copies, float, shape};
use crate::error::Outcome;
use crate::lab::broker::metrics::Counters;
use crate::lab::broker::{Broker, BrokerPlan};
use crate::load::acks::{self, AckPlan};
use crate::load::{Limit, topology};

/// Single durable records beside raw commits.
struct Durable {
    latency: Percentiles,
    commits: Percentiles,
    commits_per_second: f64,
}

impl Speed {
    pub(super) fn acks(&mut self, broker: &Broker, phase: &AckPhase) -> Outcome<()> {
        self.say("acknowledgements");
        let before = broker.counters()?;
        let (acknowledged, after) =
            self.small_records(broker, "acks", phase, Durability::PowerLoss)?;
        let groups = after.grown(&before, "kolk_journal_groups_total", "")?;
        let fdatasyncs = after.grown(&before, "kolk_journal_fdatasyncs_total", "")?;
        self.put("acks_per_second", acknowledged.measured.requests_per_second());
        self.put("fdatasyncs_per_group", if groups > 0.0 { fdatasyncs / groups } else { 0.0 });
        let copies = copies(&before, &after)?;
        self.put("copies_per_byte_journal", copies / float(acknowledged.bytes_total));
        self.detail("acks", &acknowledged.measured);
        Ok(())
    }

    pub(super) fn ack(&mut self, broker: &Broker, phase: &AckPhase) -> Outcome<()> {
        self.say("raw commits and the latency of one durable acknowledgement");
        let Durable { latency, commits, commits_per_second } = self.durable(broker, phase)?;
        self.put("ack_p50_ns", float(latency.p50_ns));
        self.put("ack_p99_ns", float(latency.p99_ns));
        self.limit("raw_commits_per_second", commits_per_second);
        self.limit("raw_commit_p50_ns", float(commits.p50_ns));
        self.limit("raw_commit_p99_ns", float(commits.p99_ns));
        self.detail("ack", &latency);
        self.detail("raw_commits", &commits);
        Ok(())
    }

    pub(super) fn spinning_ack(&mut self, phase: &AckPhase) -> Outcome<()> {
        self.say("the same from a broker that looks for work before it sleeps");
        let settings = [format!("spin_us={}", phase.spin_us)];
        let broker = self.start_with("spinning", None, &settings)?;
        let Durable { latency, commits, .. } = self.durable(&broker, phase)?;
        broker.stop()?;
        self.put("spinning_ack_p50_ns", float(latency.p50_ns));
        self.put("spinning_ack_p99_ns", float(latency.p99_ns));
        self.limit("spinning_raw_commit_p50_ns", float(commits.p50_ns));
        self.limit("spinning_raw_commit_p99_ns", float(commits.p99_ns));
        Ok(())
    }

    /// Single durable records between two halves of raw commits that last as long as they, so that the rare slow ones have had
    /// the same chance to be there, and a disk that gets slower meanwhile does so for both.
    fn durable(&self, broker: &Broker, phase: &AckPhase) -> Outcome<Durable> {
        let half = Duration::from_secs(self.seconds(phase)) / 2;
        let disk = RawDisk::create(&self.scratch)?;
        let mut raw = disk.saturated(&self.broker_cores, half)?;
        let (acknowledged, _) = self.small_records(broker, "ack", phase, Durability::PowerLoss)?;
        raw.add(&disk.saturated(&self.broker_cores, half)?);
        Ok(Durable {
            latency: acknowledged.measured.latency,
            commits: raw.times.summary(),
            commits_per_second: raw.per_second(),
        })
    }

    /// Beside frames of the same size that our own loop sends back.
    pub(super) fn crash_ack(&mut self, broker: &Broker, phase: &AckPhase) -> Outcome<()> {
        self.say("latency of one acknowledgement that survives the process");
        let (acknowledged, _) =
            self.small_records(broker, "crash-ack", phase, Durability::ProcessCrash)?;
        self.put("crash_ack_p50_ns", float(acknowledged.measured.latency.p50_ns));
        self.detail("crash_ack", &acknowledged.measured);
        let echoed = echo::measure(&EchoPlan {
            broker_core: self.broker_cores.first().copied(),
            load_cores: &self.load_cores,
            frame_bytes: acknowledged.frame_bytes,
            warmup: Duration::from_secs(phase.warmup_seconds),
            time: Duration::from_secs(self.seconds(phase)),
        })?;
        self.limit("runtime_round_trip_p50_ns", float(echoed.p50_ns));
        self.detail("runtime_round_trip", &echoed);
        Ok(())
    }

    fn seconds(&self, phase: &AckPhase) -> u64 {
        self.length.pick(phase.seconds, phase.quick_seconds)
    }

    fn small_records(
        &self,
        broker: &Broker,
        topic: &str,
        phase: &AckPhase,
        durability: Durability,
    ) -> Outcome<(acks::Acknowledged, Counters)> {
        // The topic's own level: on one that is safer the group would be synced all the same, and the answer wait for that.
        let settings = [("kolk.durability", durability.name())];
        topology::create_topic(broker.native(), topic, phase.partitions, &settings)?;
        let plan = AckPlan {
            shape: shape(phase.record_bytes, 1),
            durability: AckLevel::Topic,
            warmup: Limit::Time(Duration::from_secs(phase.warmup_seconds)),
            limit: Limit::Time(Duration::from_secs(self.seconds(phase))),
        };
        let acknowledged = acks::run(&self.target(broker, topic), &plan)?;
        let after = broker.counters()?;
        topology::delete_topic(broker.native(), topic)?;
        Ok((acknowledged, after))
    }

    pub(super) fn idle(&mut self, phase: &IdlePhase) -> Outcome<()> {
        self.say("idle");
        let (program, scratch) = (self.kolk.as_path(), self.scratch.as_path());
        let plan = BrokerPlan {
            program,
            scratch,
            data: "idle",
            cores: None,
            settings: &[],
            memory_bytes_max: None,
        };
        let broker = Broker::start(&plan)?;
        // What starting left to do is not idleness.
        std::thread::sleep(Duration::from_secs(1));
        let seconds = self.length.pick(phase.seconds, phase.quick_seconds).max(5);
        let before = cores::processor_time(broker.pid())?;
        std::thread::sleep(Duration::from_secs(seconds));
        let used = cores::processor_time(broker.pid())?.saturating_sub(before);
        self.put("idle_core_share", used.as_secs_f64() / float(seconds));
        broker.stop()
    }
}
