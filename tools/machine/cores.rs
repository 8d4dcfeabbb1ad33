//! The machine's cores: who may run on which, and the time that a process has used of them.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

use crate::error::{MachineError, Outcome};

/// Cores that this process may use, ascending, each once; read as `taskset -c` takes them, such as `0,2-3`. A core that is not
/// allowed is refused, because keeping to it would be without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreList(Vec<usize>);

impl CoreList {
    /// Their numbers.
    pub fn cores(&self) -> &[usize] {
        &self.0
    }
}

impl FromStr for CoreList {
    type Err = MachineError;

    fn from_str(text: &str) -> Outcome<Self> {
        let wrong =
            || MachineError::Senseless(format!("'{text}' is no list of cores such as 0,2-3"));
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let mut listed = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last || last >= CpuSet::MAX_CPU {
                return Err(wrong());
            }
            listed.extend(first..=last);
        }
        listed.sort_unstable();
        listed.dedup();
        let allowed = cores();
        match listed.iter().find(|core| !allowed.contains(core)) {
            Some(core) => Err(MachineError::Senseless(format!(
                "core {core} is not among those this process may use ({})",
                list(&allowed)
            ))),
            None => Ok(Self(listed)),
        }
    }
}

/// Cores that a broker and its load generator are kept on, so that neither takes the other's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The broker's, with all of its threads and children.
    pub broker: Vec<usize>,
    /// The load generator's.
    pub load: Vec<usize>,
}

impl Placement {
    /// `None` if nothing is said of either. Who is not spoken of may use all cores that this process may.
    pub fn of(broker: Option<&CoreList>, load: Option<&CoreList>) -> Option<Self> {
        let own = |list: Option<&CoreList>| list.map_or_else(cores, |list| list.0.clone());
        (broker.is_some() || load.is_some()).then(|| Self { broker: own(broker), load: own(load) })
    }

    /// Keeps the calling thread, and all threads that it starts from now on, on the load generator's cores.
    pub fn enter(&self) {
        pin(&self.load);
    }

    /// Runs on the broker's cores: what is started meanwhile stays on them, the calling thread comes back.
    pub fn for_broker<T>(&self, start: impl FnOnce() -> T) -> T {
        pin(&self.broker);
        let started = start();
        self.enter();
        started
    }
}

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

/// Runs on a thread of its own that is kept on these cores.
pub fn on<T: Send>(cores: &[usize], work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    std::thread::scope(|scope| {
        let pinned = || {
            pin(cores);
            work()
        };
        scope
            .spawn(pinned)
            .join()
            .unwrap_or_else(|_| Err(MachineError::Senseless("a thread panicked".to_owned())))
    })
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
    fn lists_of_cores_are_read_and_what_makes_no_sense_is_refused() {
        let allowed = cores();
        let (first, last) = (allowed[0], allowed[allowed.len() - 1]);
        let parse = |text: &str| text.parse::<CoreList>();
        let cases = [
            (first.to_string(), vec![first]),
            (format!(" {last}, {last} ,{first}-{first}"), vec![first, last]),
            (list(&allowed), allowed.clone()),
        ];
        for (text, mut expected) in cases {
            expected.dedup();
            assert_eq!(parse(&text).unwrap().cores(), expected, "{text}");
        }
        if last - first + 1 == allowed.len() {
            assert_eq!(parse(&format!("{first}-{last}")).unwrap().cores(), allowed);
        }
        for text in ["", ",", "a", "1-", "-1", "3-1", "0,,1", "0-99999999"] {
            assert!(parse(text).unwrap_err().to_string().contains("no list"), "{text}");
        }
        let error = parse(&(CpuSet::MAX_CPU - 1).to_string()).unwrap_err().to_string();
        assert!(error.contains("may use"), "{error}");
        let one = parse(&first.to_string()).unwrap();
        let placement = Placement::of(Some(&one), None).unwrap();
        assert_eq!((placement.broker, placement.load), (vec![first], allowed));
        assert_eq!(Placement::of(None, None), None);
    }

    #[test]
    fn what_starts_for_the_broker_stays_on_its_cores_and_the_caller_comes_back() {
        let allowed = cores();
        let (broker, load) = split(&allowed);
        let placement = Placement { broker, load };
        // The affinity is that of a thread: the test's own is not changed for others.
        let seen = on(&allowed, || {
            placement.enter();
            let child = placement.for_broker(|| std::thread::spawn(cores).join());
            let later = std::thread::spawn(cores).join();
            Ok((child.unwrap_or_default(), later.unwrap_or_default(), cores()))
        });
        let Placement { broker, load } = placement;
        assert_eq!(seen.unwrap(), (broker, load.clone(), load));
    }

    #[test]
    fn cores_are_shared_out() {
        assert_eq!(split(&[0, 1]), (vec![0], vec![1]));
        assert_eq!(split(&[2, 3, 5]), (vec![2, 3], vec![5]));
        assert_eq!(split(&[4]), (vec![4], vec![4]));
        assert_eq!(list(&[0, 2]), "0,2");
    }
}
