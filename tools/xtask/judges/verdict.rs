//! What a judge says of each of its tests, and what of that was expected.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::repo;
use crate::step::{Failure, Totals};

/// One line of a judge: `pass NAME`, `fail NAME why`, `skip NAME why`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) test: String,
    pub(super) says: Says,
    pub(super) why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Pass,
    Fail,
    Skip,
}

impl Verdict {
    /// Reads a line; `None` if it is talk.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ')?;
        let says = match word {
            "pass" => Says::Pass,
            "fail" => Says::Fail,
            "skip" => Says::Skip,
            _ => return None,
        };
        let (test, why) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(Self { test: test.to_owned(), says, why: why.to_owned() })
    }
}

/// The tests that may fail: `NAME: why`, one a line.
#[derive(Debug, Default)]
pub(super) struct Deviations {
    reasons: BTreeMap<String, String>,
}

impl Deviations {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        if !path.is_file() {
            return Ok(Self::default());
        }
        let text = repo::read(path)?;
        let mut reasons = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((test, reason)) = line.split_once(": ") else {
                let what = format!("{}: '{line}' gives no reason", path.display());
                return Err(Failure::new(what, "a line is NAME: why"));
            };
            reasons.insert(test.to_owned(), reason.to_owned());
        }
        Ok(Self { reasons })
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    passed: u32,
    skipped: u32,
    excused: u32,
    failed: u32,
}

impl Tally {
    /// Counts, and prints each failure with its reason. No verdict at all is a failure.
    pub(super) fn weigh(verdicts: &[Verdict], deviations: &Deviations) -> Result<Self, Failure> {
        if !verdicts.iter().any(|verdict| verdict.says == Says::Pass) {
            return Err(Failure::new("not one test passed", "read its output"));
        }
        let mut tally = Self::default();
        for verdict in verdicts {
            let Verdict { test, why, .. } = verdict;
            match (verdict.says, deviations.reasons.get(test)) {
                (Says::Pass, None) => tally.passed += 1,
                (Says::Pass, Some(reason)) => {
                    tally.passed += 1;
                    println!("  {test} passes although it is listed: {reason}");
                }
                (Says::Skip, _) => tally.skipped += 1,
                (Says::Fail, Some(reason)) => {
                    tally.excused += 1;
                    println!("  {test} fails as listed: {reason}");
                }
                (Says::Fail, None) => {
                    tally.failed += 1;
                    println!("  {test} FAILED: {why}");
                }
            }
        }
        Ok(tally)
    }

    pub(super) fn is_content(&self) -> bool {
        self.failed == 0
    }

    pub(super) fn totals(&self) -> Totals {
        Totals { passed: u64::from(self.passed), failed: u64::from(self.failed) }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, skipped, excused, failed } = self;
        write!(
            out,
            "{passed} passed, {failed} failed, {excused} failed as listed, {skipped} skipped"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_read_and_talk_is_not() {
        let fail = Verdict::parse("fail a::b it broke").unwrap();
        assert_eq!(
            (fail.test.as_str(), fail.says, fail.why.as_str()),
            ("a::b", Says::Fail, "it broke")
        );
        assert_eq!(Verdict::parse("pass a").unwrap().says, Says::Pass);
        assert_eq!(Verdict::parse("passing through"), None);
    }

    #[test]
    fn a_failure_counts_unless_it_is_listed_and_silence_is_no_success() {
        let verdicts: Vec<_> =
            ["pass a", "fail b why", "fail c why"].into_iter().filter_map(Verdict::parse).collect();
        let reasons = BTreeMap::from([("c".to_owned(), "by design".to_owned())]);
        let tally = Tally::weigh(&verdicts, &Deviations { reasons }).unwrap();
        assert_eq!((tally.passed, tally.failed, tally.excused), (1, 1, 1));
        assert!(Tally::weigh(&[], &Deviations::default()).is_err());
    }
}
