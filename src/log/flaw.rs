//! Rules of this crate that a simulation may have broken, one at a time, to show that the breach is noticed. Apart so that the
//! wrong ways stand in one place. A real machine never has a flaw: there the question is a constant no, and none of this is
//! compiled in.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kolk_io::door::Io;
use kolk_layout::field::{PAGE_BYTES, index};

use crate::log::tail::Tail;
use crate::log::writer::{ExtentKind, Mark, Writer};
use crate::recovery::history::FoundGroup;

/// A broken rule; the numbers are those of STORAGE.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Rule 1: a group is acknowledged as durable without its fdatasync.
    AckBeforeJournalSync,
    /// Rule 1: a direct append is acknowledged when its segment is synced, before the journal knows.
    AckBeforeExtentRecord,
    /// Rule 2: records enter groups past a direct write that the journal does not know.
    RedoPastExtent,
    /// Rule 3: a process-crash log's extent enters the journal before its segment is synced.
    ExtentBeforeSegmentSync,
    /// Rule 4: a page that was issued is issued again with the next ones.
    PageIssuedTwice,
    /// Rule 5: a group with torn payloads is replayed.
    TornGroupAccepted,
    /// Rule 7: the next journal file is begun before the last one is synced.
    SwitchWithoutSync,
    /// Rule 9: a run goes on in the generation of the last one.
    GenerationReused,
    /// Rule 9: the new generation is made the live one before its journals are written.
    CurrentBeforeJournal,
    /// Rule 9: recovery does not sync the segments that it brings redo to.
    RecoveryWithoutSync,
    /// Rule 9: a journal whose shard is no more is not replayed.
    VanishedShardSkipped,
}

impl Flaw {
    /// Whether the simulation has planted it.
    #[inline]
    pub(crate) fn is_in<I: Io>(self, io: &I) -> bool {
        io.has_flaw(self.name())
    }

    const fn name(self) -> &'static str {
        match self {
            Self::AckBeforeJournalSync => "ack-before-journal-sync",
            Self::AckBeforeExtentRecord => "ack-before-extent-record",
            Self::RedoPastExtent => "redo-past-extent",
            Self::ExtentBeforeSegmentSync => "extent-before-segment-sync",
            Self::PageIssuedTwice => "page-issued-twice",
            Self::TornGroupAccepted => "torn-group-accepted",
            Self::SwitchWithoutSync => "switch-without-sync",
            Self::GenerationReused => "generation-reused",
            Self::CurrentBeforeJournal => "current-before-journal",
            Self::RecoveryWithoutSync => "recovery-without-sync",
            Self::VanishedShardSkipped => "vanished-shard-skipped",
        }
    }
}

/// As [`Writer::take_redo`], past the direct writes under way.
pub(crate) fn take_redo_past_extents(
    writer: &mut Writer,
    end: Mark,
    bytes_max: u64,
) -> Option<(u64, u64)> {
    let claimed = writer.claimed();
    let (directs, others): (VecDeque<_>, VecDeque<_>) =
        writer.extents.drain(..).partition(|extent| extent.kind == ExtentKind::Direct);
    writer.extents = others;
    writer.queued = claimed.min(end.position);
    let redo = writer.take_redo(end, bytes_max);
    writer.extents.extend(directs);
    redo
}

/// Where a write of pages from `from` on begins if it takes the page before along, which was written before.
pub(crate) fn page_before(tail: &Tail, from: u64) -> u64 {
    let before = from.saturating_sub(PAGE_BYTES);
    if before >= tail.start() { before } else { from }
}

/// Takes torn payloads for whole ones.
pub(crate) fn accept_torn(found: &mut BTreeMap<u64, FoundGroup>) {
    let records = found.values_mut().filter_map(|group| group.records.as_mut()).flatten();
    for record in records.filter(|record| record.payload.is_none()) {
        let bytes = record.record.to.get().saturating_sub(record.record.from.get());
        record.payload = Some(Bytes::from(vec![0; index(bytes)]));
    }
}
