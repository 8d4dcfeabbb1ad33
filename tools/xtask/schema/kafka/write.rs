//! Writes the code that writes a message.

use super::rust::{Part, condition, default_of, put};
use super::table::{Field, Shape, Type};

/// The body of `encode`.
pub(super) fn encoding(out: &mut String, part: &Part<'_>) {
    for field in part.fields.iter().filter(|field| field.tag.is_none()) {
        let lines = match field.null {
            None => vec![write_plain(field, "")],
            Some(null) => match condition(null, field.versions) {
                None => vec![write_nullable(field)],
                Some(test) => vec![
                    format!("if {test} {{"),
                    format!("    {}", write_nullable(field)),
                    "} else {".to_owned(),
                    format!("    {}", write_plain(field, ".as_deref().unwrap_or_default()")),
                    "}".to_owned(),
                ],
            },
        };
        match condition(field.versions, part.whole) {
            None => lines.iter().for_each(|line| put(out, 2, line)),
            Some(test) => {
                put(out, 2, &format!("if {test} {{"));
                lines.iter().for_each(|line| put(out, 3, line));
                put(out, 2, "}");
            }
        }
    }
    let mut tagged: Vec<&Field> = part.fields.iter().filter(|field| field.tag.is_some()).collect();
    tagged.sort_by_key(|field| field.tag);
    if tagged.is_empty() {
        put(out, 2, "writer.no_tags();");
        return;
    }
    put(out, 2, "if writer.has_tags() {");
    let mut counted = Vec::new();
    for field in &tagged {
        let differs = match condition(field.versions, part.whole) {
            None => differs(field),
            Some(test) => format!("{test} && {}", differs(field)),
        };
        put(out, 3, &format!("let has_{} = {differs};", field.name));
        counted.push(format!("u32::from(has_{})", field.name));
    }
    put(out, 3, &format!("writer.varint({});", counted.join(" + ")));
    for field in &tagged {
        let write =
            if field.null.is_some() { write_nullable(field) } else { write_plain(field, "") };
        put(out, 3, &format!("if has_{} {{", field.name));
        let tag = field.tag.unwrap_or_default();
        put(out, 4, &format!("writer.tag({tag}, |writer| {});", write.trim_end_matches(';')));
        put(out, 3, "}");
    }
    put(out, 2, "}");
}

/// Whether a field is not its default, as an expression.
fn differs(field: &Field) -> String {
    let name = &field.name;
    match (field.null, field.shape, &field.of, field.default.as_deref()) {
        (Some(_), ..) => format!("self.{name}.is_some()"),
        (None, Shape::Array, ..) => format!("!self.{name}.is_empty()"),
        (None, Shape::One, Type::Bool, None) => format!("self.{name}"),
        _ => format!("self.{name} != {}", default_of(field)),
    }
}

/// Writes a field that can't be null; `or_empty` turns an optional one into its plain form.
fn write_plain(field: &Field, or_empty: &str) -> String {
    let place = format!("self.{}{or_empty}", field.name);
    let slice = if or_empty.is_empty() { format!("&{place}") } else { place.clone() };
    match (field.shape, &field.of) {
        (Shape::Array, of) => format!("writer.array({slice}, {});", write_element(of)),
        (Shape::One, Type::Part(_)) => format!("{place}.encode(writer, version);"),
        (Shape::One, Type::Text) => format!("writer.string({slice});"),
        (Shape::One, Type::Bytes) => format!("writer.bytes({slice});"),
        (Shape::One, Type::Uuid) => format!("writer.uuid(&{place});"),
        (Shape::One, of) => format!("writer.{}({place});", scalar(of)),
    }
}

fn write_nullable(field: &Field) -> String {
    let name = &field.name;
    match (field.shape, &field.of) {
        (Shape::Array, of) => {
            format!("writer.nullable_array(self.{name}.as_deref(), {});", write_element(of))
        }
        (Shape::One, Type::Part(_)) => format!(
            "writer.nullable(self.{name}.as_ref(), |writer, one| one.encode(writer, version));"
        ),
        (Shape::One, Type::Bytes) => format!("writer.nullable_bytes(self.{name}.as_deref());"),
        (Shape::One, _) => format!("writer.nullable_string(self.{name}.as_deref());"),
    }
}

fn write_element(of: &Type) -> String {
    match of {
        Type::Part(_) => "|writer, one| one.encode(writer, version)".to_owned(),
        Type::Text => "|writer, one| writer.string(one)".to_owned(),
        Type::Bytes => "|writer, one| writer.bytes(one)".to_owned(),
        Type::Uuid => "|writer, one| writer.uuid(one)".to_owned(),
        of => format!("|writer, one| writer.{}(*one)", scalar(of)),
    }
}

fn scalar(of: &Type) -> &'static str {
    match of {
        Type::Bool => "bool",
        Type::I8 => "i8",
        Type::I16 => "i16",
        Type::U16 => "u16",
        Type::I32 => "i32",
        _ => "i64",
    }
}
