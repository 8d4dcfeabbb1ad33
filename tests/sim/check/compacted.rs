//! Compaction takes a record only when a newer one of its key stands behind it, and a tombstone when its time is over besides; and
//! what it has taken never comes back.

use std::collections::{BTreeMap, BTreeSet};

use kolk_model::time::TimestampMs;

use crate::check::bytes::Found;
use crate::outside::ledger::Book;
use crate::outside::record::RecordId;
use crate::verdict::demand;

const NAME: &str = "compacted";

/// Everything from `start` to `end` was read by `now`.
pub(crate) fn read_whole(
    book: &mut Book,
    (start, end): (u64, u64),
    found: &[Found],
    now: TimestampMs,
) {
    let Some(keys) = book.keys else { return };
    let name = book.name();
    let mut newest: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for found in found {
        newest.insert(found.id.key(keys), found.offset);
        let tombstone = found.id.is_tombstone(book.tombstone_percent);
        demand(NAME, found.tombstone == tombstone, || {
            format!("{name}: {} at {} is a tombstone: {}", found.id, found.offset, found.tombstone)
        });
        demand(NAME, !book.gone.contains(&found.offset), || {
            format!("{name}: {} at {} was gone and is back", found.id, found.offset)
        });
    }
    let there: BTreeSet<u64> = found.iter().map(|found| found.offset).collect();
    let mut gone = Vec::new();
    for (offset, fact) in book.facts.range(start..end) {
        if there.contains(offset) {
            continue;
        }
        gone.push(*offset);
        let replaced = newest.get(&fact.id.key(keys)).is_some_and(|newer| newer > offset);
        demand(NAME, replaced || ended(book, *offset, fact.id, now), || {
            format!("{name}: {} at {offset} is gone and nothing has replaced it", fact.id)
        });
    }
    // An older value that outlives its tombstone is back from the dead.
    for offset in &gone {
        let Some(fact) = book.facts.get(offset) else { continue };
        if !fact.id.is_tombstone(book.tombstone_percent) {
            continue;
        }
        let key = fact.id.key(keys);
        let older = found.iter().find(|one| one.offset < *offset && one.id.key(keys) == key);
        demand(NAME, older.is_none(), || {
            format!("{name}: the tombstone {} at {offset} is gone, {older:?} is there", fact.id)
        });
    }
    book.gone.extend(gone);
}

/// Whether the last word about a key, from `offset` on, was a tombstone whose time is over: nothing need be left then.
fn ended(book: &Book, offset: u64, id: RecordId, now: TimestampMs) -> bool {
    let keys = book.keys.unwrap_or(1);
    let key = id.key(keys);
    let is_over = |id: &RecordId| {
        let age_ms = book.sent.get(id).map_or(0, |sent| now.get() - sent.at.get());
        id.is_tombstone(book.tombstone_percent)
            && id.key(keys) == key
            && age_ms >= book.tombstones_ms
    };
    // One that was sent and not answered may stand behind it, too.
    let unplaced = || {
        let sent = book.sent.iter().filter(|(_, sent)| sent.place.is_none() && !sent.refused);
        sent.map(|(id, _)| id).any(is_over)
    };
    book.facts.range(offset..).map(|(_, fact)| &fact.id).any(is_over) || unplaced()
}
