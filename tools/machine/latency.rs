//! Times of many requests: HDR histograms, added up over workers and rounds, and what is shown of them. Percentiles are
//! always taken of a sum of histograms, never averaged.

pub mod maxima;

use std::time::Duration;

use hdrhistogram::Histogram;
use kolk_driver::clock::ns_of;
use serde::{Deserialize, Serialize};

use crate::error::{MachineError, Outcome};

/// Longer times are counted as this.
const NS_MAX: u64 = 600_000_000_000;
/// Digits that are exact.
const DIGITS: u8 = 3;

/// Times in nanoseconds, three digits exact.
#[derive(Clone, Debug)]
pub struct Times {
    histogram: Histogram<u64>,
}

/// A histogram as it stands in a file: the recorded values and how often each was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets(pub Vec<(u64, u64)>);

impl Times {
    /// Without any time. An error means that its bounds make no sense, which they do.
    pub fn new() -> Outcome<Self> {
        let histogram = Histogram::new_with_bounds(1, NS_MAX, DIGITS)
            .map_err(|error| MachineError::Senseless(format!("histogram: {error}")))?;
        Ok(Self { histogram })
    }

    /// The sum of histograms that were written.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Buckets>) -> Outcome<Self> {
        let mut times = Self::new()?;
        for (ns, count) in all.into_iter().flat_map(|buckets| &buckets.0) {
            times.histogram.saturating_record_n((*ns).clamp(1, NS_MAX), *count);
        }
        Ok(times)
    }

    /// Counts a time.
    pub fn record(&mut self, time: Duration) {
        self.histogram.saturating_record(ns_of(time).clamp(1, NS_MAX));
    }

    /// Takes those of another worker or round in.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, so every value fits.
        let _refused = self.histogram.add(&other.histogram);
    }

    /// As it is written.
    pub fn buckets(&self) -> Buckets {
        let recorded = self.histogram.iter_recorded();
        Buckets(recorded.map(|one| (one.value_iterated_to(), one.count_at_value())).collect())
    }

    /// The time within which this part of all was done; `None` if there were none.
    pub fn at(&self, quantile: f64) -> Option<u64> {
        (!self.histogram.is_empty()).then(|| self.histogram.value_at_quantile(quantile))
    }

    /// What is shown.
    pub fn summary(&self) -> Percentiles {
        let at = |quantile| self.histogram.value_at_quantile(quantile);
        Percentiles {
            count: self.histogram.len(),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            p9999_ns: at(0.9999),
            max_ns: self.histogram.max(),
        }
    }
}

/// What is shown of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many there are.
    pub count: u64,
    /// The middle.
    pub p50_ns: u64,
    /// Within it 9 of 10 were done.
    pub p90_ns: u64,
    /// Within it 99 of 100 were done.
    pub p99_ns: u64,
    /// Within it 999 of 1,000 were done.
    pub p999_ns: u64,
    /// Within it 9,999 of 10,000 were done.
    pub p9999_ns: u64,
    /// The longest.
    pub max_ns: u64,
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

    fn of_us(range: std::ops::RangeInclusive<u64>) -> Times {
        let mut times = Times::new().unwrap();
        range.for_each(|us| times.record(Duration::from_micros(us)));
        times
    }

    #[test]
    fn percentiles_come_from_what_was_recorded() {
        let mut times = of_us(1..=1_000);
        times.record(Duration::from_secs(3_600));
        let summary = times.summary();
        assert_eq!(summary.count, 1_001);
        assert!((499_000..=502_000).contains(&summary.p50_ns), "{summary}");
        assert!(summary.max_ns >= NS_MAX, "longer times count as the longest");
        assert_eq!(Times::new().unwrap().at(0.5), None);
    }

    #[test]
    fn histograms_are_added_up_and_not_their_percentiles() {
        // 990 fast ones of one worker, 10 slow ones of another: the mean of both p99 would be half a second.
        let mut sum = of_us(1..=990);
        let mut slow = Times::new().unwrap();
        (0..10).for_each(|_| slow.record(Duration::from_secs(1)));
        sum.add(&slow);
        let summary = sum.summary();
        assert_eq!(summary.count, 1_000);
        assert!((980_000..=1_000_000).contains(&summary.p99_ns), "{summary}");
        assert!(summary.p999_ns >= 1_000_000_000, "{summary}");
        let written = [of_us(1..=990).buckets(), slow.buckets()];
        assert_eq!(Times::sum(&written).unwrap().summary(), summary, "files add up alike");
    }
}
