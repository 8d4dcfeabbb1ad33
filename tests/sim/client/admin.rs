//! The administrator: creates the topics, trims partitions.

use std::time::Duration;

use kolk_io::door::Io;
use kolk_model::config::definition::ConfigKind;
use kolk_model::config::overrides::Overrides;
use kolk_model::ids::TopicName;
use kolk_model::offset::Offset;
use kolk_shard::request::{CreateTopicOp, Intent};

use crate::outside::Outside;
use crate::run::broker::Broker;
use crate::verdict::{demand, violated};

/// Creates what is missing of the scenario's topics; one that was answered must be there.
pub(crate) async fn create_topics(broker: &Broker, outside: &Outside) {
    for (place, topic) in outside.scenario.topic.iter().enumerate() {
        let told = outside.topics.borrow().get(&place).copied();
        let metadata = broker.connect().metadata();
        let found = metadata.topic_named(&topic.name).map(|topic| topic.id);
        demand("topics", told.is_none() || found == told, || {
            format!("topic {} was created as {told:?} and is {found:?}", topic.name)
        });
        let id = match found {
            Some(id) => id,
            None => create(broker, outside, place).await,
        };
        if told.is_none() {
            // Nobody has written to it yet.
            for partition in 0..topic.partitions {
                outside.with_book((place, partition), |book| book.seen = true);
            }
        }
        outside.topics.borrow_mut().insert(place, id);
    }
}

async fn create(broker: &Broker, outside: &Outside, place: usize) -> kolk_model::ids::TopicId {
    let Some(topic) = outside.scenario.topic.get(place) else {
        violated("topics", format!("no topic {place}"))
    };
    let settings = topic.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let config = match Overrides::from_settings(ConfigKind::Topic, settings) {
        Ok(config) => config,
        Err(error) => violated("scenario", error.to_string()),
    };
    let name = match TopicName::new(&topic.name) {
        Ok(name) => name,
        Err(error) => violated("scenario", error.to_string()),
    };
    loop {
        let op = CreateTopicOp {
            name: name.clone(),
            partitions: Some(topic.partitions),
            config: config.clone(),
            intent: Intent::Carry,
        };
        match broker.connect().create_topic(op).await {
            Ok(created) => {
                outside.trace.note(format_args!("topic {name} is {}", created.id));
                return created.id;
            }
            Err(refusal) => {
                demand("topics", outside.faults.get(), || format!("create {name}: {refusal}"));
                broker.io.sleep(Duration::from_millis(50)).await;
                if let Some(found) = broker.connect().metadata().topic_named(&topic.name) {
                    return found.id;
                }
            }
        }
    }
}

/// Trims some partition now and then.
pub(crate) async fn trim(broker: &Broker, outside: &Outside) {
    let pause = Duration::from_millis(outside.scenario.admin.trim_ms);
    loop {
        broker.io.sleep(pause).await;
        let places: Vec<_> = outside.books.borrow().keys().copied().collect();
        let Some(place) = places.get(outside.draw(|chance| chance.index(places.len()))).copied()
        else {
            return;
        };
        let Some(partition) = outside.partition(place) else { continue };
        let before = outside.with_book(place, |book| {
            let offset = outside.draw(|chance| {
                book.start + chance.below(book.shown_below.saturating_sub(book.start) + 1)
            });
            book.start_asked = book.start_asked.max(offset);
            offset
        });
        match broker.connect().trim(partition, Some(Offset::new(before))).await {
            Ok(start) => {
                outside.trace.note(format_args!("{place:?} is trimmed to {start}"));
                outside.with_book(place, |book| book.raise_start(start.get()));
            }
            Err(refusal) => outside.trace.note(format_args!("trim: {}", refusal.code)),
        }
    }
}
