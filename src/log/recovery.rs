//! The start of a run: reads the journals of the run before, brings every segment to what they say, and only then makes a new
//! generation the live one. Runs once, before any shard serves; the number of shards may have changed. What can't be read of the
//! journals stops the start; what can't be brought to its segments takes that log offline alone, see `held`. STORAGE.md rule 9.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kolk_io::door::{File, Io, OpenMode};
use kolk_io::error::IoError;
use kolk_model::ids::{ShardId, TopicId, TopicPartition};

use crate::error::{LogError, RecoveryError};
use crate::flaw::Flaw;
use crate::journal::files::zero_file;
use crate::recovery::held::Histories;
use crate::recovery::image::{LogImage, ShardImage};
use crate::recovery::materialize::FoundLog;
use crate::recovery::replay::{ReplayCounts, Replayed};
use crate::settings::{LogConfig, LogSettings, SyncPolicy};
use kolk_layout::field::bytes;
use kolk_layout::journal::current::{CURRENT_BYTES_MAX, Current};
use kolk_layout::journal::group::JournalIdentity;
use kolk_layout::journal::held::HeldLog;
use kolk_layout::journal::snapshot::{Snapshot, SnapshotKind};
use kolk_layout::journal::{SNAPSHOT_NAMES, journal_dir, journal_name};

mod held;
pub mod history;
pub mod image;
mod materialize;
pub mod replay;
pub(crate) mod swap;

/// Which generation is live, below the data directory.
pub const CURRENT_PATH: &str = "meta/CURRENT";

/// What the catalogue says of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicFate {
    /// It exists.
    Live(LogConfig),
    /// It was deleted: its records are dropped.
    Deleted,
    /// Never heard of: the start stops rather than drop anything.
    Unknown,
}

/// What recovery needs to know from above.
pub struct RecoveryPlan<'a> {
    /// Shards of the new run.
    pub shards: u16,
    /// Storage settings of every shard.
    pub settings: &'a LogSettings,
    /// The kernel's boot id, 0 if unknown.
    pub boot: u64,
    /// Go on although journal files are missing; what they held is lost.
    pub accept_loss: bool,
    /// Which shard of the new run owns a log.
    pub placement: &'a dyn Fn(TopicPartition) -> ShardId,
    /// What the catalogue says of a topic.
    pub fate: &'a dyn Fn(TopicId) -> TopicFate,
}

/// A recovered data directory.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The new generation.
    pub generation: u64,
    /// One image per shard, in order.
    pub shards: Vec<ShardImage>,
    /// What was replayed.
    pub counts: ReplayCounts,
    /// Logs that are offline.
    pub damaged: Vec<TopicPartition>,
    /// Logs that promise to survive a crash of the process only, after the machine went down without a clean stop: their
    /// last records may be gone.
    pub possibly_short: Vec<TopicPartition>,
}

/// Recovers the data directory at `dir`, whose lock the caller holds.
///
/// # Errors
/// [`LogError::Recovery`] where going on would lose something in silence; [`LogError::Io`].
pub async fn recover<I: Io>(
    io: &I,
    dir: &Path,
    plan: &RecoveryPlan<'_>,
) -> Result<Recovered, LogError> {
    let before = read_current(io, dir).await?;
    let past = read_past(io, dir, before, plan).await?;
    // Up to here nothing was written: what a newer kolk left is refused untouched.
    for name in ["meta", "journal", "topics"] {
        io.create_dir_all(&dir.join(name)).await?;
    }
    io.sync_dir(dir).await?;
    if let Some(parent) = dir.parent() {
        io.sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent }).await?;
    }
    let generation = reserve_generation(io, dir, before).await?;
    // What starts that failed have left. CURRENT itself may not be durable yet: those before it stay.
    let live = before.map_or(0, |before| before.generation);
    remove_generations(io, dir, |number| live < number && number < generation).await;
    let mut recovered = Recovered {
        generation,
        shards: Vec::new(),
        counts: past.counts,
        damaged: Vec::new(),
        possibly_short: Vec::new(),
    };
    let seed = u32::try_from(io.random_u64() >> 32).unwrap_or(0);
    let current =
        Current { generation, seed, shards: plan.shards, files: plan.settings.journal_files };
    let identity = |shard| current.identity(ShardId::new(shard));
    let image = |shard| ShardImage { identity: identity(shard), boot: plan.boot, logs: Vec::new() };
    recovered.shards = (0..plan.shards).map(image).collect();
    let mut held = Vec::new();
    for (id, found) in past.logs {
        let run = found.run;
        let image = materialize::materialize(io, dir, id, found).await?;
        if image.damage.is_some() {
            held.push(HeldLog { id, run });
        }
        note(&mut recovered, &image, past.rebooted);
        let shard = usize::from((plan.placement)(id).get());
        if let Some(shard) = recovered.shards.get_mut(shard) {
            shard.logs.push(image);
        }
    }
    if Flaw::CurrentBeforeJournal.is_in(io) {
        io.write_file_atomic(&dir.join(CURRENT_PATH), &current.encode()).await?;
    }
    for shard in &recovered.shards {
        write_journal(io, dir, shard, plan.settings).await?;
    }
    held::write(io, dir, generation, &held).await?;
    io.sync_dir(&dir.join(format!("journal/{generation}"))).await?;
    io.sync_dir(&dir.join("journal")).await?;
    io.write_file_atomic(&dir.join(CURRENT_PATH), &current.encode()).await?;
    let mut kept: BTreeSet<u64> = held.iter().map(|log| log.run.generation).collect();
    kept.insert(generation);
    remove_generations(io, dir, |number| !kept.contains(&number) && past.lost_below <= number)
        .await;
    Ok(recovered)
}

async fn read_current<I: Io>(io: &I, dir: &Path) -> Result<Option<Current>, LogError> {
    let found = io.read_file(&dir.join(CURRENT_PATH), CURRENT_BYTES_MAX).await?;
    let Some(found) = found else {
        match io.list_dir(&dir.join("topics")).await {
            Ok(topics) if topics.is_empty() => return Ok(None),
            Err(error) if error.is_not_found() => return Ok(None),
            listed => listed?,
        };
        let reason = "meta/CURRENT is missing though topics exist; restore it".to_owned();
        return Err(RecoveryError::Current { reason }.into());
    };
    let current = Current::decode(&found)
        .map_err(|error| RecoveryError::Current { reason: error.to_string() })?;
    Ok(Some(current))
}

/// What the files of the run before say.
struct Past {
    logs: BTreeMap<TopicPartition, FoundLog>,
    counts: ReplayCounts,
    /// The machine went down without a clean stop.
    rebooted: bool,
    /// Generations below may hold the histories of logs of which nobody knows where they are; 0 if there are none.
    lost_below: u64,
}

/// Reads the journals of the run before and the checkpoints of its logs.
async fn read_past<I: Io>(
    io: &I,
    dir: &Path,
    before: Option<Current>,
    plan: &RecoveryPlan<'_>,
) -> Result<Past, LogError> {
    let mut past = Past {
        logs: BTreeMap::new(),
        counts: ReplayCounts::default(),
        rebooted: false,
        lost_below: 0,
    };
    let Some(before) = before else { return Ok(past) };
    let mut found = Histories::default();
    let skip_vanished = Flaw::VanishedShardSkipped.is_in(io);
    let shards_max = if skip_vanished { plan.shards } else { u16::MAX };
    for shard in 0..before.shards.min(shards_max) {
        let identity = before.identity(ShardId::new(shard));
        let history = history::read(io, dir, identity, before.files, plan.accept_loss).await?;
        let crashed = history.snapshot.kind == SnapshotKind::Running;
        past.rebooted |= crashed && history.snapshot.boot != plan.boot;
        found.replay(history, before, shard, &mut past.counts);
    }
    found.take_up(io, dir, before, plan.accept_loss).await?;
    for (id, (log, config)) in choose(found.logs, plan.fate)? {
        let compacted = swap::read(io, dir, id).await?;
        let run = found.runs.get(&id).copied().unwrap_or(before);
        if found.offline.contains(&id) {
            past.lost_below = past.lost_below.max(run.generation);
        }
        past.logs.insert(id, FoundLog { log, config, compacted, run });
    }
    Ok(past)
}

/// A generation that no journal of any earlier run, finished or not, was ever written under.
async fn reserve_generation<I: Io>(
    io: &I,
    dir: &Path,
    before: Option<Current>,
) -> Result<u64, LogError> {
    let journal = dir.join("journal");
    let names = io.list_dir(&journal).await?;
    let tried = names.iter().filter_map(|entry| entry.name.parse().ok()).max().unwrap_or(0);
    if let Some(before) = before.filter(|_| Flaw::GenerationReused.is_in(io)) {
        return Ok(before.generation);
    }
    let generation = before.map_or(0, |before| before.generation).max(tried) + 1;
    io.create_dir_all(&journal.join(generation.to_string())).await?;
    io.sync_dir(&journal).await?;
    Ok(generation)
}

type Live = BTreeMap<TopicPartition, (Replayed, LogConfig)>;

/// Live logs are kept, deleted ones dropped, unknown ones stop the start.
fn choose(
    logs: BTreeMap<TopicPartition, Replayed>,
    fate: &dyn Fn(TopicId) -> TopicFate,
) -> Result<Live, RecoveryError> {
    let mut live = Live::new();
    for (id, log) in logs {
        match fate(id.topic) {
            TopicFate::Live(config) => {
                live.insert(id, (log, config));
            }
            TopicFate::Deleted => {}
            TopicFate::Unknown => return Err(RecoveryError::TopicUnknown { topic: id.topic }),
        }
    }
    Ok(live)
}

fn note(recovered: &mut Recovered, image: &LogImage, rebooted: bool) {
    if let Some(damage) = &image.damage {
        tracing::error!(log = %image.id, %damage, "log is offline");
        recovered.damaged.push(image.id);
    }
    if rebooted && image.config.sync == SyncPolicy::OnDemand {
        tracing::warn!(log = %image.id, "log may have lost its last records: the machine went down");
        recovered.possibly_short.push(image.id);
    }
}

/// Creates the journal of one shard of the new run, with the snapshot that it starts from.
async fn write_journal<I: Io>(
    io: &I,
    dir: &Path,
    shard: &ShardImage,
    settings: &LogSettings,
) -> Result<(), LogError> {
    let identity: JournalIdentity = shard.identity;
    let journal = journal_dir(dir, identity);
    io.create_dir_all(&journal).await?;
    for number in 1..settings.journal_files {
        let file = io.open(&journal.join(journal_name(number)), OpenMode::CreateOrOpen).await?;
        file.close().await?;
    }
    zero_file(io, &journal.join(journal_name(0)), settings.journal_file_bytes).await?;
    let snapshot = Snapshot {
        sequence: 0,
        checksum: 0,
        kind: SnapshotKind::Running,
        boot: shard.boot,
        logs: shard.logs.iter().map(LogImage::snapshot).collect(),
    };
    let encoded = snapshot.encode(identity);
    for (name, content) in SNAPSHOT_NAMES.iter().zip([encoded.as_slice(), &[]]) {
        let file = io.open(&journal.join(name), OpenMode::CreateOrOpen).await?;
        if !content.is_empty() {
            let pages = kolk_io::buf::AlignedBuf::from_bytes(content).into_slice();
            file.allocate(0, bytes(pages.len())).await?;
            file.write_at(0, &[pages]).await?;
        }
        file.sync().await?;
        file.close().await?;
    }
    io.sync_dir(&journal).await?;
    Ok(())
}

/// Removes the journals of some generations, none of which is needed any more. What the disk refuses here stays until the next
/// start: it is no reason not to serve.
async fn remove_generations<I: Io>(io: &I, dir: &Path, which: impl Fn(u64) -> bool) {
    let journal = dir.join("journal");
    let removed = async {
        for entry in io.list_dir(&journal).await? {
            if entry.name.parse().is_ok_and(&which) {
                io.remove_dir_all(&journal.join(&entry.name)).await?;
            }
        }
        Ok::<(), IoError>(())
    };
    if let Err(error) = removed.await {
        tracing::warn!(%error, "a journal that nobody needs is not removed");
    }
}

/// Removes the directories of topics whose tombstone the catalogue holds. Directories of topics that nobody knows are left
/// alone, and so are those that the disk does not let go: ids are never used again, so that they cost room and nothing else.
///
/// # Errors
/// [`LogError::Io`] if the topics can't be listed.
pub async fn remove_deleted_topics<I: Io>(
    io: &I,
    dir: &Path,
    fate: &dyn Fn(TopicId) -> TopicFate,
) -> Result<(), LogError> {
    let topics = dir.join("topics");
    for entry in io.list_dir(&topics).await? {
        let Ok(id) = entry.name.parse::<TopicId>() else { continue };
        match fate(id) {
            TopicFate::Deleted => {
                if let Err(error) = io.remove_dir_all(&topics.join(&entry.name)).await {
                    tracing::error!(topic = %id, %error, "directory of a deleted topic is not removed: do it by hand");
                }
            }
            TopicFate::Unknown => {
                tracing::warn!(topic = %id, "directory of a topic that the catalogue does not know is left alone");
            }
            TopicFate::Live(_) => {}
        }
    }
    Ok(())
}
