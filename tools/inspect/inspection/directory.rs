//! A whole data directory: catalogue, journals, and every log that they speak of.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::Path;

use kolk_coord::catalogue::codec::DecodeError;
use kolk_coord::catalogue::{Catalogue, TopicStatus};
use kolk_layout::journal::current::{Current, CurrentError};
use kolk_model::ids::{PartitionId, ShardId, TopicId, TopicPartition};
use kolk_model::offset::Offset;

use crate::error::InspectError;
use crate::inspection::log_check::{self, Target, read_if_there};
use crate::inspection::shard_journal;
use crate::report::{CatalogueReport, JournalReport, Kind, Report, TopicReport};
use crate::watch::Watch;

/// Which part of a data directory is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// Only the topic of this name.
    pub(crate) topic_name: Option<String>,
    /// Only the topic of this id.
    pub(crate) topic: Option<TopicId>,
    /// Only this partition.
    pub(crate) partition: Option<PartitionId>,
    /// Only this segment.
    pub(crate) segment: Option<Offset>,
}

impl Scope {
    fn holds(&self, id: TopicPartition, name: &str) -> bool {
        self.topic.is_none_or(|topic| topic == id.topic)
            && self.topic_name.as_deref().is_none_or(|topic| topic == name)
            && self.partition.is_none_or(|partition| partition == id.partition)
    }

    const fn is_all(&self) -> bool {
        self.topic_name.is_none() && self.topic.is_none() && self.partition.is_none()
    }
}

/// Checks the data directory `data`, as far as `scope` goes.
pub(crate) fn inspect(
    data: &Path,
    scope: &Scope,
    watch: &mut dyn Watch,
    mut report: Report,
) -> Result<Report, InspectError> {
    report.broker_running = is_locked(data);
    if report.broker_running {
        report.warn("a broker runs on this directory: files change while they are read");
    }
    let catalogue = catalogue(data, &mut report)?;
    let Some(current) = current(data, &mut report)? else { return Ok(report.close()) };
    report.journal = Some(JournalReport {
        generation: current.generation,
        shards: current.shards,
        ..JournalReport::default()
    });
    let mut seen = BTreeSet::new();
    let mut all_read = true;
    for shard in 0..current.shards {
        let logs = shard_journal::read(data, &current, ShardId::new(shard), &mut report)?;
        let Some(logs) = logs else {
            all_read = false;
            continue;
        };
        for (id, log) in &logs {
            let Some(topic) = live_name(&catalogue, *id, &mut report) else { continue };
            seen.insert(*id);
            if scope.holds(*id, &topic) {
                let target = Target { data, id: *id, topic, log, segment: scope.segment };
                log_check::check(&target, watch, &mut report)?;
            }
        }
    }
    if scope.is_all() && all_read {
        note_absent(&catalogue, &seen, &mut report);
        note_strangers(data, &catalogue, &mut report);
    }
    Ok(report.close())
}

/// Whether a broker holds the directory. A shared lock is asked for and given back at once, so that a broker that
/// starts at this very moment would have to be very unlucky to be refused.
fn is_locked(data: &Path) -> bool {
    let Ok(file) = File::open(data.join("meta/LOCK")) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// The catalogue as far as it is readable.
enum FoundCatalogue {
    Whole(Catalogue),
    Damaged,
}

fn catalogue(data: &Path, report: &mut Report) -> Result<FoundCatalogue, InspectError> {
    let Some(content) = read_if_there(&data.join(CATALOGUE))? else {
        return Ok(FoundCatalogue::Whole(Catalogue::default()));
    };
    match decode_catalogue(&content, report)? {
        Some(catalogue) => Ok(FoundCatalogue::Whole(catalogue)),
        None => Ok(FoundCatalogue::Damaged),
    }
}

pub(crate) const CATALOGUE: &str = "meta/catalogue";
pub(crate) const CURRENT: &str = "meta/CURRENT";

/// Reads a catalogue's bytes into the report.
pub(crate) fn decode_catalogue(
    content: &[u8],
    report: &mut Report,
) -> Result<Option<Catalogue>, InspectError> {
    match Catalogue::decode(content) {
        Ok(catalogue) => {
            report.catalogue = Some(describe(&catalogue));
            Ok(Some(catalogue))
        }
        Err(error @ DecodeError::Newer { .. }) => {
            Err(InspectError::Newer { file: CATALOGUE.to_owned(), reason: error.to_string() })
        }
        Err(error) => {
            let position = match &error {
                DecodeError::Content { position, .. } => kolk_layout::field::bytes(*position),
                _ => 0,
            };
            report.damaged(CATALOGUE, position, error);
            Ok(None)
        }
    }
}

fn describe(catalogue: &Catalogue) -> CatalogueReport {
    let topic = |topic: &std::sync::Arc<kolk_coord::topic::Topic>| TopicReport {
        name: topic.name.to_string(),
        id: topic.id.to_string(),
        partitions: topic.partitions,
        settings: topic.overrides.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
    };
    let mut topics: Vec<TopicReport> = catalogue.topics().map(topic).collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    CatalogueReport {
        cluster_id: catalogue.cluster().to_string(),
        run: catalogue.run().get(),
        topics,
        tombstones: catalogue.tombstones().map(|tombstone| tombstone.name.to_string()).collect(),
    }
}

fn current(data: &Path, report: &mut Report) -> Result<Option<Current>, InspectError> {
    if let Some(content) = read_if_there(&data.join(CURRENT))? {
        return decode_current(&content, report);
    }
    let topics = std::fs::read_dir(data.join("topics"));
    if topics.is_ok_and(|mut entries| entries.next().is_some()) {
        report.damaged(CURRENT, 0, "the file is missing though topics exist");
    }
    Ok(None)
}

/// Reads the bytes of `meta/CURRENT`.
pub(crate) fn decode_current(
    content: &[u8],
    report: &mut Report,
) -> Result<Option<Current>, InspectError> {
    match Current::decode(content) {
        Ok(current) => Ok(Some(current)),
        Err(error @ CurrentError::VersionNewer { .. }) => {
            Err(InspectError::Newer { file: CURRENT.to_owned(), reason: error.to_string() })
        }
        Err(_) => {
            let reason =
                "the file is damaged; without it no journal, and so no log's end, is known";
            report.damaged(CURRENT, 0, reason);
            Ok(None)
        }
    }
}

/// The name of a topic whose log the journal speaks of; `None` for a deleted one.
fn live_name(
    catalogue: &FoundCatalogue,
    id: TopicPartition,
    report: &mut Report,
) -> Option<String> {
    let FoundCatalogue::Whole(catalogue) = catalogue else { return Some(id.topic.to_string()) };
    match catalogue.status(id.topic) {
        TopicStatus::Live => catalogue.topic(id.topic).map(|topic| topic.name.to_string()),
        TopicStatus::Deleted => None,
        TopicStatus::Unknown => {
            let reason = format!("the journal speaks of log {id}, whose topic is not in it");
            report.damaged(CATALOGUE, 0, reason);
            Some(id.topic.to_string())
        }
    }
}

/// Partitions of the catalogue that no journal has heard of: a crash came between the two.
fn note_absent(catalogue: &FoundCatalogue, seen: &BTreeSet<TopicPartition>, report: &mut Report) {
    let FoundCatalogue::Whole(catalogue) = catalogue else { return };
    for topic in catalogue.topics() {
        let absent = (0..topic.partitions)
            .filter(|n| !seen.contains(&TopicPartition::new(topic.id, PartitionId::new(*n))))
            .count();
        if absent > 0 {
            let name = &topic.name;
            report.warn(format!(
                "{absent} partitions of {name} have no log yet; the next start creates them"
            ));
        }
    }
}

/// Directories of topics that nobody knows; the broker leaves them alone too.
fn note_strangers(data: &Path, catalogue: &FoundCatalogue, report: &mut Report) {
    let FoundCatalogue::Whole(catalogue) = catalogue else { return };
    let Ok(entries) = std::fs::read_dir(data.join("topics")) else { return };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names {
        let name = name.to_string_lossy();
        let status =
            name.parse::<TopicId>().map_or(TopicStatus::Unknown, |id| catalogue.status(id));
        match status {
            TopicStatus::Live => {}
            TopicStatus::Deleted => {
                report.warn(format!(
                    "topics/{name} is of a deleted topic; the next start removes it"
                ));
            }
            TopicStatus::Unknown => {
                report.warn(format!("topics/{name} is of no topic that the catalogue knows"));
            }
        }
    }
}

/// The report of `data`, not begun.
pub(crate) fn begin(path: &Path) -> Report {
    Report::new(path, Kind::DataDirectory)
}
