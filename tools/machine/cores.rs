//! The machine's cores: who may run on which, and the time that a process has used of them.

use std::path::Path;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::{MachineError, Outcome};

/// The cores that this process may use.
pub fn cores() -> Vec<usize> {
    let allowed = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect()
}

/// The broker's cores, and the load generator's: half of them each, at least one.
pub fn split(cores: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let half = cores.len().div_ceil(2);
    let (broker, load) = cores.split_at_checked(half).unwrap_or((cores, &[]));
    let load = if load.is_empty() { broker } else { load };
    (broker.to_vec(), load.to_vec())
}

/// Keeps the calling thread on these cores.
pub fn pin(cores: &[usize]) {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    // A refusal costs precision and no more.
    let _refused = sched_setaffinity(None, &set);
}

/// A list as taskset -c takes it.
pub fn list(cores: &[usize]) -> String {
    cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Processor time that a process has used so far, all its threads together.
pub fn processor_time(pid: u32) -> Outcome<Duration> {
    let path = format!("/proc/{pid}/stat");
    let path = Path::new(&path);
    let text = std::fs::read_to_string(path).map_err(|error| MachineError::file(path, error))?;
    let ticks =
        ticks(&text).ok_or_else(|| MachineError::Senseless(format!("{text} makes no sense")))?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_nanos(ticks.saturating_mul(1_000_000_000) / per_second.max(1)))
}

/// User and system time, fields 14 and 15; the name in field 2 may hold spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_whatever_the_process_is_called() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 700 50 0 0 20 0 1 0 100";
        assert_eq!(ticks(stat), Some(750));
        let before = processor_time(std::process::id()).unwrap();
        assert!(before < Duration::from_secs(3_600));
    }

    #[test]
    fn cores_are_shared_out() {
        assert_eq!(split(&[0, 1]), (vec![0], vec![1]));
        assert_eq!(split(&[2, 3, 5]), (vec![2, 3], vec![5]));
        assert_eq!(split(&[4]), (vec![4], vec![4]));
        assert_eq!(list(&[0, 2]), "0,2");
    }
}
