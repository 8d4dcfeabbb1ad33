//! Once faults have stopped, everything goes on: the broker starts, producers are answered, readers arrive at the ends.

use std::time::Duration;

use kolk_io::door::Io;

use crate::outside::{Outside, Place};
use crate::run::broker::Broker;
use crate::verdict::violated;

const NAME: &str = "progress";

/// Batches that each producer must be answered.
const ANSWERS: u64 = 3;
/// In which time.
const WAIT: Duration = Duration::from_secs(120);

/// Waits until producers and readers have come on.
pub(crate) async fn awaited(broker: &Broker, outside: &Outside) {
    let answered = |lane: &std::cell::RefCell<crate::client::producer::Lane>| {
        let lane = lane.borrow();
        (lane.place, lane.answered)
    };
    let before: Vec<(Place, u64)> = outside.lanes.iter().map(answered).collect();
    let ends: Vec<(Place, u64)> =
        outside.books.borrow().iter().map(|(place, book)| (*place, book.shown_below)).collect();
    let begun = broker.io.now();
    loop {
        broker.io.sleep(Duration::from_millis(20)).await;
        let excused = |place: &Place| {
            outside.books.borrow().get(place).is_some_and(|book| book.excuse.is_some())
        };
        let slow =
            outside.lanes.iter().map(answered).zip(&before).enumerate().find(
                |(_, ((place, now), (_, before)))| *now < before + ANSWERS && !excused(place),
            );
        let behind = ends.iter().find(|(place, end)| {
            let positions = outside.positions.borrow();
            let reader = positions.get(&(*place, 0)).copied().unwrap_or(0);
            outside.scenario.reader.count > 0 && reader < *end && !excused(place)
        });
        if slow.is_none() && behind.is_none() {
            return;
        }
        if broker.io.now() - begun > WAIT {
            let slow = slow.map(|(lane, _)| lane);
            violated(
                NAME,
                format!("after {WAIT:?}: lane {slow:?} is not answered, {behind:?} not read"),
            );
        }
    }
}
