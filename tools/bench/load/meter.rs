//! How much was done in the part of a run that counts: after the warm-up, up to the limit.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kolk_machine::cores;
use kolk_machine::latency::Percentiles;
use serde::Serialize;

const GIB: f64 = (1_u64 << 30) as f64;

/// How far something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Bytes(u64),
    Time(Duration),
}

impl Limit {
    fn reached(self, bytes: u64, elapsed: Duration) -> bool {
        match self {
            Self::Bytes(limit) => bytes >= limit,
            Self::Time(limit) => elapsed >= limit,
        }
    }
}

/// A moment of a run.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    bytes: u64,
    records: u64,
    requests: u64,
    /// What the broker's process had used of the processors.
    processor: Option<Duration>,
}

/// Counts what all threads of a load have done.
pub(crate) struct Meter {
    begin: Instant,
    warmup: Limit,
    limit: Limit,
    pid: Option<u32>,
    bytes: AtomicU64,
    records: AtomicU64,
    requests: AtomicU64,
    from: OnceLock<Mark>,
    to: OnceLock<Mark>,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Warmup,
    Measured,
    Over,
}

impl Meter {
    /// A run that begins now. `limit` counts from the end of the warm-up.
    pub(crate) fn new(warmup: Limit, limit: Limit) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            begin: Instant::now(),
            warmup,
            limit,
            pid: None,
            bytes: zero(),
            records: zero(),
            requests: zero(),
            from: OnceLock::new(),
            to: OnceLock::new(),
        }
    }

    /// Reads this process's processor time where the measured part begins and where it ends.
    pub(crate) fn watching(self, pid: Option<u32>) -> Self {
        Self { pid, ..self }
    }

    /// Some requests were completed just now.
    pub(crate) fn add(&self, requests: u64, records: u64, bytes: u64, now: Instant) -> Stage {
        // The three counters need not agree to the last request: a run has thousands.
        let requests = self.requests.fetch_add(requests, Ordering::Relaxed) + requests;
        let records = self.records.fetch_add(records, Ordering::Relaxed) + records;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let mark = || Mark { at: now, bytes, records, requests, processor: self.processor() };
        let Some(from) = self.from.get() else {
            if self.warmup.reached(bytes, now - self.begin) {
                self.from.get_or_init(mark);
            }
            return Stage::Warmup;
        };
        if self.to.get().is_some() {
            return Stage::Over;
        }
        let elapsed = now.saturating_duration_since(from.at);
        if self.limit.reached(bytes.saturating_sub(from.bytes), elapsed) {
            self.to.get_or_init(mark);
            return Stage::Over;
        }
        Stage::Measured
    }

    /// Ends the run because nothing is left to do.
    pub(crate) fn end(&self, now: Instant) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (bytes, records, requests) =
            (load(&self.bytes), load(&self.records), load(&self.requests));
        let mark = || Mark { at: now, bytes, records, requests, processor: self.processor() };
        self.to.get_or_init(mark);
    }

    /// `None` also where the process is gone: then there is no figure.
    fn processor(&self) -> Option<Duration> {
        cores::processor_time(self.pid?).ok()
    }

    /// Everything completed, the warm-up included.
    pub(crate) fn bytes_total(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Records completed, the warm-up included.
    pub(crate) fn records_total(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// The measured part.
    pub(crate) fn throughput(&self, latency: Percentiles) -> Throughput {
        let begin = Mark { at: self.begin, bytes: 0, records: 0, requests: 0, processor: None };
        let from = self.from.get().copied().unwrap_or(begin);
        let to = self.to.get().copied().unwrap_or(from);
        let seconds = to.at.saturating_duration_since(from.at).as_secs_f64();
        Throughput {
            seconds,
            requests: to.requests.saturating_sub(from.requests),
            records: to.records.saturating_sub(from.records),
            bytes: to.bytes.saturating_sub(from.bytes),
            latency,
            broker_cpu_seconds: to
                .processor
                .zip(from.processor)
                .map(|(to, from)| to.saturating_sub(from).as_secs_f64()),
        }
    }
}

/// The measured part of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Throughput {
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    pub(crate) records: u64,
    /// Bytes of batches.
    pub(crate) bytes: u64,
    /// Of requests.
    pub(crate) latency: Percentiles,
    /// Processor time of the broker's process, where it was watched.
    pub(crate) broker_cpu_seconds: Option<f64>,
}

impl Throughput {
    /// Bytes of batches a second.
    pub(crate) fn bytes_per_second(&self) -> f64 {
        rate(self.bytes, self.seconds)
    }

    /// Requests a second.
    pub(crate) fn requests_per_second(&self) -> f64 {
        rate(self.requests, self.seconds)
    }

    /// Processor time of the broker for each GiB of batches, where it was watched.
    pub(crate) fn broker_cpu_seconds_per_gib(&self) -> Option<f64> {
        let gib = rate(self.bytes, GIB);
        self.broker_cpu_seconds.filter(|_| gib > 0.0).map(|seconds| seconds / gib)
    }

    /// Records a second.
    pub(crate) fn records_per_second(&self) -> f64 {
        rate(self.records, self.seconds)
    }
}

#[expect(clippy::cast_precision_loss, reason = "53 bits are precise enough for a rate")]
fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warm_up_does_not_count_and_the_limit_ends_the_run() {
        let meter = Meter::new(Limit::Bytes(100), Limit::Bytes(300));
        let at = |ms| meter.begin + Duration::from_millis(ms);
        assert_eq!(meter.add(1, 10, 60, at(10)), Stage::Warmup);
        assert_eq!(meter.add(1, 10, 60, at(20)), Stage::Warmup);
        assert_eq!(meter.add(1, 10, 200, at(120)), Stage::Measured);
        assert_eq!(meter.add(1, 10, 200, at(220)), Stage::Over);
        assert_eq!(meter.add(1, 10, 200, at(320)), Stage::Over);
        let measured = meter.throughput(Percentiles::default());
        assert_eq!((measured.requests, measured.records, measured.bytes), (2, 20, 400));
        assert!((measured.bytes_per_second() - 2_000.0).abs() < 1.0);
        assert_eq!(meter.bytes_total(), 720);
    }

    #[test]
    fn the_brokers_processor_time_is_that_of_the_measured_part() {
        let meter = Meter::new(Limit::Bytes(1), Limit::Bytes(1 << 30));
        let meter = meter.watching(Some(std::process::id()));
        let processor = || cores::processor_time(std::process::id()).unwrap().as_secs_f64();
        let busy = |seconds| {
            let until = processor() + seconds;
            while processor() < until {}
        };
        busy(0.2);
        let warm = processor();
        meter.add(1, 1, 1, Instant::now());
        busy(0.1);
        meter.add(1, 1, 1 << 30, Instant::now());
        let whole = processor() - warm;
        let used = meter.throughput(Percentiles::default()).broker_cpu_seconds_per_gib().unwrap();
        // Other tests of this process may run beside: they count too.
        assert!((0.099..whole + 1e-6).contains(&used), "{used} of {whole}");
        let unwatched = Meter::new(Limit::Bytes(1), Limit::Bytes(1));
        assert_eq!(unwatched.throughput(Percentiles::default()).broker_cpu_seconds, None);
    }

    #[test]
    fn a_run_may_be_limited_by_time() {
        let meter = Meter::new(Limit::Time(Duration::ZERO), Limit::Time(Duration::from_secs(1)));
        let at = |ms| meter.begin + Duration::from_millis(ms);
        assert_eq!(meter.add(1, 1, 1, at(1)), Stage::Warmup);
        assert_eq!(meter.add(1, 1, 1, at(500)), Stage::Measured);
        assert_eq!(meter.add(1, 1, 1, at(1_001)), Stage::Over);
    }
}
