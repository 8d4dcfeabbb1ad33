//! All logs of one shard, with what they share: the journal, the memory budget, open files, the read cache and the row of
//! events for the floor above.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use kolk_io::door::{File, Io, OpenMode};
use kolk_metric::shard::ShardMetrics;
use kolk_model::ids::{LeaderEpoch, TopicPartition};
use kolk_model::offset::Offset;

use crate::error::LogError;
use crate::journal::Journal;
use crate::log::tail::{Taken, buffer_bytes_max};
use crate::log::writer::{Mark, Writer};
use crate::log::{Announce, Log, LogState, Phase, Segment, SegmentVersion, log_dir, segment_name};
use crate::recovery::image::ShardImage;
use crate::settings::{LogConfig, LogSettings};
use crate::signal::Signal;
use kolk_layout::field::bytes;
use kolk_layout::journal::snapshot::SnapshotKind;
use kolk_layout::segment::compacted::CompactionPoint;

mod open_files;
pub(crate) mod read_cache;
pub(crate) mod room;

use open_files::OpenFiles;
use read_cache::ReadCache;

/// What happened to a log since the floor above looked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// `written` or `durable` moved.
    Advanced(TopicPartition),
    /// An append that was refused as busy may be tried again.
    Unblocked(TopicPartition),
    /// The log went offline.
    Fenced(TopicPartition),
    /// The journal failed: every append of the shard that is not durable has an unknown outcome.
    JournalFailed,
}

/// Most memory buffers looked at when room is needed, so that an append stays O(1).
const EVICTIONS_TRIED_MAX: usize = 32;

pub(crate) struct Shard<I: Io> {
    pub(crate) io: I,
    /// The data directory.
    pub(crate) dir: PathBuf,
    pub(crate) settings: LogSettings,
    pub(crate) metrics: Rc<ShardMetrics>,
    pub(crate) journal: Journal<I>,
    pub(crate) open_files: OpenFiles<I>,
    pub(crate) reads: ReadCache,
    pub(crate) logs: RefCell<BTreeMap<TopicPartition, Log<I>>>,
    events: RefCell<VecDeque<LogEvent>>,
    raised: Signal,
    tail_bytes: Cell<u64>,
    /// Where a checkpoint could not bring memory below its budget: how far it may grow until the next one. Else 0.
    pinned_bytes_max: Cell<u64>,
    /// Memory buffers in the order they were taken: whose segment each belongs to.
    buffers: RefCell<VecDeque<(TopicPartition, Offset)>>,
    loaded_indexes: RefCell<VecDeque<(TopicPartition, Offset)>>,
    /// Logs that were refused for want of journal or memory.
    pressed: RefCell<BTreeSet<TopicPartition>>,
    /// Somebody looks after the logs that lack room on the disk.
    room_watched: Cell<bool>,
}

/// Memory that every log may have, whatever the budget says: its last page and the run that still grows.
const LOG_BYTES_MIN: u64 = 16 << 10;
/// Sealed segments' indexes kept in memory; more are dropped, oldest first.
const LOADED_INDEXES_MAX: usize = 256;

impl<I: Io> Shard<I> {
    pub(crate) fn raise(&self, event: LogEvent) {
        self.events.borrow_mut().push_back(event);
        self.raised.notify();
    }

    pub(crate) fn log(&self, id: TopicPartition) -> Option<Log<I>> {
        self.logs.borrow().get(&id).cloned()
    }

    /// True if an append may take memory and journal now.
    pub(crate) fn has_room(&self) -> bool {
        let within = self.tail_bytes.get() <= self.memory_bytes_max() || self.evict();
        let memory = within || self.tail_bytes.get() <= self.pinned_bytes_max.get();
        memory && self.journal.has_room(&self.settings)
    }

    /// True if a log waits for room.
    pub(crate) fn is_pressed(&self) -> bool {
        !self.pressed.borrow().is_empty()
    }

    /// Notes a log that waits for room, and asks for a checkpoint, which makes some.
    pub(crate) fn press(&self, id: TopicPartition) {
        self.pressed.borrow_mut().insert(id);
        self.journal.want_checkpoint();
    }

    /// Tells the logs that waited that there is room, after a checkpoint. What is still in memory beyond the budget then can't
    /// leave it (a last page, a batch that is half on disk): waiting longer would not help, so appends go on.
    pub(crate) fn relieve(&self) {
        let entries = self.buffers.borrow().len();
        for _ in 0..=entries / EVICTIONS_TRIED_MAX {
            if self.evict() {
                break;
            }
        }
        let (held, budget) = (self.tail_bytes.get(), self.memory_bytes_max());
        // A quarter more, then the next checkpoint looks again.
        self.pinned_bytes_max.set(if held > budget { held + budget / 4 } else { 0 });
        for id in std::mem::take(&mut *self.pressed.borrow_mut()) {
            if let Some(log) = self.log(id) {
                log.unblock();
            }
        }
    }

    pub(crate) fn memory_taken(&self, log: TopicPartition, segment: Offset, taken: Taken) {
        self.tail_bytes.set(self.tail_bytes.get() + taken.bytes);
        // An entry each: it goes when its buffer does.
        self.buffers.borrow_mut().extend(std::iter::repeat_n((log, segment), taken.buffers));
        if self.tail_bytes.get() > self.memory_bytes_max() {
            self.evict();
        }
        self.show_memory();
    }

    pub(crate) fn memory_given_back(&self, freed: u64) {
        self.tail_bytes.set(self.tail_bytes.get().saturating_sub(freed));
        self.show_memory();
    }

    fn show_memory(&self) {
        let used = self.tail_bytes.get() + self.reads.bytes();
        self.metrics.memory.used_bytes.set(used);
        self.metrics.log.cache_bytes.set(used);
    }

    /// Forgets the oldest buffers that the disk has; true if the budget is met after it.
    fn evict(&self) -> bool {
        for _ in 0..EVICTIONS_TRIED_MAX {
            if self.tail_bytes.get() <= self.memory_bytes_max() {
                return true;
            }
            let Some((id, base)) = self.buffers.borrow_mut().pop_front() else { break };
            let Some(log) = self.log(id) else { continue };
            let Ok(mut state) = log.inner.state.try_borrow_mut() else {
                self.buffers.borrow_mut().push_back((id, base));
                continue;
            };
            let limit = if state.active().base == base { state.evictable() } else { u64::MAX };
            let at = state.segment_of(base);
            let Some(segment) = at.and_then(|at| state.segments.get_mut(at)) else { continue };
            if segment.base != base {
                continue;
            }
            let sealed = limit == u64::MAX;
            let mut freed = match sealed {
                true => segment.tail.forget_all(),
                false => segment.tail.forget_oldest(limit),
            };
            if freed == 0 && !sealed {
                freed = segment.tail.shrink(limit);
                self.buffers.borrow_mut().push_back((id, base));
            }
            self.tail_bytes.set(self.tail_bytes.get().saturating_sub(freed));
        }
        if self.tail_bytes.get() > self.pinned_bytes_max.get() {
            self.journal.want_checkpoint();
        }
        self.tail_bytes.get() <= self.memory_bytes_max()
    }

    /// The budget, but never so little that many logs could not have a tail each.
    fn memory_bytes_max(&self) -> u64 {
        let logs = bytes(self.logs.borrow().len());
        self.settings.memory_bytes_max.max(logs * LOG_BYTES_MIN)
    }

    /// Largest append buffer of a log.
    pub(crate) fn buffer_bytes_max(&self) -> u64 {
        buffer_bytes_max(self.settings.memory_bytes_max, bytes(self.logs.borrow().len()))
    }

    /// Notes that a sealed segment's index was loaded, and drops the oldest of too many.
    pub(crate) fn index_loaded(&self, log: TopicPartition, base: Offset) {
        let mut loaded = self.loaded_indexes.borrow_mut();
        loaded.push_back((log, base));
        for _ in 0..EVICTIONS_TRIED_MAX {
            if loaded.len() <= LOADED_INDEXES_MAX {
                break;
            }
            let Some((id, base)) = loaded.pop_front() else { break };
            let Some(log) = self.log(id) else { continue };
            let Ok(mut state) = log.inner.state.try_borrow_mut() else {
                loaded.push_back((id, base));
                break;
            };
            if state.swapping {
                // Its index file may still be that of another version.
                loaded.push_back((id, base));
                continue;
            }
            let active = state.active().base;
            let at = state.segment_of(base);
            if let Some(segment) = at.and_then(|at| state.segments.get_mut(at)) {
                if segment.base != base || base == active {
                    continue;
                }
                if segment.tail.start() < segment.tail.end() {
                    // A tail in memory is served through its index.
                    loaded.push_back((id, base));
                } else if let Some(index) = segment.index.take() {
                    segment.index_interval_bytes = Some(index.interval_bytes());
                }
            }
        }
    }
}

/// The storage of one shard. A cheap handle; lives on the shard's executor.
pub struct ShardLog<I: Io> {
    shard: Rc<Shard<I>>,
}

impl<I: Io> Clone for ShardLog<I> {
    fn clone(&self) -> Self {
        Self { shard: Rc::clone(&self.shard) }
    }
}

impl<I: Io> ShardLog<I> {
    /// Takes over the logs that recovery gave this shard and starts its journal. `dir` is the data directory.
    ///
    /// # Errors
    /// [`LogError::Io`] if the journal's files can't be opened.
    pub async fn open(
        io: I,
        dir: &Path,
        image: ShardImage,
        settings: LogSettings,
        metrics: Rc<ShardMetrics>,
    ) -> Result<Self, LogError> {
        let journal = Journal::open(&io, dir, &image, &settings).await?;
        metrics.journal.capacity_bytes.set(settings.journal_bytes());
        metrics.memory.budget_bytes.set(settings.memory_bytes_max);
        let shard = Rc::new(Shard {
            open_files: OpenFiles::new(settings.open_files_max),
            reads: ReadCache::new(settings.memory_bytes_max / 4, settings.read_ahead.max(1) * 4),
            io,
            dir: dir.to_path_buf(),
            settings,
            metrics,
            journal,
            logs: RefCell::new(BTreeMap::new()),
            events: RefCell::new(VecDeque::new()),
            raised: Signal::default(),
            tail_bytes: Cell::new(0),
            pinned_bytes_max: Cell::new(0),
            buffers: RefCell::new(VecDeque::new()),
            loaded_indexes: RefCell::new(VecDeque::new()),
            pressed: RefCell::new(BTreeSet::new()),
            room_watched: Cell::new(false),
        });
        for log in image.logs {
            let id = log.id;
            let state = log.into_state(&shard);
            shard.logs.borrow_mut().insert(id, Log::new(id, Rc::clone(&shard), state));
        }
        crate::journal::committer::start(&shard);
        crate::journal::checkpoint::start(&shard);
        let storage = Self { shard };
        storage.load_active_indexes().await?;
        Ok(storage)
    }

    /// Appends need the active index, so it is loaded now; damage takes only its own log offline.
    async fn load_active_indexes(&self) -> Result<(), LogError> {
        for log in self.logs() {
            let (base, empty) = {
                let state = log.inner.state.borrow();
                (state.active().base, state.active().end == 0)
            };
            if empty || log.damage().is_some() {
                continue;
            }
            match log.load_active(base).await {
                Ok(()) | Err(LogError::Offline { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Creates an empty log; its directory, its first segment and its journal record are durable when this returns.
    ///
    /// # Errors
    /// [`LogError::LogExists`], [`LogError::JournalTooSmall`], [`LogError::Unexpected`] if the directory holds bytes,
    /// [`LogError::JournalFailed`], [`LogError::NoSuchLog`] while the broker stops, [`LogError::Io`].
    pub async fn create(&self, id: TopicPartition, config: LogConfig) -> Result<Log<I>, LogError> {
        let shard = &self.shard;
        if shard.log(id).is_some() {
            return Err(LogError::LogExists { id });
        }
        let logs = bytes(shard.logs.borrow().len()) + 1;
        if logs > shard.settings.logs_max() {
            let needed_bytes = logs * 8 * 4096;
            let journal_bytes = shard.settings.journal_bytes();
            return Err(LogError::JournalTooSmall { logs, needed_bytes, journal_bytes });
        }
        self.create_files(id).await?;
        if shard.journal.stopping() {
            // Nobody would close it, and no group would take its creation.
            shard.open_files.close(id, Offset::ZERO);
            return Err(LogError::NoSuchLog { id });
        }
        let log = Log::new(id, Rc::clone(shard), new_state(config, LeaderEpoch::new(0)));
        shard.logs.borrow_mut().insert(id, log.clone());
        log.mark_dirty(&mut log.inner.state.borrow_mut());
        log.controls_safe().await?;
        Ok(log)
    }

    async fn create_files(&self, id: TopicPartition) -> Result<(), LogError> {
        let shard = &self.shard;
        let relative = log_dir(id);
        let dir = shard.dir.join(&relative);
        shard.io.create_dir_all(&dir).await?;
        for entry in shard.io.list_dir(&dir).await? {
            if entry.name.ends_with(".log") && entry.bytes > 0 {
                return Err(LogError::Unexpected { path: relative });
            }
        }
        let file =
            shard.io.open(&dir.join(segment_name(Offset::ZERO)), OpenMode::CreateOrOpen).await?;
        file.sync().await?;
        shard.io.sync_dir(&dir).await?;
        let topic = dir.parent().unwrap_or(&dir);
        shard.io.sync_dir(topic).await?;
        shard.io.sync_dir(topic.parent().unwrap_or(topic)).await?;
        shard.open_files.put(id, (Offset::ZERO, SegmentVersion::FIRST), file);
        Ok(())
    }

    /// The logs of the shard, in order of their ids.
    #[must_use]
    pub fn logs(&self) -> Vec<Log<I>> {
        self.shard.logs.borrow().values().cloned().collect()
    }

    /// One log.
    #[must_use]
    pub fn log(&self, id: TopicPartition) -> Option<Log<I>> {
        self.shard.log(id)
    }

    /// Waits until something happened and puts all of it into `events`, in order, in the place of what was there: a list that is
    /// used again and again allocates nothing. One task of the shard calls this.
    pub async fn next_events(&self, events: &mut Vec<LogEvent>) {
        events.clear();
        self.shard
            .raised
            .until(|| {
                events.extend(self.shard.events.borrow_mut().drain(..));
                (!events.is_empty()).then_some(())
            })
            .await;
        for event in &*events {
            if let LogEvent::Advanced(id) = event
                && let Some(log) = self.shard.log(*id)
            {
                log.inner.state.borrow_mut().advanced_queued = false;
            }
        }
    }

    /// Deletes a log and its files. The catalogue's tombstone must be durable: replay relies on it.
    ///
    /// # Errors
    /// [`LogError::NoSuchLog`], [`LogError::Io`] (then the log is gone all the same and its files go at the next start).
    pub async fn delete(&self, id: TopicPartition) -> Result<(), LogError> {
        let shard = &self.shard;
        let log = shard.logs.borrow_mut().remove(&id).ok_or(LogError::NoSuchLog { id })?;
        log.close();
        log.leave_dir().await;
        log.quiet().await;
        let bases: Vec<Offset> = {
            let mut state = log.inner.state.borrow_mut();
            // The last group may not have copied its share of the active tail yet: that goes with the last handle.
            let active = state.active().tail.held_bytes();
            let sealed = state.segments.len() - 1;
            let tails = state.segments.iter_mut().take(sealed);
            let freed = active + tails.map(|segment| segment.tail.forget_all()).sum::<u64>();
            shard.memory_given_back(freed);
            state.segments.iter().map(|segment| segment.base).collect()
        };
        for base in bases {
            shard.open_files.close(id, base);
        }
        shard.reads.forget_log(id);
        let dir = log.dir();
        shard.io.remove_dir_all(&dir).await?;
        if let Some(topic) = dir.parent() {
            // The last partition to go takes the topic's directory along; before, it is not empty.
            let _not_empty = shard.io.remove_dir(topic).await;
        }
        Ok(())
    }

    /// What this shard counts.
    #[must_use]
    pub fn metrics(&self) -> &ShardMetrics {
        &self.shard.metrics
    }

    pub(crate) fn io(&self) -> I {
        self.shard.io.clone()
    }

    /// True once the journal failed: the shard serves reads and refuses appends until a restart.
    #[must_use]
    pub fn journal_failed(&self) -> bool {
        self.shard.journal.failed()
    }

    /// Stops cleanly: takes no more appends, makes what was taken durable, writes last pages, indexes and a final snapshot.
    ///
    /// # Errors
    /// [`LogError::JournalFailed`], [`LogError::Io`]; then the next start recovers as after a crash.
    pub async fn shutdown(&self) -> Result<(), LogError> {
        self.shutdown_within(Duration::from_millis(self.shard.settings.stop_write_ms_max)).await
    }

    /// As [`ShardLog::shutdown`], but last pages are written only for so long; what is left stays safe in the snapshot.
    ///
    /// # Errors
    /// As [`ShardLog::shutdown`].
    pub async fn shutdown_within(&self, write: Duration) -> Result<(), LogError> {
        let result = self.stop(write).await;
        self.shard.journal.stop();
        self.shard.open_files.close_all();
        for (_, log) in std::mem::take(&mut *self.shard.logs.borrow_mut()) {
            log.close();
        }
        result
    }

    async fn stop(&self, write: Duration) -> Result<(), LogError> {
        let max = Duration::from_millis(self.shard.settings.stop_write_ms_max);
        let deadline = self.shard.io.now() + write.min(max);
        // All are asked before one is waited for, so that they share groups and syncs.
        for log in self.logs() {
            log.request_sync();
        }
        for log in self.logs() {
            match log.settle().await {
                Ok(()) | Err(LogError::Offline { .. } | LogError::NoSuchLog { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.finish_logs(deadline).await;
        self.shard.journal.end_groups().await;
        crate::journal::checkpoint::run(&self.shard, SnapshotKind::CleanStop).await
    }
}

fn new_state(config: LogConfig, epoch: LeaderEpoch) -> LogState {
    let start = Mark { position: 0, offset: Offset::ZERO };
    LogState {
        config,
        epoch,
        epochs: Vec::new(),
        log_start: Offset::ZERO,
        log_start_unsaved: None,
        announce: Some(Announce::Create),
        controls_unsafe: 0,
        segments: VecDeque::from([Segment::empty(Offset::ZERO)]),
        writer: Writer::new(0, start, 0),
        phase: Phase::Open,
        held: false,
        refused_busy: false,
        storage_full: false,
        without_room: None,
        advanced_queued: false,
        cold: None,
        index_saved: 0,
        index_saving: false,
        active_since: None,
        at_rest: None,
        compacted: CompactionPoint::default(),
        swapping: false,
    }
}
