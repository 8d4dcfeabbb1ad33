//! What a small durable write costs without a broker: 4 KiB and an fdatasync into a file that is there already, one after the
//! other or on a schedule.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use kolk_driver::clock::float;
use kolk_io::buf::AlignedBuf;

use super::prewritten::Prewritten;
use crate::cores;
use crate::error::Outcome;
use crate::latency::Times;
use crate::latency::maxima::Maxima;

const PAGE_BYTES: usize = 4096;
/// Written round and round.
const FILE_BYTES: u64 = 64 << 20;

/// A disk that nothing but this writes to.
pub struct RawDisk {
    file: Prewritten,
}

/// Commits that were made.
#[derive(Clone, Debug)]
pub struct Commits {
    /// Of each of them.
    pub times: Times,
    /// How long all of them took.
    pub seconds: f64,
}

impl Commits {
    /// Takes others in, which were made at another time of the same run.
    pub fn add(&mut self, other: &Self) {
        self.times.add(&other.times);
        self.seconds += other.seconds;
    }

    /// Commits a second.
    pub fn per_second(&self) -> f64 {
        float(self.times.summary().count) / self.seconds
    }
}

impl RawDisk {
    /// Makes a file below this folder, which goes with the value.
    pub fn create(folder: &Path) -> Outcome<Self> {
        Ok(Self { file: Prewritten::create(folder, "commits", FILE_BYTES)? })
    }

    /// One after the other, for so long, on these cores.
    pub fn saturated(&self, cores: &[usize], time: Duration) -> Outcome<Commits> {
        cores::on(cores, || one_by_one(&self.file, time))
    }

    /// So many a second, for so long, on these cores; each one's time counts from when it was due.
    pub fn paced(&self, cores: &[usize], rate: u32, time: Duration) -> Outcome<(Commits, Maxima)> {
        let between = Duration::from_secs(1) / rate.max(1);
        cores::on(cores, || {
            let begin = Instant::now();
            let (mut times, mut maxima) = (Times::new()?, Maxima::new(begin));
            let mut writer = Writer::new(&self.file);
            let mut due = begin;
            while due - begin < time {
                // Sleeping would add the timer's error to each of them.
                while Instant::now() < due {
                    std::hint::spin_loop();
                }
                writer.commit()?;
                let taken = due.elapsed();
                times.record(taken);
                maxima.record(due, taken);
                due += between;
            }
            Ok((Commits { times, seconds: begin.elapsed().as_secs_f64() }, maxima))
        })
    }
}

/// Commits into a file one after the other.
pub(super) fn one_by_one(file: &Prewritten, time: Duration) -> Outcome<Commits> {
    let mut times = Times::new()?;
    let mut writer = Writer::new(file);
    let begin = Instant::now();
    while begin.elapsed() < time {
        let one = Instant::now();
        writer.commit()?;
        times.record(one.elapsed());
    }
    Ok(Commits { times, seconds: begin.elapsed().as_secs_f64() })
}

struct Writer<'a> {
    file: &'a Prewritten,
    page: AlignedBuf,
    at: u64,
}

impl<'a> Writer<'a> {
    fn new(file: &'a Prewritten) -> Self {
        let mut page = AlignedBuf::new(PAGE_BYTES);
        page.fill(3);
        Self { file, page, at: 0 }
    }

    fn commit(&mut self) -> Outcome<()> {
        let written = self.file.file.write_all_at(&self.page, self.at);
        let synced = written.and_then(|()| self.file.file.sync_data());
        synced.map_err(|error| self.file.failed(error))?;
        self.at = (self.at + PAGE_BYTES as u64) % self.file.bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_kept_and_times_count_from_it() {
        // The system's temporary folder may be memory, which has no direct writes.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let disk = RawDisk::create(folder.path()).unwrap();
        let cores = cores::cores();
        let saturated = disk.saturated(&cores, Duration::from_millis(100)).unwrap();
        let p50 = saturated.times.summary().p50_ns;
        assert!(p50 > 1_000 && saturated.per_second() > 1.0, "{saturated:?}");

        let time = Duration::from_millis(200);
        let (paced, maxima) = disk.paced(&cores, 50, time).unwrap();
        assert_eq!(paced.times.summary().count, 10);
        // Nobody can write as often as this: the last one is late by most of what the others took.
        let (late, _) = disk.paced(&cores, 1_000_000, Duration::from_micros(100)).unwrap();
        let summary = late.times.summary();
        assert_eq!(summary.count, 100);
        assert!(float(summary.max_ns) > 0.9 * late.seconds * 1e9, "{summary}, {}", late.seconds);
        assert_eq!(maxima.ns().len(), 1);
        drop(disk);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
