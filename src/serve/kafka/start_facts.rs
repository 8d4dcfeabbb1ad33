//! What the broker was started with, as administrators are told it.

use std::path::PathBuf;

use kolk_model::config::definition::ConfigKind;
use kolk_model::map::Map;

/// What administrators are told of the broker's start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartFacts {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Settings of the broker by Kafka's name, where they differ from the default as it is described.
    pub settings: Map<String, String>,
}

impl StartFacts {
    /// Keeps of the settings those that Kafka has too and that are not at Kafka's default.
    pub fn new<'a>(data_dir: PathBuf, settings: impl Iterator<Item = (&'a str, String)>) -> Self {
        let mut facts = Self { data_dir, settings: Map::new() };
        let directory = facts.data_dir.display().to_string();
        let derived = [("log.dir", directory.clone()), ("log.dirs", directory)];
        for (name, value) in settings.chain(derived) {
            let known = ConfigKind::Broker.find(name);
            if known.is_ok_and(|definition| definition.default != value) {
                facts.settings.insert(name.to_owned(), value);
            }
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_kafka_knows_and_what_was_changed_is_told() {
        let given =
            [("num.partitions", "4"), ("max.connections", "2147483647"), ("journal_files", "9")];
        let given = given.into_iter().map(|(name, value)| (name, value.to_owned()));
        let facts = StartFacts::new(PathBuf::from("/data"), given);
        let told: Vec<_> = facts.settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(told, [("log.dir", "/data"), ("log.dirs", "/data"), ("num.partitions", "4")]);
    }
}
