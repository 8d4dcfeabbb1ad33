//! The few options of the chores, parsed without a library to keep the compile short.

use crate::step::Failure;

/// What stood behind the command word.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Words without dashes: for `check` the names of steps.
    pub(crate) words: Vec<String>,
    /// `--rounds N` of `crash`.
    pub(crate) rounds: Option<u32>,
    /// `--seed S` of `crash` and `sim`.
    pub(crate) seed: Option<u64>,
    /// `--minutes N` of `fuzz`.
    pub(crate) minutes: Option<u64>,
    /// `--seeds N` of `sim`.
    pub(crate) seeds: Option<u64>,
    /// `--first-seed N` of `sim`.
    pub(crate) first_seed: Option<u64>,
    /// `--scenario FILE` of `sim`.
    pub(crate) scenario: Option<String>,
    /// `--canaries` of `sim`.
    pub(crate) canaries: bool,
    /// `--workload NAME` of `bench`.
    pub(crate) workload: Option<String>,
    /// `--durability LEVEL` of `brokers`.
    pub(crate) durability: Option<String>,
    /// `--release`: the binary as it is shipped, not the debug build.
    pub(crate) release: bool,
    /// `--quick` of `bench`: minutes, not an hour.
    pub(crate) quick: bool,
    /// `--guard` of `bench`: counts instructions.
    pub(crate) guard: bool,
    /// `--update` of `bench --guard`: takes the counts as the new baseline.
    pub(crate) update: bool,
    /// `--clippy` of `fix`.
    pub(crate) clippy: bool,
}

impl Options {
    /// Reads the arguments after the command word; an unknown option is an error, not ignored.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            let (name, inline) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let mut value = || inline.clone().or_else(|| arguments.next());
            match name.as_str() {
                "--rounds" => options.rounds = Some(number(&name, value())?),
                "--seed" => options.seed = Some(number(&name, value())?),
                "--minutes" => options.minutes = Some(number(&name, value())?),
                "--seeds" => options.seeds = Some(number(&name, value())?),
                "--first-seed" => options.first_seed = Some(number(&name, value())?),
                "--scenario" => options.scenario = value(),
                "--canaries" => options.canaries = true,
                "--durability" => options.durability = value(),
                "--workload" => options.workload = value(),
                "--release" => options.release = true,
                "--quick" => options.quick = true,
                "--guard" => options.guard = true,
                "--update" => options.update = true,
                "--clippy" => options.clippy = true,
                _ if name.starts_with('-') => {
                    return Err(Failure::new(format!("unknown option {name}"), "cargo xtask help"));
                }
                _ => options.words.push(name),
            }
        }
        Ok(options)
    }

    /// True if this name was asked for, or none was.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| word == name)
    }
}

fn number<N: std::str::FromStr>(name: &str, value: Option<String>) -> Result<N, Failure> {
    value.as_deref().and_then(|text| text.parse().ok()).ok_or_else(|| {
        Failure::new(format!("{name} needs a number, got {value:?}"), "cargo xtask help")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Failure> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn values_are_read_behind_a_space_or_an_equals_sign() {
        let spaced = parse("--rounds 7 --seed 9").unwrap();
        assert_eq!(spaced, parse("--rounds=7 --seed=9").unwrap());
        assert_eq!((spaced.rounds, spaced.seed), (Some(7), Some(9)));
    }

    #[test]
    fn unknown_options_and_missing_numbers_are_refused() {
        for line in ["--round 7", "--rounds", "--rounds many"] {
            assert!(parse(line).is_err(), "{line} was accepted");
        }
    }
}
