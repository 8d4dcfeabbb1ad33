//! What one side of a play measured: counts, times, and both again second by second.
//!
//! The rule of the warm-up: throughput counts what was *done* within the measured window, latency counts what was *due*
//! within it, whenever it was done. So a stall at the window's end is charged in full.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use kolk_driver::clock::{Moment, float, ns_of};
use kolk_machine::latency::{Buckets, Percentiles, Times};
use serde::{Deserialize, Serialize};

use crate::error::{BenchError, Outcome};

const SLOT: Duration = Duration::from_secs(1);
/// Longest run that has a series: a slot costs about 10 KiB in every worker.
const SLOTS_MAX: usize = 3_600;
/// Bounds of a slot's histogram in ns; two digits are enough for a plot.
const SLOT_NS: (u64, u64) = (1_000, 60_000_000_000);

/// The measured part of a run. It may end early, when all bytes that were allowed are sent.
#[derive(Debug)]
pub(crate) struct Window {
    begin: Moment,
    from: Moment,
    to: AtomicU64,
}

impl Window {
    /// The run begins, its measured part begins and ends.
    pub(crate) const fn new(begin: Moment, from: Moment, to: Moment) -> Self {
        Self { begin, from, to: AtomicU64::new(to.ns()) }
    }

    pub(crate) const fn begin(&self) -> Moment {
        self.begin
    }

    pub(crate) const fn from(&self) -> Moment {
        self.from
    }

    pub(crate) fn to(&self) -> Moment {
        Moment::from_ns(self.to.load(Ordering::Relaxed))
    }

    /// Ends it now, unless it has ended.
    pub(crate) fn end(&self, now: Moment) {
        self.to.fetch_min(now.ns(), Ordering::Relaxed);
    }

    fn has(&self, moment: Moment) -> bool {
        self.from <= moment && moment < self.to()
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.to().since(self.from).as_secs_f64()
    }
}

/// One side's measures.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    times: Times,
    records: u64,
    bytes: u64,
    slots: Vec<Slot>,
}

#[derive(Clone, Debug)]
struct Slot {
    records: u64,
    bytes: u64,
    times: Histogram<u32>,
}

/// One record that was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) intended: Moment,
    pub(crate) at: Moment,
    pub(crate) bytes: u64,
}

impl Tally {
    pub(crate) fn new() -> Outcome<Self> {
        let times = Times::new()?;
        Ok(Self { times, records: 0, bytes: 0, slots: Vec::new() })
    }

    /// Counts one that was done.
    pub(crate) fn add(&mut self, window: &Window, done: Done) -> Outcome<()> {
        let time = done.at.since(done.intended);
        if window.has(done.at) {
            self.records += 1;
            self.bytes += done.bytes;
        }
        if window.has(done.intended) {
            self.times.record(time);
        }
        let index = ns_of(done.at.since(window.begin)) / ns_of(SLOT);
        let index = usize::try_from(index).unwrap_or(usize::MAX).min(SLOTS_MAX);
        while self.slots.len() <= index {
            self.slots.push(Slot::new()?);
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.records += 1;
            slot.bytes += done.bytes;
            // What was there before the run has an age and no latency.
            if done.intended >= window.begin {
                slot.times.saturating_record(ns_of(time).clamp(SLOT_NS.0, SLOT_NS.1));
            }
        }
        Ok(())
    }

    /// Charges a record that was due within the window and that nobody got round to: with the time until the window's end, the
    /// least that it would have taken.
    pub(crate) fn owe(&mut self, window: &Window, intended: Moment) {
        if window.has(intended) {
            self.times.record(window.to().since(intended));
        }
    }

    /// Adds what another worker counted.
    pub(crate) fn merge(&mut self, other: &Self) -> Outcome<()> {
        self.times.add(&other.times);
        self.records += other.records;
        self.bytes += other.bytes;
        while self.slots.len() < other.slots.len() {
            self.slots.push(Slot::new()?);
        }
        for (own, others) in self.slots.iter_mut().zip(&other.slots) {
            own.records += others.records;
            own.bytes += others.bytes;
            // Both have the same bounds, so every value fits.
            let _refused = own.times.add(&others.times);
        }
        Ok(())
    }

    /// As it stands in the result.
    pub(crate) fn measured(&self, window: &Window) -> Measured {
        let seconds = window.seconds();
        let rate = |count| if seconds > 0.0 { float(count) / seconds } else { 0.0 };
        let series = self.slots.iter().map(|slot| SlotFigures {
            records: slot.records,
            bytes: slot.bytes,
            p50_ns: slot.times.value_at_quantile(0.5),
            p99_ns: slot.times.value_at_quantile(0.99),
            max_ns: slot.times.max(),
        });
        Measured {
            records: self.records,
            bytes: self.bytes,
            records_per_second: rate(self.records),
            bytes_per_second: rate(self.bytes),
            latency: self.times.summary(),
            histogram: self.times.buckets(),
            series: series.collect(),
        }
    }
}

impl Slot {
    fn new() -> Outcome<Self> {
        let times = Histogram::new_with_bounds(SLOT_NS.0, SLOT_NS.1, 2)
            .map_err(|error| BenchError::Workload(format!("histogram: {error}")))?;
        Ok(Self { records: 0, bytes: 0, times })
    }
}

/// One side's result.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Records and bytes of keys and values done within the window.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) records_per_second: f64,
    pub(crate) bytes_per_second: f64,
    /// Of records due within the window.
    pub(crate) latency: Percentiles,
    pub(crate) histogram: Buckets,
    /// Second by second since the begin of the run, warm-up included.
    pub(crate) series: Vec<SlotFigures>,
}

/// One second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotFigures {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) max_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at_ms(ms: u64) -> Moment {
        Moment::from_ns(ms * 1_000_000)
    }

    fn done(intended_ms: u64, at_ms_: u64) -> Done {
        Done { intended: at_ms(intended_ms), at: at_ms(at_ms_), bytes: 100 }
    }

    #[test]
    fn throughput_counts_what_was_done_and_latency_what_was_due_within_the_window() {
        let window = Window::new(at_ms(0), at_ms(1_000), at_ms(3_000));
        let mut tally = Tally::new().unwrap();
        // Due in the warm-up and done in the window; within; due within and done long after it; after it.
        for one in [done(500, 1_500), done(1_600, 1_610), done(2_900, 9_000), done(3_100, 3_200)] {
            tally.add(&window, one).unwrap();
        }
        let measured = tally.measured(&window);
        assert_eq!((measured.records, measured.bytes), (2, 200));
        assert!((measured.bytes_per_second - 100.0).abs() < 1e-9);
        assert_eq!(measured.latency.count, 2);
        assert!(measured.latency.max_ns >= 6_100_000_000, "{}", measured.latency);
        let records: Vec<u64> = measured.series.iter().map(|slot| slot.records).collect();
        assert_eq!(records, [0, 2, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert!(measured.series[1].max_ns > 900_000_000, "the series has the warm-up too");
    }

    #[test]
    fn what_was_due_and_never_sent_is_charged_until_the_end() {
        let window = Window::new(at_ms(0), at_ms(1_000), at_ms(3_000));
        let mut tally = Tally::new().unwrap();
        for due in [500, 1_000, 2_999, 3_000] {
            tally.owe(&window, at_ms(due));
        }
        let measured = tally.measured(&window);
        assert_eq!((measured.latency.count, measured.records), (2, 0));
        assert!(measured.latency.max_ns >= 1_999_000_000, "{}", measured.latency);
    }

    #[test]
    fn workers_are_added_up_and_an_early_end_shortens_the_window() {
        let window = Window::new(at_ms(0), at_ms(0), at_ms(10_000));
        let mut sum = Tally::new().unwrap();
        for second in 0..3 {
            let mut own = Tally::new().unwrap();
            own.add(&window, done(second * 1_000, second * 1_000 + 5)).unwrap();
            sum.merge(&own).unwrap();
        }
        window.end(at_ms(4_000));
        window.end(at_ms(5_000));
        let measured = sum.measured(&window);
        assert_eq!((measured.records, measured.latency.count, measured.series.len()), (3, 3, 3));
        assert!((measured.records_per_second - 0.75).abs() < 1e-9);
    }
}
