//! What one shard counts of requests: by call, and by the core that owned the partition.

use crate::family::{Instrument, Label, Sample, Value};
use crate::instrument::{Counter, Histogram};

/// What a client asked for. One label value each, the same on every wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Version and features.
    Hello,
    /// Assign a producer id.
    InitProducer,
    /// Topics, partitions and addresses.
    Metadata,
    /// Append record batches.
    Produce,
    /// Read record batches.
    Fetch,
    /// Offsets by place or time.
    ListOffsets,
    /// Make a topic.
    CreateTopic,
    /// Remove a topic.
    DeleteTopic,
    /// Change a topic's configuration.
    AlterTopic,
    /// Show a topic's configuration.
    DescribeTopic,
    /// Raise a topic's partition count.
    AddPartitions,
    /// Delete records below an offset.
    Trim,
    /// Versions that the broker speaks.
    ApiVersions,
    /// Where a leader epoch ends.
    EpochEnd,
    /// Which broker coordinates a group.
    FindCoordinator,
    /// Join, sync, heartbeat and leave of a group, in both protocols.
    Group,
    /// Store a group's offsets.
    CommitOffsets,
    /// Read a group's offsets.
    FetchOffsets,
    /// Everything else that tools ask.
    Admin,
    /// Counters of the broker.
    Stats,
    /// HTTP requests.
    Http,
}

impl Call {
    /// The calls that name partitions and go to the shards that own them.
    const OF_PARTITIONS: [Self; 6] =
        [Self::Produce, Self::Fetch, Self::ListOffsets, Self::Trim, Self::EpochEnd, Self::Admin];

    /// Every call, in label order.
    pub const ALL: [Self; 21] = [
        Self::Hello,
        Self::InitProducer,
        Self::Metadata,
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::CreateTopic,
        Self::DeleteTopic,
        Self::AlterTopic,
        Self::DescribeTopic,
        Self::AddPartitions,
        Self::Trim,
        Self::ApiVersions,
        Self::EpochEnd,
        Self::FindCoordinator,
        Self::Group,
        Self::CommitOffsets,
        Self::FetchOffsets,
        Self::Admin,
        Self::Stats,
        Self::Http,
    ];

    /// The label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::InitProducer => "init_producer",
            Self::Metadata => "metadata",
            Self::Produce => "produce",
            Self::Fetch => "fetch",
            Self::ListOffsets => "list_offsets",
            Self::CreateTopic => "create_topic",
            Self::DeleteTopic => "delete_topic",
            Self::AlterTopic => "alter_topic",
            Self::DescribeTopic => "describe_topic",
            Self::AddPartitions => "add_partitions",
            Self::Trim => "trim",
            Self::ApiVersions => "api_versions",
            Self::EpochEnd => "epoch_end",
            Self::FindCoordinator => "find_coordinator",
            Self::Group => "group",
            Self::CommitOffsets => "commit_offsets",
            Self::FetchOffsets => "fetch_offsets",
            Self::Admin => "admin",
            Self::Stats => "stats",
            Self::Http => "http",
        }
    }
}

/// Counts of one call.
#[derive(Debug)]
pub struct CallMetrics {
    /// Requests answered, refusals included.
    pub answered: Counter,
    /// Requests answered with an error, whole or in part; of the Kafka wire's, produce and fetch alone.
    pub refused: Counter,
    /// Partitions asked for that another shard owns.
    pub forwarded: Counter,
    /// Time from the request's last byte until its reply was ready to send.
    pub latency_ns: Histogram,
}

impl CallMetrics {
    const fn new() -> Self {
        Self {
            answered: Counter::new(),
            refused: Counter::new(),
            forwarded: Counter::new(),
            latency_ns: Histogram::latency(),
        }
    }
}

/// Counts of the requests one shard received.
#[derive(Debug)]
pub struct RequestMetrics {
    /// Partition requests for this shard's own partitions.
    pub own: Counter,
    /// Partition requests received from other shards.
    pub received: Counter,
    /// Messages that carried those forwarded over the mesh; the rest of them rode in a batch.
    pub mesh_batches: Counter,
    calls: [CallMetrics; Call::ALL.len()],
}

impl RequestMetrics {
    /// Every count at zero.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "instruments are made once, by ShardMetrics")]
    pub const fn new() -> Self {
        Self {
            own: Counter::new(),
            received: Counter::new(),
            mesh_batches: Counter::new(),
            calls: [const { CallMetrics::new() }; Call::ALL.len()],
        }
    }

    /// The counts of `call`.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "ALL lists every variant in order; a test proves it"
    )]
    pub const fn call(&self, call: Call) -> &CallMetrics {
        &self.calls[call as usize]
    }

    /// Partition requests handed to another shard, by any call.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        Call::OF_PARTITIONS.iter().map(|call| self.call(*call).forwarded.get()).sum()
    }

    pub(crate) fn read_into(&self, samples: &mut Vec<Sample>) {
        for (place, value) in [
            ("own", self.own.value()),
            ("forwarded", Value::Counter(self.forwarded())),
            ("received", self.received.value()),
        ] {
            samples.push(Sample {
                family: "kolk_partition_requests_total",
                help: "Partition requests: for an own partition, handed to another shard, received from one.",
                label: Some(Label { key: "place", value: place }),
                value,
            });
        }
        for call in Call::OF_PARTITIONS {
            samples.push(Sample {
                family: "kolk_partition_requests_forwarded_total",
                help: "Partition requests handed to another shard, by call.",
                label: Some(Label { key: "call", value: call.name() }),
                value: self.call(call).forwarded.value(),
            });
        }
        samples.push(Sample {
            family: "kolk_mesh_batches_total",
            help: "Messages sent to other shards; each carries a batch of partition requests.",
            label: None,
            value: self.mesh_batches.value(),
        });
        for call in Call::ALL {
            let label = Some(Label { key: "call", value: call.name() });
            let counts = self.call(call);
            samples.extend([
                Sample {
                    family: "kolk_requests_total",
                    help: "Requests answered, refusals included.",
                    label,
                    value: counts.answered.value(),
                },
                Sample {
                    family: "kolk_requests_refused_total",
                    help: "Requests answered with an error, whole or in part; of the Kafka wire's, produce and fetch alone.",
                    label,
                    value: counts.refused.value(),
                },
                Sample {
                    family: "kolk_request_seconds",
                    help: "Time from a request's last byte until its reply was ready to send.",
                    label,
                    value: counts.latency_ns.value(),
                },
            ]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_its_own_counts() {
        let requests = RequestMetrics::new();
        for (position, call) in Call::ALL.into_iter().enumerate() {
            assert_eq!(call as usize, position, "{call:?}");
            requests.call(call).answered.add(position as u64 + 1);
        }
        for (position, call) in Call::ALL.into_iter().enumerate() {
            assert_eq!(requests.call(call).answered.get(), position as u64 + 1, "{call:?}");
        }
    }
}
