//! A workload file: what `kolk-bench run` plays. Every phase is optional; one that is not there is not played.

use std::path::Path;

use serde::Deserialize;

use crate::error::{BenchError, Outcome};

/// A workload.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) produce: Option<ProducePhase>,
    pub(crate) hot_fetch: Option<HotFetchPhase>,
    pub(crate) cold_fetch: Option<ColdFetchPhase>,
    pub(crate) acks: Option<AckPhase>,
    pub(crate) ack: Option<AckPhase>,
    pub(crate) crash_ack: Option<AckPhase>,
    /// As `ack`, from a broker of its own that looks for work before it sleeps.
    pub(crate) spinning_ack: Option<AckPhase>,
    pub(crate) partitions: Option<PartitionsPhase>,
    pub(crate) floor: Option<FloorPhase>,
    pub(crate) spikes: Option<SpikesPhase>,
    pub(crate) idle: Option<IdlePhase>,
}

/// Large durable requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProducePhase {
    pub(crate) partitions: u32,
    pub(crate) record_bytes: usize,
    pub(crate) batch_bytes: usize,
    /// Requests in flight.
    pub(crate) in_flight: usize,
    /// Bytes measured.
    pub(crate) bytes: u64,
    pub(crate) quick_bytes: Option<u64>,
    /// Bytes before those.
    pub(crate) warmup_bytes: u64,
    /// What the broker may hold in memory in this phase and those that share its broker: fetch from memory and
    /// acknowledgements.
    pub(crate) memory_bytes_max: u64,
}

/// Fetches of records that are in memory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HotFetchPhase {
    pub(crate) partitions: u32,
    pub(crate) record_bytes: usize,
    pub(crate) batch_bytes: usize,
    /// Bytes of all records; they are read over and over.
    pub(crate) bytes: u64,
    pub(crate) fetch_bytes: u32,
    pub(crate) seconds: u64,
    pub(crate) quick_seconds: Option<u64>,
}

/// Fetches of records that are on disk alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColdFetchPhase {
    pub(crate) partitions: u32,
    pub(crate) record_bytes: usize,
    pub(crate) batch_bytes: usize,
    /// Bytes of all records; they are read once.
    pub(crate) bytes: u64,
    pub(crate) quick_bytes: Option<u64>,
    pub(crate) fetch_bytes: u32,
    /// What the broker may hold in memory.
    pub(crate) memory_bytes_max: u64,
}

/// Small records, one in flight in each partition.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AckPhase {
    #[serde(default = "one")]
    pub(crate) partitions: u32,
    pub(crate) record_bytes: usize,
    /// The broker's `spin_us`, where it has a broker of its own.
    #[serde(default)]
    pub(crate) spin_us: u32,
    pub(crate) warmup_seconds: u64,
    pub(crate) seconds: u64,
    pub(crate) quick_seconds: Option<u64>,
}

/// The same durable load over few partitions and over many, one after the other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartitionsPhase {
    pub(crate) few: u32,
    pub(crate) many: u32,
    pub(crate) record_bytes: usize,
    /// Bytes of all requests on their way, over all partitions: what a producer has memory for.
    pub(crate) in_flight_bytes: usize,
    /// Bytes of a batch, at most: a partition has its share of the bytes in flight, up to that.
    pub(crate) batch_bytes_max: usize,
    /// Bytes of a request: batches of as many partitions as fit.
    pub(crate) request_bytes: usize,
    /// Bytes measured over either number of partitions.
    pub(crate) bytes: u64,
    pub(crate) quick_bytes: Option<u64>,
    /// Bytes before those.
    pub(crate) warmup_bytes: u64,
}

/// What a plain server costs that does what must be done, without a broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FloorPhase {
    /// Records that it has in memory.
    pub(crate) memory_bytes: usize,
    pub(crate) fetch_bytes: usize,
    /// Bytes measured, received and sent.
    pub(crate) bytes: u64,
    pub(crate) quick_bytes: Option<u64>,
}

/// Half of what the broker can take, for a long time: are there stalls?
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpikesPhase {
    pub(crate) partitions: u32,
    pub(crate) record_bytes: usize,
    /// Small enough that segments roll some times in a run.
    pub(crate) segment_bytes: u64,
    pub(crate) memory_bytes_max: u64,
    /// Records in flight and seconds while it is found out what the broker can take; the raw disk gets as many seconds.
    pub(crate) in_flight: usize,
    pub(crate) saturate_seconds: u64,
    pub(crate) warmup_seconds: u64,
    pub(crate) seconds: u64,
    pub(crate) quick_seconds: Option<u64>,
}

/// Nothing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdlePhase {
    pub(crate) seconds: u64,
    pub(crate) quick_seconds: Option<u64>,
}

const fn one() -> u32 {
    1
}

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Full,
    Quick,
}

impl Length {
    /// The value for this length.
    pub(crate) fn pick(self, full: u64, quick: Option<u64>) -> u64 {
        match self {
            Self::Full => full,
            Self::Quick => quick.unwrap_or(full),
        }
    }
}

impl Workload {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| BenchError::file(path, error))?;
        toml::from_str(&text)
            .map_err(|error| BenchError::Workload(format!("{}: {error}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workload_of_the_speed_table_is_whole() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../perf/workload/speed.toml");
        let workload = Workload::read(&path).unwrap();
        let produce = workload.produce.unwrap();
        assert!(produce.batch_bytes >= 64 * 1024 && produce.record_bytes == 1024);
        let cold = workload.cold_fetch.unwrap();
        assert!(Length::Quick.pick(cold.bytes, cold.quick_bytes) >= 4 * cold.memory_bytes_max);
        let hot = workload.hot_fetch.unwrap();
        assert!(hot.bytes * 2 <= produce.memory_bytes_max, "all of it must stay in memory");
        assert!(produce.warmup_bytes > produce.memory_bytes_max, "steady state is measured");
        assert_eq!(workload.acks.unwrap().partitions, 256);
        let (ack, crash_ack) = (workload.ack.unwrap(), workload.crash_ack.unwrap());
        assert_eq!((ack.partitions, crash_ack.partitions), (1, 1));
        assert_eq!((ack.record_bytes, crash_ack.record_bytes), (128, 128));
        // p99 of two thousand is made of twenty: fewer would be no figure.
        assert!(Length::Quick.pick(ack.seconds, ack.quick_seconds) >= 5);
        let partitions = workload.partitions.unwrap();
        assert_eq!((partitions.few, partitions.many), (4, 1_000));
        assert_eq!(partitions.record_bytes, 200);
        let floor = workload.floor.unwrap();
        assert_eq!((floor.memory_bytes as u64, floor.fetch_bytes), (hot.bytes, 4 << 20));
        assert_eq!(hot.fetch_bytes, 4 << 20);
        assert!(workload.spikes.is_none(), "ten minutes are a workload of their own");
        assert!(
            Length::Quick
                .pick(workload.idle.clone().unwrap().seconds, workload.idle.unwrap().quick_seconds)
                >= 5
        );
    }

    #[test]
    fn the_workload_of_the_spikes_lasts_ten_minutes_and_nothing_is_beside_it() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../perf/workload/spikes.toml");
        let workload = Workload::read(&path).unwrap();
        let spikes = workload.spikes.unwrap();
        assert_eq!(Length::Full.pick(spikes.seconds, spikes.quick_seconds), 600);
        assert_eq!(Length::Quick.pick(spikes.seconds, spikes.quick_seconds), 60);
        assert!(workload.produce.is_none() && workload.ack.is_none() && workload.idle.is_none());
    }

    #[test]
    fn what_no_phase_knows_is_refused() {
        assert!(
            toml::from_str::<Workload>("name = 'x'\n[idle]\nseconds = 1\nminutes = 2").is_err()
        );
    }
}
