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
        assert_eq!((workload.acks.unwrap().partitions, workload.ack.unwrap().partitions), (256, 1));
        assert!(
            Length::Quick
                .pick(workload.idle.clone().unwrap().seconds, workload.idle.unwrap().quick_seconds)
                >= 5
        );
    }

    #[test]
    fn what_no_phase_knows_is_refused() {
        assert!(
            toml::from_str::<Workload>("name = 'x'\n[idle]\nseconds = 1\nminutes = 2").is_err()
        );
    }
}
