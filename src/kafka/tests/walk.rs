//! Writes random messages straight from the tables of `schemas/kafka`. Apart because it must share nothing with the
//! generated code that it tests.

use std::collections::BTreeMap;
use std::path::Path;

use super::dice::Dice;
use super::table::{Api, Field, Shape, Type};

/// Which of an API's two messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Request,
    Response,
}

/// How a message uses its freedom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    /// As every encoder writes it: no default is tagged on, no tag is unknown.
    Canonical,
    /// With unknown tags and tags that say the default.
    Loose,
}

/// A message of random content.
pub(super) struct Walk<'a> {
    version: i16,
    manner: Manner,
    compact: bool,
    parts: BTreeMap<&'a str, &'a [Field]>,
    dice: &'a mut Dice,
    out: Vec<u8>,
    /// Where lengths of arrays begin, for those who want to lie about them.
    counts: Vec<usize>,
}

/// The bytes of a message.
pub(super) struct Walked {
    pub(super) bytes: Vec<u8>,
    pub(super) counts: Vec<usize>,
}

/// Every table there is.
pub(super) fn tables() -> Vec<Api> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/kafka");
    let mut apis = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let text = std::fs::read_to_string(&path).unwrap();
            apis.push(Api::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
        }
    }
    apis.sort_by_key(|api| api.key);
    apis
}

/// One random message.
pub(super) fn walk(api: &Api, side: Side, version: i16, manner: Manner, dice: &mut Dice) -> Walked {
    let fields = match side {
        Side::Request => &api.request,
        Side::Response => &api.response,
    };
    let mut parts = BTreeMap::new();
    let mut due: Vec<&Field> = fields.iter().collect();
    while let Some(field) = due.pop() {
        if let Type::Part(name) = &field.of
            && !field.fields.is_empty()
        {
            parts.insert(name.as_str(), field.fields.as_slice());
            due.extend(&field.fields);
        }
    }
    let compact = api.flexible.is_some_and(|flexible| flexible.contains(version));
    let (out, counts) = (Vec::new(), Vec::new());
    let mut walk = Walk { version, manner, compact, parts, dice, out, counts };
    walk.part(fields, Say::Anything);
    Walked { bytes: walk.out, counts: walk.counts }
}

/// Whether a value may be its field's default.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Say {
    Anything,
    NoDefault,
}

impl<'a> Walk<'a> {
    fn part(&mut self, fields: &'a [Field], say: Say) {
        let version = self.version;
        let present = |field: &&Field| field.versions.contains(version);
        for field in fields.iter().filter(present).filter(|field| field.tag.is_none()) {
            self.field(field, say);
        }
        if self.compact {
            let mut tagged: Vec<&Field> =
                fields.iter().filter(present).filter(|field| field.tag.is_some()).collect();
            tagged.sort_by_key(|field| field.tag);
            self.tags(&tagged);
        }
    }

    fn tags(&mut self, tagged: &[&'a Field]) {
        let chosen: Vec<&Field> = tagged.iter().filter(|_| self.dice.one_in(2)).copied().collect();
        let loose = self.manner == Manner::Loose;
        let unknown = if loose && self.dice.one_in(3) { self.dice.below(4) } else { 0 };
        self.varint(chosen.len() + unknown);
        for field in chosen {
            let before = std::mem::take(&mut self.out);
            // Places within a tag would have to be moved: nobody lies there.
            let counts = std::mem::take(&mut self.counts);
            self.field(field, if loose { Say::Anything } else { Say::NoDefault });
            let value = std::mem::replace(&mut self.out, before);
            self.counts = counts;
            self.varint(field.tag.unwrap() as usize);
            self.varint(value.len());
            self.out.extend(value);
        }
        for tag in 0..unknown {
            let length = self.dice.below(6);
            self.varint(90 + tag);
            self.varint(length);
            let value = self.dice.bytes(length);
            self.out.extend(value);
        }
    }

    fn field(&mut self, field: &'a Field, say: Say) {
        let nullable = field.null.is_some_and(|null| null.contains(self.version));
        // Null is the default of what may be null.
        let null = nullable && say == Say::Anything && self.dice.one_in(4);
        match (field.shape, &field.of) {
            (Shape::Array, _) => self.array(field, null, say),
            (Shape::One, Type::Part(name)) => {
                if nullable {
                    self.out.push(if null { 0xff } else { 1 });
                }
                if !null {
                    let fields = self.parts[name.as_str()];
                    self.part(fields, say);
                }
            }
            (Shape::One, Type::Text) => self.text(null),
            (Shape::One, Type::Bytes) => self.blob(null),
            (Shape::One, of) => {
                let default = field.default.as_deref().unwrap_or("0");
                self.scalar(of, default, say);
            }
        }
    }

    fn array(&mut self, field: &'a Field, null: bool, say: Say) {
        self.counts.push(self.out.len());
        if null {
            return self.length(None);
        }
        let count = self.dice.below(4) + usize::from(say == Say::NoDefault);
        self.length(Some(count));
        for _ in 0..count {
            match &field.of {
                Type::Part(name) => {
                    let fields = self.parts[name.as_str()];
                    self.part(fields, Say::Anything);
                }
                Type::Text => self.text(false),
                Type::Bytes => self.blob(false),
                of => self.scalar(of, "", Say::Anything),
            }
        }
    }

    fn scalar(&mut self, of: &Type, default: &str, say: Say) {
        let default = default.parse().unwrap_or(i64::from(default == "true"));
        let width = match of {
            Type::Bool | Type::I8 => 1,
            Type::I16 | Type::U16 => 2,
            Type::I32 => 4,
            Type::Uuid => 16,
            _ => 8,
        };
        if *of == Type::Uuid {
            let bytes = self.dice.bytes(width);
            return self.out.extend(bytes);
        }
        let default = &default.to_be_bytes()[8 - width..];
        loop {
            let number = self.dice.number();
            let number = if *of == Type::Bool { number & 1 } else { number };
            let bytes = &number.to_be_bytes()[8 - width..];
            if say == Say::Anything || bytes != default {
                return self.out.extend(bytes);
            }
        }
    }

    fn text(&mut self, null: bool) {
        // Beyond 126 the length of the compact form takes two bytes.
        let count = if self.dice.one_in(20) { 200 } else { self.dice.below(9) };
        match (self.compact, null) {
            (true, _) => self.length((!null).then_some(count)),
            (false, true) => self.out.extend([0xff, 0xff]),
            (false, false) => self.out.extend(u16::try_from(count).unwrap().to_be_bytes()),
        }
        for _ in 0..if null { 0 } else { count } {
            let letter = b'a' + u8::try_from(self.dice.below(26)).unwrap();
            self.out.push(letter);
        }
    }

    fn blob(&mut self, null: bool) {
        let count = self.dice.below(12);
        self.length((!null).then_some(count));
        let bytes = self.dice.bytes(if null { 0 } else { count });
        self.out.extend(bytes);
    }

    fn length(&mut self, length: Option<usize>) {
        match (self.compact, length) {
            (true, length) => self.varint(length.map_or(0, |length| length + 1)),
            (false, None) => self.out.extend([0xff; 4]),
            (false, Some(length)) => {
                self.out.extend(u32::try_from(length).unwrap().to_be_bytes());
            }
        }
    }

    fn varint(&mut self, value: usize) {
        self.out.extend(varint(value));
    }
}

/// An unsigned varint.
pub(super) fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}
