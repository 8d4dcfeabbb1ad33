//! A read returns what was written there: whole batches with matching checksums, of records whose every byte is right.

use bytes::Bytes;
use kolk_model::batch::batches;
use kolk_model::records::{RecordView, Records};

use crate::outside::record::{HEADER, RecordId};
use crate::verdict::{demand, violated};

const NAME: &str = "bytes";

/// A record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: u64,
    pub(crate) id: RecordId,
    /// It has no value.
    pub(crate) tombstone: bool,
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
            let Some(id) = id_of(&record) else {
                violated(NAME, format!("{place}: the record at {offset} is not as it was sent"))
            };
            if offset >= from {
                let (tombstone, numbered) = (record.value.is_none(), batch.producer_id().is_some());
                found.push(Found { offset, id, tombstone, numbered });
            }
        }
        let end = batch.next_offset().get();
        demand(NAME, end > next, || format!("{place}: batch {base} to {end} after {next}"));
        next = end;
    }
    (found, next)
}

/// The name in the value; that of a tombstone is in its header.
fn id_of(record: &RecordView<'_>) -> Option<RecordId> {
    match record.value {
        Some(value) => RecordId::parse(value),
        None => {
            let mut headers = record.headers;
            let named = headers.find(|one| one.key == HEADER.as_bytes())?;
            named.value.and_then(RecordId::parse)
        }
    }
}
