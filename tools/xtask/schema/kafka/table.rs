//! Reads a table of `schemas/kafka`: which fields a request and its response have in which versions.
//! Apart because two read it: the generator, and the tests of the crate `kafka`, which walk it by themselves.

use std::fmt;

/// Spaces that one level of nesting is indented by.
const INDENT: usize = 2;

/// One API: its number, its versions, its two messages.
pub(crate) struct Api {
    /// Kafka's name, `OffsetFetch`.
    pub(crate) name: String,
    /// One sentence, the comment in front.
    pub(crate) doc: String,
    pub(crate) key: i16,
    pub(crate) versions: Versions,
    /// The versions in the compact form with tags; `None` where there is none.
    pub(crate) flexible: Option<Versions>,
    pub(crate) request: Vec<Field>,
    pub(crate) response: Vec<Field>,
}

/// Versions from and to, both in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Versions {
    pub(crate) min: i16,
    pub(crate) max: i16,
}

/// One field of a message or of a part of it.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) of: Type,
    pub(crate) shape: Shape,
    pub(crate) versions: Versions,
    /// Versions in which the field may be null.
    pub(crate) null: Option<Versions>,
    /// Its number, where the field is written only if it is not its default.
    pub(crate) tag: Option<u32>,
    /// Where it is not zero, empty or null.
    pub(crate) default: Option<String>,
    /// The fields of the part, where this line is the one that lists them.
    pub(crate) fields: Vec<Field>,
}

/// What a field or an element is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Type {
    Bool,
    I8,
    I16,
    U16,
    I32,
    I64,
    Uuid,
    Text,
    Bytes,
    /// A part with fields of its own, by name.
    Part(String),
}

/// One or many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    One,
    Array,
}

/// A line that is not understood.
#[derive(Debug)]
pub(crate) struct TableError {
    line: usize,
    what: String,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl Api {
    /// Reads a whole table.
    pub(crate) fn parse(text: &str) -> Result<Self, TableError> {
        let lines: Vec<Line<'_>> = text
            .lines()
            .enumerate()
            .filter(|(_, text)| !text.trim().is_empty())
            .map(|(index, text)| Line::new(index + 1, text))
            .collect();
        let [doc, api, versions, flexible, messages @ ..] = lines.as_slice() else {
            return Err(TableError { line: 1, what: "four lines of head are missing".to_owned() });
        };
        let (name, key) = api
            .after("api")?
            .split_once(' ')
            .ok_or_else(|| api.error("expected 'api NAME KEY'"))?;
        let range = versions.after("versions")?;
        let whole = Versions::parse(range, i16::MAX).ok_or_else(|| versions.error("no range"))?;
        let flexible = match flexible.after("flexible")? {
            "none" => None,
            range => {
                Some(Versions::parse(range, whole.max).ok_or_else(|| flexible.error("no range"))?)
            }
        };
        let mut rest = messages;
        Ok(Self {
            name: name.to_owned(),
            doc: doc.after("#")?.to_owned(),
            key: key.parse().map_err(|_| api.error("the key is no number"))?,
            versions: whole,
            flexible,
            request: message("request", &mut rest, whole)?,
            response: message("response", &mut rest, whole)?,
        })
    }
}

impl Versions {
    /// `3`, `3-8` or `3+`, the latter up to `max`.
    fn parse(text: &str, max: i16) -> Option<Self> {
        let (min, max) = match (text.strip_suffix('+'), text.split_once('-')) {
            (Some(min), _) => (min.parse().ok()?, max),
            (None, Some((min, max))) => (min.parse().ok()?, max.parse().ok()?),
            (None, None) => (text.parse().ok()?, text.parse().ok()?),
        };
        (min <= max).then_some(Self { min, max })
    }

    /// Whether a version is one of them.
    pub(crate) fn contains(self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    fn lies_in(self, outer: Self) -> bool {
        outer.contains(self.min) && outer.contains(self.max)
    }
}

/// One line with its number and depth.
#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    depth: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn new(number: usize, line: &'a str) -> Self {
        let text = line.trim();
        let depth = (line.len() - line.trim_start().len()) / INDENT;
        Self { number, depth, text }
    }

    fn error(&self, what: &str) -> TableError {
        TableError { line: self.number, what: format!("{what}: '{}'", self.text) }
    }

    /// What follows the word that the line must begin with.
    fn after(&self, word: &str) -> Result<&'a str, TableError> {
        let rest = self.text.strip_prefix(word).map(str::trim);
        rest.ok_or_else(|| self.error(&format!("expected '{word}'")))
    }

    /// `name: type [versions] [null [versions]] [tag N] [= default]`
    fn field(&self, outer: Versions) -> Result<Field, TableError> {
        let (name, rest) = self.text.split_once(": ").ok_or_else(|| self.error("no type"))?;
        let (rest, default) = match rest.split_once(" = ") {
            Some((rest, default)) => (rest, Some(default.to_owned())),
            None => (rest, None),
        };
        let mut words = rest.split(' ').peekable();
        let (of, shape) = parse_type(words.next().unwrap_or_default());
        let mut range = |outer: Versions| {
            let found = words.peek().and_then(|word| Versions::parse(word, outer.max));
            if found.is_some() {
                words.next();
            }
            (found.unwrap_or(outer), words.next())
        };
        let (versions, mut word) = range(outer);
        let mut null = None;
        if word == Some("null") {
            let (found, next) = range(versions);
            (null, word) = (Some(found), next);
        }
        let mut tag = None;
        if word == Some("tag") {
            tag = words.next().and_then(|number| number.parse().ok());
            word = words.next();
        }
        if word.is_some() || !versions.lies_in(outer) || null.is_some_and(|n| !n.lies_in(versions))
        {
            return Err(self.error("not understood"));
        }
        let fields = Vec::new();
        Ok(Field { name: name.to_owned(), of, shape, versions, null, tag, default, fields })
    }
}

fn parse_type(text: &str) -> (Type, Shape) {
    if let Some(element) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return (parse_type(element).0, Shape::Array);
    }
    let of = match text {
        "bool" => Type::Bool,
        "i8" => Type::I8,
        "i16" => Type::I16,
        "u16" => Type::U16,
        "i32" => Type::I32,
        "i64" => Type::I64,
        "uuid" => Type::Uuid,
        "string" => Type::Text,
        "bytes" | "records" => Type::Bytes,
        part => Type::Part(part.to_owned()),
    };
    (of, Shape::One)
}

fn message(
    word: &str,
    rest: &mut &[Line<'_>],
    versions: Versions,
) -> Result<Vec<Field>, TableError> {
    let missing = || TableError { line: 0, what: format!("there is no '{word}'") };
    let (head, fields) = rest.split_first().ok_or_else(missing)?;
    head.after(word)?;
    *rest = fields;
    level(rest, 1, versions)
}

/// The fields of one depth, each with the deeper lines below it.
fn level(rest: &mut &[Line<'_>], depth: usize, outer: Versions) -> Result<Vec<Field>, TableError> {
    let mut fields = Vec::new();
    while let Some((line, following)) = rest.split_first() {
        if line.depth < depth {
            break;
        }
        if line.depth > depth {
            return Err(line.error("too deep"));
        }
        let mut field = line.field(outer)?;
        *rest = following;
        field.fields = level(rest, depth + 1, field.versions)?;
        if !field.fields.is_empty() && !matches!(field.of, Type::Part(_)) {
            return Err(line.error("only a part has fields"));
        }
        fields.push(field);
    }
    Ok(fields)
}
