//! Taking batches in: admission, stamping, the one copy. Synchronous: an append is taken whole or refused whole, and nothing
//! waits between giving out an offset and copying the bytes.

use std::rc::Rc;

use kolk_io::door::Io;
use kolk_model::batch::{BatchView, HEAD_BYTES, stamp_head};
use kolk_model::ids::LeaderEpoch;
use kolk_model::offset::Offset;

use crate::error::AppendRefused;
use crate::log::tail::Taken;
use crate::log::writer::Mark;
use crate::log::{Log, LogState, Phase};
use crate::settings::SyncPolicy;
use kolk_layout::field::{bytes, bytes32, page_floor};
use kolk_layout::journal::snapshot::EpochStart;
use kolk_layout::segment::index::{IndexedBatch, SegmentIndex};

/// Positions in an index are 32 bits wide: no segment is larger.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 31;

/// Offsets in an index are counted from the segment's first one, in 32 bits too.
const SEGMENT_SPAN_MAX: u64 = u32::MAX as u64;

/// What an append was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset after the last record: once `written` or `durable` reach it, the append is safe at that level.
    pub next_offset: Offset,
}

enum Room {
    Ready,
    Roll,
    Allocate,
    Wait,
}

impl<I: Io> Log<I> {
    /// Copies whole, verified batches behind the log's end, stamped with their offsets and the log's leader epoch.
    /// `sync` asks for stable storage even where the log's own policy does not. Returns at once; the batches are safe when
    /// [`Log::written`] or [`Log::durable`] has reached `next_offset`, which `LogEvent::Advanced` announces.
    ///
    /// # Errors
    /// [`AppendRefused`]; then nothing was written and no offset was given out.
    pub fn append(
        &self,
        batches: &[BatchView<'_>],
        sync: SyncPolicy,
    ) -> Result<Appended, AppendRefused> {
        let shard = &self.inner.shard;
        if shard.journal.failed() {
            return Err(AppendRefused::JournalFailed);
        }
        let total: u64 = batches.iter().map(|batch| bytes(batch.as_bytes().len())).sum();
        let appended = {
            let mut state = self.inner.state.borrow_mut();
            match &state.phase {
                Phase::Open => {}
                Phase::Rolling => return Err(self.busy(&mut state)),
                Phase::Offline(damage) => return Err(AppendRefused::Offline(damage.clone())),
                Phase::Closed => return Err(AppendRefused::Closed),
            }
            match self.room(&state, total, batches)? {
                Room::Ready => {}
                Room::Wait => {
                    shard.press(self.inner.id);
                    return Err(self.busy(&mut state));
                }
                Room::Allocate | Room::Roll if std::mem::take(&mut state.storage_full) => {
                    shard.metrics.log.appends_without_room.inc();
                    return Err(AppendRefused::StorageFull);
                }
                Room::Allocate => {
                    let upto = page_floor(state.active().end + total);
                    self.allocate(&mut state, upto);
                    return Err(self.busy(&mut state));
                }
                Room::Roll => {
                    self.start_roll(&mut state);
                    return Err(self.busy(&mut state));
                }
            }
            let appended = self.copy_in(&mut state, batches);
            if sync == SyncPolicy::EachGroup || state.config.sync == SyncPolicy::EachGroup {
                state.writer.sync_wanted = true;
            }
            self.allocate_ahead(&mut state);
            self.start_direct(&mut state);
            self.mark_dirty(&mut state);
            appended
        };
        shard.metrics.log.appends.inc();
        shard.metrics.log.append_bytes.add(total);
        Ok(appended)
    }

    fn busy(&self, state: &mut LogState) -> AppendRefused {
        state.refused_busy = true;
        self.inner.shard.metrics.log.appends_waited.inc();
        AppendRefused::Busy
    }

    fn room(
        &self,
        state: &LogState,
        total: u64,
        batches: &[BatchView<'_>],
    ) -> Result<Room, AppendRefused> {
        let shard = &self.inner.shard;
        let segment_bytes_max = state.config.segment_bytes.min(SEGMENT_BYTES_MAX);
        if total > SEGMENT_BYTES_MAX {
            return Err(AppendRefused::TooLarge { bytes: total, segment_bytes_max });
        }
        let active = state.active();
        let offsets: u64 = batches.iter().map(|b| u64::from(b.last_offset_delta()) + 1).sum();
        let span = active.next_offset.count_since(active.base) + offsets;
        if active.end > 0 && (active.end + total > segment_bytes_max || span > SEGMENT_SPAN_MAX) {
            return Ok(Room::Roll);
        }
        if page_floor(active.end + total) > state.writer.allocated {
            return Ok(Room::Allocate);
        }
        if !shard.has_room() {
            return Ok(Room::Wait);
        }
        Ok(Room::Ready)
    }

    fn copy_in(&self, state: &mut LogState, batches: &[BatchView<'_>]) -> Appended {
        let shard = &self.inner.shard;
        let epoch = state.epoch;
        let base_offset = state.active().next_offset;
        note_epoch(state, epoch, base_offset);
        let first_in_segment = state.active().base;
        let buffer_bytes_max = shard.buffer_bytes_max();
        let (mut copied, mut taken) = (0, Taken::default());
        for batch in batches {
            let active = state.active_mut();
            let base = active.next_offset;
            let head: [u8; HEAD_BYTES] = stamp_head(batch, base, epoch);
            let body = batch.as_bytes().get(HEAD_BYTES..).unwrap_or_default();
            taken += active.tail.append_within(&head, buffer_bytes_max);
            taken += active.tail.append_within(body, buffer_bytes_max);
            copied += bytes(batch.as_bytes().len());
            let next = base + u64::from(batch.last_offset_delta()) + 1;
            active.next_offset = next;
            active.end += bytes(batch.as_bytes().len());
            let indexed = IndexedBatch {
                head: &head,
                bytes: bytes32(batch.as_bytes().len()),
                base_offset: base,
                max_timestamp: batch.max_timestamp(),
            };
            let interval = state.config.index_interval_bytes;
            let active = state.active_mut();
            let empty = || Rc::new(SegmentIndex::new(first_in_segment, interval));
            let index = active.index.get_or_insert_with(empty);
            Rc::make_mut(index).push(&indexed, next);
            assert_eq!(index.covered(), active.end, "the index speaks for the whole segment");
            active.max_timestamp = index.max_timestamp();
        }
        if state.active_since.is_none() {
            state.active_since = Some(shard.io.now());
        }
        let mark: Mark = state.active().mark();
        state.writer.boundaries.push_back(mark);
        shard.metrics.copies.tail.add(copied);
        if taken.buffers > 0 {
            shard.memory_taken(self.inner.id, first_in_segment, taken);
        }
        Appended { base_offset, next_offset: mark.offset }
    }
}

fn note_epoch(state: &mut LogState, epoch: LeaderEpoch, start: Offset) {
    if state.epochs.last().is_none_or(|last| last.epoch < epoch) {
        state.epochs.push(EpochStart { epoch, start });
    }
}
