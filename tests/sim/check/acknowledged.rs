//! Every acknowledged record is there, in order, once, after what it was promised to survive.

use std::collections::{BTreeMap, BTreeSet};

use kolk_model::time::TimestampMs;

use crate::check::bytes::Found;
use crate::check::{compacted, offsets};
use crate::outside::ledger::{Book, Promise};
use crate::verdict::demand;

const NAME: &str = "acknowledged";

/// A broker has started over a log that now ends at `end`. What promised less than `survives` may be gone from its end;
/// tells which producers lost records so.
pub(crate) fn restarted(book: &mut Book, end: u64, survives: Promise) -> BTreeSet<u32> {
    let promised = book.facts.iter().rev().find(|(_, fact)| fact.promise >= survives);
    let name = book.name();
    if book.excuse.is_none() {
        demand(NAME, promised.is_none_or(|(offset, _)| *offset < end), || {
            format!("{name} ends at {end}, {promised:?} was to survive ({survives:?})")
        });
    }
    book.cut(end)
}

/// Everything from `start` to `end` was read by `now`: compares it with what is known.
pub(crate) fn read_whole(
    book: &mut Book,
    (start, end): (u64, u64),
    found: &[Found],
    now: TimestampMs,
) {
    let name = book.name();
    let mut numbers: BTreeMap<u32, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for found in found {
        demand(NAME, seen.insert(found.id), || {
            format!("{name}: {} is there twice, the second time at {}", found.id, found.offset)
        });
        if found.numbered {
            let before = numbers.insert(found.id.lane, found.id.number);
            demand(NAME, before.is_none_or(|before| before < found.id.number), || {
                format!("{name}: {} at {} comes after {before:?}", found.id, found.offset)
            });
        }
        offsets::stands(book, found.offset, found.id, book.visible);
    }
    if book.keys.is_none() {
        let gap = (start..end).zip(found).find(|(offset, found)| *offset != found.offset);
        let whole = gap.is_none() && found.len() as u64 == end.saturating_sub(start);
        demand(NAME, whole, || {
            format!("{name}: {} records between {start} and {end}, a gap at {gap:?}", found.len())
        });
        return;
    }
    compacted::read_whole(book, (start, end), found, now);
}
