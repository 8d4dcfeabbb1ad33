//! Times of many requests: an HDR histogram and what is shown of it.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::error::{BenchError, Outcome};

/// Longer times are counted as this.
const NS_MAX: u64 = 60_000_000_000;

/// Times in nanoseconds, three digits exact.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    histogram: Histogram<u64>,
}

impl Times {
    pub(crate) fn new() -> Outcome<Self> {
        let histogram = Histogram::new_with_bounds(1, NS_MAX, 3)
            .map_err(|error| BenchError::Workload(format!("histogram: {error}")))?;
        Ok(Self { histogram })
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(ns.clamp(1, NS_MAX));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        // Both have the same bounds, so every value fits.
        let _refused = self.histogram.add(&other.histogram);
    }

    pub(crate) fn summary(&self) -> Percentiles {
        let at = |quantile| self.histogram.value_at_quantile(quantile);
        Percentiles {
            count: self.histogram.len(),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: self.histogram.max(),
        }
    }
}

/// What is shown of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50_ns: u64,
    pub(crate) p90_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p999_ns: u64,
    pub(crate) max_ns: u64,
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // µs with one digit are readable from a syscall to a stall.
        let us = |ns: u64| format!("{}.{}", ns / 1_000, ns % 1_000 / 100);
        write!(
            f,
            "p50 {} µs, p90 {} µs, p99 {} µs, p99.9 {} µs, max {} µs",
            us(self.p50_ns),
            us(self.p90_ns),
            us(self.p99_ns),
            us(self.p999_ns),
            us(self.max_ns)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_come_from_what_was_recorded() {
        let mut times = Times::new().unwrap();
        for us in 1..=1_000 {
            times.record(Duration::from_micros(us));
        }
        times.record(Duration::from_secs(3_600));
        let summary = times.summary();
        assert_eq!(summary.count, 1_001);
        assert!((499_000..=502_000).contains(&summary.p50_ns), "{summary}");
        assert!(summary.max_ns >= NS_MAX, "longer times count as the longest");
    }
}
