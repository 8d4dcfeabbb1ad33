//! The three instruments and what a reading of each looks like; apart from the domains so that
//! they know nothing of names.

use std::cell::{Cell, RefCell};

/// Upper bounds of the exported latency buckets, in microseconds, ascending.
pub const LATENCY_BUCKETS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

/// Upper bounds of the exported size buckets, in bytes, ascending.
pub const SIZE_BUCKETS_BYTES: [u64; 10] = [
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
    256 << 20,
];

/// Upper bounds of the exported count buckets (records in a group, requests in a turn), ascending.
pub const COUNT_BUCKETS: [u64; 8] = [1, 4, 16, 64, 256, 1_024, 4_096, 65_536];

/// Longest latency a histogram tells apart: 60 s, in microseconds. Longer ones count as 60 s.
const LATENCY_US_MAX: u64 = 60_000_000;

/// Largest size a histogram tells apart: 1 GiB. Larger ones count as 1 GiB.
const SIZE_BYTES_MAX: u64 = 1 << 30;

/// Largest count a histogram tells apart. Larger ones count as this.
const COUNT_MAX: u64 = 1 << 24;

/// Two significant digits: an error below 1 %, about 20 KiB a latency histogram.
const SIGNIFICANT_DIGITS: u8 = 2;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Starts at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(Cell::new(0))
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `count`; wraps after 2^64, as Prometheus expects of a counter reset.
    pub fn add(&self, count: u64) {
        self.0.set(self.0.get().wrapping_add(count));
    }

    /// Adds a length in bytes or items.
    pub fn add_len(&self, len: usize) {
        self.add(u64::try_from(len).unwrap_or(u64::MAX));
    }

    /// Reads the present count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A number that goes up and down; never below zero.
#[derive(Debug, Default)]
pub struct Gauge(Cell<u64>);

impl Gauge {
    /// Starts at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(Cell::new(0))
    }

    /// Replaces the value.
    pub fn set(&self, value: u64) {
        self.0.set(value);
    }

    /// Raises the value, staying at 2^64 - 1 when it would pass it.
    pub fn add(&self, value: u64) {
        self.0.set(self.0.get().saturating_add(value));
    }

    /// Lowers the value, staying at zero when it would pass it.
    pub fn sub(&self, value: u64) {
        self.0.set(self.0.get().saturating_sub(value));
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Takes one away.
    pub fn dec(&self) {
        self.sub(1);
    }

    /// Reads the present value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// What a histogram's values are, and so how they are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Recorded in nanoseconds, kept in microseconds, exported in seconds.
    Latency,
    /// Bytes.
    Bytes,
    /// Plain counts.
    Count,
}

impl Unit {
    /// The upper bounds of the exported buckets, in the unit kept.
    #[must_use]
    pub const fn bucket_bounds(self) -> &'static [u64] {
        match self {
            Self::Latency => &LATENCY_BUCKETS_US,
            Self::Bytes => &SIZE_BUCKETS_BYTES,
            Self::Count => &COUNT_BUCKETS,
        }
    }

    /// What one of the unit kept is in the unit exported.
    #[must_use]
    pub const fn exported_per_kept(self) -> f64 {
        match self {
            Self::Latency => 1e-6,
            Self::Bytes | Self::Count => 1.0,
        }
    }

    const fn value_max(self) -> u64 {
        match self {
            Self::Latency => LATENCY_US_MAX,
            Self::Bytes => SIZE_BYTES_MAX,
            Self::Count => COUNT_MAX,
        }
    }
}

/// A distribution over a bounded range, kept by an HDR histogram with an error below 1 %.
///
/// The memory (some 20 KiB) is allocated by the first value, so that a distribution nobody feeds costs
/// nothing.
#[derive(Debug)]
pub struct Histogram {
    unit: Unit,
    sum: Cell<u64>,
    values: RefCell<Option<hdrhistogram::Histogram<u64>>>,
}

impl Histogram {
    /// Distribution of durations: 1 µs to 60 s.
    #[must_use]
    pub const fn latency() -> Self {
        Self::with_unit(Unit::Latency)
    }

    /// Distribution of sizes: 1 byte to 1 GiB.
    #[must_use]
    pub const fn bytes() -> Self {
        Self::with_unit(Unit::Bytes)
    }

    /// Distribution of counts: 1 to 2^24.
    #[must_use]
    pub const fn count() -> Self {
        Self::with_unit(Unit::Count)
    }

    const fn with_unit(unit: Unit) -> Self {
        Self { unit, sum: Cell::new(0), values: RefCell::new(None) }
    }

    /// Records a duration in nanoseconds, kept in whole microseconds, rounded up.
    ///
    /// Belongs to [`Histogram::latency`].
    pub fn record_ns(&self, ns: u64) {
        debug_assert_eq!(self.unit, Unit::Latency, "durations belong to a latency histogram");
        self.record_kept(ns.div_ceil(1_000));
    }

    /// Records a size in bytes or a count.
    ///
    /// Belongs to [`Histogram::bytes`] and [`Histogram::count`].
    pub fn record(&self, value: u64) {
        debug_assert_ne!(self.unit, Unit::Latency, "a duration is recorded with record_ns");
        self.record_kept(value);
    }

    fn record_kept(&self, value: u64) {
        self.sum.set(self.sum.get().saturating_add(value));
        let mut values = self.values.borrow_mut();
        if values.is_none() {
            *values = hdrhistogram::Histogram::new_with_bounds(
                1,
                self.unit.value_max(),
                SIGNIFICANT_DIGITS,
            )
            .ok();
        }
        if let Some(values) = values.as_mut() {
            values.saturating_record(value.max(1));
        }
    }

    /// Copies the distribution into plain values.
    #[must_use]
    pub fn read(&self) -> HistogramReading {
        let values = self.values.borrow();
        let Some(values) = values.as_ref() else {
            return HistogramReading::empty(self.unit);
        };
        HistogramReading {
            unit: self.unit,
            count: values.len(),
            sum: self.sum.get(),
            max: values.max(),
            p50: values.value_at_quantile(0.5),
            p90: values.value_at_quantile(0.9),
            p99: values.value_at_quantile(0.99),
            p999: values.value_at_quantile(0.999),
            buckets: cumulative_counts(values, self.unit.bucket_bounds()),
        }
    }
}

/// A histogram's distribution as plain values that may leave their core.
///
/// Values are in the unit kept: microseconds for latencies, else bytes or counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramReading {
    /// What the values are.
    pub unit: Unit,
    /// Values recorded.
    pub count: u64,
    /// Sum of the values recorded, exact.
    pub sum: u64,
    /// Largest value recorded.
    pub max: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// Values at or below each of [`Unit::bucket_bounds`], cumulative; empty when nothing was recorded.
    pub buckets: Vec<u64>,
}

impl HistogramReading {
    fn empty(unit: Unit) -> Self {
        Self {
            unit,
            count: 0,
            sum: 0,
            max: 0,
            p50: 0,
            p90: 0,
            p99: 0,
            p999: 0,
            buckets: Vec::new(),
        }
    }
}

/// One pass over the recorded values, both lists ascending.
fn cumulative_counts(values: &hdrhistogram::Histogram<u64>, bounds: &[u64]) -> Vec<u64> {
    let mut counts = Vec::with_capacity(bounds.len());
    let mut recorded = values.iter_recorded().peekable();
    let mut below = 0_u64;
    for bound in bounds {
        while let Some(step) = recorded.next_if(|step| step.value_iterated_to() <= *bound) {
            below += step.count_at_value();
        }
        counts.push(below);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_adds_and_wraps() {
        let counter = Counter::new();
        counter.inc();
        counter.add(4);
        counter.add_len(5);
        assert_eq!(counter.get(), 10);
        counter.add(u64::MAX);
        assert_eq!(counter.get(), 9);
    }

    #[test]
    fn gauge_stays_at_zero_when_lowered_below_it() {
        let gauge = Gauge::new();
        gauge.add(2);
        gauge.dec();
        gauge.sub(5);
        assert_eq!(gauge.get(), 0);
        gauge.inc();
        gauge.set(7);
        assert_eq!(gauge.get(), 7);
    }

    #[test]
    fn empty_histogram_reads_as_zero_and_allocates_nothing() {
        let histogram = Histogram::latency();
        let reading = histogram.read();
        assert_eq!((reading.count, reading.sum, reading.max), (0, 0, 0));
        assert!(reading.buckets.is_empty());
        assert!(histogram.values.borrow().is_none());
    }

    #[test]
    fn latency_is_kept_in_microseconds_rounded_up() {
        let histogram = Histogram::latency();
        histogram.record_ns(1);
        histogram.record_ns(99_001);
        let reading = histogram.read();
        assert_eq!(reading.count, 2);
        assert_eq!(reading.sum, 101);
        assert_eq!(reading.max, 100);
        assert_eq!(reading.buckets.first(), Some(&1));
        assert_eq!(reading.buckets.get(1), Some(&2));
        assert_eq!(reading.buckets.last(), Some(&2));
    }

    #[test]
    fn value_beyond_the_range_counts_as_the_largest() {
        let histogram = Histogram::latency();
        histogram.record_ns(3_600 * 1_000_000_000);
        let reading = histogram.read();
        assert_eq!(reading.count, 1);
        let allowed = LATENCY_US_MAX..=LATENCY_US_MAX + LATENCY_US_MAX / 100;
        assert!(allowed.contains(&reading.max), "max {}", reading.max);
        assert_eq!(reading.buckets.last(), Some(&0));
    }

    #[test]
    fn percentiles_are_within_one_percent() {
        let histogram = Histogram::bytes();
        for value in 1..=10_000_u64 {
            histogram.record(value);
        }
        let reading = histogram.read();
        for (found, expected) in [(reading.p50, 5_000), (reading.p90, 9_000), (reading.p99, 9_900)]
        {
            let error = found.abs_diff(expected);
            assert!(error * 100 <= expected, "found {found}, expected {expected}");
        }
    }

    #[test]
    fn buckets_ascend() {
        for unit in [Unit::Latency, Unit::Bytes, Unit::Count] {
            let bounds = unit.bucket_bounds();
            assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{unit:?}");
        }
        let histogram = Histogram::count();
        for value in [1, 2, 5, 70_000] {
            histogram.record(value);
        }
        assert_eq!(histogram.read().buckets, [1, 2, 3, 3, 3, 3, 3, 3]);
    }
}
