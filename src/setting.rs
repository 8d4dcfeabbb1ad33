//! What one setting is: its key, its documentation, and how its text becomes a value. Apart from the table
//! so that the table is only a table.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::config::Config;

/// A documented setting.
#[derive(Clone, Copy)]
pub struct Setting {
    /// The key as in the file; its parts are separated by dots.
    pub key: &'static str,
    /// What it means, with its unit.
    pub meaning: &'static str,
    /// What values it takes.
    pub range: &'static str,
    /// When a change takes effect.
    pub applies: Applies,
    pub(crate) set: fn(&mut Config, &str) -> Result<(), ValueError>,
    pub(crate) get: fn(&Config) -> String,
}

/// When a changed setting takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// At the next start.
    AtRestart,
}

impl Applies {
    /// As shown to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AtRestart => "at a restart",
        }
    }
}

impl Setting {
    /// The name of the environment variable that sets it.
    #[must_use]
    pub fn environment_name(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.key.replace('.', "_").to_uppercase())
    }

    /// The default, as text.
    #[must_use]
    pub fn default(&self) -> String {
        (self.get)(&Config::default())
    }

    /// The value in `config`, as text.
    #[must_use]
    pub fn value(&self, config: &Config) -> String {
        (self.get)(config)
    }
}

/// A setting whose text goes through `$read` into the field and comes back through `$show`.
macro_rules! setting {
    ($key:literal, $range:expr, $meaning:literal, |$config:ident| $field:expr, |$text:ident| $read:expr, |$value:ident| $show:expr) => {
        $crate::setting::Setting {
            key: $key,
            meaning: $meaning,
            range: $range,
            applies: $crate::setting::Applies::AtRestart,
            set: |$config, $text| {
                $field = $read?;
                Ok(())
            },
            get: |$config| {
                let $value = &$field;
                $show
            },
        }
    };
}

/// A plain number.
macro_rules! count {
    ($key:literal, $low:literal..=$high:literal, $meaning:literal, |$config:ident| $field:expr) => {
        $crate::setting::setting!(
            $key,
            concat!(stringify!($low), " to ", stringify!($high)),
            $meaning,
            |$config| $field,
            |text| $crate::setting::number(text, &($low..=$high)),
            |value| value.to_string()
        )
    };
}

/// A number of bytes.
macro_rules! size {
    ($key:literal, $low:literal..=$high:literal, $meaning:literal, |$config:ident| $field:expr) => {
        $crate::setting::setting!(
            $key,
            concat!(stringify!($low), " to ", stringify!($high)),
            $meaning,
            |$config| $field,
            |text| $crate::setting::bytes(text, &($low..=$high)),
            |value| value.to_string()
        )
    };
}

/// A duration in milliseconds.
macro_rules! time {
    ($key:literal, $low:literal..=$high:literal, $meaning:literal, |$config:ident| $field:expr) => {
        $crate::setting::setting!(
            $key,
            concat!(stringify!($low), " to ", stringify!($high)),
            $meaning,
            |$config| $field,
            |text| $crate::setting::milliseconds(text, &($low..=$high)),
            |value| value.as_millis().to_string()
        )
    };
}

pub(crate) use {count, setting, size, time};

/// What the name of every environment variable begins with.
pub const ENVIRONMENT_PREFIX: &str = "KOLK_";

/// Why a text is no value of a setting. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Not a number, or not one with a unit that is known.
    #[error("'{text}' is not {expected}")]
    NotA {
        /// What was given.
        text: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Outside the range.
    #[error("{text} is out of range: {range}")]
    OutOfRange {
        /// What was given.
        text: String,
        /// What is allowed.
        range: String,
    },
    /// The value has an error of its own kind.
    #[error("{0}")]
    Other(String),
}

/// Reads a plain number; underscores may group its digits.
pub(crate) fn number<T: FromStr + Copy + PartialOrd + Display>(
    text: &str,
    range: &RangeInclusive<T>,
) -> Result<T, ValueError> {
    let value = text.replace('_', "").parse().map_err(|_| not_a(text, "a whole number"))?;
    in_range(text, value, range)
}

/// Reads bytes: a number, with KiB, MiB or GiB behind it if wanted.
pub(crate) fn bytes<T: TryFrom<u64> + Copy + PartialOrd + Display>(
    text: &str,
    range: &RangeInclusive<T>,
) -> Result<T, ValueError> {
    let expected = "a number of bytes such as 1048576, 64KiB, 16MiB or 2GiB";
    let (digits, shift) = [("KiB", 10), ("MiB", 20), ("GiB", 30)]
        .into_iter()
        .find_map(|(unit, shift)| text.strip_suffix(unit).map(|digits| (digits, shift)))
        .unwrap_or((text, 0));
    let value = digits
        .trim()
        .replace('_', "")
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(1_u64 << shift))
        .ok_or_else(|| not_a(text, expected))?;
    let value = T::try_from(value).map_err(|_| out_of_range(text, range))?;
    in_range(text, value, range)
}

/// Reads a duration in whole milliseconds.
pub(crate) fn milliseconds(
    text: &str,
    range: &RangeInclusive<u64>,
) -> Result<Duration, ValueError> {
    number(text, range).map(Duration::from_millis)
}

/// Reads a value that parses itself.
pub(crate) fn parsed<T: FromStr>(text: &str, expected: &'static str) -> Result<T, ValueError> {
    text.parse().map_err(|_| not_a(text, expected))
}

pub(crate) fn not_a(text: &str, expected: &'static str) -> ValueError {
    ValueError::NotA { text: text.to_owned(), expected }
}

fn in_range<T: Copy + PartialOrd + Display>(
    text: &str,
    value: T,
    range: &RangeInclusive<T>,
) -> Result<T, ValueError> {
    if range.contains(&value) { Ok(value) } else { Err(out_of_range(text, range)) }
}

fn out_of_range<T: Display>(text: &str, range: &RangeInclusive<T>) -> ValueError {
    let range = format!("{} to {}", range.start(), range.end());
    ValueError::OutOfRange { text: text.to_owned(), range }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_grouped_and_are_bounded() {
        assert_eq!(number("1_000", &(1..=1_000_u32)), Ok(1_000));
        assert!(number("0", &(1..=9_u32)).is_err());
        assert!(number("ten", &(1..=9_u32)).is_err());
        assert!(number("-1", &(1..=9_u32)).is_err());
    }

    #[test]
    fn bytes_take_binary_units() {
        let range = 0..=u64::MAX;
        for (text, expected) in
            [("7", 7), ("1KiB", 1_024), ("2 MiB", 2 << 20), ("3GiB", 3 << 30), ("1_0", 10)]
        {
            assert_eq!(bytes(text, &range), Ok(expected), "{text}");
        }
        for text in ["", "MiB", "1MB", "1.5GiB", "99999999999GiB", "-1"] {
            assert!(bytes(text, &range).is_err(), "{text}");
        }
        assert!(bytes::<u32>("5GiB", &(0..=u32::MAX)).is_err());
    }

    #[test]
    fn an_error_says_what_was_given_and_what_is_allowed() {
        let error = milliseconds("5", &(100..=60_000)).unwrap_err();
        assert_eq!(error.to_string(), "5 is out of range: 100 to 60000");
        let error = parsed::<std::net::IpAddr>("here", "an IP address").unwrap_err();
        assert_eq!(error.to_string(), "'here' is not an IP address");
    }
}
