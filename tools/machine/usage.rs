//! What a broker and its disk used, by the kernel's own count: processor time and memory of a process, bytes and flushes of a
//! block device. Sampled by a thread of its own while a play goes on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kolk_driver::clock::{Clock, Moment, float};
use serde::{Deserialize, Serialize};

use crate::cores::processor_time;
use crate::error::{MachineError, Outcome};

/// Between two samples of the series.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// Between two looks at whether the window has begun or ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What /proc/diskstats calls a sector, whatever the device's own.
const SECTOR_BYTES: u64 = 512;
const GIB: f64 = (1_u64 << 30) as f64;

/// Whom to watch.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// The broker's process, if it is on this machine.
    pub pid: Option<u32>,
    /// Where its data is: the block device below is watched.
    pub data: Option<PathBuf>,
}

/// One sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Since the begin of the run.
    pub seconds: f64,
    /// Processor time of the broker.
    pub broker_cpu_seconds: f64,
    /// The load generator's.
    pub client_cpu_seconds: f64,
    /// The broker's resident set.
    pub broker_memory_bytes: u64,
    /// Of the whole device.
    pub disk: DiskCounters,
}

/// What a block device has counted since the machine started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskCounters {
    /// Reads that ended.
    pub reads: u64,
    /// Bytes of them.
    pub read_bytes: u64,
    /// Writes that ended.
    pub writes: u64,
    /// Bytes of them.
    pub written_bytes: u64,
    /// Flushes of its cache that ended.
    pub flushes: u64,
}

/// What was used within the window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Length of the window.
    pub seconds: f64,
    /// Processor time of the broker.
    pub broker_cpu_seconds: f64,
    /// The load generator's own, all drivers together.
    pub client_cpu_seconds: f64,
    /// The largest resident set that a sample saw.
    pub broker_memory_bytes_max: u64,
    /// Whole device: other work on the machine is in it. `None` where the data is not on one.
    pub disk: Option<DiskCounters>,
    /// All samples, those beside the window too.
    pub series: Vec<Sample>,
}

impl Usage {
    /// Processor time of the broker for each GiB that went through it.
    pub fn broker_cpu_seconds_per_gib(&self, bytes: u64) -> Option<f64> {
        let known = bytes > 0 && self.broker_memory_bytes_max > 0;
        known.then(|| self.broker_cpu_seconds / (float(bytes) / GIB))
    }
}

/// Samples until the window is over. `window` gives its begin and its end, which may move nearer.
pub fn watch(
    watched: &Watched,
    clock: Clock,
    begin: Moment,
    window: impl Fn() -> (Moment, Moment),
) -> Outcome<Usage> {
    let device = watched.data.as_deref().map_or(Ok(None), device_of)?;
    let sample = || Sample::take(watched.pid, device, clock.now().since(begin));
    let mut series = vec![sample()?];
    let (mut first, mut due) = (None, begin.after(SAMPLE_EVERY));
    loop {
        let (from, to) = window();
        let now = clock.now();
        if now >= to {
            break;
        }
        if first.is_none() && now >= from {
            first = Some(sample()?);
        }
        if now >= due {
            due = due.after(SAMPLE_EVERY);
            series.push(sample()?);
        }
        clock.sleep_until(now.after(LOOK_EVERY));
    }
    let last = sample()?;
    series.push(last);
    let first = first.unwrap_or(last);
    Ok(Usage {
        seconds: last.seconds - first.seconds,
        broker_cpu_seconds: last.broker_cpu_seconds - first.broker_cpu_seconds,
        client_cpu_seconds: last.client_cpu_seconds - first.client_cpu_seconds,
        broker_memory_bytes_max: series
            .iter()
            .map(|one| one.broker_memory_bytes)
            .max()
            .unwrap_or(0),
        disk: device.map(|_| last.disk.since(first.disk)),
        series,
    })
}

impl Sample {
    fn take(pid: Option<u32>, device: Option<(u64, u64)>, time: Duration) -> Outcome<Self> {
        let disk = match device {
            Some(device) => read("/proc/diskstats").map(|text| counters(&text, device))?,
            None => None,
        };
        let mut sample = Self {
            seconds: time.as_secs_f64(),
            client_cpu_seconds: processor_time(std::process::id())?.as_secs_f64(),
            disk: disk.unwrap_or_default(),
            ..Self::default()
        };
        if let Some(pid) = pid {
            sample.broker_cpu_seconds = processor_time(pid)?.as_secs_f64();
            sample.broker_memory_bytes = resident_bytes(&read(&format!("/proc/{pid}/status"))?);
        }
        Ok(sample)
    }
}

impl DiskCounters {
    const fn since(self, earlier: Self) -> Self {
        Self {
            reads: self.reads.saturating_sub(earlier.reads),
            read_bytes: self.read_bytes.saturating_sub(earlier.read_bytes),
            writes: self.writes.saturating_sub(earlier.writes),
            written_bytes: self.written_bytes.saturating_sub(earlier.written_bytes),
            flushes: self.flushes.saturating_sub(earlier.flushes),
        }
    }
}

fn read(path: &str) -> Outcome<String> {
    let path = Path::new(path);
    std::fs::read_to_string(path).map_err(|error| MachineError::file(path, error))
}

/// The block device below a folder, by its numbers; `None` if the kernel keeps no count of it.
fn device_of(folder: &Path) -> Outcome<Option<(u64, u64)>> {
    use std::os::linux::fs::MetadataExt;
    let metadata = std::fs::metadata(folder).map_err(|error| MachineError::file(folder, error))?;
    let device = metadata.st_dev();
    let device = (u64::from(rustix::fs::major(device)), u64::from(rustix::fs::minor(device)));
    Ok(counters(&read("/proc/diskstats")?, device).map(|_| device))
}

/// A device's line of /proc/diskstats: fields 4 to 11 of Documentation/admin-guide/iostats.rst behind numbers and name,
/// flushes in field 18 (since Linux 5.5).
fn counters(text: &str, (major, minor): (u64, u64)) -> Option<DiskCounters> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let own = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        if own != (major, minor) {
            return None;
        }
        let numbers: Vec<u64> = words.skip(1).map_while(|word| word.parse().ok()).collect();
        let number = |index: usize| numbers.get(index).copied();
        Some(DiskCounters {
            reads: number(0)?,
            read_bytes: number(2)? * SECTOR_BYTES,
            writes: number(4)?,
            written_bytes: number(6)? * SECTOR_BYTES,
            flushes: number(15).unwrap_or(0),
        })
    })
}

/// `VmRSS` of /proc/PID/status.
fn resident_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_devices_line_is_understood() {
        let text = " 253       0 zram0 1 0 8 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n \
                    254       0 vda 100 5 800 9 200 6 1600 9 0 50 60 0 0 0 0 77 8\n";
        let vda = counters(text, (254, 0)).unwrap();
        let expected = DiskCounters {
            reads: 100,
            read_bytes: 409_600,
            writes: 200,
            written_bytes: 819_200,
            flushes: 77,
        };
        assert_eq!(vda, expected);
        assert_eq!((counters(text, (254, 1)), counters("254 0 vda 1", (254, 0))), (None, None));
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t  12 kB\n"), 12 * 1024);
    }

    #[test]
    fn work_of_the_window_is_seen_and_that_before_it_is_not_counted() {
        let folder = tempfile::tempdir().unwrap();
        let watched =
            Watched { pid: Some(std::process::id()), data: Some(folder.path().to_owned()) };
        let clock = Clock::start();
        let (from, to) = (Moment::from_ns(300_000_000), Moment::from_ns(600_000_000));
        // Busy from the begin on: half of it is the window's.
        let busy = std::thread::spawn(move || {
            let mut turns = 0_u64;
            while clock.now() < to {
                turns = std::hint::black_box(turns + 1);
            }
            turns
        });
        let usage = watch(&watched, clock, Moment::default(), || (from, to)).unwrap();
        assert!(busy.join().unwrap() > 0);
        let whole = usage.series.last().unwrap().broker_cpu_seconds;
        let first = usage.series.first().unwrap().broker_cpu_seconds;
        assert!((0.25..0.5).contains(&usage.seconds), "{}", usage.seconds);
        assert!(usage.broker_cpu_seconds > 0.0, "{usage:?}");
        assert!(usage.broker_cpu_seconds < whole - first, "{usage:?}");
        assert!(usage.broker_memory_bytes_max > 1 << 20, "{usage:?}");
        assert_eq!(usage.broker_cpu_seconds_per_gib(0), None);
    }
}
