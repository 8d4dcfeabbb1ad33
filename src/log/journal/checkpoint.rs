//! Making the journal short again: full pages go to their segments and are synced, then one sequential snapshot says where
//! every log ends and carries the bytes that no segment holds. Needs no room in the journal itself. STORAGE.md rules 10 and 11.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use kolk_io::buf::AlignedBuf;
use kolk_io::door::{File, Io, OpenMode};
use kolk_io::error::IoError;
use kolk_model::offset::FilePosition;

use crate::error::{Damage, LogError};
use crate::log::writer::{ExtentKind, ExtentState};
use crate::log::{Announce, Log, LogState, Phase};
use crate::shard_log::Shard;
use kolk_layout::field::page_floor;
use kolk_layout::journal::snapshot::{EPOCHS_MAX, LogSnapshot, Snapshot, SnapshotKind};
use kolk_layout::journal::{SNAPSHOT_NAMES, journal_dir};

/// Logs written and synced side by side.
const LOGS_AT_ONCE_MAX: usize = 64;
/// A checkpoint that failed, for want of space mostly, is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);

/// Starts the checkpoint task of a shard.
pub(crate) fn start<I: Io>(shard: &Rc<Shard<I>>) {
    let shard = Rc::clone(shard);
    shard.io.clone().spawn(async move { watch(&shard).await });
}

async fn watch<I: Io>(shard: &Rc<Shard<I>>) {
    let journal = &shard.journal;
    loop {
        let go_on = journal
            .checkpoint
            .until(|| {
                if journal.stopping() || journal.failed() {
                    return Some(false);
                }
                journal.take_checkpoint_wish().then_some(true)
            })
            .await;
        if !go_on {
            return;
        }
        if let Err(error) = run(shard, SnapshotKind::Running).await {
            tracing::warn!(%error, "checkpoint failed and is tried again");
            shard.io.sleep(RETRY).await;
            journal.want_checkpoint();
        }
        shard.relieve();
    }
}

/// One checkpoint, from page writes to freed files.
///
/// # Errors
/// [`LogError::Io`] if the snapshot could not be written; the journal stays as it was.
pub(crate) async fn run<I: Io>(shard: &Rc<Shard<I>>, kind: SnapshotKind) -> Result<(), LogError> {
    let start = shard.io.now();
    let logs: Vec<Log<I>> = shard.logs.borrow().values().cloned().collect();
    for some in logs.chunks(LOGS_AT_ONCE_MAX) {
        for log in some {
            log.start_lazy();
        }
        for log in some {
            log.written_and_synced().await;
        }
    }
    let snapshot = capture(shard, kind);
    let sequence = snapshot.sequence;
    write(shard, &snapshot).await?;
    shard.journal.low_water.set(sequence + 1);
    shard.journal.files.free(sequence);
    let metrics = &shard.metrics.journal;
    metrics.checkpoints.inc();
    let took = shard.io.now() - start;
    metrics.checkpoint_ns.record_ns(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    metrics.live_bytes.set(shard.journal.files.live_bytes());
    Ok(())
}

impl<I: Io> Log<I> {
    /// Waits until the page writes in flight have ended and are synced; only an open log is waited for.
    async fn written_and_synced(&self) {
        self.inner
            .moved
            .until(|| {
                let mut state = self.inner.state.borrow_mut();
                let state = &mut *state;
                // A rolling log writes and syncs by itself; what it has not synced yet goes into the snapshot.
                if state.phase != Phase::Open {
                    return Some(());
                }
                let lazy_left = state.writer.extents.iter().any(|extent| {
                    extent.state != ExtentState::Synced && extent.kind == ExtentKind::Lazy
                });
                if !lazy_left {
                    return Some(());
                }
                if !state.writer.syncing {
                    self.start_sync(state);
                }
                None
            })
            .await;
    }

    /// What a snapshot says of this log now.
    fn snapshot(&self, state: &LogState) -> LogSnapshot {
        let end = state.writer.written;
        let flushed = state.writer.synced.min(page_floor(end.position));
        let active = state.active();
        // A log that recovery found damaged has no bytes in memory; what it lost is gone already.
        let covered = state.writer.covered.max(end.position);
        let held = active.tail.start() <= flushed && covered <= active.tail.end();
        let offline = matches!(state.phase, Phase::Offline(_));
        assert!(held || offline, "{}: {flushed} to {covered} is not in memory", self.id());
        let damage = match &state.phase {
            // The disk's refusal took nothing away: all that is not synced stands in the snapshot, and a start tries again.
            Phase::Offline(Damage::Device { .. }) if held => None,
            Phase::Offline(damage) => Some(damage.to_string()),
            _ => None,
        };
        let flushed = if held { flushed } else { page_floor(end.position) };
        let tail = if held { active.tail.copy(flushed, covered) } else { Vec::new() };
        let (end_position, covered) =
            if held { (end.position, covered) } else { (flushed, flushed) };
        let skip = state.epochs.len().saturating_sub(EPOCHS_MAX);
        LogSnapshot {
            id: self.id(),
            epoch: state.epoch,
            log_start: state.log_start.min(end.offset),
            segment: active.base,
            flushed: FilePosition::new(flushed),
            end: FilePosition::new(end_position),
            covered: FilePosition::new(covered),
            next_offset: end.offset,
            epochs: state
                .epochs
                .iter()
                .skip(skip)
                .copied()
                .filter(|epoch| epoch.start < end.offset)
                .collect(),
            damage,
            tail,
        }
    }
}

/// The state of all logs as of the last group written. No group is half in: positions move only when a group has completed.
fn capture<I: Io>(shard: &Rc<Shard<I>>, kind: SnapshotKind) -> Snapshot {
    let logs = shard.logs.borrow();
    let journal = &shard.journal;
    let entries = logs.values().filter_map(|log| {
        let state = log.inner.state.borrow();
        // A log whose creation is not with the journal yet is not there yet.
        let announced = state.announce != Some(Announce::Create);
        (announced && state.phase != Phase::Closed).then(|| log.snapshot(&state))
    });
    Snapshot {
        sequence: journal.sequence.get(),
        checksum: journal.checksum.get(),
        kind,
        boot: journal.boot,
        logs: entries.collect(),
    }
}

async fn write<I: Io>(shard: &Rc<Shard<I>>, snapshot: &Snapshot) -> Result<(), LogError> {
    let journal = &shard.journal;
    let dir = journal_dir(&shard.dir, journal.identity);
    let slot = journal.next_slot();
    let path = dir.join(SNAPSHOT_NAMES.get(slot).copied().unwrap_or_default());
    let bytes = snapshot.encode(journal.identity);
    // Until it has gone well: no later sync of a file is believed where one has failed.
    if journal.slot_doubted.replace(true) {
        replace_slot(&shard.io, &path, &bytes).await?;
    } else {
        let file = shard.io.open(&path, OpenMode::ReadWrite).await?;
        write_slot::<I>(file, &bytes).await?;
    }
    journal.slot_doubted.set(false);
    journal.slot_written(slot);
    Ok(())
}

async fn write_slot<I: Io>(file: I::File, bytes: &[u8]) -> Result<(), IoError> {
    file.write_and_sync_at(0, vec![AlignedBuf::from_bytes(bytes).into_slice()]).await?;
    file.close().await
}

/// The slot as a new file, which takes the place of the one that a write or sync has failed on.
async fn replace_slot<I: Io>(io: &I, path: &Path, bytes: &[u8]) -> Result<(), IoError> {
    let temporary = path.with_extension("tmp");
    io.remove_file_if_there(&temporary).await?;
    write_slot::<I>(io.open(&temporary, OpenMode::CreateNew).await?, bytes).await?;
    io.rename(&temporary, path).await?;
    match path.parent() {
        Some(dir) => io.sync_dir(dir).await,
        None => Ok(()),
    }
}
