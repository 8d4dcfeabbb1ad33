//! All instruments of one shard, and their reading as plain values.

use crate::copies::CopyMetrics;
use crate::family::Sample;
use crate::journal::JournalMetrics;
use crate::log::LogMetrics;
use crate::memory::MemoryMetrics;
use crate::net::NetMetrics;
use crate::reactor::ReactorMetrics;
use crate::requests::RequestMetrics;

pub use crate::family::{Label, Value};

/// All instruments of one shard. Lives on that shard's core, behind an `Rc`.
#[derive(Debug)]
pub struct ShardMetrics {
    shard: u16,
    /// The shard's journal.
    pub journal: JournalMetrics,
    /// The shard's logs.
    pub log: LogMetrics,
    /// Payload bytes copied in user space.
    pub copies: CopyMetrics,
    /// Requests, by call and by owning core.
    pub requests: RequestMetrics,
    /// Connections.
    pub net: NetMetrics,
    /// The memory budget.
    pub memory: MemoryMetrics,
    /// The executor's punctuality.
    pub reactor: ReactorMetrics,
}

impl ShardMetrics {
    /// Every instrument of shard number `shard` at zero.
    #[must_use]
    pub const fn new(shard: u16) -> Self {
        Self {
            shard,
            journal: JournalMetrics::new(),
            log: LogMetrics::new(),
            copies: CopyMetrics::new(),
            requests: RequestMetrics::new(),
            net: NetMetrics::new(),
            memory: MemoryMetrics::new(),
            reactor: ReactorMetrics::new(),
        }
    }

    /// Reads every instrument. Costs some tens of microseconds: for a scrape, not for a request.
    #[must_use]
    pub fn snapshot(&self) -> MetricsSnapshot {
        let mut samples = Vec::with_capacity(128);
        self.journal.read_into(&mut samples);
        self.log.read_into(&mut samples);
        self.copies.read_into(&mut samples);
        self.requests.read_into(&mut samples);
        self.net.read_into(&mut samples);
        self.memory.read_into(&mut samples);
        self.reactor.read_into(&mut samples);
        MetricsSnapshot { shard: self.shard, samples }
    }
}

/// The readings of one shard: plain values that may cross to another core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsSnapshot {
    shard: u16,
    samples: Vec<Sample>,
}

impl MetricsSnapshot {
    /// The shard that was read.
    #[must_use]
    pub const fn shard(&self) -> u16 {
        self.shard
    }

    /// Every series: family, help line, label, value.
    pub fn series(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, Option<Label>, &Value)> {
        self.samples.iter().map(|sample| (sample.family, sample.help, sample.label, &sample.value))
    }

    /// The sum of a family's counters or gauges over its labels; 0 for a family that is unknown or a
    /// distribution.
    #[must_use]
    pub fn total(&self, family: &str) -> u64 {
        self.samples
            .iter()
            .filter(|sample| sample.family == family)
            .map(|sample| match sample.value {
                Value::Counter(value) | Value::Gauge(value) => value,
                Value::Histogram(_) => 0,
            })
            .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::mem::discriminant;

    /// A snapshot may leave its core: the compiler decides that, at no run.
    const _: fn() = || {
        const fn is_send<T: Send>() {}
        is_send::<MetricsSnapshot>();
    };

    #[test]
    fn family_names_follow_the_rule() {
        let snapshot = ShardMetrics::new(0).snapshot();
        for (family, help, _, value) in snapshot.series() {
            assert!(family.starts_with("kolk_"), "{family}");
            assert!(
                family.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'),
                "{family}"
            );
            assert_eq!(
                family.ends_with("_total"),
                matches!(value, Value::Counter(_)),
                "{family}: counters alone end in _total"
            );
            assert!(help.trim().ends_with('.'), "{family}: {help}");
        }
    }

    #[test]
    fn a_familys_series_agree_in_kind_and_help_and_differ_in_label() {
        let snapshot = ShardMetrics::new(0).snapshot();
        let mut families: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (family, help, label, value) in snapshot.series() {
            families.entry(family).or_default().push((help, label, discriminant(value)));
        }
        for (family, series) in families {
            for (position, (help, label, kind)) in series.iter().enumerate() {
                assert_eq!((help, kind), (&series[0].0, &series[0].2), "{family}");
                let twin = series[..position].iter().find(|(_, other, _)| other == label);
                assert!(twin.is_none(), "{family} {label:?}");
            }
        }
    }

    #[test]
    fn total_sums_over_labels() {
        let metrics = ShardMetrics::new(3);
        metrics.copies.tail.add(5);
        metrics.copies.journal.add(7);
        let snapshot = metrics.snapshot();
        assert_eq!(snapshot.shard(), 3);
        assert_eq!(snapshot.total("kolk_payload_copy_bytes_total"), 12);
        assert_eq!(snapshot.total("kolk_absent_total"), 0);
    }
}
