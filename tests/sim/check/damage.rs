//! No partition goes offline, and no start is refused, unless the disk did something that justifies it.

use kolk_shard::request::Refusal;

use crate::outside::ledger::Book;
use crate::verdict::{demand, violated};

const NAME: &str = "damage";

/// A partition can't be used.
pub(crate) fn offline(book: &Book, refusal: &Refusal) {
    demand(NAME, book.excuse.is_some(), || format!("{}: {refusal}", book.name()));
}

/// The broker does not start.
pub(crate) fn refused_start(error: &str, excuse: Option<&str>) {
    if excuse.is_none() {
        violated(NAME, format!("the start is refused: {error}"));
    }
}
