//! An administrator who makes and deletes topics of its own, and what it was told of them: a topic that was created is there, one that
//! was deleted never comes back.

use std::collections::BTreeMap;

use kolk_io::door::Io;
use kolk_model::config::overrides::Overrides;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{TopicId, TopicName};
use kolk_shard::request::{CreateTopicOp, Intent};

use crate::outside::Outside;
use crate::run::broker::Broker;
use crate::verdict::{demand, violated};

const NAME: &str = "topics";
/// Topics at a time.
const TOPICS_MAX: usize = 4;

/// What is known of a topic of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A creation was asked for and not answered.
    Coming,
    /// It was created.
    There(TopicId),
    /// A deletion was asked for and not answered.
    Going(TopicId),
    /// It was deleted.
    Gone,
}

/// Every topic that was ever asked for, by number.
pub(crate) type Topics = BTreeMap<u64, Standing>;

fn name_of(number: u64) -> String {
    format!("churn-{number}")
}

/// After a start: compares what is there with what was answered, and takes it for granted from then on.
pub(crate) fn judge(broker: &Broker, outside: &Outside) {
    let metadata = broker.connect().metadata();
    for (number, standing) in outside.churn.borrow_mut().iter_mut() {
        let found = metadata.topic_named(&name_of(*number)).map(|topic| topic.id);
        let kept = match *standing {
            Standing::Coming => true,
            Standing::There(id) => found == Some(id),
            Standing::Going(id) => found.is_none() || found == Some(id),
            Standing::Gone => found.is_none(),
        };
        demand(NAME, kept, || format!("{} is {standing:?} and {found:?}", name_of(*number)));
        *standing = found.map_or(Standing::Gone, Standing::There);
    }
}

/// The administrator's task of one life.
pub(crate) async fn run(broker: &Broker, outside: &Outside) {
    let pause_us = outside.scenario.admin.churn_ms * 1_000;
    loop {
        broker.io.sleep(outside.some_us(pause_us)).await;
        let there: Vec<(u64, TopicId)> = outside
            .churn
            .borrow()
            .iter()
            .filter_map(|(number, standing)| match standing {
                Standing::There(id) => Some((*number, *id)),
                _ => None,
            })
            .collect();
        let deletes = there.len() >= TOPICS_MAX || outside.draw(|chance| chance.percent(40));
        match there.get(outside.draw(|chance| chance.index(there.len()))) {
            Some((number, id)) if deletes => delete(broker, outside, *number, *id).await,
            _ => create(broker, outside).await,
        }
    }
}

fn note(outside: &Outside, number: u64, standing: Standing) {
    outside.trace.note(format_args!("{}: {standing:?}", name_of(number)));
    outside.churn.borrow_mut().insert(number, standing);
}

async fn create(broker: &Broker, outside: &Outside) {
    let number = outside.churn.borrow().keys().next_back().map_or(0, |last| last + 1);
    let Ok(name) = TopicName::new(&name_of(number)) else { return };
    let partitions = u32::try_from(outside.draw(|chance| chance.between(1, 5))).ok();
    let op = CreateTopicOp { name, partitions, config: Overrides::topic(), intent: Intent::Carry };
    note(outside, number, Standing::Coming);
    match broker.connect().create_topic(op).await {
        Ok(created) => note(outside, number, Standing::There(created.id)),
        Err(refusal) => refused(outside, number, refusal.code),
    }
}

async fn delete(broker: &Broker, outside: &Outside, number: u64, id: TopicId) {
    note(outside, number, Standing::Going(id));
    match broker.connect().delete_topic(id).await {
        Ok(()) => note(outside, number, Standing::Gone),
        Err(refusal) => refused(outside, number, refusal.code),
    }
}

/// It may have been carried out all the same: the next start tells.
fn refused(outside: &Outside, number: u64, code: ErrorCode) {
    let stops = code == ErrorCode::ShuttingDown;
    if !stops && !outside.faults.get() && !outside.is_excused() {
        violated(NAME, format!("{}: {code}", name_of(number)));
    }
}
