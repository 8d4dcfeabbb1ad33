//! The clients: each is a task in every life of the broker, and a state that outlives them all.

pub(crate) mod admin;
pub(crate) mod churn;
pub(crate) mod consumers;
pub(crate) mod groups;
pub(crate) mod producer;
pub(crate) mod reader;

use std::rc::Rc;

use kolk_io::door::Io;

use crate::outside::Outside;
use crate::run::broker::Broker;

/// Starts all clients of a life.
pub(crate) fn start(broker: &Rc<Broker>, outside: &Rc<Outside>) {
    outside.groups.forget_life();
    outside.still.set(false);
    let both = || (Rc::clone(broker), Rc::clone(outside));
    for lane in 0..outside.lanes.len() {
        let (broker, outside) = both();
        broker.io.clone().spawn(async move { producer::run(&broker, &outside, lane).await });
    }
    let places: Vec<_> = outside.books.borrow().keys().copied().collect();
    for place in places {
        for number in 0..outside.scenario.reader.count {
            let (broker, outside) = both();
            broker
                .io
                .clone()
                .spawn(async move { reader::run(&broker, &outside, place, number).await });
        }
    }
    for number in 0..outside.scenario.group.committers {
        let (broker, outside) = both();
        let group = groups::committer(number);
        broker
            .io
            .clone()
            .spawn(async move { groups::run_committer(&broker, &outside, &group).await });
    }
    for number in 0..outside.scenario.group.members {
        let (broker, outside) = both();
        let group = groups::with_member(number);
        broker.io.clone().spawn(async move { groups::run_member(&broker, &outside, &group).await });
    }
    let members = (0..outside.scenario.group.consumers)
        .flat_map(|group| (0..consumers::MEMBERS).map(move |number| (group, number)));
    for place in members {
        let (broker, outside) = both();
        broker.io.clone().spawn(async move { consumers::run(&broker, &outside, place).await });
    }
    if outside.scenario.admin.churn_ms > 0 {
        let (broker, outside) = both();
        broker.io.clone().spawn(async move { churn::run(&broker, &outside).await });
    }
    if outside.scenario.admin.trim_ms > 0 {
        let (broker, outside) = both();
        broker.io.clone().spawn(async move { admin::trim(&broker, &outside).await });
    }
}
