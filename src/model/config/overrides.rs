//! What was set on one resource, as text. Apart because topics, brokers and groups keep and change it alike.

use std::sync::Arc;

use crate::config::definition::{Change, ConfigError, ConfigKind, Definition, ValueType, items};
use crate::map::{Map, Set};

/// The settings of one resource that somebody gave a value, also if it equals the default. Every value was
/// accepted by its definition when it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overrides {
    kind: ConfigKind,
    values: Map<&'static str, Arc<str>>,
}

/// One change of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Gives a setting a value.
    Set {
        /// Kafka's name of it.
        name: String,
        /// The value as text.
        value: String,
    },
    /// Takes the value away, so that the default counts again.
    Reset {
        /// Kafka's name of it.
        name: String,
    },
    /// Adds the items that a list does not have yet.
    Append {
        /// Kafka's name of the list.
        name: String,
        /// Items, joined by commas.
        value: String,
    },
    /// Takes items from a list; those that it does not have are passed over.
    Subtract {
        /// Kafka's name of the list.
        name: String,
        /// Items, joined by commas.
        value: String,
    },
    /// Takes every value away.
    ResetAll,
}

impl Overrides {
    /// Nothing set.
    #[must_use]
    pub const fn new(kind: ConfigKind) -> Self {
        Self { kind, values: Map::new() }
    }

    /// Nothing set on a topic.
    #[must_use]
    pub const fn topic() -> Self {
        Self::new(ConfigKind::Topic)
    }

    /// These settings, later ones winning.
    ///
    /// # Errors
    /// The first setting that is refused.
    pub fn from_settings<'a>(
        kind: ConfigKind,
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let mut overrides = Self::new(kind);
        for (name, value) in settings {
            overrides.set(name, value)?;
        }
        Ok(overrides)
    }

    /// Gives a setting a value.
    ///
    /// # Errors
    /// Unknown names, and values that the setting does not take; nothing has changed then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        self.put(name, value, Definition::normalize)
    }

    /// Gives a setting the value that a file has for it, see [`Definition::restore`].
    ///
    /// # Errors
    /// Unknown names, and values that no release took; nothing has changed then.
    pub fn restore(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        self.put(name, value, Definition::restore)
    }

    fn put(
        &mut self,
        name: &str,
        value: &str,
        read: impl FnOnce(&Definition, &str) -> Result<String, ConfigError>,
    ) -> Result<(), ConfigError> {
        let definition = self.kind.find(name)?;
        if definition.change == Change::AtRestart {
            return Err(ConfigError::ReadOnly { name: definition.name });
        }
        let value = read(definition, value)?;
        self.values.insert(definition.name, value.into());
        Ok(())
    }

    /// Takes a setting's value away.
    ///
    /// # Errors
    /// Unknown names, and settings that can't be changed while the broker runs.
    pub fn reset(&mut self, name: &str) -> Result<(), ConfigError> {
        let definition = self.kind.find(name)?;
        if definition.change == Change::AtRestart {
            return Err(ConfigError::ReadOnly { name: definition.name });
        }
        self.values.remove(definition.name);
        Ok(())
    }

    /// Carries changes out, all or none, in their order. `in_force` says what a list holds that has no value of
    /// its own here: Kafka adds to and takes from that.
    ///
    /// # Errors
    /// The first change that is refused; nothing has changed then.
    pub fn change(
        &mut self,
        changes: &[ConfigChange],
        in_force: impl Fn(&str) -> String,
    ) -> Result<(), ConfigError> {
        let mut next = self.clone();
        for change in changes {
            match change {
                ConfigChange::Set { name, value } => next.set(name, value)?,
                ConfigChange::Reset { name } => next.reset(name)?,
                ConfigChange::Append { name, value } => {
                    let mut list = next.list(name, &in_force)?;
                    for item in items(value) {
                        if !list.iter().any(|had| had == item) {
                            list.push(item.to_owned());
                        }
                    }
                    next.set(name, &list.join(","))?;
                }
                ConfigChange::Subtract { name, value } => {
                    let mut list = next.list(name, &in_force)?;
                    list.retain(|had| !items(value).any(|item| item == had));
                    next.set(name, &list.join(","))?;
                }
                ConfigChange::ResetAll => next.values.clear(),
            }
        }
        *self = next;
        Ok(())
    }

    fn list(
        &self,
        name: &str,
        in_force: &impl Fn(&str) -> String,
    ) -> Result<Vec<String>, ConfigError> {
        let definition = self.kind.find(name)?;
        if definition.value_type != ValueType::List {
            return Err(ConfigError::NotAList { name: definition.name });
        }
        let text = self.get(definition.name).map_or_else(|| in_force(name), str::to_owned);
        Ok(items(&text).map(str::to_owned).collect())
    }

    /// The value that was given to a setting.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(AsRef::as_ref)
    }

    /// The kind of resource.
    #[must_use]
    pub const fn kind(&self) -> ConfigKind {
        self.kind
    }

    /// Every setting with its value, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'static str, &str)> {
        self.values.iter().map(|(name, value)| (*name, value.as_ref()))
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl ConfigChange {
    /// The setting's name; `None` for all of them.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Set { name, .. }
            | Self::Reset { name }
            | Self::Append { name, .. }
            | Self::Subtract { name, .. } => Some(name),
            Self::ResetAll => None,
        }
    }

    /// Refuses a request that names a setting twice, as Kafka does.
    ///
    /// # Errors
    /// [`ConfigError::Twice`].
    pub fn check_unique(changes: &[Self]) -> Result<(), ConfigError> {
        let mut seen = Set::new();
        match changes.iter().filter_map(Self::name).find(|name| !seen.insert(*name)) {
            Some(name) => Err(ConfigError::Twice { name: name.to_owned() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLICAS: &str = "leader.replication.throttled.replicas";

    fn append(name: &str, value: &str) -> ConfigChange {
        ConfigChange::Append { name: name.into(), value: value.into() }
    }

    fn subtract(name: &str, value: &str) -> ConfigChange {
        ConfigChange::Subtract { name: name.into(), value: value.into() }
    }

    #[test]
    fn items_are_added_once_and_taken_away() {
        let mut overrides = Overrides::topic();
        overrides.change(&[append(REPLICAS, "0:1,1:1")], |_| String::new()).unwrap();
        overrides.change(&[append(REPLICAS, "1:1, 2:1")], |_| String::new()).unwrap();
        assert_eq!(overrides.get(REPLICAS), Some("0:1,1:1,2:1"));
        overrides.change(&[subtract(REPLICAS, "1:1,9:9")], |_| String::new()).unwrap();
        assert_eq!(overrides.get(REPLICAS), Some("0:1,2:1"));
    }

    #[test]
    fn a_list_begins_with_what_is_in_force() {
        let mut overrides = Overrides::topic();
        let change = [append("cleanup.policy", "compact")];
        overrides.change(&change, |_| "delete".to_owned()).unwrap();
        assert_eq!(overrides.get("cleanup.policy"), Some("delete,compact"));
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let mut overrides =
            Overrides::from_settings(ConfigKind::Topic, [("segment.ms", "7")]).unwrap();
        let before = overrides.clone();
        let set = ConfigChange::Set { name: "retention.ms".into(), value: "5".into() };
        for bad in [
            ConfigChange::Set { name: "no.such".into(), value: "1".into() },
            ConfigChange::Reset { name: "no.such".into() },
            append("retention.ms", "5"),
            subtract("compression.type", "zstd"),
            append(REPLICAS, "nonsense"),
        ] {
            overrides.change(&[set.clone(), bad], |_| String::new()).unwrap_err();
            assert_eq!(overrides, before);
        }
        overrides.change(&[ConfigChange::ResetAll, set], |_| String::new()).unwrap();
        assert_eq!(overrides.iter().collect::<Vec<_>>(), [("retention.ms", "5")]);
    }

    #[test]
    fn what_needs_a_restart_is_read_only() {
        let mut overrides = Overrides::new(ConfigKind::Broker);
        assert_eq!(overrides.set("node.id", "7"), Err(ConfigError::ReadOnly { name: "node.id" }));
        assert_eq!(overrides.reset("node.id"), Err(ConfigError::ReadOnly { name: "node.id" }));
        overrides.set("log.retention.ms", "5").unwrap();
        assert!(!overrides.is_empty());
    }

    #[test]
    fn a_setting_may_be_named_once_in_a_request() {
        let reset = |name: &str| ConfigChange::Reset { name: name.into() };
        assert_eq!(ConfigChange::check_unique(&[reset("a"), reset("b")]), Ok(()));
        let twice = ConfigChange::check_unique(&[reset("a"), append("a", "x")]);
        assert_eq!(twice, Err(ConfigError::Twice { name: "a".into() }));
    }
}
