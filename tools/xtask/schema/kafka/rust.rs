//! Writes the Rust code of one API from its table.

use super::read::{self, Floors};
use super::table::{Api, Field, Shape, Type, Versions};
use super::write;

/// The code of an API: its parts, its two messages, how each is read and written.
pub(crate) fn module(api: &Api, source: &str) -> String {
    let mut out = format!(
        "//! Generated from `schemas/kafka/{source}` by `cargo xtask fix`; not edited.\n//!\n\
         //! {} Versions {} to {}.\n\n{}",
        api.doc,
        api.versions.min,
        api.versions.max,
        imports(api),
    );
    let floors = Floors::new(api);
    for (name, fields) in [("Request", &api.request), ("Response", &api.response)] {
        let mut parts =
            vec![Part { name, doc: message_doc(name, api), fields, whole: api.versions }];
        collect(fields, &mut parts);
        for (index, part) in parts.iter().enumerate() {
            structure(&mut out, part);
            defaults(&mut out, part);
            let role = if index == 0 { Role::Message(api) } else { Role::Part };
            coding(&mut out, part, &role, &floors);
        }
    }
    out
}

/// `offset_fetch` for `OffsetFetch`.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// The enum of all APIs with what is known of each.
pub(crate) fn api_keys(apis: &[Api]) -> String {
    let mut out = "//! Generated from `schemas/kafka` by `cargo xtask fix`; not edited.\n\n\
                   use crate::api::Row;\n\n\
                   /// An API of the Kafka protocol that this crate reads and writes.\n\
                   #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]\n\
                   #[repr(i16)]\n\
                   pub enum ApiKey {\n"
        .to_owned();
    let mut apis: Vec<&Api> = apis.iter().collect();
    apis.sort_by_key(|api| api.key);
    for api in &apis {
        put(&mut out, 1, &format!("/// {}", api.doc));
        put(&mut out, 1, &format!("{} = {},", api.name, api.key));
    }
    out.push_str("}\n\nimpl ApiKey {\n    /// Every API, in the order of the numbers.\n");
    out.push_str("    pub const ALL: &'static [Self] = &[\n");
    for api in &apis {
        put(&mut out, 2, &format!("Self::{},", api.name));
    }
    out.push_str("    ];\n\n    /// The API of a number; `None` for one without a codec here.\n");
    out.push_str("    #[must_use]\n    pub const fn from_wire(number: i16) -> Option<Self> {\n");
    out.push_str("        match number {\n");
    for api in &apis {
        put(&mut out, 3, &format!("{} => Some(Self::{}),", api.key, api.name));
    }
    out.push_str("            _ => None,\n        }\n    }\n\n");
    out.push_str("    pub(crate) const fn row(self) -> Row {\n        match self {\n");
    for api in &apis {
        let Versions { min, max } = api.versions;
        let flexible =
            api.flexible.map_or("None".to_owned(), |found| format!("Some({})", found.min));
        let row = format!(
            "Row {{ name: \"{}\", min: {min}, max: {max}, flexible: {flexible} }}",
            api.name
        );
        put(&mut out, 3, &format!("Self::{} => {row},", api.name));
    }
    out.push_str("        }\n    }\n}\n");
    out
}

/// A struct to write.
pub(super) struct Part<'a> {
    name: &'a str,
    doc: String,
    pub(super) fields: &'a [Field],
    /// The versions it occurs in: a field that is in all of them needs no condition.
    pub(super) whole: Versions,
}

enum Role<'a> {
    Message(&'a Api),
    Part,
}

fn message_doc(name: &str, api: &Api) -> String {
    match name {
        "Request" => api.doc.clone(),
        _ => format!("The answer to [`Request`] of `{}`.", api.name),
    }
}

fn collect<'a>(fields: &'a [Field], parts: &mut Vec<Part<'a>>) {
    for field in fields {
        let Type::Part(name) = &field.of else { continue };
        if field.fields.is_empty() {
            continue;
        }
        let doc = match field.shape {
            Shape::One => format!("What the field `{}` is.", field.name),
            Shape::Array => format!("An element of `{}`.", field.name),
        };
        parts.push(Part { name, doc, fields: &field.fields, whole: field.versions });
        collect(&field.fields, parts);
    }
}

fn all<'a>(fields: &'a [Field], found: &mut Vec<&'a Field>) {
    for field in fields {
        found.push(field);
        all(&field.fields, found);
    }
}

fn imports(api: &Api) -> String {
    let mut fields = Vec::new();
    all(&api.request, &mut fields);
    all(&api.response, &mut fields);
    let mut out = String::new();
    if fields.iter().any(|field| field.of == Type::Bytes) {
        out.push_str("use bytes::Bytes;\n\n");
    }
    let tag = if fields.iter().any(|field| field.tag.is_some()) { "Tag, " } else { "" };
    let uuid = if fields.iter().any(|field| field.of == Type::Uuid) { "Uuid, " } else { "" };
    out.push_str("use crate::api::ApiKey;\nuse crate::message::Message;\n");
    out.push_str(&format!(
        "use crate::wire::{{DecodeError, Reader, {tag}{uuid}Version, Writer}};\n"
    ));
    out
}

fn structure(out: &mut String, part: &Part<'_>) {
    let derived =
        if part.fields.iter().any(|field| field.default.is_some()) { "" } else { "Default, " };
    out.push_str(&format!(
        "\n/// {}\n#[derive(Clone, {derived}PartialEq, Debug)]\npub struct {} {{\n",
        part.doc, part.name
    ));
    for field in part.fields {
        put(out, 1, &format!("/// {}", field_doc(field, part.whole)));
        put(out, 1, &format!("pub {}: {},", field.name, rust_type(field)));
    }
    out.push_str("}\n");
}

fn field_doc(field: &Field, whole: Versions) -> String {
    let Versions { min, max } = field.versions;
    let mut doc = match (field.versions == whole, max == whole.max, min == max) {
        (true, ..) => "Always.".to_owned(),
        (false, true, _) => format!("Since version {min}."),
        (false, false, true) => format!("In version {min} alone."),
        (false, false, false) => format!("In versions {min} to {max}."),
    };
    match field.null {
        Some(null) if null != field.versions => {
            doc.push_str(&format!(" Null since version {}.", null.min));
        }
        _ => {}
    }
    if let Some(default) = &field.default {
        doc.push_str(&format!(" Default {default}."));
    }
    if field.tag.is_some() {
        doc.push_str(" A tag.");
    }
    doc
}

pub(super) fn rust_type(field: &Field) -> String {
    let one = match &field.of {
        Type::Bool => "bool",
        Type::I8 => "i8",
        Type::I16 => "i16",
        Type::U16 => "u16",
        Type::I32 => "i32",
        Type::I64 => "i64",
        Type::Uuid => "Uuid",
        Type::Text => "String",
        Type::Bytes => "Bytes",
        Type::Part(name) => name,
    };
    let shaped = match field.shape {
        Shape::One => one.to_owned(),
        Shape::Array => format!("Vec<{one}>"),
    };
    if field.null.is_some() { format!("Option<{shaped}>") } else { shaped }
}

pub(super) fn default_of(field: &Field) -> String {
    if let Some(default) = &field.default {
        return default.clone();
    }
    match (field.null, field.shape, &field.of) {
        (Some(_), ..) => "None".to_owned(),
        (None, Shape::Array, _) => "Vec::new()".to_owned(),
        (None, Shape::One, of) => match of {
            Type::Bool => "false".to_owned(),
            Type::I8 | Type::I16 | Type::U16 | Type::I32 | Type::I64 => "0".to_owned(),
            Type::Uuid => "[0; 16]".to_owned(),
            Type::Text => "String::new()".to_owned(),
            Type::Bytes => "Bytes::new()".to_owned(),
            Type::Part(name) => format!("{name}::default()"),
        },
    }
}

fn defaults(out: &mut String, part: &Part<'_>) {
    if part.fields.iter().all(|field| field.default.is_none()) {
        return;
    }
    out.push_str(&format!(
        "\nimpl Default for {} {{\n    fn default() -> Self {{\n        Self {{\n",
        part.name
    ));
    for field in part.fields {
        put(out, 3, &format!("{}: {},", field.name, default_of(field)));
    }
    out.push_str("        }\n    }\n}\n");
}

fn coding(out: &mut String, part: &Part<'_>, role: &Role<'_>, floors: &Floors<'_>) {
    let (head, version) = match role {
        Role::Message(_) => (format!("impl Message for {}", part.name), "version"),
        Role::Part if uses_version(part) => (format!("impl {}", part.name), "version"),
        Role::Part => (format!("impl {}", part.name), "_version"),
    };
    out.push_str(&format!("\n{head} {{\n"));
    if let Role::Message(api) = role {
        put(out, 1, &format!("const API: ApiKey = ApiKey::{};\n", api.name));
    }
    let result = "Result<Self, DecodeError>";
    put(out, 1, &format!("fn decode(reader: &mut Reader<'_>, {version}: Version) -> {result} {{"));
    if matches!(role, Role::Message(_)) {
        put(out, 2, "reader.set_form(Self::API.form(version));");
    }
    read::decoding(out, part, floors);
    out.push_str("    }\n\n");
    put(out, 1, &format!("fn encode(&self, writer: &mut Writer<'_>, {version}: Version) {{"));
    if matches!(role, Role::Message(_)) {
        put(out, 2, "writer.set_form(Self::API.form(version));");
    }
    write::encoding(out, part);
    out.push_str("    }\n}\n");
}

/// Whether how the part is written depends on the version, or a part of it may.
fn uses_version(part: &Part<'_>) -> bool {
    part.fields.iter().any(|field| {
        field.versions != part.whole
            || field.null.is_some_and(|null| null != field.versions)
            || matches!(field.of, Type::Part(_))
    })
}

/// The test that a version is one of some, or `None` where all are.
pub(super) fn condition(versions: Versions, whole: Versions) -> Option<String> {
    match (versions.min > whole.min, versions.max < whole.max) {
        (false, false) => None,
        (true, false) => Some(format!("version >= {}", versions.min)),
        (false, true) => Some(format!("version <= {}", versions.max)),
        (true, true) if versions.min == versions.max => {
            Some(format!("version == {}", versions.min))
        }
        (true, true) => Some(format!("version >= {} && version <= {}", versions.min, versions.max)),
    }
}

/// Adds a line at a depth.
pub(super) fn put(out: &mut String, depth: usize, line: &str) {
    for _ in 0..depth {
        out.push_str("    ");
    }
    out.push_str(line);
    out.push('\n');
}
