//! What one round of one way has measured, and the clocks it is measured with.

use std::time::{Duration, Instant};

/// One round of one way.
pub(crate) struct Sample {
    /// Microseconds of each operation, sorted.
    latencies: Vec<f64>,
    elapsed: Duration,
    /// What the measured side has spent.
    pub(crate) spent: Spent,
    /// Bytes of payload, where they are the point.
    pub(crate) bytes: u64,
    pub(crate) note: String,
}

/// What a thread has spent on its operations.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) cpu: Duration,
    pub(crate) calls: u64,
}

impl Sample {
    pub(crate) fn new(mut latencies: Vec<f64>, elapsed: Duration, spent: Spent) -> Self {
        latencies.sort_unstable_by(f64::total_cmp);
        Self { latencies, elapsed, spent, bytes: 0, note: String::new() }
    }

    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        self.latencies[(self.latencies.len() - 1) * percent / 100]
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn cpu_us(&self) -> f64 {
        micros(self.spent.cpu) / self.latencies.len() as f64
    }

    pub(crate) fn calls_each(&self) -> f64 {
        self.spent.calls as f64 / self.latencies.len() as f64
    }

    pub(crate) fn cpu_s_gib(&self) -> f64 {
        self.spent.cpu.as_secs_f64() / (self.bytes as f64 / f64::from(1 << 30))
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

pub(crate) fn micros_since(start: Instant) -> f64 {
    micros(start.elapsed())
}

/// CPU time of the calling thread, what it did in the kernel included.
pub(crate) fn thread_cpu() -> Duration {
    cpu(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of all threads, the ring's workers among them.
pub(crate) fn process_cpu() -> Duration {
    cpu(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn cpu(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is memory of this frame.
    let got = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(got, 0, "a clock that every Linux has");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Pins the calling thread to a core, so that the two sides do not take turns on one; without a second core it is left.
pub(crate) fn pin(core: usize) {
    let cores = std::mem::MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: zeroes are an empty set; it is a plain struct of numbers.
    let mut cores = unsafe { cores.assume_init() };
    // SAFETY: `core` is 0 or 1, bits of the set.
    unsafe { libc::CPU_SET(core, &mut cores) };
    // SAFETY: the call reads the set, whose size it is told.
    let _pinned = unsafe { libc::sched_setaffinity(0, size_of_val(&cores), &raw const cores) };
}
