//! The settings of a group. Apart because only coordinators read them.

use crate::config::definition::{Change, ConfigError, ConfigKind, Definition, Rule, ValueType};
use crate::config::layers::{BrokerOverrides, Layers};
use crate::config::overrides::Overrides;

/// In the order of the names. Names, types, defaults and ranges are those of Kafka 4.2; what Kafka bounds by
/// settings of the broker is bounded by the defaults of those.
pub(crate) const GROUP: &[Definition] = &[
    Definition {
        rule: Rule::Between(5_000, 15_000),
        broker_name: Some("group.consumer.heartbeat.interval.ms"),
        ..row(
            "consumer.heartbeat.interval.ms",
            ValueType::Int,
            "5000",
            "Milliseconds between two heartbeats of a member under the consumer protocol.",
        )
    },
    Definition {
        rule: Rule::Between(45_000, 60_000),
        broker_name: Some("group.consumer.session.timeout.ms"),
        ..row(
            "consumer.session.timeout.ms",
            ValueType::Int,
            "45000",
            "Milliseconds without a heartbeat after which a member under the consumer protocol is removed.",
        )
    },
    Definition {
        rule: Rule::OneOf(&["latest", "earliest"]),
        ..row(
            "share.auto.offset.reset",
            ValueType::String,
            "latest",
            "Where a share group begins. Stored and described.",
        )
    },
    Definition {
        rule: Rule::Between(2, 10),
        ..row(
            "share.delivery.count.limit",
            ValueType::Int,
            "5",
            "How often a share group delivers a record. Stored and described.",
        )
    },
    Definition {
        rule: Rule::Between(5_000, 15_000),
        ..row(
            "share.heartbeat.interval.ms",
            ValueType::Int,
            "5000",
            "Milliseconds between two heartbeats of a share group's member. Stored and described.",
        )
    },
    Definition {
        rule: Rule::OneOf(&["read_committed", "read_uncommitted"]),
        ..row(
            "share.isolation.level",
            ValueType::String,
            "read_uncommitted",
            "Whether a share group sees records of open transactions. Stored and described.",
        )
    },
    Definition {
        rule: Rule::Between(100, 10_000),
        ..row(
            "share.partition.max.record.locks",
            ValueType::Int,
            "2000",
            "Records of a partition that a share group's members may hold at once. Stored and described.",
        )
    },
    Definition {
        rule: Rule::Between(15_000, 60_000),
        ..row(
            "share.record.lock.duration.ms",
            ValueType::Int,
            "30000",
            "Milliseconds that a share group's member holds a record. Stored and described.",
        )
    },
    row(
        "share.renew.acknowledge.enable",
        ValueType::Boolean,
        "true",
        "Whether a share group's member may hold a record for longer. Stored and described.",
    ),
    Definition {
        rule: Rule::Between(45_000, 60_000),
        ..row(
            "share.session.timeout.ms",
            ValueType::Int,
            "45000",
            "Milliseconds without a heartbeat after which a share group's member is removed. Stored and described.",
        )
    },
    Definition {
        rule: Rule::Between(5_000, 15_000),
        ..row(
            "streams.heartbeat.interval.ms",
            ValueType::Int,
            "5000",
            "Milliseconds between two heartbeats of a streams group's member. Stored and described.",
        )
    },
    Definition {
        rule: Rule::AtLeast(0),
        ..row(
            "streams.initial.rebalance.delay.ms",
            ValueType::Int,
            "3000",
            "Milliseconds that an empty streams group waits for more members. Stored and described.",
        )
    },
    Definition {
        rule: Rule::Between(0, 2),
        ..row(
            "streams.num.standby.replicas",
            ValueType::Int,
            "0",
            "Copies of its state that a streams group keeps beside the first. Stored and described.",
        )
    },
    Definition {
        rule: Rule::Between(45_000, 60_000),
        ..row(
            "streams.session.timeout.ms",
            ValueType::Int,
            "45000",
            "Milliseconds without a heartbeat after which a streams group's member is removed. Stored and described.",
        )
    },
];

const fn row(
    name: &'static str,
    value_type: ValueType,
    default: &'static str,
    doc: &'static str,
) -> Definition {
    let (rule, change, broker_name) = (Rule::Any, Change::Live, None);
    Definition { name, value_type, default, rule, change, broker_name, doc }
}

/// The settings in force of a group, as far as a coordinator acts on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct GroupConfig {
    /// `consumer.session.timeout.ms`: 45,000 to 60,000.
    pub consumer_session_timeout_ms: u32,
    /// `consumer.heartbeat.interval.ms`: 5,000 to 15,000.
    pub consumer_heartbeat_interval_ms: u32,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self { consumer_session_timeout_ms: 45_000, consumer_heartbeat_interval_ms: 5_000 }
    }
}

impl GroupConfig {
    /// What is in force for a group.
    #[must_use]
    pub fn resolve(group: &Overrides, broker: &BrokerOverrides) -> Self {
        let layers = Layers { own: Some(group), broker, start: None };
        let number = |name: &str, default: u32| {
            let text =
                ConfigKind::Group.find(name).map_or("", |definition| layers.value(definition));
            text.parse().unwrap_or(default)
        };
        let default = Self::default();
        Self {
            consumer_session_timeout_ms: number(
                "consumer.session.timeout.ms",
                default.consumer_session_timeout_ms,
            ),
            consumer_heartbeat_interval_ms: number(
                "consumer.heartbeat.interval.ms",
                default.consumer_heartbeat_interval_ms,
            ),
        }
    }

    /// What is in force for a group with these settings.
    ///
    /// # Errors
    /// The first setting that is refused.
    pub fn from_settings<'a>(
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let group = Overrides::from_settings(ConfigKind::Group, settings)?;
        Ok(Self::resolve(&group, &BrokerOverrides::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brokers_setting_is_the_default_of_groups() {
        let mut broker = BrokerOverrides::default();
        broker.cluster.set("group.consumer.session.timeout.ms", "50000").unwrap();
        let mut group = Overrides::new(ConfigKind::Group);
        let timeout = |group: &Overrides, broker: &BrokerOverrides| {
            GroupConfig::resolve(group, broker).consumer_session_timeout_ms
        };
        assert_eq!(timeout(&group, &broker), 50_000);
        broker.node.set("group.consumer.session.timeout.ms", "55000").unwrap();
        assert_eq!(timeout(&group, &broker), 55_000);
        group.set("consumer.session.timeout.ms", "60000").unwrap();
        assert_eq!(timeout(&group, &broker), 60_000);
    }

    #[test]
    fn a_group_has_kafkas_defaults_and_bounds() {
        assert_eq!(GroupConfig::from_settings([]), Ok(GroupConfig::default()));
        let given =
            [("consumer.session.timeout.ms", "60000"), ("consumer.heartbeat.interval.ms", "7000")];
        let config = GroupConfig::from_settings(given).unwrap();
        assert_eq!(config.consumer_session_timeout_ms, 60_000);
        assert_eq!(config.consumer_heartbeat_interval_ms, 7_000);
        for value in ["44999", "60001", "soon"] {
            let refused = GroupConfig::from_settings([("consumer.session.timeout.ms", value)]);
            assert!(matches!(refused, Err(ConfigError::Value { .. })), "{value}");
        }
    }
}
