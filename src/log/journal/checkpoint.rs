//! Making the journal short again: full pages go to their segments and are synced, then one sequential snapshot says where
//! every log ended when the checkpoint began and carries the bytes that no segment holds. It speaks of the beginning and not of
//! the end, since what was appended meanwhile would have to be carried too: with many logs that was most of a journal, copied
//! while nothing else ran. Needs no room in the journal itself. STORAGE.md rules 10 and 11.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kolk_io::buf::AlignedBuf;
use kolk_io::door::{File, Io, OpenMode};
use kolk_io::error::IoError;
use kolk_model::offset::FilePosition;

use crate::error::LogError;
use crate::log::{Announce, Log, LogState, Phase};
use crate::shard_log::Shard;
use crate::signal::Signal;
use kolk_layout::field::{index, page_floor};
use kolk_layout::journal::snapshot::{EPOCHS_MAX, LogSnapshot, Snapshot, SnapshotKind};
use kolk_layout::journal::{SNAPSHOT_NAMES, journal_dir};

/// Logs written and synced side by side: syncs that are under way together share commits of the file system's journal. Fewer than
/// the kernel's workers of a ring, so that none of the journal's own syncs waits for one of these to end.
const LOGS_AT_ONCE_MAX: usize = 32;
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
        let ended = run(shard, SnapshotKind::Running).await;
        journal.checkpoint_ended(&ended, &shard.metrics);
        if let Err(error) = ended {
            tracing::warn!(%error, "checkpoint failed and is tried again");
            shard.io.sleep(RETRY).await;
            journal.want_checkpoint();
        } else {
            // Most wishes that came meanwhile are fulfilled; whoever still waits for room asks again.
            journal.take_checkpoint_wish();
            if journal.wants_checkpoint(&shard.settings) {
                journal.want_checkpoint();
            }
        }
        shard.relieve();
    }
}

/// One checkpoint, from page writes to freed files; one at a time.
///
/// # Errors
/// [`LogError::Io`] if the snapshot could not be written; the journal stays as it was.
pub(crate) async fn run<I: Io>(shard: &Rc<Shard<I>>, kind: SnapshotKind) -> Result<(), LogError> {
    let journal = &shard.journal;
    let running = journal.checkpoint.until(|| Running::begin(shard)).await;
    // The snapshot of a clean stop is the last one, also for a checkpoint that waited for it.
    let result = match kind {
        SnapshotKind::Running if journal.stopping() => Ok(()),
        SnapshotKind::Running | SnapshotKind::CleanStop => run_alone(shard, kind).await,
    };
    drop(running);
    result
}

async fn run_alone<I: Io>(shard: &Rc<Shard<I>>, kind: SnapshotKind) -> Result<(), LogError> {
    let start = shard.io.now();
    let (mut snapshot, taken) = capture(shard, kind);
    snapshot.logs = flush(shard, kind, taken).await;
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

/// While it lives no other checkpoint of the shard begins.
struct Running<I: Io>(Rc<Shard<I>>);

impl<I: Io> Running<I> {
    fn begin(shard: &Rc<Shard<I>>) -> Option<Self> {
        let free = !shard.journal.checkpoint_runs.replace(true);
        free.then(|| Self(Rc::clone(shard)))
    }
}

impl<I: Io> Drop for Running<I> {
    fn drop(&mut self) {
        self.0.journal.checkpoint_runs.set(false);
        self.0.journal.checkpoint.notify();
    }
}

/// What the snapshot will say of a log, and the bytes that it carries unless the segment gets them first.
struct Taken<I: Io> {
    log: Log<I>,
    snapshot: LogSnapshot,
    /// The bytes from `snapshot.flushed` to `snapshot.covered`: shared with the log's tail, which forgets none that is not
    /// synced.
    tail: Vec<Bytes>,
}

impl<I: Io> Taken<I> {
    /// True if the segment should get pages of these bytes.
    fn has_pages(&self) -> bool {
        page_floor(self.snapshot.end.get()) > self.snapshot.flushed.get()
    }

    /// Leaves out what the segment has by now, and takes a copy of the rest.
    fn settle(self) -> LogSnapshot {
        let Self { log, mut snapshot, tail } = self;
        let mut skip = 0;
        {
            let state = log.inner.state.borrow();
            // After a roll it is another segment's position; then the snapshot carries it all.
            if state.active().base == snapshot.segment && !tail.is_empty() {
                let synced = state.writer.synced.min(page_floor(snapshot.end.get()));
                let flushed = synced.max(snapshot.flushed.get());
                skip = index(flushed - snapshot.flushed.get());
                snapshot.flushed = FilePosition::new(flushed);
            }
        }
        for piece in &tail {
            let piece = piece.as_ref();
            let skipped = skip.min(piece.len());
            skip -= skipped;
            snapshot.tail.extend_from_slice(piece.get(skipped..).unwrap_or_default());
        }
        snapshot
    }
}

/// Writes and syncs the pages of the logs, some at a time, and settles what the snapshot says of each.
async fn flush<I: Io>(
    shard: &Rc<Shard<I>>,
    kind: SnapshotKind,
    taken: Vec<Taken<I>>,
) -> Vec<LogSnapshot> {
    let begin = shard.journal.files.live_bytes();
    let settled: Rc<RefCell<Vec<Option<LogSnapshot>>>> = Rc::default();
    let under_way = Rc::new(Cell::new(0));
    let ended = Rc::new(Signal::default());
    for (number, log) in taken.into_iter().enumerate() {
        if !log.has_pages() {
            settled.borrow_mut().push(Some(log.settle()));
            continue;
        }
        settled.borrow_mut().push(None);
        ended.until(|| (under_way.get() < LOGS_AT_ONCE_MAX).then_some(())).await;
        under_way.set(under_way.get() + 1);
        let (under_way, ended) = (Rc::clone(&under_way), Rc::clone(&ended));
        let (settled, own) = (Rc::clone(&settled), Rc::clone(shard));
        shard.io.spawn(async move {
            let came = || {
                let hurried = kind == SnapshotKind::CleanStop || own.is_pressed();
                (!hurried).then(|| own.journal.files.live_bytes().saturating_sub(begin))
            };
            let end = page_floor(log.snapshot.end.get());
            log.log.write_pages(end, came).await;
            log.log.written_and_synced(end).await;
            if let Some(place) = settled.borrow_mut().get_mut(number) {
                *place = Some(log.settle());
            }
            under_way.set(under_way.get() - 1);
            ended.notify();
        });
    }
    ended.until(|| (under_way.get() == 0).then_some(())).await;
    let settled = settled.take();
    let count = settled.len();
    let settled: Vec<_> = settled.into_iter().flatten().collect();
    assert_eq!(settled.len(), count, "every log was settled");
    settled
}

impl<I: Io> Log<I> {
    /// Writes the pages below `end` that the segment does not have yet, piece by piece. Ends early where somebody else writes
    /// them, or nobody may.
    async fn write_pages(&self, end: u64, came: impl Fn() -> Option<u64>) {
        let pace = &self.inner.shard.journal.pace;
        loop {
            let issued = self.inner.state.borrow().writer.issued;
            if issued >= end {
                return;
            }
            let taken = pace.take(end - issued, &came).await;
            let started = {
                let state = &mut *self.inner.state.borrow_mut();
                // Somebody else may have issued pages meanwhile.
                let range = state.writer.lazy_range(end.min(state.writer.issued + taken));
                let range = range.filter(|_| state.phase == Phase::Open);
                range.map(|range| self.start_lazy(state, range, taken))
            };
            if started.is_none() {
                pace.give_back(taken);
                return;
            }
            self.inner.moved.until(|| (!self.is_writing_lazily()).then_some(())).await;
        }
    }

    fn is_writing_lazily(&self) -> bool {
        let state = self.inner.state.borrow();
        state.phase == Phase::Open && state.writer.is_writing_lazily()
    }

    /// Waits until the page writes below `end` have ended and are synced; only an open log is waited for.
    async fn written_and_synced(&self, end: u64) {
        self.inner
            .moved
            .until(|| {
                let mut state = self.inner.state.borrow_mut();
                let state = &mut *state;
                // A rolling log writes and syncs by itself; what it has not synced yet goes into the snapshot.
                if state.phase != Phase::Open || !state.writer.has_lazy_unsynced(end) {
                    return Some(());
                }
                if !state.writer.syncing {
                    self.start_sync(state);
                }
                None
            })
            .await;
    }

    /// What a snapshot says of this log now, and the bytes that it is to carry.
    fn snapshot(&self, state: &LogState) -> (LogSnapshot, Vec<Bytes>) {
        let end = state.writer.written;
        let flushed = state.writer.synced.min(page_floor(end.position));
        let active = state.active();
        // A log that the start could not bring up has no bytes in memory: an earlier run's journals have them.
        let covered = state.writer.covered.max(end.position);
        let in_memory = active.tail.start() <= flushed && covered <= active.tail.end();
        let offline = matches!(state.phase, Phase::Offline(_));
        assert!(in_memory || offline, "{}: {flushed} to {covered} is not in memory", self.id());
        let damage = match &state.phase {
            Phase::Offline(damage) if state.held || !in_memory => Some(damage.to_string()),
            // Neither a refusal of the disk nor rot took anything of this away: all that is not synced stands in the snapshot. A
            // start tries again, and what is still rotten is found again.
            _ => None,
        };
        let flushed = if in_memory { flushed } else { page_floor(end.position) };
        let tail = if in_memory { active.tail.slices(flushed, covered) } else { Vec::new() };
        let (end_position, covered) =
            if in_memory { (end.position, covered) } else { (flushed, flushed) };
        let skip = state.epochs.len().saturating_sub(EPOCHS_MAX);
        let snapshot = LogSnapshot {
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
            tail: Vec::new(),
        };
        (snapshot, tail)
    }
}

/// The state of all logs as of the last group written. No group is half in: positions move only when a group has completed.
fn capture<I: Io>(shard: &Rc<Shard<I>>, kind: SnapshotKind) -> (Snapshot, Vec<Taken<I>>) {
    let logs = shard.logs.borrow();
    let journal = &shard.journal;
    let taken = logs.values().filter_map(|log| {
        let state = log.inner.state.borrow();
        // A log whose creation is not with the journal yet is not there yet.
        let announced = state.announce != Some(Announce::Create);
        (announced && state.phase != Phase::Closed).then(|| {
            let (snapshot, tail) = log.snapshot(&state);
            Taken { log: log.clone(), snapshot, tail }
        })
    });
    let taken = taken.collect();
    let snapshot = Snapshot {
        sequence: journal.sequence.get(),
        checksum: journal.checksum.get(),
        kind,
        boot: journal.boot,
        logs: Vec::new(),
    };
    (snapshot, taken)
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
    file.write_and_sync_at(0, &[AlignedBuf::from_bytes(bytes).into_slice()]).await?;
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
