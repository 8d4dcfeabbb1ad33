//! How a record is printed: kcat's tokens, parsed once and written without further thought.

use kolk_model::records::RecordView;

/// Why a format was refused. The user's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A `%` with a character behind it that means nothing.
    #[error("%{token} means nothing; known are %s %S %R %k %K %o %p %t %T %h and %%")]
    UnknownToken {
        /// The character.
        token: char,
    },
    /// The text ends with a lone `%` or `\`.
    #[error("the format ends with a lone {mark}; write it twice")]
    Unfinished {
        /// Which.
        mark: char,
    },
    /// A `\` with a character behind it that means nothing.
    #[error("\\{escape} means nothing; known are \\n \\r \\t \\0 \\\\ and \\xNN")]
    UnknownEscape {
        /// The character.
        escape: char,
    },
    /// `\x` without two hex digits.
    #[error("\\x must be followed by two hex digits")]
    Hex,
}

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Value,
    ValueLength,
    ValueLengthBinary,
    Key,
    KeyLength,
    Offset,
    Partition,
    Topic,
    Timestamp,
    Headers,
}

/// Where a record came from; the record does not say so itself.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition's number.
    pub partition: u32,
}

impl Default for Format {
    /// The value and a line feed.
    fn default() -> Self {
        Self { parts: vec![Part::Value, Part::Literal(b"\n".to_vec())] }
    }
}

impl std::str::FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => {
                    let token = chars.next().ok_or(FormatError::Unfinished { mark: '%' })?;
                    match part(token)? {
                        Some(part) => {
                            flush(&mut literal, &mut parts);
                            parts.push(part);
                        }
                        None => literal.push(b'%'),
                    }
                }
                '\\' => literal.push(escape(&mut chars)?),
                other => literal.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        flush(&mut literal, &mut parts);
        Ok(Self { parts })
    }
}

fn flush(literal: &mut Vec<u8>, parts: &mut Vec<Part>) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal)));
    }
}

/// `None` is the per cent sign itself.
fn part(token: char) -> Result<Option<Part>, FormatError> {
    Ok(Some(match token {
        's' => Part::Value,
        'S' => Part::ValueLength,
        'R' => Part::ValueLengthBinary,
        'k' => Part::Key,
        'K' => Part::KeyLength,
        'o' => Part::Offset,
        'p' => Part::Partition,
        't' => Part::Topic,
        'T' => Part::Timestamp,
        'h' => Part::Headers,
        '%' => return Ok(None),
        token => return Err(FormatError::UnknownToken { token }),
    }))
}

fn escape(chars: &mut std::str::Chars<'_>) -> Result<u8, FormatError> {
    match chars.next().ok_or(FormatError::Unfinished { mark: '\\' })? {
        'n' => Ok(b'\n'),
        'r' => Ok(b'\r'),
        't' => Ok(b'\t'),
        '0' => Ok(0),
        '\\' => Ok(b'\\'),
        'x' => {
            let mut digit = || chars.next().and_then(|c| c.to_digit(16)).ok_or(FormatError::Hex);
            let value = digit()? * 16 + digit()?;
            u8::try_from(value).map_err(|_| FormatError::Hex)
        }
        escape => Err(FormatError::UnknownEscape { escape }),
    }
}

impl Format {
    /// Appends the record as this format shows it. A key or value that is null prints nothing and has length -1.
    pub fn write(&self, origin: Origin<'_>, record: &RecordView<'_>, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Literal(bytes) => out.extend_from_slice(bytes),
                Part::Value => out.extend_from_slice(record.value.unwrap_or_default()),
                Part::ValueLength => put_length(out, record.value),
                Part::ValueLengthBinary => {
                    let length = record.value.map_or(-1, |value| wire_length(value.len()));
                    out.extend_from_slice(&length.to_be_bytes());
                }
                Part::Key => out.extend_from_slice(record.key.unwrap_or_default()),
                Part::KeyLength => put_length(out, record.key),
                Part::Offset => put_number(out, record.offset.get()),
                Part::Partition => put_number(out, u64::from(origin.partition)),
                Part::Topic => out.extend_from_slice(origin.topic.as_bytes()),
                Part::Timestamp => {
                    let ms = record.timestamp.get();
                    if ms < 0 {
                        out.push(b'-');
                    }
                    put_number(out, ms.unsigned_abs());
                }
                Part::Headers => put_headers(out, record),
            }
        }
    }
}

fn wire_length(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn put_length(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => put_number(out, bytes.len() as u64),
        None => out.extend_from_slice(b"-1"),
    }
}

/// As kcat: `key=value` joined by commas, a null value as NULL.
fn put_headers(out: &mut Vec<u8>, record: &RecordView<'_>) {
    for (number, header) in record.headers.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        out.extend_from_slice(header.key);
        out.push(b'=');
        out.extend_from_slice(header.value.unwrap_or(b"NULL"));
    }
}

/// Appends decimal digits; the formatting machinery of the standard library costs several times as much a record.
fn put_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let mut rest = number;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        used += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use kolk_model::batch::BatchView;
    use kolk_model::batch_builder::BatchBuilder;
    use kolk_model::compression::Compression;
    use kolk_model::records::{Header, Records};
    use kolk_model::time::TimestampMs;

    use super::*;

    /// What the format makes of a record with a key, a value, two headers and offset 0, and of a tombstone.
    fn shown(format: &str) -> [Vec<u8>; 2] {
        let format: Format = format.parse().unwrap();
        let mut builder = BatchBuilder::new();
        let headers = [Header::new("a", b"1"), Header { key: b"b", value: None }];
        let time = TimestampMs::new(1_700_000_000_123);
        builder.append(time, Some(b"k\xff"), Some(b"line"), &headers).unwrap();
        builder.append(time, None, None, &[]).unwrap();
        let batch = builder.build(Compression::None).unwrap();
        let (view, _) = BatchView::parse(&batch).unwrap();
        let origin = Origin { topic: "web", partition: 3 };
        let written: Vec<Vec<u8>> = Records::of(&view)
            .unwrap()
            .map(|record| {
                let mut out = Vec::new();
                format.write(origin, &record.unwrap(), &mut out);
                out
            })
            .collect();
        written.try_into().unwrap()
    }

    #[test]
    fn every_token_shows_its_part() {
        let [record, tombstone] = shown("%t/%p@%o %T %K:%k %S:%s [%h] 100%%");
        assert_eq!(record, b"web/3@0 1700000000123 2:k\xff 4:line [a=1,b=NULL] 100%");
        assert_eq!(tombstone, b"web/3@1 1700000000123 -1: -1: [] 100%");
    }

    #[test]
    fn escapes_become_bytes() {
        let [record, _] = shown("\\\\%s\\t\\x00\\xFf\\r\\0\\n");
        assert_eq!(record, b"\\line\t\0\xff\r\0\n");
        let [record, tombstone] = shown("%R");
        assert_eq!((record, tombstone), (vec![0, 0, 0, 4], vec![255; 4]));
    }

    #[test]
    fn the_default_is_value_and_line_feed() {
        assert_eq!(Format::default(), "%s\\n".parse().unwrap());
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for bad in ["%", "%x", "\\", "\\q", "\\x1", "\\xgg", "a %", "%s%"] {
            assert!(bad.parse::<Format>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn numbers_have_their_digits() {
        for number in [0, 9, 10, 123_456, u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
