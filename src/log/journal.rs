//! The redo journal of one shard: the only commit authority. Small appends of all logs go into it as one group and one sync;
//! what a group holds is replayed after a crash until a snapshot contains it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;

use kolk_io::door::Io;
use kolk_metric::shard::ShardMetrics;

use crate::error::LogError;
use crate::journal::files::JournalFiles;
use crate::journal::pace::Pace;
use crate::log::Log;
use crate::log::writer::Mark;
use crate::recovery::image::ShardImage;
use crate::settings::LogSettings;
use crate::signal::Signal;
use kolk_layout::journal::group::JournalIdentity;
use kolk_layout::journal::journal_dir;

pub(crate) mod checkpoint;
pub(crate) mod committer;
pub(crate) mod files;
pub(crate) mod pace;

/// The journal's state. The committer and the checkpoint task work on it; logs put themselves into its queue.
pub(crate) struct Journal<I: Io> {
    pub(crate) identity: JournalIdentity,
    pub(crate) files: JournalFiles<I>,
    /// Logs with something for the next group.
    pub(crate) queue: RefCell<VecDeque<Log<I>>>,
    /// Wakes the committer.
    pub(crate) work: Signal,
    pub(crate) sync_requested: Cell<bool>,
    /// The last group written, and its checksum.
    pub(crate) sequence: Cell<u64>,
    pub(crate) checksum: Cell<u32>,
    pub(crate) durable_sequence: Cell<u64>,
    pub(crate) low_water: Cell<u64>,
    /// Shares of groups that were written and not synced.
    pub(crate) unsynced: RefCell<Vec<(Log<I>, Mark)>>,
    /// The kernel's boot id at the start of this run.
    pub(crate) boot: u64,
    /// The slot that the next snapshot goes to: the older one.
    slot: Cell<usize>,
    /// The last write of that slot has not ended well.
    pub(crate) slot_doubted: Cell<bool>,
    /// The last checkpoint found no room on the disk.
    snapshot_without_room: Cell<bool>,
    failed: Cell<bool>,
    stopping: Cell<bool>,
    /// The committer begins no more groups.
    groups_ended: Cell<bool>,
    /// A group is in flight.
    pub(crate) committing: Cell<bool>,
    /// Told when one has ended.
    pub(crate) committed: Signal,
    checkpoint_wanted: Cell<bool>,
    pub(crate) checkpoint_runs: Cell<bool>,
    pub(crate) pace: Pace,
    /// Wakes the checkpoint task, and whoever waits for a checkpoint to end.
    pub(crate) checkpoint: Signal,
}

impl<I: Io> Journal<I> {
    pub(crate) async fn open(
        io: &I,
        dir: &Path,
        image: &ShardImage,
        settings: &LogSettings,
    ) -> Result<Self, LogError> {
        let identity = image.identity;
        let journal = Self {
            identity,
            files: JournalFiles::open(io, &journal_dir(dir, identity), settings).await?,
            queue: RefCell::new(VecDeque::new()),
            work: Signal::default(),
            sync_requested: Cell::new(false),
            sequence: Cell::new(0),
            checksum: Cell::new(0),
            durable_sequence: Cell::new(0),
            low_water: Cell::new(1),
            unsynced: RefCell::new(Vec::new()),
            boot: image.boot,
            // Recovery wrote the first one.
            slot: Cell::new(1),
            slot_doubted: Cell::new(false),
            snapshot_without_room: Cell::new(false),
            failed: Cell::new(false),
            stopping: Cell::new(false),
            groups_ended: Cell::new(false),
            committing: Cell::new(false),
            committed: Signal::default(),
            checkpoint_wanted: Cell::new(false),
            checkpoint_runs: Cell::new(false),
            pace: Pace::default(),
            checkpoint: Signal::default(),
        };
        Ok(journal)
    }

    pub(crate) fn enqueue(&self, log: Log<I>) {
        self.queue.borrow_mut().push_back(log);
        self.work.notify();
    }

    /// Asks for a sync of what was written without one, or is being written.
    pub(crate) fn request_sync(&self) {
        self.sync_requested.set(true);
        self.work.notify();
    }

    /// True if an append may be admitted: below nine tenths of the journal are live.
    pub(crate) fn has_room(&self, settings: &LogSettings) -> bool {
        self.files.live_bytes() <= settings.journal_bytes() / 10 * 9
    }

    /// True if half of the journal is live.
    pub(crate) fn wants_checkpoint(&self, settings: &LogSettings) -> bool {
        self.files.live_bytes() >= settings.journal_bytes() / 2
    }

    pub(crate) fn want_checkpoint(&self) {
        self.checkpoint_wanted.set(true);
        self.checkpoint.notify();
    }

    pub(crate) fn take_checkpoint_wish(&self) -> bool {
        self.checkpoint_wanted.replace(false)
    }

    /// Notes how a checkpoint has ended. Without one no file is ready again, and appends wait sooner or later.
    pub(crate) fn checkpoint_ended(&self, ended: &Result<(), LogError>, metrics: &ShardMetrics) {
        let full = matches!(ended, Err(LogError::Io(error)) if error.is_no_space());
        self.snapshot_without_room.set(full);
        self.show_room(metrics);
    }

    /// Shows whether the journal waits for room on the disk.
    pub(crate) fn show_room(&self, metrics: &ShardMetrics) {
        let waits = self.snapshot_without_room.get() || self.files.lacks_room();
        metrics.journal.without_room.set(u64::from(waits));
    }

    pub(crate) const fn next_slot(&self) -> usize {
        self.slot.get()
    }

    /// The snapshot in `slot` is durable: the next one goes to the other.
    pub(crate) fn slot_written(&self, slot: usize) {
        self.slot.set(1 - slot.min(1));
    }

    pub(crate) const fn failed(&self) -> bool {
        self.failed.get()
    }

    pub(crate) fn fail(&self) {
        self.failed.set(true);
    }

    pub(crate) const fn stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Lets no more groups begin and waits until the one in flight has ended. For the snapshot of a clean stop: nobody reads groups
    /// behind it, so that what a later one said would be taken back.
    pub(crate) async fn end_groups(&self) {
        self.groups_ended.set(true);
        self.committed.until(|| (!self.committing.get()).then_some(())).await;
    }

    pub(crate) const fn groups_ended(&self) -> bool {
        self.groups_ended.get()
    }

    /// Ends the committer and the checkpoint task.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
        self.work.notify();
        self.checkpoint.notify();
    }
}
