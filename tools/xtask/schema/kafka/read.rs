//! Writes the code that reads a message.

use std::collections::BTreeMap;

use super::rust::{Part, condition, default_of, put, rust_type};
use super::table::{Api, Field, Shape, Type, Versions};

/// The body of `decode`.
pub(super) fn decoding(out: &mut String, part: &Part<'_>, floors: &Floors<'_>) {
    for field in part.fields.iter().filter(|field| field.tag.is_none()) {
        let read = match field.null {
            None => format!("{}?", floors.read(field, "")),
            Some(null) => match condition(null, field.versions) {
                None => format!("{}?", floors.read(field, "nullable_")),
                Some(test) => format!(
                    "if {test} {{ {}? }} else {{ Some({}?) }}",
                    floors.read(field, "nullable_"),
                    floors.read(field, "")
                ),
            },
        };
        let value = match condition(field.versions, part.whole) {
            None => read,
            Some(test) => format!("if {test} {{ {read} }} else {{ {} }}", default_of(field)),
        };
        put(out, 2, &format!("let {} = {value};", field.name));
    }
    let tagged: Vec<&Field> = part.fields.iter().filter(|field| field.tag.is_some()).collect();
    if tagged.is_empty() {
        put(out, 2, "reader.skip_tags()?;");
    } else {
        for field in &tagged {
            put(
                out,
                2,
                &format!("let mut {}: {} = {};", field.name, rust_type(field), default_of(field)),
            );
        }
        put(out, 2, "reader.tags(|reader, tag| {");
        put(out, 3, "match tag {");
        for field in &tagged {
            let test = condition(field.versions, part.whole)
                .map_or(String::new(), |test| format!(" if {test}"));
            let nullable = if field.null.is_some() { "nullable_" } else { "" };
            let tag = field.tag.unwrap_or_default();
            put(
                out,
                4,
                &format!("{tag}{test} => {} = {}?,", field.name, floors.read(field, nullable)),
            );
        }
        put(out, 4, "_ => return Ok(Tag::Unknown),");
        put(out, 3, "}");
        put(out, 3, "Ok(Tag::Known)");
        put(out, 2, "})?;");
    }
    let names: Vec<&str> = part.fields.iter().map(|field| field.name.as_str()).collect();
    put(out, 2, &format!("Ok(Self {{ {} }})", names.join(", ")));
}

/// The fewest bytes that an element can take: what bounds the length of an array.
pub(super) struct Floors<'a> {
    api: &'a Api,
    parts: BTreeMap<&'a str, &'a [Field]>,
}

impl<'a> Floors<'a> {
    pub(super) fn new(api: &'a Api) -> Self {
        let mut parts = BTreeMap::new();
        let mut due: Vec<&Field> = api.request.iter().chain(&api.response).collect();
        while let Some(field) = due.pop() {
            if let Type::Part(name) = &field.of
                && !field.fields.is_empty()
            {
                parts.insert(name.as_str(), field.fields.as_slice());
                due.extend(&field.fields);
            }
        }
        Self { api, parts }
    }

    /// The fewest bytes of an element of an array, over the versions that have the array.
    fn element(&self, field: &Field) -> usize {
        let Versions { min, max } = field.versions;
        (min..=max).map(|version| self.one(&field.of, version)).min().unwrap_or(1)
    }

    fn is_compact(&self, version: i16) -> bool {
        self.api.flexible.is_some_and(|flexible| flexible.contains(version))
    }

    fn one(&self, of: &Type, version: i16) -> usize {
        let compact = self.is_compact(version);
        match of {
            Type::Bool | Type::I8 => 1,
            Type::I16 | Type::U16 => 2,
            Type::I32 => 4,
            Type::I64 => 8,
            Type::Uuid => 16,
            Type::Text => {
                if compact {
                    1
                } else {
                    2
                }
            }
            Type::Bytes => {
                if compact {
                    1
                } else {
                    4
                }
            }
            Type::Part(name) => {
                let fields = self.parts.get(name.as_str()).copied().unwrap_or_default();
                let present = fields
                    .iter()
                    .filter(|field| field.tag.is_none() && field.versions.contains(version));
                usize::from(compact)
                    + present.map(|field| self.field(field, version)).sum::<usize>()
            }
        }
    }

    fn field(&self, field: &Field, version: i16) -> usize {
        let null = field.null.is_some_and(|null| null.contains(version));
        match (field.shape, &field.of) {
            (Shape::Array, _) => {
                if self.is_compact(version) {
                    1
                } else {
                    4
                }
            }
            (Shape::One, Type::Part(_)) if null => 1,
            (Shape::One, of) => self.one(of, version),
        }
    }

    /// The call that reads a field, without its `?`.
    fn read(&self, field: &Field, nullable: &str) -> String {
        let method = match &field.of {
            Type::Bool => "bool",
            Type::I8 => "i8",
            Type::I16 => "i16",
            Type::U16 => "u16",
            Type::I32 => "i32",
            Type::I64 => "i64",
            Type::Uuid => "uuid",
            Type::Text => "string",
            Type::Bytes => "bytes",
            Type::Part(name) => {
                let one = format!("|reader| {name}::decode(reader, version)");
                return match (field.shape, nullable) {
                    (Shape::Array, _) => {
                        format!("reader.{nullable}array({}, {one})", self.element(field))
                    }
                    (Shape::One, "") => format!("{name}::decode(reader, version)"),
                    (Shape::One, _) => format!("reader.nullable({one})"),
                };
            }
        };
        match field.shape {
            Shape::One => format!("reader.{nullable}{method}()"),
            Shape::Array => {
                format!("reader.{nullable}array({}, Reader::{method})", self.element(field))
            }
        }
    }
}
