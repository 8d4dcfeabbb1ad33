//! One partition's log: its state, and the handle through which the floor above appends and reads.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;

use kolk_io::door::Io;
use kolk_io::time::Monotonic;
use kolk_model::ids::{LeaderEpoch, TopicPartition};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::error::{Damage, LogError};
use crate::log::stop::DirUsers;
use crate::log::tail::Tail;
use crate::log::writer::{Mark, Writer};
use crate::settings::LogConfig;
use crate::shard_log::read_cache::Window;
use crate::shard_log::room::Want;
use crate::shard_log::{LogEvent, Shard};
use crate::signal::Signal;
use kolk_layout::journal::snapshot::EpochStart;
use kolk_layout::segment::compacted::CompactionPoint;
use kolk_layout::segment::index::SegmentIndex;
use kolk_layout::segment::scan::Offsets;

pub(crate) mod append;
mod cold;
pub(crate) mod commit;
pub(crate) mod read;
pub mod retention;
mod roll;
mod segment_index;
mod segment_write;
pub(crate) mod stop;
pub(crate) mod tail;
pub mod time_lookup;
pub(crate) mod writer;

pub use append::Appended;

/// One partition's log. A cheap handle; all clones speak of the same log. Lives on the shard that owns it.
pub struct Log<I: Io> {
    pub(crate) inner: Rc<LogInner<I>>,
}

impl<I: Io> Clone for Log<I> {
    fn clone(&self) -> Self {
        Self { inner: Rc::clone(&self.inner) }
    }
}

pub(crate) struct LogInner<I: Io> {
    pub(crate) id: TopicPartition,
    pub(crate) shard: Rc<Shard<I>>,
    pub(crate) state: RefCell<LogState>,
    /// Notified whenever a position moved, a write ended or the log went offline.
    pub(crate) moved: Signal,
    pub(crate) dir_users: Cell<DirUsers>,
    /// Somebody writes or removes index files.
    pub(crate) index_turn: Cell<bool>,
    /// The compacted segment whose file has not got its name yet.
    pub(crate) swapped: RefCell<Option<Swapped<I::File>>>,
}

/// Whether the log takes appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Yes.
    Open,
    /// It rolls; `Unblocked` follows.
    Rolling,
    /// No more: damaged or fenced.
    Offline(Damage),
    /// No more: deleted, or the broker stops.
    Closed,
}

/// The first record of a segment's life in the journal, still to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announce {
    Create,
    Roll,
}

pub(crate) struct LogState {
    pub(crate) config: LogConfig,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) epochs: Vec<EpochStart>,
    pub(crate) log_start: Offset,
    /// A raised log start that the journal does not have yet. It is in force once it is durable: nobody is told of one that a
    /// crash would take back.
    pub(crate) log_start_unsaved: Option<Offset>,
    pub(crate) announce: Option<Announce>,
    /// Records other than bytes that are with the journal and not durable yet.
    pub(crate) controls_unsafe: u32,
    /// Oldest first; the last one is active and always there.
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) writer: Writer,
    pub(crate) phase: Phase,
    /// The start of this run could not bring the log up: an earlier run's journals have what its segments lack.
    pub(crate) held: bool,
    /// An append was refused as busy; the floor above waits for `Unblocked`.
    pub(crate) refused_busy: bool,
    /// An allocation failed for want of space; the next append learns the result, and the one behind that tries again.
    pub(crate) storage_full: bool,
    /// What found no room since; counted while it is there.
    pub(crate) without_room: Option<Want>,
    /// `Advanced` stands in the event queue already.
    pub(crate) advanced_queued: bool,
    /// The last window read from disk, and of which segment: a read that follows it is one of a row.
    pub(crate) cold: Option<(Offset, Window)>,
    /// Bytes of the active segment that its index file speaks for; set when the index is loaded.
    pub(crate) index_saved: u64,
    pub(crate) index_saving: bool,
    /// When the active segment got its first record in this run; `None` while it has none.
    pub(crate) active_since: Option<Monotonic>,
    /// The end at which the segment file was left, exact and synced, if it was.
    pub(crate) at_rest: Option<u64>,
    /// How far compaction has come, as its file says.
    pub(crate) compacted: CompactionPoint,
    /// Compaction is putting a segment in the place of others: no segment may go meanwhile.
    pub(crate) swapping: bool,
}

/// One segment as the log sees it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: Offset,
    /// Position after its last batch.
    pub(crate) end: u64,
    /// Offset after its last record.
    pub(crate) next_offset: Offset,
    /// Its newest bytes in memory, if any are.
    pub(crate) tail: Tail,
    /// `None`: not loaded.
    pub(crate) index: Option<Rc<SegmentIndex>>,
    /// The interval of the index that has left memory: one that is made anew gets the same runs, by whose numbers windows in the
    /// read cache are known.
    pub(crate) index_interval_bytes: Option<u32>,
    /// Greatest timestamp; `None`: not known before the index is loaded, or no record.
    pub(crate) max_timestamp: Option<TimestampMs>,
    /// Whether compaction may have left gaps.
    pub(crate) offsets: Offsets,
    pub(crate) version: SegmentVersion,
    /// Bytes of it that the index file speaks for which was written last in this run; 0 if none was.
    pub(crate) index_written: u64,
    /// Whether a newer kolk's index file lies beside it, which is left alone.
    pub(crate) index_foreign: bool,
}

/// A segment in one of its versions, and its file.
pub(crate) type Swapped<F> = ((Offset, SegmentVersion), F);

/// Tells the files apart that a segment had since this run began: compaction gives it another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentVersion(u32);

impl SegmentVersion {
    pub(crate) const FIRST: Self = Self(0);
    pub(crate) const LAST: Self = Self(u32::MAX);

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Segment {
    pub(crate) const fn empty(base: Offset) -> Self {
        Self {
            base,
            end: 0,
            next_offset: base,
            tail: Tail::new(0),
            index: None,
            index_interval_bytes: None,
            max_timestamp: None,
            offsets: Offsets::Contiguous,
            version: SegmentVersion::FIRST,
            index_written: 0,
            index_foreign: false,
        }
    }

    pub(crate) const fn mark(&self) -> Mark {
        Mark { position: self.end, offset: self.next_offset }
    }
}

impl LogState {
    #[expect(
        clippy::expect_used,
        reason = "the constructor puts one segment in and nothing takes the last one out"
    )]
    pub(crate) fn active(&self) -> &Segment {
        self.segments.back().expect("a log always has an active segment")
    }

    #[expect(clippy::expect_used, reason = "as for `active`")]
    pub(crate) fn active_mut(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("a log always has an active segment")
    }

    /// Number of the segment that holds `offset`, which must not be below the first base offset.
    pub(crate) fn segment_of(&self, offset: Offset) -> Option<usize> {
        self.segments.partition_point(|segment| segment.base <= offset).checked_sub(1)
    }

    /// Bytes of the active segment below may leave memory: on disk, and all of closed runs, so that whoever reads a run finds it
    /// whole in one of the two places.
    pub(crate) fn evictable(&self) -> u64 {
        let safe = self.writer.evictable();
        let Some(index) = self.active().index.as_ref() else { return 0 };
        let closed = index.runs().len().saturating_sub(1);
        let below = index.runs().partition_point(|run| run.end() <= safe).min(closed);
        below.checked_sub(1).and_then(|last| index.runs().get(last)).map_or(0, |run| run.end())
    }

    pub(crate) fn settled(&self) -> bool {
        let end = self.active().end;
        self.writer.settled(end) && self.controls_settled()
    }

    pub(crate) const fn controls_settled(&self) -> bool {
        self.announce.is_none() && self.log_start_unsaved.is_none() && self.controls_unsafe == 0
    }
}

impl<I: Io> Log<I> {
    pub(crate) fn new(id: TopicPartition, shard: Rc<Shard<I>>, state: LogState) -> Self {
        let (state, moved) = (RefCell::new(state), Signal::default());
        let dir_users = Cell::new(DirUsers::Count(0));
        let (index_turn, swapped) = (Cell::new(false), RefCell::new(None));
        let inner = LogInner { id, shard, state, moved, dir_users, index_turn, swapped };
        Self { inner: Rc::new(inner) }
    }

    /// Which partition.
    #[must_use]
    pub fn id(&self) -> TopicPartition {
        self.inner.id
    }

    /// First offset that can be read.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.inner.state.borrow().log_start
    }

    /// Offset after the last record appended, durable or not.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.inner.state.borrow().active().next_offset
    }

    /// Every record below is in the kernel: it survives the end of this process.
    #[must_use]
    pub fn written(&self) -> Offset {
        self.inner.state.borrow().writer.written.offset
    }

    /// Every record below is on stable storage: it survives a power cut.
    #[must_use]
    pub fn durable(&self) -> Offset {
        self.inner.state.borrow().writer.durable.offset
    }

    /// The leader epoch of this run.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.inner.state.borrow().epoch
    }

    /// Every leader epoch that wrote a record, with its first offset, oldest first.
    #[must_use]
    pub fn epochs(&self) -> Vec<EpochStart> {
        self.inner.state.borrow().epochs.clone()
    }

    /// Why the log is offline, `None` while it is not.
    #[must_use]
    pub fn damage(&self) -> Option<Damage> {
        match &self.inner.state.borrow().phase {
            Phase::Offline(damage) => Some(damage.clone()),
            _ => None,
        }
    }

    /// Whether nothing more will become safe in this run: the log is offline, or the shard's journal failed.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.inner.shard.journal.failed() || self.damage().is_some()
    }

    /// Bytes of all its batches.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.inner.state.borrow().segments.iter().map(|segment| segment.end).sum()
    }

    /// Number of its segments, the active one included.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.inner.state.borrow().segments.len()
    }

    /// Directory of the log: for files that the floor above keeps beside the segments (`producer.snapshot`).
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.inner.shard.dir.join(log_dir(self.inner.id))
    }

    /// When the active segment got its first record, or was taken over with records by this run; `None` while it has none.
    #[must_use]
    pub fn active_since(&self) -> Option<Monotonic> {
        self.inner.state.borrow().active_since
    }

    /// Starts the next segment if the active one holds a record; appends are busy meanwhile and `Unblocked` follows.
    pub fn roll(&self) {
        let mut state = self.inner.state.borrow_mut();
        if state.phase == Phase::Open && state.active().end > 0 {
            self.start_roll(&mut state);
        }
    }

    /// Makes everything appended so far durable, whatever the log's own policy is; `Advanced` follows where something was not.
    pub fn request_sync(&self) {
        let mut state = self.inner.state.borrow_mut();
        let state = &mut *state;
        if state.writer.durable.position == state.active().end {
            return;
        }
        state.writer.sync_wanted = true;
        if state.writer.queued < state.active().end {
            self.mark_dirty(state);
        } else {
            // All of it is with the journal: written or in flight.
            self.inner.shard.journal.request_sync();
        }
    }

    /// Takes a new topic configuration; sizes count from the next append on.
    pub fn set_config(&self, config: LogConfig) {
        self.inner.state.borrow_mut().config = config;
    }

    /// Refuses whatever an offline or closed log can't do.
    pub(crate) fn readable(&self) -> Result<(), LogError> {
        self.readable_state(&self.inner.state.borrow())
    }

    /// Takes the log offline. What was appended and is not durable has an unknown outcome.
    pub(crate) fn fence(&self, damage: Damage) {
        let shard = &self.inner.shard;
        {
            let mut state = self.inner.state.borrow_mut();
            if matches!(state.phase, Phase::Offline(_) | Phase::Closed) {
                return;
            }
            tracing::error!(log = %self.inner.id, %damage, "log goes offline");
            state.phase = Phase::Offline(damage);
            self.wants_no_room(&mut state);
        }
        shard.metrics.log.fenced_logs.inc();
        shard.raise(LogEvent::Fenced(self.inner.id));
        self.inner.moved.notify();
    }

    /// The version of the segment that starts at `base`; `None` if there is none.
    pub(crate) fn version_of(&self, base: Offset) -> Option<SegmentVersion> {
        let state = self.inner.state.borrow();
        let segment = state.segment_of(base).and_then(|at| state.segments.get(at));
        segment.filter(|segment| segment.base == base).map(|segment| segment.version)
    }

    pub(crate) fn file_name(&self, base: Offset) -> String {
        format!("{}/{}", log_dir(self.inner.id), segment_name(base))
    }

    /// Tells the floor above that a busy log takes appends again.
    pub(crate) fn unblock(&self) {
        let told = {
            let mut state = self.inner.state.borrow_mut();
            std::mem::take(&mut state.refused_busy)
        };
        if told {
            self.inner.shard.raise(LogEvent::Unblocked(self.inner.id));
        }
        self.inner.moved.notify();
    }
}

/// The directory of a log below the data directory.
#[must_use]
pub fn log_dir(id: TopicPartition) -> String {
    format!("topics/{}/{}", id.topic, id.partition)
}

/// The file name of the segment that starts at `base`.
#[must_use]
pub fn segment_name(base: Offset) -> String {
    format!("{:020}.log", base.get())
}

/// The file name of that segment's index.
#[must_use]
pub fn index_name(base: Offset) -> String {
    format!("{:020}.index", base.get())
}

/// The base offset in a segment's file name.
#[must_use]
pub fn parse_segment_name(name: &str) -> Option<Offset> {
    base_offset(name.strip_suffix(".log")?)
}

/// The base offset in the file name of a segment's index.
#[must_use]
pub fn parse_index_name(name: &str) -> Option<Offset> {
    base_offset(name.strip_suffix(".index")?)
}

fn base_offset(digits: &str) -> Option<Offset> {
    let numeric = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    numeric.then(|| digits.parse().ok()).flatten().map(Offset::new)
}
