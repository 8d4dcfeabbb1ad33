//! What a topic's settings mean to the engine, as typed values. Apart because partition and log read them on
//! every append, where no text should be parsed.

use std::fmt;

use crate::compression::Compression;
use crate::config::definition::{ConfigError, ConfigKind, items};
use crate::config::layers::{BrokerOverrides, Layers};
use crate::config::overrides::Overrides;
use crate::durability::Durability;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::time::TimestampType;

pub(crate) mod table;

#[cfg(test)]
mod tests;

/// The settings in force of a topic. [`TopicConfig::default`] is what a topic has when nobody set anything.
///
/// Settings of Kafka's that are stored and described only have no field here.
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
    /// `max.message.bytes`: the largest record batch accepted, header included; at most [`MESSAGE_BYTES_LIVE_MAX`].
    pub message_bytes_max: u32,
    /// `message.timestamp.type`: whether producer or broker sets timestamps.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a record's timestamp may lie before the broker's clock.
    pub timestamp_before_ms_max: u64,
    /// `message.timestamp.after.max.ms`: how far a record's timestamp may lie after the broker's clock.
    pub timestamp_after_ms_max: u64,
    /// `cleanup.policy`: how old records go.
    pub cleanup_policy: CleanupPolicy,
    /// `min.cleanable.dirty.ratio` in millionths: the part of a log that is not compacted yet, from which it
    /// is compacted.
    pub cleanable_dirty_ppm_min: u32,
    /// `min.compaction.lag.ms`: records younger than this are not compacted.
    pub compaction_lag_ms_min: u64,
    /// `max.compaction.lag.ms`: a log with a record older than this that was not compacted is compacted.
    pub compaction_lag_ms_max: u64,
    /// `delete.retention.ms`: how long compaction keeps tombstones.
    pub delete_retention_ms: u64,
    /// `compression.type`: stored and described, not applied; batches stay as producers made them.
    pub compression_type: CompressionType,
    /// `index.interval.bytes`: bytes of log between two entries of a segment's index; 512 to 16 MiB, whatever
    /// was set.
    pub index_interval_bytes: u32,
}

/// The largest value of `max.message.bytes` that is applied; larger ones count as this.
pub const MESSAGE_BYTES_LIVE_MAX: u32 = 64 * 1024 * 1024 - 1;

const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1000;

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
            timestamp_before_ms_max: i64::MAX.cast_unsigned(),
            timestamp_after_ms_max: 60 * 60 * 1000,
            cleanup_policy: CleanupPolicy::Delete,
            cleanable_dirty_ppm_min: 500_000,
            compaction_lag_ms_min: 0,
            compaction_lag_ms_max: i64::MAX.cast_unsigned(),
            delete_retention_ms: 24 * 60 * 60 * 1000,
            compression_type: CompressionType::Producer,
            index_interval_bytes: 4096,
        }
    }
}

impl TopicConfig {
    /// What is in force for a topic.
    ///
    /// # Errors
    /// [`ConfigError::Order`] when two settings contradict each other.
    pub fn resolve(topic: &Overrides, broker: &BrokerOverrides) -> Result<Self, ConfigError> {
        let config = Self::in_force(topic, broker);
        if config.compaction_lag_ms_min > config.compaction_lag_ms_max {
            let (smaller, larger) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
            return Err(ConfigError::Order { smaller, larger });
        }
        Ok(config)
    }

    /// As [`TopicConfig::resolve`], whether the settings contradict each other or not: a broker's setting may
    /// have come after the topic's.
    #[must_use]
    pub fn in_force(topic: &Overrides, broker: &BrokerOverrides) -> Self {
        let values = Values { layers: Layers::topic(topic, broker) };
        let default = Self::default();
        Self {
            durability: values.parsed("kolk.durability", default.durability),
            retention_ms: values.unlimited("retention.ms"),
            retention_bytes: values.unlimited("retention.bytes"),
            segment_bytes: values.number("segment.bytes", default.segment_bytes),
            segment_ms: values.number("segment.ms", default.segment_ms),
            message_bytes_max: values
                .size("max.message.bytes", default.message_bytes_max)
                .min(MESSAGE_BYTES_LIVE_MAX),
            timestamp_type: parse_timestamp_type(values.text("message.timestamp.type")),
            timestamp_before_ms_max: values.number("message.timestamp.before.max.ms", u64::MAX),
            timestamp_after_ms_max: values.number("message.timestamp.after.max.ms", u64::MAX),
            cleanup_policy: parse_cleanup(values.text("cleanup.policy")),
            cleanable_dirty_ppm_min: parse_ppm(values.text("min.cleanable.dirty.ratio")),
            compaction_lag_ms_min: values.number("min.compaction.lag.ms", 0),
            compaction_lag_ms_max: values.number("max.compaction.lag.ms", u64::MAX),
            delete_retention_ms: values.number("delete.retention.ms", default.delete_retention_ms),
            compression_type: parse_compression(values.text("compression.type")),
            index_interval_bytes: values
                .size("index.interval.bytes", default.index_interval_bytes)
                .clamp(512, 16 * 1024 * 1024),
        }
    }

    /// What is in force for a topic with these settings on a broker where nothing was set.
    ///
    /// # Errors
    /// The first setting that is refused.
    pub fn from_settings<'a>(
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let topic = Overrides::from_settings(ConfigKind::Topic, settings)?;
        Self::resolve(&topic, &BrokerOverrides::default())
    }
}

/// Reads values that their definitions accepted; what could not be read all the same counts as the default.
struct Values<'a> {
    layers: Layers<'a>,
}

impl<'a> Values<'a> {
    fn text(&self, name: &str) -> &'a str {
        ConfigKind::Topic.find(name).map_or("", |definition| self.layers.value(definition))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str, default: T) -> T {
        self.text(name).parse().unwrap_or(default)
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.parsed(name, default)
    }

    fn size(&self, name: &str, default: u32) -> u32 {
        self.parsed(name, default)
    }

    /// Negative numbers are no limit.
    fn unlimited(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }
}

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
    /// Not at all: an empty list, which Kafka takes since 4.2 (KIP-1161).
    Keep,
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

fn parse_cleanup(text: &str) -> CleanupPolicy {
    let (mut delete, mut compact) = (false, false);
    for word in items(text) {
        delete |= word == "delete";
        compact |= word == "compact";
    }
    match (delete, compact) {
        (true, true) => CleanupPolicy::CompactDelete,
        (false, true) => CleanupPolicy::Compact,
        (true, false) => CleanupPolicy::Delete,
        (false, false) => CleanupPolicy::Keep,
    }
}

fn parse_compression(text: &str) -> CompressionType {
    match text {
        "producer" => CompressionType::Producer,
        "uncompressed" => CompressionType::Codec(Compression::None),
        codec => codec.parse().map_or(CompressionType::Producer, CompressionType::Codec),
    }
}

fn parse_timestamp_type(text: &str) -> TimestampType {
    let known = [TimestampType::CreateTime, TimestampType::LogAppendTime];
    known.into_iter().find(|known| known.name() == text).unwrap_or_default()
}

/// A fraction from 0 to 1 in millionths.
fn parse_ppm(text: &str) -> u32 {
    let ratio = text.parse::<f64>().unwrap_or(0.5).clamp(0.0, 1.0);
    // Between 0 and a million: `as` neither cuts nor wraps.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked above"
    )]
    {
        (ratio * 1_000_000.0).round() as u32
    }
}

impl fmt::Display for CleanupPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
            Self::CompactDelete => "compact,delete",
            Self::Keep => "",
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
