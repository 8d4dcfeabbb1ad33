//! Much at a time: large durable requests, fetches from memory and from disk, and what the broker's processor pays for them.

use std::time::Duration;

use kolk_machine::limits::floor::{self, FloorPlan};
use kolk_model::durability::AckLevel;

use super::workload::{ColdFetchPhase, FloorPhase, HotFetchPhase, ProducePhase};
use super::{Speed, copies, float, shape};
use crate::error::Outcome;
use crate::lab::broker::Broker;
use crate::load::batches::BatchShape;
use crate::load::fetch::{self, AtEnd, FetchPlan};
use crate::load::produce::{self, ProducePlan};
use crate::load::{Limit, Throughput, topology};

/// Requests in flight while records are only put there to be read.
const FILL_IN_FLIGHT: usize = 16;

impl Speed {
    /// The limit of processor time.
    pub(super) fn floor(&mut self, phase: &FloorPhase) -> Outcome<()> {
        self.say("floor of processor time");
        let floor = floor::measure(&FloorPlan {
            folder: &self.scratch,
            memory_bytes: phase.memory_bytes,
            fetch_bytes: phase.fetch_bytes,
            bytes: self.length.pick(phase.bytes, phase.quick_bytes),
            broker_cores: &self.broker_cores,
            load_cores: &self.load_cores,
        })?;
        self.limit("floor_cpu_seconds_per_gib", floor.cpu_seconds_per_gib());
        self.detail("floor", &floor);
        Ok(())
    }

    pub(super) fn produce(&mut self, broker: &Broker, phase: &ProducePhase) -> Outcome<()> {
        self.say("produce");
        topology::create_topic(broker.native(), "produce", phase.partitions, &[])?;
        let bytes = self.length.pick(phase.bytes, phase.quick_bytes);
        let plan = ProducePlan {
            shape: shape(phase.record_bytes, phase.batch_bytes),
            batches_per_request: 1,
            partitions_per_request: 1,
            in_flight: phase.in_flight,
            durability: AckLevel::PowerLoss,
            warmup: Limit::Bytes(phase.warmup_bytes),
            limit: Limit::Bytes(bytes),
        };
        let before = broker.counters()?;
        let produced = produce::run(&self.target(broker, "produce"), &plan)?;
        let copies = copies(&before, &broker.counters()?)?;
        self.put("produce_bytes_per_second", produced.measured.bytes_per_second());
        self.cpu_seconds(&produced.measured);
        self.put("copies_per_byte_direct", copies / float(produced.bytes_total));
        self.detail("produce", &produced.measured);
        topology::delete_topic(broker.native(), "produce")
    }

    pub(super) fn hot_fetch(&mut self, broker: &Broker, phase: &HotFetchPhase) -> Outcome<()> {
        self.say("fetch from memory");
        let shape = shape(phase.record_bytes, phase.batch_bytes);
        self.fill(broker, "hot", phase.partitions, (shape, phase.bytes))?;
        let seconds = self.length.pick(phase.seconds, phase.quick_seconds);
        let plan = FetchPlan {
            fetch_bytes: phase.fetch_bytes,
            at_end: AtEnd::Again,
            verify: false,
            warmup: Limit::Bytes(phase.bytes),
            limit: Limit::Time(Duration::from_secs(seconds)),
        };
        let before = broker.counters()?;
        let fetched = fetch::run(&self.target(broker, "hot"), &plan)?;
        let copies = copies(&before, &broker.counters()?)?;
        self.put("hot_fetch_bytes_per_second", fetched.bytes_per_second());
        self.cpu_seconds(&fetched);
        // The warm-up copied nothing else, so the quotient can only be too large.
        self.put("copies_per_byte_fetched", copies / float(fetched.bytes));
        self.detail("hot_fetch", &fetched);
        topology::delete_topic(broker.native(), "hot")
    }

    pub(super) fn cold_fetch(&mut self, phase: &ColdFetchPhase) -> Outcome<()> {
        self.say("fetch from disk");
        let memory = Some(phase.memory_bytes_max);
        let bytes = self.length.pick(phase.bytes, phase.quick_bytes);
        let broker = self.start("cold", memory)?;
        let shape = shape(phase.record_bytes, phase.batch_bytes);
        self.fill(&broker, "cold", phase.partitions, (shape, bytes))?;
        broker.stop()?;
        // A fresh broker holds nothing in memory, and it never used the page cache.
        let broker = self.start("cold", memory)?;
        let plan = FetchPlan {
            fetch_bytes: phase.fetch_bytes,
            at_end: AtEnd::Leave,
            verify: false,
            warmup: Limit::Bytes(0),
            limit: Limit::Bytes(u64::MAX),
        };
        let fetched = fetch::run(&self.target(&broker, "cold"), &plan)?;
        self.put("cold_fetch_bytes_per_second", fetched.bytes_per_second());
        self.detail("cold_fetch", &fetched);
        broker.stop()
    }

    /// Adds one half of what the floor is the limit of: the cost of a byte that is produced and fetched once.
    fn cpu_seconds(&mut self, measured: &Throughput) {
        if let Some(cpu_seconds) = measured.broker_cpu_seconds_per_gib() {
            *self.measures.entry("cpu_seconds_per_gib").or_insert(0.0) += cpu_seconds;
        }
    }

    /// Puts records there to be read.
    fn fill(
        &self,
        broker: &Broker,
        topic: &str,
        partitions: u32,
        (shape, bytes): (BatchShape, u64),
    ) -> Outcome<()> {
        topology::create_topic(broker.native(), topic, partitions, &[])?;
        let plan = ProducePlan {
            shape,
            batches_per_request: 1,
            partitions_per_request: 1,
            in_flight: FILL_IN_FLIGHT,
            durability: AckLevel::Topic,
            warmup: Limit::Bytes(0),
            limit: Limit::Bytes(bytes),
        };
        produce::run(&self.target(broker, topic), &plan).map(drop)
    }
}
