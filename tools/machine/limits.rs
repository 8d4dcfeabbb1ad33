//! What the machine can do without a broker: its disk and its loopback, measured in the same run as the brokers. Absolute
//! figures of one machine move by a factor of two from day to day; ratios of one run mean something.

pub mod echo;
pub mod floor;

mod disk;
mod loopback;

pub mod commits;

mod prewritten;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cores::{self, Placement};
use crate::error::Outcome;
use crate::latency::Percentiles;

/// Limits of one round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Direct writes of 1 MiB into a file that is there already, 4 at a time.
    pub disk_write_bytes_per_second: f64,
    /// Direct reads of 1 MiB, 8 at a time.
    pub disk_read_bytes_per_second: f64,
    /// One direct 4 KiB write into a file that is there already and its fdatasync, one after the other.
    pub commit: Percentiles,
    /// One TCP stream over loopback, 256 KiB a write.
    pub loopback_bytes_per_second: f64,
    /// 128 bytes there and back over loopback TCP, between two threads that sleep meanwhile.
    pub ping_pong: Percentiles,
    /// The same 500 times a second, each counted from when it was due: what waking up costs two threads that sleep between
    /// messages. Results of before 2026-11-28 lack it.
    #[serde(default)]
    pub paced_echo: Percentiles,
}

impl Limits {
    /// Measures all six, one after the other, each for about so long. A file of so many bytes goes below `folder`, which
    /// must be on the disk that brokers write to, and is deleted again. With a placement the disk is measured on the broker's
    /// cores, and the loopback from the load generator's to those.
    pub fn measure(
        folder: &Path,
        time: Duration,
        file_bytes: u64,
        placement: Option<&Placement>,
    ) -> Outcome<Self> {
        let disk = || disk::measure(folder, time, file_bytes);
        let disk = placement.map_or_else(disk, |place| cores::on(&place.broker, disk))?;
        let loopback = || loopback::measure(time, placement.map(|place| place.broker.as_slice()));
        let loopback = placement.map_or_else(loopback, |place| cores::on(&place.load, loopback))?;
        Ok(Self {
            disk_write_bytes_per_second: disk.write_bytes_per_second,
            disk_read_bytes_per_second: disk.read_bytes_per_second,
            commit: disk.commit,
            loopback_bytes_per_second: loopback.bytes_per_second,
            ping_pong: loopback.ping_pong,
            paced_echo: loopback.paced_echo,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_measured_and_nothing_stays_on_the_disk() {
        // The system's temporary folder may be memory, which has no direct writes.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let (broker, load) = cores::split(&cores::cores());
        for placement in [None, Some(&Placement { broker, load })] {
            let time = Duration::from_millis(50);
            let limits = Limits::measure(folder.path(), time, 16 << 20, placement).unwrap();
            for rate in [
                limits.disk_write_bytes_per_second,
                limits.disk_read_bytes_per_second,
                limits.loopback_bytes_per_second,
            ] {
                assert!(rate > 1e6, "{limits:?}");
            }
            assert!(limits.commit.count > 3 && limits.commit.p50_ns > 1_000, "{limits:?}");
            assert!(limits.ping_pong.count > 10 && limits.ping_pong.p50_ns > 1_000, "{limits:?}");
            let paced = limits.paced_echo;
            assert!((1..=26).contains(&paced.count) && paced.p50_ns > 1_000, "{limits:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
