//! Text in, typed values out: every setting reaches the engine as it was meant.

use super::*;
use crate::config::definition::Change;

#[test]
fn the_defaults_of_the_table_are_the_default() {
    assert_eq!(TopicConfig::from_settings([]), Ok(TopicConfig::default()));
}

#[test]
fn settings_reach_the_engine_as_typed_values() {
    let config = TopicConfig::from_settings([
        ("cleanup.policy", "compact,delete"),
        ("compression.type", "zstd"),
        ("delete.retention.ms", "11"),
        ("index.interval.bytes", "8192"),
        ("kolk.durability", "process-crash"),
        ("max.compaction.lag.ms", "13"),
        ("max.message.bytes", "2000000"),
        ("message.timestamp.after.max.ms", "5"),
        ("message.timestamp.before.max.ms", "6"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("min.compaction.lag.ms", "12"),
        ("retention.bytes", "1000"),
        ("retention.ms", "-1"),
        ("segment.bytes", "65536"),
        ("segment.ms", "1"),
    ])
    .unwrap();
    let expected = TopicConfig {
        durability: Durability::ProcessCrash,
        retention_ms: None,
        retention_bytes: Some(1000),
        segment_bytes: 65_536,
        segment_ms: 1,
        message_bytes_max: 2_000_000,
        timestamp_type: TimestampType::LogAppendTime,
        timestamp_before_ms_max: 6,
        timestamp_after_ms_max: 5,
        cleanup_policy: CleanupPolicy::CompactDelete,
        cleanable_dirty_ppm_min: 250_000,
        compaction_lag_ms_min: 12,
        compaction_lag_ms_max: 13,
        delete_retention_ms: 11,
        compression_type: CompressionType::Codec(Compression::Zstd),
        index_interval_bytes: 8192,
    };
    assert_eq!(config, expected);
}

#[test]
fn values_beyond_what_the_engine_does_are_accepted_and_bounded() {
    let config = TopicConfig::from_settings([
        ("index.interval.bytes", "0"),
        ("max.message.bytes", "2147483647"),
        ("retention.bytes", "-5"),
        ("cleanup.policy", ""),
    ])
    .unwrap();
    assert_eq!(config.index_interval_bytes, 512);
    assert_eq!(config.message_bytes_max, MESSAGE_BYTES_LIVE_MAX);
    assert_eq!(config.retention_bytes, None);
    assert_eq!(config.cleanup_policy, CleanupPolicy::Keep);
    assert!(!config.cleanup_policy.deletes() && !config.cleanup_policy.compacts());
}

#[test]
fn contradictions_are_refused() {
    let lags = [("max.compaction.lag.ms", "5"), ("min.compaction.lag.ms", "6")];
    assert!(matches!(TopicConfig::from_settings(lags), Err(ConfigError::Order { .. })));
    assert!(TopicConfig::from_settings([("no.such.setting", "1")]).is_err());
}

#[test]
fn a_topic_takes_its_defaults_from_the_broker() {
    let mut broker = BrokerOverrides::default();
    broker.cluster.set("log.retention.ms", "5").unwrap();
    broker.cluster.set("message.max.bytes", "100").unwrap();
    broker.node.set("message.max.bytes", "200").unwrap();
    let topic = Overrides::from_settings(ConfigKind::Topic, [("segment.ms", "9")]).unwrap();
    let config = TopicConfig::resolve(&topic, &broker).unwrap();
    assert_eq!(config.retention_ms, Some(5));
    assert_eq!((config.message_bytes_max, config.segment_ms), (200, 9));
}

#[test]
fn every_default_of_a_topic_can_be_set_on_the_broker() {
    for definition in ConfigKind::Topic.definitions() {
        assert_eq!(definition.change, Change::Live, "{}", definition.name);
        let Some(name) = definition.broker_name else { continue };
        let broker = ConfigKind::Broker.find(name).unwrap();
        assert_eq!(
            (broker.value_type, broker.default, broker.rule, broker.change),
            (definition.value_type, definition.default, definition.rule, Change::Live),
            "{name}"
        );
    }
}
