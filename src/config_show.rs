//! Prints the effective configuration with its documentation: as TOML that reads back, or as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::config_sources::Effective;
use crate::settings_table::settings;

/// Width of a comment line, in characters.
const WIDTH: usize = 100;

/// The configuration as TOML, every value under its documentation.
#[must_use]
pub fn as_toml(effective: &Effective) -> String {
    let mut text = String::new();
    for (setting, origin) in settings().zip(&effective.origins) {
        let documentation = format!(
            "{} Default: {}. Range: {}. Takes effect {}. Variable: {}. Set by: {origin}.",
            setting.meaning,
            setting.default(),
            setting.range,
            setting.applies.name(),
            setting.environment_name(),
        );
        for line in wrap(&documentation) {
            append(&mut text, format_args!("# {line}\n"));
        }
        let value = setting.value(&effective.config);
        append(&mut text, format_args!("{} = {}\n\n", setting.key, literal(&value)));
    }
    text
}

/// One setting as JSON.
#[derive(Serialize)]
struct Row {
    key: &'static str,
    value: String,
    default: String,
    origin: String,
    range: &'static str,
    takes_effect: &'static str,
    variable: String,
    meaning: &'static str,
}

/// The configuration as a JSON array, an object for each setting.
///
/// # Errors
/// Never for our own strings; the serializer can't promise it.
pub fn as_json(effective: &Effective) -> Result<String, serde_json::Error> {
    let rows: Vec<_> = settings()
        .zip(&effective.origins)
        .map(|(setting, origin)| Row {
            key: setting.key,
            value: setting.value(&effective.config),
            default: setting.default(),
            origin: origin.to_string(),
            range: setting.range,
            takes_effect: setting.applies.name(),
            variable: setting.environment_name(),
            meaning: setting.meaning,
        })
        .collect();
    serde_json::to_string_pretty(&rows)
}

/// A value as TOML: numbers and truth values bare, all else quoted.
fn literal(value: &str) -> String {
    let is_bare = value == "true" || value == "false" || value.parse::<u64>().is_ok();
    if is_bare { value.to_owned() } else { toml::Value::String(value.to_owned()).to_string() }
}

/// Lines of at most [`WIDTH`] characters, broken at blanks.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if let Some(line) = lines.last_mut().filter(|line| line.len() + word.len() < WIDTH) {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

fn append(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    let written = text.write_fmt(line);
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_sources::FlagValue;

    #[test]
    fn what_is_printed_reads_back() {
        let flags =
            [("shards", "3"), ("log_format", "json"), ("data", "/a \"b\"")].map(|(key, text)| {
                FlagValue { key: key.to_owned(), flag: format!("--{key}"), text: text.to_owned() }
            });
        let effective = Effective::join(None, [], &flags).unwrap();
        let text = as_toml(&effective);
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(table.get("shards").and_then(toml::Value::as_integer), Some(3));
        assert_eq!(table.get("data").and_then(toml::Value::as_str), Some("/a \"b\""));
        assert!(text.contains("Set by: flag --shards."), "{text}");
        assert!(text.lines().all(|line| line.len() <= WIDTH + 3), "{text}");
    }

    #[test]
    fn json_has_every_setting_with_its_documentation() {
        let effective = Effective::join(None, [], &[]).unwrap();
        let rows: serde_json::Value = serde_json::from_str(&as_json(&effective).unwrap()).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), settings().count());
        assert_eq!(rows[0]["key"], "data");
        assert_eq!(rows[0]["origin"], "default");
    }
}
