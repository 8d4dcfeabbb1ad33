//! A report and its batches as JSON, one object a line. The keys are documented beside the command line, in
//! `tools/ctl/JSON.md`.

use std::io::{self, Write};

use kolk_model::compression::{Compression, decompress};
use kolk_model::limits::BATCH_DECOMPRESSED_BYTES_MAX;
use kolk_model::records::{RecordView, Records};
use serde_json::{Map, Value, json};

use crate::report::Report;
use crate::watch::FoundBatch;

/// Writes the report as one line.
///
/// # Errors
/// When `out` does not take it.
pub fn report(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    serde_json::to_writer(&mut *out, report)?;
    writeln!(out)
}

/// Writes a batch and its records as one line: an object with the one key `batch`.
///
/// # Errors
/// When `out` does not take it.
pub fn batch(out: &mut dyn Write, found: &FoundBatch<'_>) -> io::Result<()> {
    let view = &found.view;
    let plain = match view.compression() {
        Compression::None => None,
        _ => decompress(view, BATCH_DECOMPRESSED_BYTES_MAX).ok(),
    };
    let bytes = plain.as_deref().unwrap_or_else(|| view.records_bytes());
    let readable = plain.is_some() || view.compression() == Compression::None;
    let records: Vec<Value> = if readable {
        Records::of_plain(view, bytes).filter_map(Result::ok).map(|item| record(&item)).collect()
    } else {
        Vec::new()
    };
    let attributes = view.attributes();
    let line = json!({ "batch": {
        "topic": found.topic,
        "partition": found.partition,
        "segment": found.segment,
        "position": found.position,
        "bytes": view.as_bytes().len(),
        "base_offset": view.base_offset().get(),
        "next_offset": view.next_offset().get(),
        "record_count": view.record_count(),
        "compression": view.compression().name(),
        "crc": view.crc(),
        "leader_epoch": view.leader_epoch().map(|epoch| epoch.get()),
        "producer_id": view.producer_id().map(|id| id.get()),
        "producer_epoch": view.producer_epoch().map(|epoch| epoch.get()),
        "base_sequence": view.base_sequence().map(|sequence| sequence.get()),
        "timestamp_type": attributes.timestamp_type().name(),
        "max_timestamp": view.max_timestamp().get(),
        "transactional": attributes.is_transactional(),
        "control": attributes.is_control(),
        "records": records,
    } });
    serde_json::to_writer(&mut *out, &line)?;
    writeln!(out)
}

fn record(record: &RecordView<'_>) -> Value {
    let mut object = Map::new();
    object.insert("offset".to_owned(), record.offset.get().into());
    object.insert("timestamp".to_owned(), record.timestamp.get().into());
    put_bytes(&mut object, "key", record.key);
    put_bytes(&mut object, "value", record.value);
    let headers = record.headers.map(|header| {
        let mut object = Map::new();
        put_bytes(&mut object, "key", Some(header.key));
        put_bytes(&mut object, "value", header.value);
        Value::Object(object)
    });
    object.insert("headers".to_owned(), headers.collect());
    Value::Object(object)
}

/// Puts bytes as text under `name` where they are UTF-8, else as lower-case hex digits under `<name>_hex`; `null` where
/// there are none.
pub fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else {
        object.insert(name.to_owned(), Value::Null);
        return;
    };
    if let Ok(text) = std::str::from_utf8(bytes) {
        object.insert(name.to_owned(), text.into());
    } else {
        object.insert(format!("{name}_hex"), hex(bytes).into());
    }
}

/// Bytes as lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
