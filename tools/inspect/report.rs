//! What an inspection found, as plain values; also the shape of its JSON.

use serde::Serialize;

/// The result. `whole` is the verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The path that was asked for.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Whether everything that was acknowledged is there and unharmed.
    pub whole: bool,
    /// Whether a broker held the directory: then files may have changed while they were read.
    pub broker_running: bool,
    /// The journal, where one was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalReport>,
    /// The topics, where the catalogue was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<CatalogueReport>,
    /// The logs, by topic and partition.
    pub partitions: Vec<PartitionReport>,
    /// What is damaged. Empty if and only if `whole`.
    pub damage: Vec<Finding>,
    /// What is worth knowing and costs nobody a record.
    pub warnings: Vec<String>,
}

impl Report {
    pub(crate) fn new(path: &std::path::Path, kind: Kind) -> Self {
        Self { path: path.display().to_string(), kind, ..Self::default() }
    }

    pub(crate) fn damaged(
        &mut self,
        file: impl Into<String>,
        position: u64,
        reason: impl ToString,
    ) {
        let reason = reason.to_string();
        self.damage.push(Finding { file: file.into(), position, log: None, reason });
    }

    pub(crate) fn warn(&mut self, what: impl Into<String>) {
        self.warnings.push(what.into());
    }

    /// Sorts and gives the verdict.
    pub(crate) fn close(mut self) -> Self {
        self.partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        self.whole = self.damage.is_empty();
        self
    }
}

/// What a path is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A data directory, or the part of one that holds a topic or partition.
    #[default]
    DataDirectory,
    /// `<base offset>.log`.
    Segment,
    /// `<base offset>.index`.
    Index,
    /// `<n>.journal`.
    Journal,
    /// `snapshot.a` or `snapshot.b`.
    Snapshot,
    /// `meta/CURRENT`.
    Current,
    /// `meta/catalogue`.
    Catalogue,
    /// `producer.snapshot`.
    ProducerSnapshot,
}

/// Something damaged, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file, relative to the data directory where there is one.
    pub file: String,
    /// The first byte of what is damaged.
    pub position: u64,
    /// The log concerned, `topic/partition`, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// What does not match.
    pub reason: String,
}

/// What the journal says of the run before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JournalReport {
    /// The generation that `meta/CURRENT` names.
    pub generation: u64,
    /// Shards of that run.
    pub shards: u16,
    /// Shards whose last act was a clean stop.
    pub shards_stopped_cleanly: u16,
    /// Groups that the next start would replay.
    pub groups: u64,
    /// Records in those groups.
    pub records: u64,
    /// Payload bytes in those groups.
    pub payload_bytes: u64,
    /// Groups that were never acknowledged and will be ignored.
    pub torn_groups: u64,
    /// Logs that the journal speaks of.
    pub logs: u64,
}

/// What the catalogue holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CatalogueReport {
    /// The cluster's id, 32 hex digits.
    pub cluster_id: String,
    /// How often the node has started.
    pub run: u64,
    /// Topics.
    pub topics: Vec<TopicReport>,
    /// Topics deleted in the last run.
    pub tombstones: Vec<String>,
}

/// One topic of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicReport {
    /// Its name.
    pub name: String,
    /// Its id, 32 hex digits.
    pub id: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// Settings that differ from the default.
    pub settings: std::collections::BTreeMap<String, String>,
}

/// One log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// The topic's name; its id where the catalogue does not say.
    pub topic: String,
    /// The topic's id, 32 hex digits.
    pub topic_id: String,
    /// The partition's number.
    pub partition: u32,
    /// Whether it is unharmed.
    pub whole: bool,
    /// The first readable offset.
    pub log_start: u64,
    /// The offset after the last record.
    pub log_end: u64,
    /// Bytes of batches on disk and in the journal, from the first segment that is kept.
    pub bytes: u64,
    /// Batches in the segments that are kept.
    pub batches: u64,
    /// Records in the segments that are kept.
    pub records: u64,
    /// Its segments, oldest first.
    pub segments: Vec<SegmentReport>,
    /// Leader epochs and the first offset of each.
    pub epochs: Vec<EpochReport>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentReport {
    /// Its base offset.
    pub base_offset: u64,
    /// The offset after its last record.
    pub next_offset: u64,
    /// Bytes of batches.
    pub bytes: u64,
    /// Of those, bytes that the journal holds and the file does not have yet.
    pub journal_bytes: u64,
    /// Batches.
    pub batches: u64,
    /// Records.
    pub records: u64,
    /// The largest timestamp, ms since 1970; `null` if empty.
    pub max_timestamp: Option<i64>,
    /// Whether an index file stands beside it.
    pub index: bool,
}

/// A leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EpochReport {
    /// The epoch.
    pub epoch: u32,
    /// Its first offset.
    pub start_offset: u64,
}
