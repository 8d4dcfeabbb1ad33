//! Nothing is given up by age before its time, however the wall clock jumps: what is younger than `retention.ms` by a clock that is
//! right stays, and so does all that lies in the segment which is written to.

use kolk_model::time::TimestampMs;

use crate::outside::ledger::Book;
use crate::verdict::demand;

const NAME: &str = "retention";

/// Looks at what a log has given up, which starts at `start` now.
pub(crate) fn given_up(book: &Book, start: u64, now: TimestampMs) {
    let Some(keeps_ms) = book.keeps_ms else { return };
    let name = book.name();
    demand(NAME, book.rolls || start <= book.start_asked, || {
        format!("{name}: starts at {start}, inside of the segment that is written to")
    });
    let from = book.start.max(book.start_asked);
    for (offset, fact) in book.facts.range(from..start.max(from)) {
        let Some(sent) = book.sent.get(&fact.id) else { continue };
        let age_ms = now.get() - sent.at.get();
        demand(NAME, age_ms >= keeps_ms, || {
            format!(
                "{name}: starts at {start}, {} at {offset} is {age_ms} ms old of {keeps_ms}",
                fact.id
            )
        });
    }
}
