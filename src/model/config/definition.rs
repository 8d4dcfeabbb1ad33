//! What one setting is: name, type, default, what values it takes. Apart because every kind of resource has a
//! table of these.

use crate::limits::TOPIC_SETTING_BYTES_MAX;

/// What kind of resource a setting belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConfigKind {
    /// A topic.
    Topic,
    /// A broker, or the default of all brokers.
    Broker,
    /// A group.
    Group,
}

impl ConfigKind {
    /// Every setting of the kind, in the order of the names.
    #[must_use]
    pub const fn definitions(self) -> &'static [Definition] {
        match self {
            Self::Topic => super::topic::table::TOPIC,
            Self::Broker => super::broker::BROKER,
            Self::Group => super::group::GROUP,
        }
    }

    /// The setting of a name.
    ///
    /// # Errors
    /// [`ConfigError::UnknownName`].
    pub fn find(self, name: &str) -> Result<&'static Definition, ConfigError> {
        let found = self.definitions().iter().find(|definition| definition.name == name);
        found.ok_or_else(|| ConfigError::UnknownName { kind: self, name: name.to_owned() })
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Topic => "topics",
            Self::Broker => "brokers",
            Self::Group => "groups",
        }
    }
}

/// The type of a setting's value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ValueType {
    /// true or false.
    Boolean,
    /// Any text.
    String,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A number with a fraction.
    Double,
    /// Texts joined by commas.
    List,
}

impl ValueType {
    /// Kafka's number of the type (`DescribeConfigs`, field `config_type`).
    #[must_use]
    pub const fn to_wire(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Boolean => "true or false",
            Self::String => "a text",
            Self::Int => "a whole number of 32 bits",
            Self::Long => "a whole number of 64 bits",
            Self::Double => "a number",
            Self::List => "a list joined by commas",
        }
    }
}

/// Which values of its type a setting takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Every one.
    Any,
    /// Numbers from the first to the second.
    Between(i64, i64),
    /// Numbers from the first to the second, or the third.
    BetweenOr(i64, i64, i64),
    /// Numbers from this on.
    AtLeast(i64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Each part is one of these words, and none comes twice.
    EachOf(&'static [&'static str]),
    /// A fraction from 0 to 1.
    Ratio,
    /// `*`, or parts of the form partition:broker, or none.
    Replicas,
    /// Only this: the broker lacks what another value asks for.
    Only(&'static str),
    /// Only 1: every partition has one replica.
    OneReplica,
}

/// Whether a setting can be changed while the broker runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// At any time.
    Live,
    /// By the configuration file and a restart alone.
    AtRestart,
}

/// One setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Definition {
    /// Kafka's name.
    pub name: &'static str,
    /// The type of its value.
    pub value_type: ValueType,
    /// What it is when nobody set it.
    pub default: &'static str,
    /// Which values it takes.
    pub rule: Rule,
    /// Whether it can be changed while the broker runs.
    pub change: Change,
    /// For a topic's setting: the broker's setting that gives its default.
    pub broker_name: Option<&'static str>,
    /// Meaning and unit, one sentence for people.
    pub doc: &'static str,
}

/// Why a setting was refused. The caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No setting has this name.
    #[error("{} have no setting '{name}'", kind.noun())]
    UnknownName {
        /// The kind of resource.
        kind: ConfigKind,
        /// What was given.
        name: String,
    },
    /// The value can't be read, or is outside its range.
    #[error("'{value}' is not possible for {name}: {expected}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What was given, cut short.
        value: String,
        /// What would be accepted.
        expected: String,
    },
    /// The setting can't be changed while the broker runs.
    #[error("{name} can't be changed while the broker runs")]
    ReadOnly {
        /// The setting.
        name: &'static str,
    },
    /// Items can be added to and taken from lists alone.
    #[error("{name} is no list: items can't be added to it or taken away")]
    NotAList {
        /// The setting.
        name: &'static str,
    },
    /// Two settings contradict each other.
    #[error("{smaller} must not be larger than {larger}")]
    Order {
        /// The setting that must be the smaller one.
        smaller: &'static str,
        /// The setting that must be the larger one.
        larger: &'static str,
    },
    /// The setting comes twice in one request.
    #[error("{name} is given twice")]
    Twice {
        /// The setting.
        name: String,
    },
}

/// Bytes of a refused value that its error repeats.
const SHOWN_BYTES: usize = 100;

impl Definition {
    /// The value as it is stored: without blanks around it and its parts.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn normalize(&self, text: &str) -> Result<String, ConfigError> {
        let text = text.trim();
        let accepted = if text.len() > TOPIC_SETTING_BYTES_MAX { None } else { self.read(text) };
        accepted.ok_or_else(|| ConfigError::Value {
            name: self.name,
            value: text
                .char_indices()
                .take_while(|(at, _)| *at < SHOWN_BYTES)
                .map(|c| c.1)
                .collect(),
            expected: self.expected(),
        })
    }

    /// As [`Definition::normalize`], of a value that was accepted when it was stored. Where a rule has become narrower since,
    /// the value still counts: no start may fail for it.
    ///
    /// # Errors
    /// [`ConfigError::Value`]: no release has accepted it.
    pub fn restore(&self, text: &str) -> Result<String, ConfigError> {
        let rule = match self.rule {
            Rule::OneReplica => Rule::AtLeast(1),
            rule => rule,
        };
        Self { rule, ..*self }.normalize(text)
    }

    fn read(&self, text: &str) -> Option<String> {
        match self.value_type {
            ValueType::Boolean => {
                let value = text.to_ascii_lowercase();
                let known = matches!(value.as_str(), "true" | "false");
                let allowed = !matches!(self.rule, Rule::Only(only) if only != value);
                (known && allowed).then_some(value)
            }
            ValueType::Int => {
                let value = text.parse::<i32>().ok()?;
                self.in_range(i64::from(value)).then(|| value.to_string())
            }
            ValueType::Long => {
                let value = text.parse::<i64>().ok()?;
                self.in_range(value).then(|| value.to_string())
            }
            ValueType::Double => {
                let value = text.parse::<f64>().ok()?;
                let fits = self.rule != Rule::Ratio || (0.0..=1.0).contains(&value);
                (value.is_finite() && fits).then(|| text.to_owned())
            }
            ValueType::String => {
                let allowed = match self.rule {
                    Rule::OneOf(words) => words.contains(&text),
                    _ => true,
                };
                allowed.then(|| text.to_owned())
            }
            ValueType::List => {
                let parts: Vec<_> = items(text).collect();
                let known = match self.rule {
                    Rule::EachOf(words) => parts.iter().all(|part| words.contains(part)),
                    Rule::Replicas => parts == ["*"] || parts.iter().all(|part| is_replica(part)),
                    _ => true,
                };
                let twice = parts
                    .iter()
                    .enumerate()
                    .any(|(at, part)| parts.get(..at).is_some_and(|before| before.contains(part)));
                (known && !twice).then(|| parts.join(","))
            }
        }
    }

    const fn in_range(&self, value: i64) -> bool {
        match self.rule {
            Rule::Between(least, most) => least <= value && value <= most,
            Rule::BetweenOr(least, most, other) => {
                (least <= value && value <= most) || value == other
            }
            Rule::AtLeast(least) => least <= value,
            Rule::OneReplica => value == 1,
            _ => true,
        }
    }

    /// What values are accepted, for people.
    #[must_use]
    pub fn expected(&self) -> String {
        let noun = self.value_type.noun();
        match self.rule {
            Rule::Any => noun.to_owned(),
            Rule::Between(least, most) => format!("{noun} from {least} to {most}"),
            Rule::BetweenOr(least, most, other) => {
                format!("{noun} from {least} to {most}, or {other}")
            }
            Rule::AtLeast(least) => format!("{noun}, at least {least}"),
            Rule::OneOf(words) => format!("one of {}", words.join(", ")),
            Rule::EachOf(words) => format!("{noun}, of {}", words.join(", ")),
            Rule::Ratio => format!("{noun} from 0 to 1"),
            Rule::Replicas => "*, or parts of the form partition:broker".to_owned(),
            Rule::Only(only) => format!("only {only} is offered by this broker"),
            Rule::OneReplica => "only 1, as every partition has one replica".to_owned(),
        }
    }
}

/// The parts of a list's text; an empty text has none.
pub(crate) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn is_replica(part: &str) -> bool {
    let number = |text: &str| text.parse::<i32>().is_ok_and(|number| number >= 0);
    part.split_once(':').is_some_and(|(partition, broker)| number(partition) && number(broker))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: ConfigKind, name: &str, accepted: &[(&str, &str)], refused: &[&str]) {
        let definition = kind.find(name).unwrap();
        for (text, stored) in accepted {
            assert_eq!(definition.normalize(text).as_deref(), Ok(*stored), "{name} = {text}");
        }
        for text in refused {
            let error = definition.normalize(text).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn every_default_is_a_value_of_its_setting_and_names_are_sorted_and_unique() {
        for kind in [ConfigKind::Topic, ConfigKind::Broker, ConfigKind::Group] {
            let table = kind.definitions();
            assert!(table.windows(2).all(|pair| pair[0].name < pair[1].name), "{kind:?}");
            for definition in table {
                let stored = definition.normalize(definition.default);
                assert_eq!(stored.as_deref(), Ok(definition.default), "{}", definition.name);
            }
        }
    }

    #[test]
    fn values_are_read_by_type_and_rule() {
        let topic = ConfigKind::Topic;
        check(topic, "preallocate", &[(" TRUE ", "true"), ("false", "false")], &["yes", ""]);
        check(
            topic,
            "segment.ms",
            &[("1", "1"), ("9223372036854775807", "9223372036854775807")],
            &["0", "-1", "9223372036854775808", "1.0", "a week"],
        );
        check(topic, "segment.bytes", &[("65536", "65536")], &["14", "2147483648"]);
        check(topic, "retention.ms", &[("-1", "-1"), ("0", "0")], &["-2"]);
        check(topic, "retention.bytes", &[("-7", "-7")], &["9223372036854775808"]);
        check(topic, "min.cleanable.dirty.ratio", &[("0.25", "0.25"), ("1", "1")], &["1.1", "NaN"]);
        check(topic, "compression.type", &[("zstd", "zstd")], &["none", "ZSTD", ""]);
        check(topic, "compression.gzip.level", &[("-1", "-1"), ("9", "9")], &["0", "10"]);
        check(
            topic,
            "cleanup.policy",
            &[("compact, delete", "compact,delete"), ("", "")],
            &["keep", "delete,delete"],
        );
        check(
            topic,
            "leader.replication.throttled.replicas",
            &[("*", "*"), ("0:1, 1:1", "0:1,1:1")],
            &["1", "*,1:1", "a:b", "-1:0"],
        );
        check(topic, "remote.storage.enable", &[("false", "false")], &["true"]);
        check(topic, "min.insync.replicas", &[("1", "1")], &["0", "2", "one"]);
        check(topic, "max.message.bytes", &[("0", "0")], &["-1", &"9".repeat(5000)]);
    }

    #[test]
    fn more_replicas_than_there_are_are_refused_and_still_read_where_they_are_stored() {
        let definition = ConfigKind::Topic.find("min.insync.replicas").unwrap();
        let refused = definition.normalize("2").unwrap_err().to_string();
        assert!(refused.contains("one replica"), "{refused}");
        assert_eq!(definition.restore(" 2 ").as_deref(), Ok("2"));
        assert!(definition.restore("0").is_err());
        let other = ConfigKind::Topic.find("segment.ms").unwrap();
        assert_eq!(other.restore("0"), other.normalize("0"));
    }

    #[test]
    fn an_error_repeats_only_the_beginning_of_a_long_value() {
        let definition = ConfigKind::Topic.find("compression.type").unwrap();
        let error = definition.normalize(&"ä".repeat(4000)).unwrap_err();
        assert!(error.to_string().len() < 400, "{error}");
    }
}
