//! A topic's settings under Kafka's names. Apart so that both wires, the catalogue and the log parse,
//! list and bound them alike.

use std::fmt;

use crate::compression::Compression;
use crate::durability::Durability;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::time::TimestampType;

/// A topic's settings. [`TopicConfig::default`] is what a topic has that was created without any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TopicConfig {
    /// `kolk.durability`: what acknowledged records survive.
    pub durability: Durability,
    /// `retention.ms`: segments whose newest record is older are deleted; `None` = never.
    pub retention_ms: Option<u64>,
    /// `retention.bytes`: the oldest segments are deleted while a partition is larger; `None` = never.
    pub retention_bytes: Option<u64>,
    /// `segment.bytes`: a segment that would grow beyond it is closed and another begun.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment older than this is closed when the next batch comes.
    pub segment_ms: u64,
    /// `max.message.bytes`: the largest record batch accepted, header included.
    pub message_bytes_max: u32,
    /// `message.timestamp.type`: whether producer or broker sets timestamps.
    pub timestamp_type: TimestampType,
    /// `cleanup.policy`: how old records go.
    pub cleanup_policy: CleanupPolicy,
    /// `compression.type`: stored and described, not applied; batches stay as producers made them.
    pub compression_type: CompressionType,
    /// `min.insync.replicas`: how many replicas an acknowledgement needs.
    pub insync_replicas_min: u32,
    /// `index.interval.bytes`: bytes of log between two entries of a segment's index.
    pub index_interval_bytes: u32,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            durability: Durability::PowerLoss,
            retention_ms: Some(WEEK_MS),
            retention_bytes: None,
            segment_bytes: 1024 * 1024 * 1024,
            segment_ms: WEEK_MS,
            message_bytes_max: MESSAGE_BYTES_MAX,
            timestamp_type: TimestampType::CreateTime,
            cleanup_policy: CleanupPolicy::Delete,
            compression_type: CompressionType::Producer,
            insync_replicas_min: 1,
            index_interval_bytes: 4096,
        }
    }
}

const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// How old records of a topic go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum CleanupPolicy {
    /// Whole segments are deleted by age and size.
    #[default]
    Delete,
    /// Only the newest record of each key is sure to be kept.
    Compact,
    /// Both.
    CompactDelete,
}

impl CleanupPolicy {
    /// Whether retention by age and size deletes segments.
    #[must_use]
    pub const fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::CompactDelete)
    }

    /// Whether older records of a key may go.
    #[must_use]
    pub const fn compacts(self) -> bool {
        matches!(self, Self::Compact | Self::CompactDelete)
    }
}

/// How a topic says its batches are compressed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum CompressionType {
    /// As the producer chose.
    #[default]
    Producer,
    /// A wish for one codec.
    Codec(Compression),
}

/// Why a setting was refused. The caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicConfigError {
    /// No setting has this name.
    #[error("topics have no setting '{name}'; known are {}", known_names())]
    UnknownName {
        /// What was given.
        name: String,
    },
    /// The value can't be read, or is outside its range.
    #[error("'{value}' is not possible for {name}: {expected}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
}

/// One setting as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigEntry {
    /// Kafka's name.
    pub name: &'static str,
    /// The value in force.
    pub value: String,
    /// Whether the value is the default.
    pub is_default: bool,
    /// Meaning and range, one sentence for people.
    pub doc: &'static str,
}

impl TopicConfig {
    /// Sets one setting by its name.
    ///
    /// # Errors
    /// Refuses unknown names and values out of range; the configuration is unchanged then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), TopicConfigError> {
        let setting = find(name)?;
        if (setting.write)(self, value.trim()) {
            Ok(())
        } else {
            let (name, expected) = (setting.name, setting.expected);
            Err(TopicConfigError::Value { name, value: value.to_owned(), expected })
        }
    }

    /// Sets one setting back to its default.
    ///
    /// # Errors
    /// Refuses unknown names.
    pub fn reset(&mut self, name: &str) -> Result<(), TopicConfigError> {
        let value = (find(name)?.read)(&Self::default());
        self.set(name, &value)
    }

    /// The defaults with these settings on top; later ones win.
    ///
    /// # Errors
    /// The first setting that is refused.
    pub fn from_settings<'a>(
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, TopicConfigError> {
        let mut config = Self::default();
        for (name, value) in settings {
            config.set(name, value)?;
        }
        Ok(config)
    }

    /// Every setting, in the order of the names.
    #[must_use]
    pub fn entries(&self) -> Vec<ConfigEntry> {
        let default = Self::default();
        SETTINGS
            .iter()
            .map(|setting| {
                let value = (setting.read)(self);
                let is_default = value == (setting.read)(&default);
                ConfigEntry { name: setting.name, value, is_default, doc: setting.doc }
            })
            .collect()
    }

    /// The settings that differ from the default: enough to make the same configuration again with
    /// [`TopicConfig::from_settings`].
    #[must_use]
    pub fn overrides(&self) -> Vec<(&'static str, String)> {
        let entries = self.entries().into_iter();
        entries.filter(|entry| !entry.is_default).map(|entry| (entry.name, entry.value)).collect()
    }
}

/// One row of the table below: how a setting is called, read, written and explained.
struct Setting {
    name: &'static str,
    doc: &'static str,
    expected: &'static str,
    read: fn(&TopicConfig) -> String,
    /// False if the value is refused.
    write: fn(&mut TopicConfig, &str) -> bool,
}

/// In the order of the names.
const SETTINGS: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        doc: "How old records go: delete (by retention), compact, or both.",
        expected: "delete, compact, or both joined by a comma",
        read: |c| c.cleanup_policy.to_string(),
        write: |c, v| assign(&mut c.cleanup_policy, parse_cleanup(v)),
    },
    Setting {
        name: "compression.type",
        doc: "Stored and described, not applied: batches stay as their producers compressed them.",
        expected: "producer, uncompressed, gzip, snappy, lz4 or zstd",
        read: |c| c.compression_type.to_string(),
        write: |c, v| assign(&mut c.compression_type, parse_compression(v)),
    },
    Setting {
        name: "index.interval.bytes",
        doc: "Bytes of log between two entries of a segment's index; 512 to 16,777,216.",
        expected: "a number from 512 to 16777216",
        read: |c| c.index_interval_bytes.to_string(),
        write: |c, v| assign(&mut c.index_interval_bytes, number(v, 512, 16 * 1024 * 1024)),
    },
    Setting {
        name: "kolk.durability",
        doc: "What acknowledged records survive: power-loss or process-crash.",
        expected: "power-loss or process-crash",
        read: |c| c.durability.to_string(),
        write: |c, v| assign(&mut c.durability, v.parse().ok()),
    },
    Setting {
        name: "max.message.bytes",
        doc: "The largest record batch accepted, in bytes with its header; 61 to 67,108,863.",
        expected: "a number from 61 to 67108863",
        read: |c| c.message_bytes_max.to_string(),
        write: |c, v| assign(&mut c.message_bytes_max, number(v, 61, 64 * 1024 * 1024 - 1)),
    },
    Setting {
        name: "message.timestamp.type",
        doc: "Who sets timestamps: CreateTime (the producer) or LogAppendTime (the broker).",
        expected: "CreateTime or LogAppendTime",
        read: |c| c.timestamp_type.name().to_owned(),
        write: |c, v| assign(&mut c.timestamp_type, parse_timestamp_type(v)),
    },
    Setting {
        name: "min.insync.replicas",
        doc: "How many replicas an acknowledgement needs; at least 1.",
        expected: "a number from 1 to 1024",
        read: |c| c.insync_replicas_min.to_string(),
        write: |c, v| assign(&mut c.insync_replicas_min, number(v, 1, 1024)),
    },
    Setting {
        name: "retention.bytes",
        doc: "The oldest segments are deleted while a partition is larger than this; -1 = never.",
        expected: "-1 or a number of bytes",
        read: |c| unlimited_text(c.retention_bytes),
        write: |c, v| assign(&mut c.retention_bytes, unlimited(v)),
    },
    Setting {
        name: "retention.ms",
        doc: "Segments whose newest record is older than this are deleted; -1 = never.",
        expected: "-1 or a number of milliseconds",
        read: |c| unlimited_text(c.retention_ms),
        write: |c, v| assign(&mut c.retention_ms, unlimited(v)),
    },
    Setting {
        name: "segment.bytes",
        doc: "A segment that would grow beyond this is closed; 65,536 to 2,147,483,647.",
        expected: "a number from 65536 to 2147483647",
        read: |c| c.segment_bytes.to_string(),
        write: |c, v| {
            let most = i32::MAX.cast_unsigned();
            assign(&mut c.segment_bytes, number(v, 65_536, most).map(u64::from))
        },
    },
    Setting {
        name: "segment.ms",
        doc: "A segment older than this is closed when the next batch comes; at least 1.",
        expected: "a number of milliseconds, at least 1",
        read: |c| c.segment_ms.to_string(),
        write: |c, v| assign(&mut c.segment_ms, unlimited(v).flatten().filter(|ms| *ms > 0)),
    },
];

fn find(name: &str) -> Result<&'static Setting, TopicConfigError> {
    let found = SETTINGS.iter().find(|setting| setting.name == name);
    found.ok_or_else(|| TopicConfigError::UnknownName { name: name.to_owned() })
}

fn known_names() -> String {
    SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>().join(", ")
}

fn assign<T>(place: &mut T, value: Option<T>) -> bool {
    value.map(|value| *place = value).is_some()
}

fn number(text: &str, least: u32, most: u32) -> Option<u32> {
    text.parse().ok().filter(|value| (least..=most).contains(value))
}

/// -1 as `Some(None)`; a number up to 2^63 - 1 as itself; anything else is refused.
fn unlimited(text: &str) -> Option<Option<u64>> {
    match text.parse::<i64>().ok()? {
        -1 => Some(None),
        value => u64::try_from(value).ok().map(Some),
    }
}

fn unlimited_text(value: Option<u64>) -> String {
    value.map_or_else(|| "-1".to_owned(), |value| value.to_string())
}

fn parse_cleanup(text: &str) -> Option<CleanupPolicy> {
    let (mut delete, mut compact) = (false, false);
    for word in text.split(',') {
        match word.trim() {
            "delete" => delete = true,
            "compact" => compact = true,
            _ => return None,
        }
    }
    Some(match (delete, compact) {
        (true, true) => CleanupPolicy::CompactDelete,
        (false, true) => CleanupPolicy::Compact,
        _ => CleanupPolicy::Delete,
    })
}

fn parse_compression(text: &str) -> Option<CompressionType> {
    match text {
        "producer" => Some(CompressionType::Producer),
        "uncompressed" => Some(CompressionType::Codec(Compression::None)),
        "none" => None,
        codec => codec.parse().ok().map(CompressionType::Codec),
    }
}

fn parse_timestamp_type(text: &str) -> Option<TimestampType> {
    [TimestampType::CreateTime, TimestampType::LogAppendTime].into_iter().find(|t| t.name() == text)
}

impl fmt::Display for CleanupPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
            Self::CompactDelete => "compact,delete",
        })
    }
}

impl fmt::Display for CompressionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Producer => "producer",
            Self::Codec(Compression::None) => "uncompressed",
            Self::Codec(codec) => codec.name(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reads_back_what_it_lists() {
        let mut config = TopicConfig::default();
        for entry in TopicConfig::default().entries() {
            assert!(entry.is_default, "{}", entry.name);
            config.set(entry.name, &entry.value).unwrap();
        }
        assert_eq!(config, TopicConfig::default());
        assert_eq!(config.overrides(), []);
    }

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(SETTINGS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn overrides_make_the_same_configuration_again() {
        let given = [
            ("cleanup.policy", "compact,delete"),
            ("compression.type", "zstd"),
            ("index.interval.bytes", "8192"),
            ("kolk.durability", "process-crash"),
            ("max.message.bytes", "2000000"),
            ("message.timestamp.type", "LogAppendTime"),
            ("min.insync.replicas", "2"),
            ("retention.bytes", "1000"),
            ("retention.ms", "-1"),
            ("segment.bytes", "65536"),
            ("segment.ms", "1"),
        ];
        let config = TopicConfig::from_settings(given).unwrap();
        let overrides = config.overrides();
        let listed: Vec<_> = overrides.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(listed, given);
        assert_eq!(TopicConfig::from_settings(listed), Ok(config));
        assert_eq!(config.retention_ms, None);
    }

    #[test]
    fn values_out_of_range_are_refused_and_change_nothing() {
        let bad = [
            ("retention.ms", "-2"),
            ("retention.ms", "a week"),
            ("retention.bytes", "9223372036854775808"),
            ("segment.bytes", "14"),
            ("segment.bytes", "2147483648"),
            ("segment.ms", "0"),
            ("segment.ms", "-1"),
            ("max.message.bytes", "0"),
            ("cleanup.policy", "keep"),
            ("cleanup.policy", ""),
            ("compression.type", "none"),
            ("compression.type", "brotli"),
            ("message.timestamp.type", "createtime"),
            ("kolk.durability", "fsync"),
            ("min.insync.replicas", "0"),
            ("index.interval.bytes", "511"),
        ];
        for (name, value) in bad {
            let mut config = TopicConfig::default();
            let refused = config.set(name, value).unwrap_err();
            assert!(refused.to_string().contains(name), "{refused}");
            assert_eq!(config, TopicConfig::default(), "{name}={value}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_names_that_exist() {
        let refused = TopicConfig::default().set("retention", "1").unwrap_err();
        assert!(refused.to_string().contains("retention.ms"), "{refused}");
        assert!(TopicConfig::default().reset("retention").is_err());
    }

    #[test]
    fn reset_brings_the_default_back() {
        let mut config = TopicConfig::from_settings([("segment.ms", "5")]).unwrap();
        config.reset("segment.ms").unwrap();
        assert_eq!(config, TopicConfig::default());
    }
}
