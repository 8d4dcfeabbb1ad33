//! The effective configuration: joined from file < environment < flags, later over earlier, and shown with its
//! documentation. What nobody understands is refused, with the nearest key that exists.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use crate::config::Config;
use crate::setting::{ENVIRONMENT_PREFIX, Setting, ValueError};
use crate::settings_table::{check_together, settings};

/// Variables with the prefix that are no settings: read by the command line itself.
const OTHER_VARIABLES: [&str; 2] = ["KOLK_BROKERS", CONFIG_VARIABLE];

/// Names the configuration file when no flag does.
pub const CONFIG_VARIABLE: &str = "KOLK_CONFIG";

/// Largest configuration file read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// Why there is no configuration. All are the operator's fault, and name what to mend.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("configuration file {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("configuration file {}: {bytes} bytes are more than {FILE_BYTES_MAX}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The file is not TOML.
    #[error("configuration file {}: {error}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: Box<toml::de::Error>,
    },
    /// A key that no setting has.
    #[error("{origin}: there is no setting '{key}'{}", suggestion(.nearest))]
    UnknownKey {
        /// Where it was found.
        origin: Origin,
        /// The key.
        key: String,
        /// The setting that was probably meant.
        nearest: Option<String>,
    },
    /// A value that its setting does not take.
    #[error("{origin}: {key}: {error}")]
    BadValue {
        /// Where it was found.
        origin: Origin,
        /// The setting's key.
        key: String,
        /// What is wrong with it.
        error: ValueError,
    },
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(
        || "; `kolk config` lists all settings".to_owned(),
        |key| format!("; did you mean '{key}'?"),
    )
}

/// The configuration with the origin of each value.
#[derive(Debug)]
pub struct Effective {
    /// The values.
    pub config: Config,
    /// The origin of each of [`settings`], in its order.
    pub origins: Vec<Origin>,
}

/// A value given by a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagValue {
    /// The setting's key.
    pub key: String,
    /// The flag as typed, for messages.
    pub flag: String,
    /// The value.
    pub text: String,
}

impl Effective {
    /// Joins what is given. `environment` is every variable of the process; those without the prefix are
    /// not looked at.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn join(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[FlagValue],
    ) -> Result<Self, ConfigError> {
        let origins = vec![Origin::Default; settings().count()];
        let mut effective = Self { config: Config::default(), origins };
        if let Some(path) = file {
            effective.read_file(path)?;
        }
        for (name, text) in environment {
            effective.read_variable(&name, &text)?;
        }
        for FlagValue { key, flag, text } in flags {
            effective.set(key, text, Origin::Flag(flag.clone()))?;
        }
        check_together(&effective.config).map_err(|(key, error)| ConfigError::BadValue {
            origin: effective.origin(key),
            key: key.to_owned(),
            error,
        })?;
        Ok(effective)
    }

    fn origin(&self, key: &str) -> Origin {
        position(key).and_then(|at| self.origins.get(at)).cloned().unwrap_or(Origin::Default)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let unreadable = |error| ConfigError::Unreadable { path: path.to_owned(), error };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge { path: path.to_owned(), bytes });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        self.read_toml(&text, path)
    }

    fn read_toml(&mut self, text: &str, path: &Path) -> Result<(), ConfigError> {
        let table: toml::Table = toml::from_str(text).map_err(|error| ConfigError::NotToml {
            path: path.to_owned(),
            error: Box::new(error),
        })?;
        let mut values = Vec::new();
        flatten("", &table, &mut values);
        for (key, text) in values {
            self.set(&key, &text, Origin::File(path.to_owned()))?;
        }
        Ok(())
    }

    fn read_variable(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        if !name.starts_with(ENVIRONMENT_PREFIX) || OTHER_VARIABLES.contains(&name) {
            return Ok(());
        }
        let origin = Origin::Environment(name.to_owned());
        match settings().find(|setting| setting.environment_name() == name) {
            Some(setting) => self.set(setting.key, text, origin),
            None => {
                let names = settings().map(Setting::environment_name);
                Err(ConfigError::UnknownKey {
                    origin,
                    key: name.to_owned(),
                    nearest: nearest(name, names),
                })
            }
        }
    }

    fn set(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), ConfigError> {
        let Some((setting, place)) =
            position(key).and_then(|at| settings().nth(at).zip(self.origins.get_mut(at)))
        else {
            let keys = settings().map(|setting| setting.key.to_owned());
            return Err(ConfigError::UnknownKey {
                origin,
                key: key.to_owned(),
                nearest: nearest(key, keys),
            });
        };
        match (setting.set)(&mut self.config, text) {
            Ok(()) => {
                *place = origin;
                Ok(())
            }
            Err(error) => Err(ConfigError::BadValue { origin, key: key.to_owned(), error }),
        }
    }
}

fn position(key: &str) -> Option<usize> {
    settings().position(|setting| setting.key == key)
}

/// The leaves of a TOML table under dotted keys. An array stands for its elements with commas between.
fn flatten(prefix: &str, table: &toml::Table, values: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, values),
            toml::Value::Array(elements) => {
                let parts: Vec<_> = elements.iter().map(text_of).collect();
                values.push((key, parts.join(",")));
            }
            leaf => values.push((key, text_of(leaf))),
        }
    }
}

fn text_of(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The candidate with the fewest changes, if a third of its letters would do.
fn nearest(wanted: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    candidates
        .map(|candidate| (distance(wanted, &candidate), candidate))
        .min_by_key(|(changes, _)| *changes)
        .filter(|(changes, candidate)| *changes * 3 <= candidate.len().max(3))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance between two short texts.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, left) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(&right) {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = *cell;
            before = replaced.min(diagonal + 1).min(before + 1);
            *cell = before;
        }
    }
    row.last().copied().unwrap_or(0)
}

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

    fn variable(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    fn flag(key: &str, text: &str) -> FlagValue {
        FlagValue { key: key.to_owned(), flag: format!("--{key}"), text: text.to_owned() }
    }

    fn from_toml(text: &str) -> Result<Effective, ConfigError> {
        let mut effective = Effective::join(None, [], &[])?;
        effective.read_toml(text, Path::new("kolk.toml"))?;
        Ok(effective)
    }

    #[test]
    fn a_file_is_under_the_environment_and_that_under_a_flag() {
        let file = std::env::temp_dir().join(format!("kolk-config-{}.toml", std::process::id()));
        let text = "node.id = 1\nshards = 2\nlog_level = \"debug\"\n";
        std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), text.as_bytes())
            .unwrap();
        let environment =
            [variable("KOLK_SHARDS", "3"), variable("KOLK_NODE_ID", "4"), variable("PATH", "")];
        let effective = Effective::join(Some(&file), environment, &[flag("node.id", "5")]).unwrap();
        assert_eq!(effective.config.node_id, 5);
        assert_eq!(effective.config.shards, Some(3));
        assert_eq!(effective.config.log_level, "debug");
        assert_eq!(effective.origin("node.id").to_string(), "flag --node.id");
        assert_eq!(effective.origin("shards").to_string(), "environment KOLK_SHARDS");
        assert_eq!(effective.origin("log_level"), Origin::File(file));
        assert_eq!(effective.origin("listen"), Origin::Default);
    }

    #[test]
    fn dotted_keys_and_tables_are_the_same() {
        let dotted = from_toml("native.port = 1\nnative.shard_port = 2").unwrap();
        let table = from_toml("[native]\nport = 1\nshard_port = 2").unwrap();
        assert_eq!(dotted.config, table.config);
        assert_eq!(dotted.config.native_port, 1);
    }

    #[test]
    fn values_may_be_numbers_texts_lists_and_truth_values() {
        let effective =
            from_toml("cores = [0, 2]\nmemory_bytes_max = \"1GiB\"\naccept_loss = true").unwrap();
        assert_eq!(effective.config.cores.unwrap().to_string(), "0,2");
        assert_eq!(effective.config.memory_bytes_max, Some(1 << 30));
        assert!(effective.config.accept_loss);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_that_exists() {
        let error = from_toml("[native]\nprot = 1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "file kolk.toml: there is no setting 'native.prot'; did you mean 'native.port'?"
        );
        let error = Effective::join(None, [variable("KOLK_SHARD", "1")], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment KOLK_SHARD: there is no setting 'KOLK_SHARD'; did you mean 'KOLK_SHARDS'?"
        );
        let error = from_toml("quorum.voters = \"x\"").unwrap_err();
        assert!(error.to_string().contains("kolk config"), "{error}");
    }

    #[test]
    fn the_clients_variables_are_left_alone() {
        let environment = [variable("KOLK_BROKERS", "a:1"), variable(CONFIG_VARIABLE, "x")];
        assert_eq!(Effective::join(None, environment, &[]).unwrap().config, Config::default());
    }

    #[test]
    fn a_bad_value_names_its_origin_and_key() {
        let error = Effective::join(None, [], &[flag("shards", "many")]).unwrap_err();
        assert_eq!(error.to_string(), "flag --shards: shards: 'many' is not a whole number");
        let error =
            Effective::join(None, [], &[flag("shard_request_bytes_max", "1MiB")]).unwrap_err();
        assert!(error.to_string().starts_with("flag --shard_request_bytes_max: "), "{error}");
    }

    #[test]
    fn a_file_that_is_missing_or_no_toml_is_refused() {
        let missing = Path::new("/nowhere/kolk.toml");
        let error = Effective::join(Some(missing), [], &[]).unwrap_err();
        assert!(error.to_string().contains("/nowhere/kolk.toml"), "{error}");
        assert!(matches!(from_toml("a = "), Err(ConfigError::NotToml { .. })));
    }

    #[test]
    fn distance_counts_changes() {
        for (left, right, changes) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("port", "prot", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), changes, "{left} {right}");
        }
    }

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
