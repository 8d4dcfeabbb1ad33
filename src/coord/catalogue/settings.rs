//! Changes of settings: of topics, of brokers, of groups. Apart from the life of topics because they share one
//! rule: all changes of a command or none.

use std::sync::Arc;

use kolk_model::config::definition::{ConfigError, ConfigKind};
use kolk_model::config::layers::{BrokerOverrides, Layers};
use kolk_model::config::overrides::{ConfigChange, Overrides};
use kolk_model::ids::TopicId;
use kolk_model::limits::TOPIC_SETTINGS_MAX;
use kolk_model::topic_config::TopicConfig;

use crate::catalogue::Catalogue;
use crate::command::{
    BrokerScope, CatalogueError, Event, GROUP_ID_BYTES_MAX, GROUPS_CONFIGURED_MAX,
};
use crate::topic::Topic;

impl Catalogue {
    pub(super) fn alter_config(
        &mut self,
        id: TopicId,
        changes: &[ConfigChange],
    ) -> Result<Event, CatalogueError> {
        check_count(changes)?;
        let brokers = Arc::clone(&self.brokers);
        let topic = self.topic_mut(id)?;
        let overrides = changed(&topic.overrides, changes, |own| Layers::topic(own, &brokers))?;
        let config = TopicConfig::resolve(&overrides, &brokers)?;
        *topic = Arc::new(Topic { overrides, config, ..Topic::clone(topic) });
        Ok(Event::ConfigAltered { topic: Arc::clone(topic) })
    }

    pub(super) fn alter_broker(
        &mut self,
        scope: BrokerScope,
        changes: &[ConfigChange],
    ) -> Result<Event, CatalogueError> {
        check_count(changes)?;
        let mut brokers = BrokerOverrides::clone(&self.brokers);
        let before = Arc::clone(&self.brokers);
        let layers = |_| Layers { own: None, broker: &before, start: None };
        match scope {
            BrokerScope::Cluster => brokers.cluster = changed(&brokers.cluster, changes, layers)?,
            BrokerScope::Node => brokers.node = changed(&brokers.node, changes, layers)?,
        }
        // A topic may contradict the brokers by its own settings; the brokers' alone must not.
        TopicConfig::resolve(&Overrides::topic(), &brokers)?;
        let mut topics = Vec::new();
        for topic in self.topics.values_mut() {
            let config = TopicConfig::in_force(&topic.overrides, &brokers);
            if config != topic.config {
                *topic = Arc::new(Topic { config, ..Topic::clone(topic) });
                topics.push(Arc::clone(topic));
            }
        }
        self.brokers = Arc::new(brokers);
        Ok(Event::BrokersAltered { brokers: Arc::clone(&self.brokers), topics })
    }

    pub(super) fn alter_group(
        &mut self,
        group: &str,
        changes: &[ConfigChange],
    ) -> Result<Event, CatalogueError> {
        check_count(changes)?;
        if group.is_empty() || group.len() > GROUP_ID_BYTES_MAX {
            return Err(CatalogueError::GroupId { bytes: group.len() });
        }
        let nothing = Arc::new(Overrides::new(ConfigKind::Group));
        let before = self.groups.get(group).unwrap_or(&nothing);
        let brokers = &self.brokers;
        let layers = |own| Layers { own: Some(own), broker: brokers, start: None };
        let settings = Arc::new(changed(before, changes, layers)?);
        if settings.is_empty() {
            self.groups.remove(group);
        } else {
            if !self.groups.contains_key(group) && self.groups.len() >= GROUPS_CONFIGURED_MAX {
                return Err(CatalogueError::TooManyGroups);
            }
            self.groups.insert(group.into(), Arc::clone(&settings));
        }
        Ok(Event::GroupAltered { group: group.into(), settings })
    }
}

fn changed<'a>(
    before: &'a Overrides,
    changes: &[ConfigChange],
    layers: impl FnOnce(&'a Overrides) -> Layers<'a>,
) -> Result<Overrides, ConfigError> {
    let layers = layers(before);
    let in_force = |name: &str| {
        let found = before.kind().find(name);
        found.map_or("", |definition| layers.value(definition)).to_owned()
    };
    let mut after = before.clone();
    after.change(changes, in_force)?;
    Ok(after)
}

const fn check_count(changes: &[ConfigChange]) -> Result<(), CatalogueError> {
    let count = changes.len();
    if count > TOPIC_SETTINGS_MAX { Err(CatalogueError::TooManyChanges { count }) } else { Ok(()) }
}
