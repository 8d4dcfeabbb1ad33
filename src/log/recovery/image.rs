//! What recovery hands to each shard: its logs, whole and placed, as plain values that cross to the shard's core.

use std::collections::VecDeque;
use std::rc::Rc;

use kolk_io::door::Io;
use kolk_model::ids::{LeaderEpoch, TopicPartition};
use kolk_model::offset::Offset;

use crate::error::Damage;
use crate::log::tail::Tail;
use crate::log::writer::{Mark, Writer};
use crate::log::{LogState, Phase, Segment};
use crate::settings::LogConfig;
use crate::shard_log::Shard;
use kolk_layout::journal::group::JournalIdentity;
use kolk_layout::journal::snapshot::{EpochStart, LogSnapshot};
use kolk_layout::segment::compacted::CompactionPoint;
use kolk_layout::segment::scan::Offsets;

/// Everything one shard starts with.
#[derive(Clone, Debug)]
pub struct ShardImage {
    /// The new journal.
    pub identity: JournalIdentity,
    /// The kernel's boot id, 0 if unknown.
    pub boot: u64,
    /// Its logs, in order of their ids.
    pub logs: Vec<LogImage>,
}

/// A segment that is not written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedImage {
    /// Its base offset.
    pub base: Offset,
    /// Its length in bytes.
    pub bytes: u64,
    /// Offset after its last record: the next segment's base.
    pub next_offset: Offset,
    /// Whether compaction may have left gaps in it.
    pub offsets: Offsets,
}

/// One recovered log.
#[derive(Clone, Debug)]
pub struct LogImage {
    /// Which.
    pub id: TopicPartition,
    /// Its topic's configuration.
    pub config: LogConfig,
    /// The epoch of the new run.
    pub epoch: LeaderEpoch,
    /// Earlier epochs.
    pub epochs: Vec<EpochStart>,
    /// First readable offset.
    pub log_start: Offset,
    /// Segments before the active one, oldest first.
    pub sealed: Vec<SealedImage>,
    /// Base offset of the active segment.
    pub segment: Offset,
    /// Bytes below stand in its file, synced.
    pub flushed: u64,
    /// End of its last batch.
    pub end: u64,
    /// Offset after the last record.
    pub next_offset: Offset,
    /// The bytes `flushed..end`.
    pub tail: Vec<u8>,
    /// Bytes its file has, whole pages.
    pub allocated: u64,
    /// True if the file ends exactly where the log does.
    pub at_rest: bool,
    /// How far compaction has come.
    pub compacted: CompactionPoint,
    /// Why it is offline, where it is.
    pub damage: Option<Damage>,
}

impl LogImage {
    /// What the new run's first snapshot says of it.
    pub(crate) fn snapshot(&self) -> LogSnapshot {
        LogSnapshot {
            id: self.id,
            epoch: self.epoch,
            log_start: self.log_start,
            segment: self.segment,
            flushed: kolk_model::offset::FilePosition::new(self.flushed),
            end: kolk_model::offset::FilePosition::new(self.end),
            covered: kolk_model::offset::FilePosition::new(self.end),
            next_offset: self.next_offset,
            epochs: self.epochs.clone(),
            damage: self.damage.as_ref().map(ToString::to_string),
            tail: self.tail.clone(),
        }
    }

    /// The log's state on its shard.
    pub(crate) fn into_state<I: Io>(self, shard: &Rc<Shard<I>>) -> LogState {
        let sealed = self.sealed.iter().map(|sealed| Segment {
            end: sealed.bytes,
            next_offset: sealed.next_offset,
            offsets: sealed.offsets,
            ..Segment::empty(sealed.base)
        });
        let mut segments: VecDeque<Segment> = sealed.collect();
        let mut tail = Tail::new(self.flushed);
        let taken = tail.append(&self.tail);
        if taken.buffers > 0 {
            shard.memory_taken(self.id, self.segment, taken);
        }
        segments.push_back(Segment {
            end: self.end,
            next_offset: self.next_offset,
            tail,
            ..Segment::empty(self.segment)
        });
        let end = Mark { position: self.end, offset: self.next_offset };
        LogState {
            config: self.config,
            epoch: self.epoch,
            epochs: self.epochs,
            log_start: self.log_start,
            log_start_unsaved: None,
            announce: None,
            controls_unsafe: 0,
            segments,
            writer: Writer::new(self.flushed, end, self.allocated.max(self.flushed)),
            held: self.damage.is_some(),
            phase: self.damage.map_or(Phase::Open, Phase::Offline),
            refused_busy: false,
            storage_full: false,
            without_room: None,
            advanced_queued: false,
            cold: None,
            index_saved: 0,
            index_saving: false,
            active_since: (self.end > 0).then(|| shard.io.now()),
            at_rest: self.at_rest.then_some(self.end),
            compacted: self.compacted,
            swapping: false,
        }
    }
}
