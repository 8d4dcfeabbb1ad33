//! What it costs that the same bytes go to many partitions: one load over few of them and over many, back to back.

use kolk_model::durability::AckLevel;

use super::workload::PartitionsPhase;
use super::{Speed, shape};
use crate::error::Outcome;
use crate::lab::broker::Broker;
use crate::load::produce::{self, ProducePlan};
use crate::load::{Limit, Throughput, topology};

/// How a producer with so much memory cuts its records up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    batch_bytes: usize,
    partitions_per_request: usize,
    /// Over all connections.
    requests_in_flight: usize,
}

impl Cut {
    /// Records come to all partitions alike, so that each has its share of the memory: its batch is as large as that, up to
    /// the largest. A request takes the batches of as many partitions as fit.
    fn of(phase: &PartitionsPhase, partitions: u32) -> Self {
        let count = usize::try_from(partitions).unwrap_or(usize::MAX).max(1);
        let batch_bytes = (phase.in_flight_bytes / count).clamp(1, phase.batch_bytes_max.max(1));
        let partitions_per_request = (phase.request_bytes / batch_bytes).clamp(1, count);
        let request_bytes = batch_bytes * partitions_per_request;
        let requests_in_flight = phase.in_flight_bytes.div_ceil(request_bytes).max(1);
        Self { batch_bytes, partitions_per_request, requests_in_flight }
    }
}

impl Speed {
    pub(super) fn partitions(&mut self, broker: &Broker, phase: &PartitionsPhase) -> Outcome<()> {
        self.say("the same load over few partitions and over many");
        let few = self.produce_over(broker, phase, phase.few)?;
        let many = self.produce_over(broker, phase, phase.many)?;
        self.put("few_partitions_bytes_per_second", few.bytes_per_second());
        self.put("many_partitions_bytes_per_second", many.bytes_per_second());
        self.detail("few_partitions", &few);
        self.detail("many_partitions", &many);
        Ok(())
    }

    fn produce_over(
        &self,
        broker: &Broker,
        phase: &PartitionsPhase,
        partitions: u32,
    ) -> Outcome<Throughput> {
        let topic = format!("over-{partitions}");
        topology::create_topic(broker.native(), &topic, partitions, &[])?;
        let cut = Cut::of(phase, partitions);
        // A connection for each door: what is in flight is for all of them together.
        let doors = topology::doors(broker.native(), &topic)?.len().max(1);
        let plan = ProducePlan {
            shape: shape(phase.record_bytes, cut.batch_bytes),
            batches_per_request: 1,
            partitions_per_request: cut.partitions_per_request,
            in_flight: cut.requests_in_flight.div_ceil(doors),
            durability: AckLevel::PowerLoss,
            warmup: Limit::Bytes(phase.warmup_bytes),
            limit: Limit::Bytes(self.length.pick(phase.bytes, phase.quick_bytes)),
        };
        let produced = produce::run(&self.target(broker, &topic), &plan)?;
        topology::delete_topic(broker.native(), &topic)?;
        Ok(produced.measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_in_flight_over_few_partitions_as_over_many() {
        let phase = PartitionsPhase {
            few: 4,
            many: 1_000,
            record_bytes: 200,
            in_flight_bytes: 16 << 20,
            batch_bytes_max: 256 << 10,
            request_bytes: 1 << 20,
            bytes: 1,
            quick_bytes: None,
            warmup_bytes: 0,
        };
        let few = Cut::of(&phase, phase.few);
        let expected =
            Cut { batch_bytes: 256 << 10, partitions_per_request: 4, requests_in_flight: 16 };
        assert_eq!(few, expected);
        let many = Cut::of(&phase, phase.many);
        // 16 KiB for each partition, and every partition's batch is on its way once.
        let expected =
            Cut { batch_bytes: 16_777, partitions_per_request: 62, requests_in_flight: 17 };
        assert_eq!(many, expected);
        for (cut, partitions) in [(few, 4), (many, 1_000), (Cut::of(&phase, 100_000_000), 1 << 20)]
        {
            let bytes = cut.batch_bytes * cut.partitions_per_request * cut.requests_in_flight;
            assert!((16 << 20..18 << 20).contains(&bytes), "{bytes} over {partitions}: {cut:?}");
        }
    }
}
