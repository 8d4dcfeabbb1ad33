//! A read returns what was written there: whole batches with matching checksums, of records whose every byte is right.

use bytes::Bytes;
use kolk_model::batch::batches;
use kolk_model::records::Records;

use crate::outside::record::RecordId;
use crate::verdict::{demand, violated};

const NAME: &str = "bytes";

/// A record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: u64,
    pub(crate) id: RecordId,
    /// Its producer numbers its batches, so that order is promised.
    pub(crate) numbered: bool,
}

/// Takes an answer apart: the records from `from` on, and the offset after the last batch.
pub(crate) fn records(place: &str, from: u64, answer: &[Bytes]) -> (Vec<Found>, u64) {
    let bytes = answer.concat();
    let (mut found, mut next) = (Vec::new(), from);
    for batch in batches(&bytes) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => violated(NAME, format!("{place}: after {next}: {error}")),
        };
        let base = batch.base_offset().get();
        if let Err(error) = batch.verify_crc() {
            violated(NAME, format!("{place}: batch at {base}: {error}"));
        }
        let whole = Records::of(&batch).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let records = match whole {
            Ok(records) => records,
            Err(error) => violated(NAME, format!("{place}: batch at {base}: {error}")),
        };
        for record in records {
            let offset = record.offset.get();
            let Some(id) = record.value.and_then(RecordId::parse) else {
                violated(NAME, format!("{place}: the record at {offset} is not as it was sent"))
            };
            if offset >= from {
                found.push(Found { offset, id, numbered: batch.producer_id().is_some() });
            }
        }
        let end = batch.next_offset().get();
        demand(NAME, end > next, || format!("{place}: batch {base} to {end} after {next}"));
        next = end;
    }
    (found, next)
}
