//! An offset that was told or read is never given to another record, and a record that is kept has one offset.

use crate::outside::ledger::{Book, Fact, Promise};
use crate::outside::record::RecordId;
use crate::verdict::{demand, violated};

const NAME: &str = "offsets";

/// Takes down that `id` stands at `offset`.
pub(crate) fn stands(book: &mut Book, offset: u64, id: RecordId, promise: Promise) {
    let name = book.name();
    let Some(sent) = book.sent.get_mut(&id) else {
        violated(NAME, format!("{name}: {id} at {offset} was never sent there"))
    };
    demand(NAME, !sent.refused, || format!("{name}: {id} at {offset} was refused before"));
    let place = sent.place.replace(offset);
    // What was given up is no more, and may be sent once more.
    demand(NAME, place.is_none_or(|place| place == offset || place < book.start), || {
        format!("{name}: {id} is at {offset} and at {place:?}")
    });
    if offset < book.start {
        return;
    }
    let fact = book.facts.entry(offset).or_insert(Fact { id, promise });
    demand(NAME, fact.id == id, || format!("{name}: {offset} is {} and {id}", fact.id));
    fact.promise = fact.promise.max(promise);
}
