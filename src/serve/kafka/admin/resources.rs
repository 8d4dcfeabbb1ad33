//! The resources that have settings, as requests name them, and changes of their settings. Apart because four
//! APIs name them alike.

use std::sync::Arc;

use kolk_io::door::Net;
use kolk_model::config::overrides::ConfigChange;
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicName;
use kolk_model::map::{Map, Set};
use kolk_shard::request::{
    AlterBrokerOp, AlterGroupOp, AlterTopicOp, BrokerScope, Intent, Refusal, Topic,
};

use crate::kafka::session::Context;

/// Kafka's numbers of the kinds of resources.
pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;
pub(crate) const BROKER_LOGGER: i8 = 8;
pub(crate) const CLIENT_METRICS: i8 = 16;
pub(crate) const GROUP: i8 = 32;

/// A resource whose settings can be described and changed.
pub(crate) enum Resource {
    /// A topic that exists.
    Topic(Arc<Topic>),
    /// This node, by one of the broker ids that it has.
    Broker(i32),
    /// Every broker.
    Cluster,
    /// A group, whether it exists or not.
    Group(String),
}

/// The name of a resource as requests and answers carry it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ResourceName {
    pub(crate) kind: i8,
    pub(crate) name: String,
}

impl ResourceName {
    /// The resource that is meant.
    pub(crate) fn find<N: Net>(&self, context: &Context<N>) -> Result<Resource, Refusal> {
        match self.kind {
            TOPIC => self.find_topic(context),
            BROKER if self.name.is_empty() => Ok(Resource::Cluster),
            BROKER => self.find_broker(context),
            GROUP if self.name.is_empty() => {
                Err(Refusal::new(ErrorCode::InvalidRequest, "a group's id is not empty"))
            }
            GROUP => Ok(Resource::Group(self.name.clone())),
            BROKER_LOGGER => Err(Refusal::new(
                ErrorCode::InvalidRequest,
                "loggers are set by log_level when the broker starts",
            )),
            CLIENT_METRICS => Err(Refusal::new(
                ErrorCode::InvalidRequest,
                "this broker takes no metrics from clients",
            )),
            other => {
                let detail = format!("there is no kind of resource with the number {other}");
                Err(Refusal::new(ErrorCode::InvalidRequest, detail))
            }
        }
    }

    fn find_topic<N: Net>(&self, context: &Context<N>) -> Result<Resource, Refusal> {
        TopicName::new(&self.name)
            .map_err(|error| Refusal::new(ErrorCode::InvalidTopic, error.to_string()))?;
        let found = context.metadata().topic_named(&self.name).cloned();
        let unknown = || {
            let detail = format!("there is no topic '{}'", self.name);
            Refusal::new(ErrorCode::UnknownTopicOrPartition, detail)
        };
        found.map(Resource::Topic).ok_or_else(unknown)
    }

    fn find_broker<N: Net>(&self, context: &Context<N>) -> Result<Resource, Refusal> {
        let brokers = context.view().brokers(context.local());
        let asked = self.name.parse::<i32>().ok();
        match brokers.iter().find(|broker| Some(broker.id) == asked) {
            Some(broker) => Ok(Resource::Broker(broker.id)),
            None => {
                let ids: Vec<_> = brokers.iter().map(|broker| broker.id.to_string()).collect();
                let (name, ids) = (&self.name, ids.join(", "));
                let detail = format!("there is no broker '{name}': there are {ids}");
                Err(Refusal::new(ErrorCode::InvalidRequest, detail))
            }
        }
    }
}

/// The changes wanted of one resource.
pub(crate) struct Alteration {
    pub(crate) resource: ResourceName,
    pub(crate) changes: Result<Vec<ConfigChange>, Refusal>,
}

/// Carries alterations out one after the other, each whole or not at all; a resource that is named twice is
/// left alone, which is told once. The results are in the order of the alterations.
pub(crate) async fn alter<N: Net>(
    context: &Context<N>,
    alterations: Vec<Alteration>,
    intent: Intent,
) -> Vec<(ResourceName, Result<(), Refusal>)> {
    let mut times = Map::new();
    for alteration in &alterations {
        *times.entry(alteration.resource.clone()).or_insert(0_usize) += 1;
    }
    let mut results = Vec::with_capacity(alterations.len());
    let mut told = Set::new();
    for Alteration { resource, changes } in alterations {
        if !told.insert(resource.clone()) {
            continue;
        }
        let once = times.get(&resource).is_none_or(|times| *times == 1);
        let result = match changes {
            _ if !once => {
                Err(Refusal::new(ErrorCode::InvalidRequest, "the resource is named twice"))
            }
            Ok(changes) => alter_one(context, &resource, changes, intent).await,
            Err(refusal) => Err(refusal),
        };
        results.push((resource, result));
    }
    results
}

async fn alter_one<N: Net>(
    context: &Context<N>,
    resource: &ResourceName,
    changes: Vec<ConfigChange>,
    intent: Intent,
) -> Result<(), Refusal> {
    let shard = context.shard();
    let broker = |scope, changes| AlterBrokerOp { scope, changes, intent };
    match resource.find(context)? {
        Resource::Topic(topic) => {
            shard.alter_topic(AlterTopicOp { topic: topic.id, changes, intent }).await
        }
        Resource::Broker(_) => shard.alter_broker(broker(BrokerScope::Node, changes)).await,
        Resource::Cluster => shard.alter_broker(broker(BrokerScope::Cluster, changes)).await,
        Resource::Group(group) => shard.alter_group(AlterGroupOp { group, changes, intent }).await,
    }
}

/// Those of `names` that come more than once.
pub(crate) fn named_twice<'a>(names: impl Iterator<Item = &'a str>) -> Set<&'a str> {
    let (mut seen, mut twice) = (Set::new(), Set::new());
    for name in names {
        if !seen.insert(name) {
            twice.insert(name);
        }
    }
    twice
}

/// What an answer says of a result: its code and, where it is refused, the reason.
pub(crate) fn told<T>(result: &Result<T, Refusal>) -> (i16, Option<String>) {
    match result {
        Ok(_) => (ErrorCode::None.to_wire(), None),
        Err(refusal) => (refusal.code.on_kafka().to_wire(), Some(refusal.detail.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_twice_is_found_once() {
        let twice = named_twice(["a", "b", "a", "c", "a"].into_iter());
        assert_eq!(twice.into_iter().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_refusal_is_told_with_a_code_that_clients_know() {
        let refused = Err::<(), _>(Refusal::new(ErrorCode::Overloaded, "busy"));
        let (code, reason) = told(&refused);
        assert_eq!(ErrorCode::from_wire(code).map(ErrorCode::on_kafka), ErrorCode::from_wire(code));
        assert_eq!(reason.as_deref(), Some("busy"));
        assert_eq!(told(&Ok(7)), (0, None));
    }
}
