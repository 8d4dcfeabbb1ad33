//! Compares two values of different types by what `{:?}` shows of them. Apart because it is a reader of its own: both
//! crates name a field as Kafka does, so that text tells whether each field was understood alike.

use std::collections::BTreeMap;

/// What is left of a value when the names of its types are taken away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    Fields(BTreeMap<String, Shown>),
    List(Vec<Shown>),
    /// A number, a flag, or the inside of a string.
    Atom(String),
    Null,
}

impl Shown {
    pub(super) fn parse(text: &str) -> Self {
        let mut parser = Parser { rest: text };
        let value = parser.value();
        assert_eq!(parser.rest, "", "not all of it was understood: {text}");
        value
    }

    /// Every place where the two differ, with both values.
    pub(super) fn differences(&self, other: &Self, path: &str, found: &mut Vec<String>) {
        match (self, other) {
            (Self::Fields(ours), Self::Fields(theirs)) => {
                for name in
                    ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)))
                {
                    let path = format!("{path}.{name}");
                    match (ours.get(name), theirs.get(name)) {
                        (Some(ours), Some(theirs)) => ours.differences(theirs, &path, found),
                        (ours, theirs) => found.push(format!("{path}: {ours:?}, {theirs:?}")),
                    }
                }
            }
            (Self::List(ours), Self::List(theirs)) if ours.len() == theirs.len() => {
                for (ours, theirs) in ours.iter().zip(theirs) {
                    ours.differences(theirs, &format!("{path}[]"), found);
                }
            }
            (ours, theirs) if ours == theirs => {}
            (ours, theirs) => found.push(format!("{path}: {ours:?}, {theirs:?}")),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn eat(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Shown {
        if self.eat("[") {
            return Shown::List(self.list("]"));
        }
        if self.eat("b\"") || self.eat("\"") {
            return Shown::Atom(self.quoted());
        }
        let end = self.rest.find([' ', ',', '(', ')', '{', '}', ']']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if self.eat(" { ") {
            let mut fields = self.fields();
            fields.remove("_unknown_tagged_fields");
            return match fields.remove("inner") {
                Some(string) => string,
                None => Shown::Fields(fields),
            };
        }
        if self.eat("(") {
            let mut values = self.list(")");
            assert_eq!(values.len(), 1, "only wrappers have brackets");
            let inner = values.remove(0);
            return match (word, inner) {
                ("KafkaUuid", Shown::Atom(text)) => uuid(&text),
                (_, inner) => inner,
            };
        }
        if word == "None" { Shown::Null } else { Shown::Atom(word.to_owned()) }
    }

    fn list(&mut self, close: &str) -> Vec<Shown> {
        let mut values = Vec::new();
        while !self.eat(close) {
            values.push(self.value());
            self.eat(", ");
        }
        values
    }

    fn fields(&mut self) -> BTreeMap<String, Shown> {
        let mut fields = BTreeMap::new();
        while !self.eat(" }") {
            let (name, rest) = self.rest.split_once(": ").expect("a field has a name");
            self.rest = rest;
            fields.insert(name.to_owned(), self.value());
            self.eat(", ");
        }
        fields
    }

    fn quoted(&mut self) -> String {
        let mut escaped = false;
        let end = self.rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let (inside, rest) = self.rest.split_at(end.expect("a string ends"));
        self.rest = &rest[1..];
        inside.to_owned()
    }
}

/// Sixteen bytes as our side shows them.
fn uuid(text: &str) -> Shown {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    Shown::List((0..32).step_by(2).map(|at| Shown::Atom(byte(at).to_string())).collect())
}
