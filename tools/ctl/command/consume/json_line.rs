//! A record as one line of JSON, written straight into the output buffer.

use kolk_model::records::{Header, RecordView};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::format::Origin;
use crate::error::CtlError;

/// Appends the record and a line feed.
pub(super) fn write(
    origin: Origin<'_>,
    record: &RecordView<'_>,
    out: &mut Vec<u8>,
) -> Result<(), CtlError> {
    let line = Line { origin, record };
    serde_json::to_writer(&mut *out, &line).map_err(|error| CtlError::output(error.into()))?;
    out.push(b'\n');
    Ok(())
}

struct Line<'a> {
    origin: Origin<'a>,
    record: &'a RecordView<'a>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("topic", self.origin.topic)?;
        map.serialize_entry("partition", &self.origin.partition)?;
        map.serialize_entry("offset", &self.record.offset.get())?;
        map.serialize_entry("timestamp", &self.record.timestamp.get())?;
        put_bytes(&mut map, ["key", "key_hex"], self.record.key)?;
        put_bytes(&mut map, ["value", "value_hex"], self.record.value)?;
        map.serialize_entry("headers", &Headers(self.record))?;
        map.end()
    }
}

struct Headers<'a>(&'a RecordView<'a>);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.headers.len()))?;
        for header in self.0.headers {
            list.serialize_element(&One(header))?;
        }
        list.end()
    }
}

struct One<'a>(Header<'a>);

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put_bytes(&mut map, ["key", "key_hex"], Some(self.0.key))?;
        put_bytes(&mut map, ["value", "value_hex"], self.0.value)?;
        map.end()
    }
}

/// Text where the bytes are UTF-8, else hex digits under the other name.
fn put_bytes<M: SerializeMap>(
    map: &mut M,
    [name, name_hex]: [&'static str; 2],
    bytes: Option<&[u8]>,
) -> Result<(), M::Error> {
    let Some(bytes) = bytes else { return map.serialize_entry(name, &()) };
    match std::str::from_utf8(bytes) {
        Ok(text) => map.serialize_entry(name, text),
        Err(_) => map.serialize_entry(name_hex, &kolk_inspect::json::hex(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use kolk_model::offset::Offset;
    use kolk_model::time::TimestampMs;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn text_stays_text_and_other_bytes_become_hex() {
        let mut builder = kolk_model::batch_builder::BatchBuilder::new();
        let header = Header::new("trace", b"\x00\xff");
        builder
            .append(TimestampMs::new(5), Some(b"\xfe"), Some("ä\n".as_bytes()), &[header])
            .unwrap();
        builder.append(TimestampMs::new(6), None, None, &[]).unwrap();
        let batch = builder.build(kolk_model::compression::Compression::None).unwrap();
        let (view, _) = kolk_model::batch::BatchView::parse(&batch).unwrap();
        let mut out = Vec::new();
        for record in kolk_model::records::Records::of(&view).unwrap() {
            let record = RecordView { offset: Offset::new(7), ..record.unwrap() };
            write(Origin { topic: "web", partition: 1 }, &record, &mut out).unwrap();
        }
        let lines: Vec<Value> =
            out.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect();
        let place = json!({ "topic": "web", "partition": 1, "offset": 7 });
        let mut full = place.clone();
        full["timestamp"] = 5.into();
        full["key_hex"] = "fe".into();
        full["value"] = "ä\n".into();
        full["headers"] = json!([{ "key": "trace", "value_hex": "00ff" }]);
        let mut empty = place;
        empty["timestamp"] = 6.into();
        empty["key"] = Value::Null;
        empty["value"] = Value::Null;
        empty["headers"] = json!([]);
        assert_eq!(lines, [full, empty]);
    }
}
