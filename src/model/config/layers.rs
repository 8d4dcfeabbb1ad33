//! What is in force, and where it comes from: a resource's own overrides over the broker's over the default.
//! Apart because a topic, a broker and a group are described by the same rule.

use crate::config::definition::{Change, ConfigKind, Definition, ValueType};
use crate::config::overrides::Overrides;
use crate::map::Map;

/// What was set on the brokers: for all of them, and for this node alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerOverrides {
    /// For every broker.
    pub cluster: Overrides,
    /// For this node; wins over `cluster`.
    pub node: Overrides,
}

impl Default for BrokerOverrides {
    fn default() -> Self {
        let nothing = || Overrides::new(ConfigKind::Broker);
        Self { cluster: nothing(), node: nothing() }
    }
}

impl BrokerOverrides {
    /// What was set for this node, as far as anything was.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.node.get(name).or_else(|| self.cluster.get(name))
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on this node while it ran.
    Node,
    /// Set on all brokers while they ran.
    Cluster,
    /// Given to the broker at its start.
    Start,
    /// Nobody set it.
    Default,
    /// Set on the group.
    Group,
}

impl ConfigSource {
    /// Kafka's number (`DescribeConfigs`, field `config_source`).
    #[must_use]
    pub const fn to_wire(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::Node => 2,
            Self::Cluster => 3,
            Self::Start => 4,
            Self::Default => 5,
            Self::Group => 8,
        }
    }
}

/// One setting of a resource as it is described.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigEntry {
    /// Kafka's name.
    pub name: &'static str,
    /// The value in force.
    pub value: String,
    /// Where it comes from.
    pub source: ConfigSource,
    /// The type of the value.
    pub value_type: ValueType,
    /// Whether it can be changed while the broker runs.
    pub change: Change,
    /// Meaning and unit, one sentence for people.
    pub doc: &'static str,
    /// Every value that was found for it, the one in force first, the default last.
    pub synonyms: Vec<ConfigSynonym>,
}

impl ConfigEntry {
    /// Whether nobody set it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }
}

/// One of the places where a setting gets its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigSynonym {
    /// The name at that place.
    pub name: &'static str,
    /// The value there.
    pub value: String,
    /// Which place.
    pub source: ConfigSource,
}

/// The layers of one resource.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// What was set on the resource itself; of a broker nothing, it is described by the other layers.
    pub own: Option<&'a Overrides>,
    /// What was set on the brokers.
    pub broker: &'a BrokerOverrides,
    /// What the broker was started with, by Kafka's name, where that differs from the default.
    pub start: Option<&'a Map<String, String>>,
}

impl<'a> Layers<'a> {
    /// A topic's.
    #[must_use]
    pub const fn topic(own: &'a Overrides, broker: &'a BrokerOverrides) -> Self {
        Self { own: Some(own), broker, start: None }
    }

    /// The value in force of a setting.
    #[must_use]
    pub fn value(&self, definition: &'static Definition) -> &'a str {
        self.found(definition).next().map_or(definition.default, |found| found.1)
    }

    /// Every value there is for a setting, the one in force first, the default last.
    fn found(
        self,
        definition: &'static Definition,
    ) -> impl Iterator<Item = (&'static str, &'a str, ConfigSource)> {
        let own_source = match self.own.map(Overrides::kind) {
            Some(ConfigKind::Group) => ConfigSource::Group,
            _ => ConfigSource::Topic,
        };
        let own = self.own.and_then(|own| own.get(definition.name));
        let own = own.map(|value| (definition.name, value, own_source));
        let name = match self.own {
            Some(_) => definition.broker_name,
            None => Some(definition.name),
        };
        let broker = |overrides: &'a Overrides, source| {
            name.and_then(|name| overrides.get(name).map(|value| (name, value, source)))
        };
        let node = broker(&self.broker.node, ConfigSource::Node);
        let cluster = broker(&self.broker.cluster, ConfigSource::Cluster);
        let start = name.zip(self.start).and_then(|(name, start)| {
            start.get(name).map(|value| (name, value.as_str(), ConfigSource::Start))
        });
        let default = (name.unwrap_or(definition.name), definition.default, ConfigSource::Default);
        [own, node, cluster, start].into_iter().flatten().chain([default])
    }

    /// Describes one setting.
    #[must_use]
    pub fn describe(&self, definition: &'static Definition) -> ConfigEntry {
        let synonyms: Vec<_> = self
            .found(definition)
            .map(|(name, value, source)| ConfigSynonym { name, value: value.to_owned(), source })
            .collect();
        let first = synonyms.first();
        ConfigEntry {
            name: definition.name,
            value: first.map(|synonym| synonym.value.clone()).unwrap_or_default(),
            source: first.map_or(ConfigSource::Default, |synonym| synonym.source),
            value_type: definition.value_type,
            change: definition.change,
            doc: definition.doc,
            synonyms,
        }
    }

    /// Describes every setting of a kind, in the order of the names.
    pub fn describe_all(self, kind: ConfigKind) -> impl Iterator<Item = ConfigEntry> {
        kind.definitions().iter().map(move |definition| self.describe(definition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(overrides: &mut Overrides, name: &str, value: &str) {
        overrides.set(name, value).unwrap();
    }

    #[test]
    fn the_topic_wins_over_the_node_over_the_cluster_over_the_default() {
        let retention = ConfigKind::Topic.find("retention.ms").unwrap();
        let (mut topic, mut broker) = (Overrides::topic(), BrokerOverrides::default());
        let mut seen = Vec::new();
        let mut look = |topic: &Overrides, broker: &BrokerOverrides| {
            let entry = Layers::topic(topic, broker).describe(retention);
            let names: Vec<_> =
                entry.synonyms.iter().map(|s| (s.name, s.source.to_wire())).collect();
            seen.push((entry.value, entry.source.to_wire(), names));
        };
        look(&topic, &broker);
        set(&mut broker.cluster, "log.retention.ms", "3");
        look(&topic, &broker);
        set(&mut broker.node, "log.retention.ms", "2");
        look(&topic, &broker);
        set(&mut topic, "retention.ms", "1");
        look(&topic, &broker);
        let (own, log) = ("retention.ms", "log.retention.ms");
        assert_eq!(
            seen,
            [
                ("604800000".to_owned(), 5, vec![(log, 5)]),
                ("3".to_owned(), 3, vec![(log, 3), (log, 5)]),
                ("2".to_owned(), 2, vec![(log, 2), (log, 3), (log, 5)]),
                ("1".to_owned(), 1, vec![(own, 1), (log, 2), (log, 3), (log, 5)]),
            ]
        );
    }

    #[test]
    fn a_value_equal_to_the_default_is_still_an_override() {
        let mut topic = Overrides::topic();
        set(&mut topic, "retention.ms", "604800000");
        let broker = BrokerOverrides::default();
        let entry = Layers::topic(&topic, &broker)
            .describe(ConfigKind::Topic.find("retention.ms").unwrap());
        assert_eq!((entry.source, entry.is_default()), (ConfigSource::Topic, false));
    }

    #[test]
    fn a_broker_is_described_with_what_it_was_started_with() {
        let mut broker = BrokerOverrides::default();
        set(&mut broker.cluster, "log.segment.bytes", "70000");
        let start = Map::from([("num.partitions".to_owned(), "4".to_owned())]);
        let layers = Layers { own: None, broker: &broker, start: Some(&start) };
        let entries: Vec<_> = layers.describe_all(ConfigKind::Broker).collect();
        let find = |name| entries.iter().find(|entry| entry.name == name).unwrap();
        let partitions = find("num.partitions");
        assert_eq!((partitions.value.as_str(), partitions.source), ("4", ConfigSource::Start));
        assert_eq!(partitions.change, Change::AtRestart);
        let segment = find("log.segment.bytes");
        assert_eq!((segment.value.as_str(), segment.source), ("70000", ConfigSource::Cluster));
        assert_eq!(segment.change, Change::Live);
        assert_eq!(entries.len(), ConfigKind::Broker.definitions().len());
    }

    #[test]
    fn a_group_has_its_own_layer() {
        let mut group = Overrides::new(ConfigKind::Group);
        set(&mut group, "consumer.session.timeout.ms", "50000");
        let broker = BrokerOverrides::default();
        let layers = Layers { own: Some(&group), broker: &broker, start: None };
        let entry = layers.describe(ConfigKind::Group.find("consumer.session.timeout.ms").unwrap());
        assert_eq!((entry.value.as_str(), entry.source), ("50000", ConfigSource::Group));
    }
}
