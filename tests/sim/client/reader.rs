//! A reader that follows one partition, and the reading of a whole partition.

use std::time::Duration;

use kolk_io::door::Io;
use kolk_model::error::ErrorCode;
use kolk_model::offset::Offset;
use kolk_shard::request::{FetchOp, FetchSlot, FetchedSlot};

use crate::check::bytes::{self, Found};
use crate::check::watermarks::Followed;
use crate::check::{damage, offsets};
use crate::outside::{Outside, Place};
use crate::run::broker::Broker;
use crate::verdict::violated;

/// The reader's task of one life.
pub(crate) async fn run(broker: &Broker, outside: &Outside, place: Place, number: u32) {
    let mut followed = Followed::default();
    loop {
        broker.io.sleep(outside.some_us(outside.scenario.network.delay_us_max)).await;
        let from = outside.positions.borrow().get(&(place, number)).copied().unwrap_or(0);
        let wait = outside.some_us(50_000);
        let shown_below = outside.with_book(place, |book| book.shown_below);
        let Some(slot) = fetch(broker, outside, place, from, wait).await else { continue };
        if !outside.with_book(place, |book| book.seen) {
            // Offline since the start: what the broker says of it is not what it had.
            broker.io.sleep(outside.some_us(20_000)).await;
            continue;
        }
        if let Some(marks) = slot.marks {
            let now = outside.time(&broker.io);
            outside.with_book(place, |book| followed.follow(book, marks, shown_below, now));
        }
        let next = match slot.result {
            Ok(answer) => {
                let name = outside.with_book(place, |book| book.name());
                let (found, next) = bytes::records(&name, from, &answer);
                outside.read.set(outside.read.get() + found.len() as u64);
                outside.with_book(place, |book| {
                    for record in &found {
                        offsets::stands(book, record.offset, record.id, book.visible);
                    }
                });
                next
            }
            Err(refusal) => match refusal.code {
                ErrorCode::ShuttingDown | ErrorCode::Overloaded => from,
                ErrorCode::OffsetOutOfRange => {
                    let start = slot.marks.map_or(from, |marks| marks.log_start.get());
                    if start <= from {
                        violated("acknowledged", format!("reader of {place:?}: {refusal}"));
                    }
                    start
                }
                ErrorCode::KafkaStorageError if outside.faults.get() => from,
                _ => {
                    if !outside.faults.get() {
                        outside.with_book(place, |book| damage::offline(book, &refusal));
                    }
                    from
                }
            },
        };
        if next == from {
            broker.io.sleep(outside.some_us(2_000)).await;
        }
        outside.positions.borrow_mut().insert((place, number), next);
    }
}

/// One fetch of one partition, by a connection of its own.
async fn fetch(
    broker: &Broker,
    outside: &Outside,
    place: Place,
    from: u64,
    wait_max: Duration,
) -> Option<FetchedSlot> {
    let bytes_max = outside.draw(|chance| chance.between(1_000, 200_000));
    let slot =
        FetchSlot { partition: outside.partition(place)?, offset: Offset::new(from), bytes_max };
    let op = FetchOp { slots: vec![slot], bytes_min: 1, bytes_max, wait_max };
    broker.connect().fetch(op).await.pop()
}

/// Reads a partition from its start to its end, as they are now; `None` where it can't be read and need not be. Gives the start,
/// which retention may have raised meanwhile, and the records.
pub(crate) async fn read_whole(
    broker: &Broker,
    outside: &Outside,
    place: Place,
    (mut start, end): (u64, u64),
) -> Option<(u64, Vec<Found>)> {
    let (mut found, mut from) = (Vec::new(), start);
    let forgets = outside.with_book(place, |book| book.forgets);
    let name = outside.with_book(place, |book| book.name());
    while from < end {
        let slot = fetch(broker, outside, place, from, Duration::ZERO).await?;
        match slot.result {
            Ok(answer) => {
                let (more, next) = bytes::records(&name, from, &answer);
                found.extend(more);
                if next == from {
                    broker.io.sleep(Duration::from_millis(1)).await;
                }
                from = next;
            }
            Err(refusal) => {
                let raised = slot.marks.map_or(0, |marks| marks.log_start.get());
                if refusal.code == ErrorCode::OffsetOutOfRange && forgets && raised > from {
                    (start, from) = (raised, raised);
                    found.clear();
                    continue;
                }
                let unreadable = outside.faults.get()
                    && matches!(
                        refusal.code,
                        ErrorCode::KafkaStorageError | ErrorCode::PartitionDamaged
                    );
                if !unreadable {
                    outside.with_book(place, |book| damage::offline(book, &refusal));
                }
                return None;
            }
        }
    }
    found.retain(|found| found.offset < end);
    Some((start, found))
}
