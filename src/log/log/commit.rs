//! What a log gives to the journal's next group, and what it learns when the group is safe.

use kolk_io::door::Io;
use kolk_model::checksum::crc32c_append;
use kolk_model::offset::{FilePosition, Offset};

use crate::flaw::{self, Flaw};
use crate::log::writer::Mark;
use crate::log::{Announce, Log, LogState, Phase};
use crate::settings::SyncPolicy;
use crate::shard_log::LogEvent;
use kolk_layout::field::index;
use kolk_layout::journal::group::{GroupBuilder, Record, RecordKind};

/// A log's share of a group: where it ends, and the bytes that are copied into it.
pub(crate) struct Share<I: Io> {
    pub(crate) log: Log<I>,
    pub(crate) mark: Mark,
    /// The segment that was active then.
    pub(crate) segment: Offset,
    /// End of what this and all earlier groups hold of the log.
    pub(crate) covered: u64,
    pub(crate) redo: Option<(u64, u64)>,
    /// The group carries a record other than bytes: somebody waits for it to be durable.
    pub(crate) control: bool,
    /// The log start that the group raises the log to.
    pub(crate) log_start: Option<Offset>,
}

/// Which promise a completed group keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Written,
    Durable,
}

impl<I: Io> Log<I> {
    /// Puts the log into the journal's queue, once.
    pub(crate) fn mark_dirty(&self, state: &mut LogState) {
        if !state.writer.dirty {
            state.writer.dirty = true;
            self.inner.shard.journal.enqueue(self.clone());
        }
    }

    /// Adds what the log has for the journal to `group`; also says whether the group must be synced for it.
    pub(crate) fn contribute(&self, group: &mut GroupBuilder) -> (Option<Share<I>>, SyncPolicy) {
        let mut state = self.inner.state.borrow_mut();
        let state = &mut *state;
        state.writer.dirty = false;
        if matches!(state.phase, Phase::Offline(_) | Phase::Closed) {
            return (None, SyncPolicy::OnDemand);
        }
        let records_before = group.record_count();
        let (control, log_start) = self.announce(state, group);
        let segment = state.active().base;
        if let Some((from, to)) = state.writer.take_synced() {
            let mark = state.writer.queued_mark;
            group.push(&self.record(RecordKind::Extent, segment, (from, to), mark), 0, 0);
        }
        let end = state.active().mark();
        let bytes_max = self.inner.shard.settings.redo_bytes_max();
        let redo = if Flaw::RedoPastExtent.is_in(&self.inner.shard.io) {
            flaw::take_redo_past_extents(&mut state.writer, end, bytes_max)
        } else {
            state.writer.take_redo(end, bytes_max)
        };
        if let Some((from, to)) = redo {
            let mut checksum = 0;
            state.active().tail.visit(from, to, |piece| checksum = crc32c_append(checksum, piece));
            let record = self.record(RecordKind::Redo, segment, (from, to), end);
            group.push(&record, index(to - from), checksum);
        }
        if group.record_count() == records_before {
            // Direct writes are still under way; the wish for a sync stays until their records come.
            return (None, SyncPolicy::OnDemand);
        }
        let wanted = state.writer.sync_wanted || state.config.sync == SyncPolicy::EachGroup;
        // The wish is fulfilled only with the last byte that it was for.
        state.writer.sync_wanted &= state.writer.queued < end.position;
        let sync = if wanted { SyncPolicy::EachGroup } else { SyncPolicy::OnDemand };
        let (mark, covered) = (state.writer.queued_mark, state.writer.queued);
        let log = self.clone();
        (Some(Share { log, mark, segment, covered, redo, control, log_start }), sync)
    }

    /// Adds what there is to say besides bytes: whether there is anything, and the log start in it.
    fn announce(&self, state: &mut LogState, group: &mut GroupBuilder) -> (bool, Option<Offset>) {
        let before = group.record_count();
        let segment = state.active().base;
        let start = Mark { position: 0, offset: segment };
        if let Some(announce) = state.announce.take() {
            let kind = match announce {
                Announce::Create => RecordKind::Create,
                Announce::Roll => RecordKind::Roll,
            };
            state.writer.sync_wanted = true;
            group.push(&self.record(kind, segment, (0, 0), start), 0, 0);
        }
        let log_start = state.log_start_unsaved.take();
        if let Some(offset) = log_start {
            let start = Mark { position: 0, offset };
            state.writer.sync_wanted = true;
            group.push(&self.record(RecordKind::LogStart, segment, (0, 0), start), 0, 0);
        }
        let control = group.record_count() > before;
        state.controls_unsafe += u32::from(control);
        (control, log_start)
    }

    fn record(&self, kind: RecordKind, segment: Offset, range: (u64, u64), mark: Mark) -> Record {
        Record {
            log: self.inner.id,
            kind,
            segment,
            from: FilePosition::new(range.0),
            to: FilePosition::new(range.1),
            end: FilePosition::new(mark.position),
            next_offset: mark.offset,
        }
    }

    /// The group with this log's `share` has completed. A roll does not wait for a log start that is raised meanwhile: what is
    /// said of the segment before is no news of this one.
    pub(crate) fn grouped(&self, segment: Offset, covered: u64) {
        let mut state = self.inner.state.borrow_mut();
        if state.active().base == segment {
            state.writer.covered = state.writer.covered.max(covered);
        }
    }

    /// The group that raises the log start is durable: the records below are given up.
    pub(crate) fn log_start_saved(&self, start: Offset) {
        let mut state = self.inner.state.borrow_mut();
        state.log_start = state.log_start.max(start);
    }

    /// The group that holds everything up to `mark` is safe at `level`.
    pub(crate) fn committed(&self, mark: Mark, level: Level, control: bool) {
        {
            let mut state = self.inner.state.borrow_mut();
            let state = &mut *state;
            if state.writer.written.offset < mark.offset {
                state.writer.written = mark;
            }
            if level == Level::Durable {
                if state.writer.durable.offset < mark.offset {
                    state.writer.durable = mark;
                }
                state.controls_unsafe -= u32::from(control);
            }
            self.start_direct(state);
            self.start_lazy_if_due(state);
            if state.active().end > state.writer.queued {
                self.mark_dirty(state);
            }
            if !std::mem::replace(&mut state.advanced_queued, true) {
                self.inner.shard.raise(LogEvent::Advanced(self.inner.id));
            }
        }
        self.inner.moved.notify();
    }
}
