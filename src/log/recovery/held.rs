//! Logs that a start can't bring up: a segment or directory that the disk refuses or has lost, rot in the journal. Such a log is
//! offline and the others are served; but the new run's journals carry only where it ends, not its redo, which may be as much as
//! a whole journal. So it stays in the generation that has its redo: `journal/<generation>/held` names log and generation, is
//! durable before `meta/CURRENT` names the new one, and a generation that it names is kept. Every later start replays the log
//! from there and tries again, until it comes up or is deleted. Nothing writes to an offline log, so that its history has one
//! end whatever other logs have done meanwhile, and a start that ended half way with it is as one that crashed there.
//!
//! In the new run's snapshots the log stands with the reason why it is offline, and is so for good if the list is lost: then no
//! generation up to that of this snapshot is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kolk_io::door::Io;
use kolk_model::ids::{ShardId, TopicPartition};
use kolk_model::offset::FilePosition;

use crate::error::{Damage, LogError, RecoveryError};
use crate::recovery::history::{self, History, Step};
use crate::recovery::replay::{ReplayCounts, Replayed, replay};
use kolk_layout::journal::current::Current;
use kolk_layout::journal::held::{HELD_BYTES_MAX, HELD_NAME, HeldError, HeldLog, decode, encode};

/// Logs by what their journals say, and which of them a snapshot calls offline without a history.
#[derive(Default)]
pub(super) struct Histories {
    /// What the journals say.
    pub(super) logs: BTreeMap<TopicPartition, Replayed>,
    /// Of those, the ones whose snapshot says no more than that they are offline.
    pub(super) offline: BTreeSet<TopicPartition>,
    /// The runs whose journals say so, where it is not the live one.
    pub(super) runs: BTreeMap<TopicPartition, Current>,
}

impl Histories {
    /// Adds the logs of one shard of `run`.
    pub(super) fn replay(
        &mut self,
        history: History,
        run: Current,
        shard: u16,
        counts: &mut ReplayCounts,
    ) {
        let logs = history.snapshot.logs.iter();
        self.offline.extend(logs.filter(|log| log.damage.is_some()).map(|log| log.id));
        replay(history, &format!("journal/{}/{shard}", run.generation), &mut self.logs, counts);
    }

    /// Replaces what the live run `live` says of held logs by their histories. One that can't be read leaves its logs offline.
    ///
    /// # Errors
    /// [`RecoveryError::Newer`], [`LogError::Io`] if the list can't be read.
    pub(super) async fn take_up<I: Io>(
        &mut self,
        io: &I,
        dir: &Path,
        live: Current,
        accept_loss: bool,
    ) -> Result<(), LogError> {
        let mut runs: BTreeMap<u64, (Current, BTreeSet<TopicPartition>)> = BTreeMap::new();
        for HeldLog { id, run } in read(io, dir, live.generation).await? {
            // Deleted meanwhile, if it is not there.
            if self.offline.remove(&id) {
                self.runs.insert(id, run);
                runs.entry(run.generation).or_insert((run, BTreeSet::new())).1.insert(id);
            }
        }
        for (run, ids) in runs.into_values() {
            match histories(io, dir, run, &ids, accept_loss).await {
                Ok(found) => self.replace(found),
                Err(error) => self.unreadable(run, &ids, &error),
            }
        }
        Ok(())
    }

    fn replace(&mut self, found: Self) {
        for (id, mut log) in found.logs {
            let Some(known) = self.logs.get_mut(&id) else { continue };
            // Each start has raised it, served or not.
            log.epoch = log.epoch.max(known.epoch);
            *known = log;
        }
        self.offline.extend(found.offline);
    }

    fn unreadable(&mut self, run: Current, ids: &BTreeSet<TopicPartition>, error: &LogError) {
        let file = format!("journal/{}", run.generation);
        let reason = error.to_string();
        let damage = match error {
            LogError::Io(_) => Damage::Device { file, reason },
            _ => Damage::Corrupt { file, position: FilePosition::ZERO, reason },
        };
        for id in ids {
            if let Some(log) = self.logs.get_mut(id) {
                log.damage = Some(damage.clone());
            }
        }
    }
}

/// What the journals of an earlier run say of some logs.
async fn histories<I: Io>(
    io: &I,
    dir: &Path,
    run: Current,
    ids: &BTreeSet<TopicPartition>,
    accept_loss: bool,
) -> Result<Histories, LogError> {
    let mut found = Histories::default();
    for shard in 0..run.shards {
        let identity = run.identity(ShardId::new(shard));
        let mut history = history::read(io, dir, identity, run.files, accept_loss).await?;
        history.snapshot.logs.retain(|log| ids.contains(&log.id));
        for step in &mut history.steps {
            if let Step::Records(_, records) = step {
                records.retain(|record| ids.contains(&record.record.log));
            }
        }
        // Others' groups were counted when they were replayed.
        found.replay(history, run, shard, &mut ReplayCounts::default());
    }
    Ok(found)
}

fn path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("journal/{generation}/{HELD_NAME}"))
}

async fn read<I: Io>(io: &I, dir: &Path, generation: u64) -> Result<Vec<HeldLog>, LogError> {
    let path = path(dir, generation);
    let Some(file) = io.read_file(&path, HELD_BYTES_MAX).await? else { return Ok(Vec::new()) };
    match decode(&file) {
        Ok(logs) => Ok(logs),
        Err(error @ HeldError::VersionNewer { .. }) => {
            let what = format!("{} ({error})", history::relative(dir, &path));
            Err(RecoveryError::Newer { what }.into())
        }
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "logs that were offline stay so");
            Ok(Vec::new())
        }
    }
}

/// Writes the list of a new generation, durably; none where there is nothing to say.
///
/// # Errors
/// [`LogError::Io`].
pub(super) async fn write<I: Io>(
    io: &I,
    dir: &Path,
    generation: u64,
    logs: &[HeldLog],
) -> Result<(), LogError> {
    if logs.is_empty() {
        return Ok(());
    }
    Ok(io.write_file_atomic(&path(dir, generation), &encode(logs)).await?)
}
