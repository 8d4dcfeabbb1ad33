//! The key of a line: the first group of a pattern.

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

/// Why a pattern can't give keys. The user's mistake.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum KeyPatternError {
    /// It is no regular expression.
    #[error("{0}")]
    Syntax(regex::Error),
    /// It has no group.
    #[error("'{pattern}' has no group: put the key in parentheses, as in '^(\\S+)'")]
    NoGroup {
        /// The pattern.
        pattern: String,
    },
}

/// A pattern with a group.
#[derive(Clone, Debug)]
pub(crate) struct KeyPattern {
    regex: Regex,
}

impl std::str::FromStr for KeyPattern {
    type Err = KeyPatternError;

    fn from_str(pattern: &str) -> Result<Self, KeyPatternError> {
        // Lines are bytes of any encoding: `\S` must match those that are not UTF-8, too. (?u) in a pattern undoes it.
        let regex = RegexBuilder::new(pattern).unicode(false).build();
        let regex = regex.map_err(KeyPatternError::Syntax)?;
        if regex.captures_len() < 2 {
            return Err(KeyPatternError::NoGroup { pattern: pattern.to_owned() });
        }
        Ok(Self { regex })
    }
}

/// Finds keys with a pattern; keeps what the search needs between lines.
pub(crate) struct KeyFinder {
    regex: Regex,
    places: CaptureLocations,
}

impl KeyFinder {
    pub(crate) fn new(pattern: &KeyPattern) -> Self {
        Self { regex: pattern.regex.clone(), places: pattern.regex.capture_locations() }
    }

    /// The key of a line; `None` if the pattern or its group does not match.
    pub(crate) fn key<'a>(&mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        self.regex.captures_read(&mut self.places, line)?;
        let (from, to) = self.places.get(1)?;
        line.get(from..to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_one_is_the_key_and_a_line_without_it_has_none() {
        let mut finder = KeyFinder::new(&r"^(\S+) ".parse().unwrap());
        assert_eq!(finder.key(b"10.0.0.1 - GET /"), Some(&b"10.0.0.1"[..]));
        assert_eq!(finder.key(b"\xff\xfe x"), Some(&b"\xff\xfe"[..]));
        assert_eq!(finder.key(b"one"), None);
        let mut optional = KeyFinder::new(&r"^a(b)?".parse().unwrap());
        assert_eq!(optional.key(b"ac"), None);
    }

    #[test]
    fn a_pattern_without_a_group_is_refused() {
        let refused = r"^\S+".parse::<KeyPattern>().unwrap_err();
        assert!(refused.to_string().contains("parentheses"), "{refused}");
        assert!("(".parse::<KeyPattern>().is_err());
    }
}
