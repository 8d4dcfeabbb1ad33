//! What a run is made of: machine, topics, clients, faults, length. One TOML file each, below `scenario`.

use std::path::{Path, PathBuf};

use kolk_coord::group::settings::GroupSettings;
use kolk_log::settings::LogSettings;
use kolk_model::durability::AckLevel;
use kolk_shard::settings::ShardSettings;
use serde::Deserialize;

/// One file of `scenario`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Why there is this scenario.
    pub(crate) about: String,
    /// How long it lasts.
    pub(crate) run: Run,
    #[serde(default)]
    pub(crate) storage: Storage,
    /// The topics that clients use.
    pub(crate) topic: Vec<Topic>,
    /// The producers.
    pub(crate) producer: Vec<Producers>,
    #[serde(default)]
    pub(crate) reader: Readers,
    #[serde(default)]
    pub(crate) group: Groups,
    #[serde(default)]
    pub(crate) admin: Admin,
    #[serde(default)]
    pub(crate) network: Network,
    /// What goes wrong, besides the ends of lives.
    #[serde(default)]
    pub(crate) fault: Vec<Fault>,
    /// The flaw planted into the broker; such a scenario must be caught.
    pub(crate) flaw: Option<String>,
}

/// How long a run lasts and how its lives end.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// Lives of the broker before the last one, which must make progress and stops cleanly.
    pub(crate) lives: u64,
    /// Fewest steps of the scheduler that a life lasts.
    #[serde(default = "steps_min")]
    pub(crate) steps_min: u64,
    /// Most steps of the scheduler that a life lasts.
    pub(crate) steps_max: u64,
    /// Most shards; each life has another number.
    #[serde(default = "shards_max")]
    pub(crate) shards_max: u16,
    /// How many lives in a hundred end with a power cut.
    #[serde(default = "half")]
    pub(crate) power_cut_percent: u64,
    /// How many end with a clean stop; the rest are kills.
    #[serde(default)]
    pub(crate) stop_percent: u64,
    /// Whether a power cut may leave noise in sectors that were being written.
    #[serde(default)]
    pub(crate) shear: bool,
    /// How often in a hundred a life goes on at once after a start, unread.
    #[serde(default = "third")]
    pub(crate) unread_percent: u64,
}

const fn steps_min() -> u64 {
    40
}

const fn shards_max() -> u16 {
    4
}

const fn half() -> u64 {
    50
}

const fn third() -> u64 {
    33
}

/// The storage engine's settings: small, so that everything happens in a short life.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Storage {
    pub(crate) journal_file_kib: u64,
    pub(crate) journal_files: u16,
    pub(crate) group_kib: usize,
    pub(crate) direct_append_kib: u64,
    pub(crate) direct_writes: usize,
    pub(crate) memory_kib: u64,
    pub(crate) housekeeping_ms: u64,
    pub(crate) compaction_ms: u64,
    pub(crate) producer_save_ms: u64,
    /// How often groups are looked through for offsets that nobody uses any more.
    pub(crate) offsets_check_ms: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            journal_file_kib: 256,
            journal_files: 4,
            group_kib: 64,
            direct_append_kib: 16,
            direct_writes: 2,
            memory_kib: 1024,
            housekeeping_ms: 200,
            compaction_ms: 100,
            producer_save_ms: 300,
            offsets_check_ms: 600_000,
        }
    }
}

impl Storage {
    /// What a shard of the broker is told.
    pub(crate) fn settings(&self) -> ShardSettings {
        ShardSettings {
            housekeeping_ms: self.housekeeping_ms,
            compaction_ms: self.compaction_ms,
            producer_save_ms: self.producer_save_ms,
            producer_save_bytes: 32 << 10,
            offsets_topic_partitions: 3,
            waiters_max: 4096,
            group: GroupSettings {
                initial_rebalance_delay_ms: 10,
                offsets_retention_check_interval_ms: self.offsets_check_ms,
                ..GroupSettings::default()
            },
            log: LogSettings {
                journal_file_bytes: self.journal_file_kib << 10,
                journal_files: self.journal_files,
                group_bytes_max: self.group_kib << 10,
                direct_append_bytes_min: self.direct_append_kib << 10,
                direct_writes_max: self.direct_writes,
                memory_bytes_max: self.memory_kib << 10,
                read_bytes: 64 << 10,
                read_ahead: 2,
                open_files_max: 3,
                allocate_bytes_max: 256 << 10,
                compact_map_bytes_max: 4 << 10,
                ..LogSettings::default()
            },
            ..ShardSettings::default()
        }
    }
}

/// A topic and its settings, by Kafka's names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) partitions: u32,
    #[serde(default)]
    pub(crate) settings: std::collections::BTreeMap<String, String>,
    /// Different keys in a partition; without, records have no key that compaction knows.
    pub(crate) keys: Option<u64>,
    /// Records in a hundred that are tombstones, where there are keys.
    #[serde(default)]
    pub(crate) tombstone_percent: u64,
}

impl Topic {
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// Whether a crash of the process is all that its records promise to survive.
    pub(crate) fn is_process_crash(&self) -> bool {
        self.setting("kolk.durability") == Some("process-crash")
    }

    pub(crate) fn compacts(&self) -> bool {
        self.setting("cleanup.policy").is_some_and(|policy| policy.contains("compact"))
    }

    /// Whether the broker gives up old records by itself.
    pub(crate) fn forgets(&self) -> bool {
        self.setting("retention.bytes").is_some() || self.setting("retention.ms").is_some()
    }

    /// How long tombstones are kept at least, in ms.
    pub(crate) fn tombstones_ms(&self) -> i64 {
        let told = self.setting("delete.retention.ms").and_then(|ms| ms.parse().ok());
        told.unwrap_or(24 * 60 * 60 * 1000)
    }

    /// How many bytes of a partition the broker keeps at most, once it has come to it: the limit, and the segment that exceeds it.
    pub(crate) fn bytes_max(&self) -> Option<u64> {
        let number = |name| self.setting(name).and_then(|text| text.parse::<u64>().ok());
        Some(number("retention.bytes")? + number("segment.bytes")?)
    }

    /// How long records are kept at least, where their age is all that ends them.
    pub(crate) fn keeps_ms(&self) -> Option<i64> {
        let by_size = self.setting("retention.bytes").is_some();
        self.setting("retention.ms").filter(|_| !by_size)?.parse().ok()
    }

    /// Whether a life sees more than one segment of it.
    pub(crate) fn rolls(&self) -> bool {
        self.setting("segment.bytes").is_some() || self.setting("segment.ms").is_some()
    }
}

/// Some producers of one topic, spread over its partitions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Producers {
    pub(crate) topic: String,
    pub(crate) count: u32,
    /// Whether they number their batches and send them again until they are answered.
    #[serde(default = "yes")]
    pub(crate) idempotent: bool,
    /// Whether they append only where they believe the log to end, and learn where that is when they are refused. Such a producer
    /// is not idempotent.
    #[serde(default)]
    pub(crate) conditional: bool,
    /// What replies wait for; one is drawn for each batch.
    #[serde(default = "topic_level")]
    pub(crate) waits: Vec<String>,
    #[serde(default = "in_flight")]
    pub(crate) in_flight: u64,
    /// Most bytes of a value; most are much smaller.
    #[serde(default = "value_bytes")]
    pub(crate) value_bytes_max: u64,
    /// Out of a hundred batches, those with one large value.
    #[serde(default = "large_percent")]
    pub(crate) large_percent: u64,
    /// Most microseconds of thinking between two rounds.
    #[serde(default = "think_us")]
    pub(crate) think_us_max: u64,
}

const fn yes() -> bool {
    true
}

fn topic_level() -> Vec<String> {
    vec!["topic".to_owned()]
}

const fn in_flight() -> u64 {
    5
}

const fn value_bytes() -> u64 {
    40_000
}

const fn large_percent() -> u64 {
    10
}

const fn think_us() -> u64 {
    2_000
}

impl Producers {
    /// The levels in `waits`.
    pub(crate) fn levels(&self) -> Result<Vec<AckLevel>, String> {
        self.waits.iter().map(|name| name.parse().map_err(|error| format!("{error}"))).collect()
    }
}

/// Readers that follow the ends of partitions.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Readers {
    /// Readers of each partition.
    pub(crate) count: u32,
}

impl Default for Readers {
    fn default() -> Self {
        Self { count: 1 }
    }
}

/// Consumer groups.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Groups {
    /// Groups whose only consumer commits offsets without being a member.
    pub(crate) committers: u32,
    /// Groups with members that join, commit and leave.
    pub(crate) members: u32,
    /// Groups of the consumer protocol, each with three members that come and go.
    pub(crate) consumers: u32,
}

/// What an administrator does meanwhile.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    /// Milliseconds between two trims of some partition; 0 = never.
    pub(crate) trim_ms: u64,
    /// Milliseconds between creating or deleting a topic that nobody else uses; 0 = never.
    pub(crate) churn_ms: u64,
}

/// What the network does to requests.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    /// Most microseconds a request is under way, and as many for its answer.
    pub(crate) delay_us_max: u64,
    /// Connections in a hundred rounds that break with requests on them.
    pub(crate) break_percent: u64,
}

impl Default for Network {
    fn default() -> Self {
        Self { delay_us_max: 300, break_percent: 5 }
    }
}

/// A fault of the disk.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// Lives in a hundred that it comes to.
    pub(crate) percent: u64,
    /// The operations it meets, for errors and hangs: `write`, `sync`, `read`, `open`, `allocate`.
    #[serde(default)]
    pub(crate) ops: Vec<String>,
    /// Part of the paths it meets.
    #[serde(default)]
    pub(crate) path: String,
    /// Most matching operations that pass before.
    #[serde(default)]
    pub(crate) skip_max: u64,
}

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultKind {
    /// The operation fails with EIO.
    Eio,
    /// A write ends early and says so.
    ShortWrite,
    /// The operation never ends.
    Hang,
    /// The disk is full for a while.
    Full,
    /// Everything takes many times as long.
    Slow,
    /// A bit of a durable byte flips, between two lives.
    Rot,
    /// A write lands elsewhere in the same file.
    Misdirect,
    /// A bit of what is read or written is another.
    FlipBit,
    /// A sync is answered and not done.
    LyingSync,
    /// The wall clock is set to another time, by up to thirty days: between lives, and now and then in one.
    Clock,
}

impl FaultKind {
    /// Whether a good copy of what was acknowledged may be gone: then it has to be missed aloud instead of kept.
    pub(crate) const fn takes_copies(self) -> bool {
        matches!(self, Self::Rot | Self::Misdirect | Self::LyingSync | Self::FlipBit)
    }

    /// Whether the disk behaves otherwise while it is in force.
    pub(crate) const fn is_of_a_life(self) -> bool {
        !matches!(self, Self::Rot | Self::Clock)
    }
}

impl Scenario {
    /// Reads one file.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
        let scenario: Self = toml::from_str(&text).map_err(|error| format!("{shown}: {error}"))?;
        for producers in &scenario.producer {
            producers.levels().map_err(|error| format!("{shown}: {error}"))?;
            if !scenario.topic.iter().any(|topic| topic.name == producers.topic) {
                return Err(format!("{shown}: there is no topic {}", producers.topic));
            }
            if producers.conditional && producers.idempotent {
                return Err(format!("{shown}: a conditional producer is not idempotent"));
            }
        }
        Ok(scenario)
    }

    /// The place of a topic in the list.
    pub(crate) fn topic_place(&self, name: &str) -> usize {
        self.topic.iter().position(|topic| topic.name == name).unwrap_or(0)
    }
}

/// The files of a folder of scenarios, by name.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    Ok(files)
}
