//! Which shard runs on which core. Pure: the cores of the machine are given.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Most shards of a broker: shard ports and Kafka broker ids leave room for this many.
pub const SHARDS_MAX: u16 = 512;

/// Largest core number accepted in a list.
const CORE_MAX: usize = 4_095;

/// CPU cores by number, ascending, as `taskset -c` writes them: `0-3,5` or `0-10:2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreList(Vec<usize>);

impl CoreList {
    /// The cores' numbers, ascending.
    #[must_use]
    pub fn cores(&self) -> &[usize] {
        &self.0
    }
}

/// A text that is no list of cores. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CoreListError {
    /// No core at all.
    #[error("names no core; write it as taskset -c does, for example 0-3,5")]
    Empty,
    /// A part is neither a number nor a range.
    #[error("'{part}' is neither a core number nor a range such as 0-3 or 0-10:2")]
    BadPart {
        /// The part.
        part: String,
    },
    /// A range that ends before it begins, or a step of zero.
    #[error("the range '{part}' holds no core")]
    EmptyRange {
        /// The part.
        part: String,
    },
    /// A number no machine has.
    #[error("core {core} is beyond {CORE_MAX}")]
    TooLarge {
        /// The number.
        core: usize,
    },
}

impl FromStr for CoreList {
    type Err = CoreListError;

    fn from_str(text: &str) -> Result<Self, CoreListError> {
        let mut cores = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            cores.extend(parse_part(part)?);
        }
        if cores.is_empty() {
            return Err(CoreListError::Empty);
        }
        cores.sort_unstable();
        cores.dedup();
        Ok(Self(cores))
    }
}

impl fmt::Display for CoreList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|left, right| left + 1 == *right);
        for (position, run) in runs.enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            match run {
                [first, .., last] => write!(f, "{first}-{last}")?,
                [only] => write!(f, "{only}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

/// One number or range of a list.
fn parse_part(part: &str) -> Result<Vec<usize>, CoreListError> {
    let bad = || CoreListError::BadPart { part: part.to_owned() };
    let number = |text: &str| text.trim().parse::<usize>().map_err(|_| bad());
    let (range, step) = match part.split_once(':') {
        Some((range, step)) => (range, number(step)?),
        None => (part, 1),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(range)?, number(range)?),
    };
    if last > CORE_MAX {
        return Err(CoreListError::TooLarge { core: last });
    }
    if first > last || step == 0 {
        return Err(CoreListError::EmptyRange { part: part.to_owned() });
    }
    Ok((first..=last).step_by(step).collect())
}

/// Where each shard runs, by shard number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorePlan {
    /// The core of each shard; `None` runs wherever the kernel puts it.
    pub cores: Vec<Option<usize>>,
}

/// Cores and shards that don't fit the machine. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CorePlanError {
    /// A core was named that this process may not use.
    #[error(
        "core {core} is not among those this process may use ({allowed}); mend --cores or the cpuset"
    )]
    CoreNotAllowed {
        /// The core.
        core: usize,
        /// What may be used.
        allowed: CoreList,
    },
    /// The kernel told no core.
    #[error("the cores of this machine can't be told; give --shards to run unpinned")]
    CoresUnknown,
    /// More shards than a broker can have.
    #[error("{shards} shards are more than {SHARDS_MAX}; lower --shards or --cores")]
    TooManyShards {
        /// The number asked for.
        shards: usize,
    },
}

impl CorePlan {
    /// Plans the shards: one for each core named, or for each core allowed when none is; `shards` overrides
    /// their number. More shards than cores run unpinned, all of them: pinning some would starve those
    /// that share.
    ///
    /// # Errors
    /// A core that is not allowed, or too many shards.
    pub fn new(
        allowed: &[usize],
        named: Option<&CoreList>,
        shards: Option<u16>,
    ) -> Result<Self, CorePlanError> {
        let cores = named.map_or(allowed, CoreList::cores);
        if let Some(core) = cores.iter().find(|core| !allowed.contains(core)) {
            let allowed = CoreList(allowed.to_vec());
            return Err(CorePlanError::CoreNotAllowed { core: *core, allowed });
        }
        let count = shards.map_or(cores.len(), usize::from);
        if count == 0 {
            return Err(CorePlanError::CoresUnknown);
        }
        if count > usize::from(SHARDS_MAX) {
            return Err(CorePlanError::TooManyShards { shards: count });
        }
        let cores = match cores.get(..count) {
            Some(pinned) => pinned.iter().copied().map(Some).collect(),
            None => vec![None; count],
        };
        Ok(Self { cores })
    }

    /// The number of shards.
    #[must_use]
    pub fn shards(&self) -> u16 {
        u16::try_from(self.cores.len()).unwrap_or(SHARDS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_taskset_reads_them() {
        let cases = [
            ("0", vec![0], "0"),
            ("0-3,5", vec![0, 1, 2, 3, 5], "0-3,5"),
            (" 4 , 1-2 ", vec![1, 2, 4], "1-2,4"),
            ("0-10:5", vec![0, 5, 10], "0,5,10"),
            ("1,1,0-1", vec![0, 1], "0-1"),
        ];
        for (text, cores, shown) in cases {
            let list: CoreList = text.parse().unwrap();
            assert_eq!(list.cores(), cores, "{text}");
            assert_eq!(list.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", ",", "a", "1-", "-1", "3-1", "0-4:0", "0-99999999", "1..2"] {
            assert!(text.parse::<CoreList>().is_err(), "{text}");
        }
    }

    #[track_caller]
    fn check(named: Option<&str>, shards: Option<u16>, expected: &[Option<usize>]) {
        let named = named.map(|text| text.parse().unwrap());
        let plan = CorePlan::new(&[0, 1, 2, 4], named.as_ref(), shards).unwrap();
        assert_eq!(plan.cores, expected);
        assert_eq!(usize::from(plan.shards()), expected.len());
    }

    #[test]
    fn one_pinned_shard_runs_on_each_core() {
        check(None, None, &[Some(0), Some(1), Some(2), Some(4)]);
        check(Some("1,4"), None, &[Some(1), Some(4)]);
        check(Some("1,4"), Some(1), &[Some(1)]);
    }

    #[test]
    fn more_shards_than_cores_run_unpinned() {
        check(None, Some(5), &[None; 5]);
        check(Some("0"), Some(2), &[None; 2]);
    }

    #[test]
    fn a_core_that_is_not_allowed_is_named() {
        let named = "0,3".parse().unwrap();
        let error = CorePlan::new(&[0, 1, 2, 4], Some(&named), None).unwrap_err();
        assert!(error.to_string().contains("core 3"), "{error}");
        assert!(error.to_string().contains("0-2,4"), "{error}");
    }

    #[test]
    fn no_core_and_no_shards_is_refused() {
        assert_eq!(CorePlan::new(&[], None, None), Err(CorePlanError::CoresUnknown));
        assert_eq!(CorePlan::new(&[], None, Some(2)).unwrap().cores, [None, None]);
        let error = CorePlan::new(&[], None, Some(SHARDS_MAX + 1)).unwrap_err();
        assert_eq!(error, CorePlanError::TooManyShards { shards: 513 });
    }
}
