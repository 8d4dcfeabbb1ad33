//! Compaction: of every key the newest record stays, older ones go. Sealed segments are read twice, once for the newest offset of
//! each key and once to write what stays; offsets, timestamps, producers and compression of what stays do not change.
//!
//! A pass is a row of swaps, oldest segments first. Each swap puts one new segment in the place of a few neighbours, and what is
//! on disk between two swaps is a whole log: a record goes only while a newer one of its key is there.

use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::error::{IoError, Op};
use kolk_io::time::Monotonic;
use kolk_model::batch::BatchView;
use kolk_model::batch::compacted::key_map::KeyMap;
use kolk_model::batch::compacted::need::{CompactionNeed, CompactionRules};
use kolk_model::batch::compacted::verdict::{Rules, Tally, Verdict, unpack};
use kolk_model::compression::Compression;
use kolk_model::offset::Offset;
use kolk_model::records::Records;
use kolk_model::time::TimestampMs;

use crate::error::LogError;
use crate::log::Log;
use kolk_layout::segment::compacted::CompactionPoint;

mod install;
mod output;
mod plan;
mod source;

use output::Output;
use plan::{Plan, Source};
use source::SourceReader;

/// One pass over a log.
#[derive(Clone, Debug)]
pub struct CompactionOrder {
    /// The topic's rules.
    pub rules: CompactionRules,
    /// The wall clock.
    pub now: TimestampMs,
    /// Only segments that end at or below are looked at.
    pub below: Offset,
    /// Base offsets of batches that stay at least without their records, because their producers' sequences are needed. Sorted.
    pub keep: Vec<Offset>,
}

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionDone {
    /// The log is compacted below this offset.
    pub clean_below: Offset,
    /// Bytes before and after, of the segments that were replaced.
    pub bytes_before: u64,
    /// See `bytes_before`.
    pub bytes_after: u64,
    /// Segments replaced.
    pub segments: usize,
    /// Records that are gone.
    pub records_removed: u64,
    /// The map was full before all was seen: another pass goes on from there.
    pub more: bool,
}

impl<I: Io> Log<I> {
    /// What a pass would find; `None` if there is nothing to compact. Reads indexes where a lag is asked for.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub async fn compaction_need(
        &self,
        rules: &CompactionRules,
        now: TimestampMs,
        below: Offset,
    ) -> Result<Option<CompactionNeed>, LogError> {
        let plan = self.plan(rules, now, below).await?;
        Ok(plan.map(|plan| plan.need))
    }

    /// Runs one pass, whatever the share of dirty bytes; one at a time for a log. Ends early, with nothing half done, when the log
    /// is closed or deleted.
    ///
    /// # Errors
    /// [`LogError::NoSuchLog`] when the log was closed meanwhile; [`LogError::Io`], for want of space mostly: the pass may be tried
    /// again; [`LogError::Offline`].
    pub async fn compact(&self, order: &CompactionOrder) -> Result<CompactionDone, LogError> {
        let Some(_in_use) = self.use_dir() else {
            return Err(LogError::NoSuchLog { id: self.id() });
        };
        // The roll before the active segment must be in the journal: else a start would take a compacted segment for active.
        self.controls_safe().await?;
        let Some(plan) = self.plan(&order.rules, order.now, order.below).await? else {
            let clean_below = self.inner.state.borrow().compacted.clean_below;
            return Ok(CompactionDone { clean_below, ..CompactionDone::default() });
        };
        self.note_last_swap_done().await?;
        let shard = &self.inner.shard;
        let mut pace = Pace::new(&shard.io, shard.settings.compact_bytes_per_second_max);
        let seed = (shard.io.random_u64(), shard.io.random_u64());
        let mut map = KeyMap::new(seed, shard.settings.compact_map_bytes_max);
        let map_end = self.fill_map(&plan, &mut map, &mut pace).await?;
        tracing::debug!(log = %self.id(), keys = map.len(), from = %plan.first_dirty, to = %map_end, "newest offsets known");
        let rules = Rules {
            map: &map,
            map_end,
            now: order.now,
            delete_retention_ms: order.rules.delete_retention_ms,
            keep: &order.keep,
        };
        let mut done = CompactionDone { more: map_end < plan.upto, ..CompactionDone::default() };
        let mut tally = Tally::default();
        let segment_bytes = self.inner.state.borrow().config.segment_bytes;
        for group in plan.groups(map_end, segment_bytes) {
            self.compact_group(&group, (&rules, &mut tally), &mut pace, &mut done).await?;
        }
        self.clean_below(map_end).await?;
        done.clean_below = map_end;
        done.records_removed = tally.records_removed;
        self.count_pass(&done, &tally);
        Ok(done)
    }

    fn count_pass(&self, done: &CompactionDone, tally: &Tally) {
        let metrics = &self.inner.shard.metrics.log;
        metrics.compactions.inc();
        metrics.compaction_records_removed.add(done.records_removed);
        metrics.compaction_tombstones_removed.add(tally.tombstones_removed);
        if tally.unreadable > 0 {
            let batches = tally.unreadable;
            tracing::warn!(log = %self.id(), batches, "batches whose records can't be read stay as they are");
        }
        if tally.keyless > 0 {
            let records = tally.keyless;
            tracing::warn!(log = %self.id(), records, "records without a key were removed");
        }
    }

    /// Notes the newest offset of each key from the first dirty offset on; returns how far the map reaches.
    async fn fill_map(
        &self,
        plan: &Plan,
        map: &mut KeyMap,
        pace: &mut Pace<I>,
    ) -> Result<Offset, LogError> {
        for source in plan.sources.iter().filter(|source| source.next_offset > plan.first_dirty) {
            let mut reader = SourceReader::open(self, source).await?;
            while let Some(window) = reader.next(self, pace).await? {
                for view in kolk_model::batch::batches(&window).map_while(Result::ok) {
                    let skipped = view.next_offset() <= plan.first_dirty;
                    if skipped || view.attributes().is_control() || view.record_count() == 0 {
                        continue;
                    }
                    pace.unpacks(&view).await;
                    let Some(plain) = unpack(&view) else { continue };
                    let records = Records::of_plain(&view, &plain);
                    // A batch with a malformed record stays whole, so its keys may supersede nothing.
                    if records.clone().any(|record| record.is_err()) {
                        continue;
                    }
                    for record in records.map_while(Result::ok) {
                        let Some(key) = record.key else { continue };
                        let dirty = record.offset >= plan.first_dirty;
                        if dirty && map.note(key, record.offset).is_err() {
                            return Ok(record.offset);
                        }
                    }
                }
            }
        }
        Ok(plan.upto)
    }

    async fn compact_group(
        &self,
        group: &[Source],
        (rules, tally): (&Rules<'_>, &mut Tally),
        pace: &mut Pace<I>,
        done: &mut CompactionDone,
    ) -> Result<(), LogError> {
        if let [only] = group
            && !self.changes(only, rules, pace).await?
        {
            return Ok(());
        }
        let Some(first) = group.first() else { return Ok(()) };
        self.check_space(group).await?;
        let mut output = Output::create(self, first.base).await?;
        let mut group_tally = Tally::default();
        let written = match self.write(group, (rules, &mut group_tally), &mut output, pace).await {
            Ok(()) => output.finish(self).await,
            Err(error) => Err(error),
        };
        let finished = match written {
            Ok(finished) => finished,
            Err(error) => {
                output::discard(self, first.base).await;
                return Err(error);
            }
        };
        done.segments += group.len();
        done.bytes_before += group.iter().map(|source| source.bytes).sum::<u64>();
        done.bytes_after += finished.bytes;
        self.install(group, finished).await?;
        tally.add(&group_tally);
        Ok(())
    }

    /// Refuses a swap that would take the disk's last room from appends.
    async fn check_space(&self, group: &[Source]) -> Result<(), LogError> {
        let bytes: u64 = group.iter().map(|source| source.bytes).sum();
        let path = self.dir();
        if self.inner.shard.io.space(&path).await?.free_bytes < bytes + SPACE_LEFT_MIN {
            return Err(IoError::NoSpace { op: Op::Write, path }.into());
        }
        Ok(())
    }

    /// Whether anything of a segment would go or be written anew.
    async fn changes(
        &self,
        source: &Source,
        rules: &Rules<'_>,
        pace: &mut Pace<I>,
    ) -> Result<bool, LogError> {
        let mut unheard = Tally::default();
        let mut reader = SourceReader::open(self, source).await?;
        while let Some(window) = reader.next(self, pace).await? {
            for view in kolk_model::batch::batches(&window).map_while(Result::ok) {
                let last = view.next_offset() == source.next_offset;
                pace.unpacks(&view).await;
                match rules.judge(&view, &mut unheard) {
                    Verdict::Same => {}
                    // The empty batch that ends a segment stays for its place.
                    Verdict::Gone(_) if last && view.record_count() == 0 => {}
                    _ => return Ok(true),
                }
            }
        }
        Ok(false)
    }

    async fn write(
        &self,
        group: &[Source],
        (rules, tally): (&Rules<'_>, &mut Tally),
        output: &mut Output<I>,
        pace: &mut Pace<I>,
    ) -> Result<(), LogError> {
        // The last batch's place stays, so that a segment always reaches to where the next one begins.
        let mut place = None;
        for source in group {
            let mut reader = SourceReader::open(self, source).await?;
            while let Some(window) = reader.next(self, pace).await? {
                for view in kolk_model::batch::batches(&window).map_while(Result::ok) {
                    place = None;
                    pace.unpacks(&view).await;
                    match rules.judge(&view, tally) {
                        Verdict::Same => output.push(view.as_bytes()),
                        Verdict::Other(batch) => output.push(&batch),
                        Verdict::Gone(batch) => place = Some(batch),
                    }
                }
                pace.passed(output.flush().await?);
            }
        }
        if let Some(batch) = place {
            output.push(&batch);
        }
        Ok(())
    }

    /// Notes that the log is compacted below `offset`.
    async fn clean_below(&self, offset: Offset) -> Result<(), LogError> {
        let before = self.inner.state.borrow().compacted;
        if before.clean_below < offset {
            self.note_point(CompactionPoint { clean_below: offset, ..before }).await?;
        }
        Ok(())
    }
}

/// Keeps a pass within its share of the disk: after each piece it waits until that many bytes were due.
pub(crate) struct Pace<I: Io> {
    io: I,
    bytes_per_second: u64,
    begun: Monotonic,
    bytes: u64,
}

impl<I: Io> Pace<I> {
    fn new(io: &I, bytes_per_second: u64) -> Self {
        let begun = io.now();
        Self { io: io.clone(), bytes_per_second: bytes_per_second.max(1), begun, bytes: 0 }
    }

    fn passed(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Lets others have their turn before a batch that may be far larger than it looks.
    async fn unpacks(&self, view: &BatchView<'_>) {
        if view.compression() != Compression::None {
            self.io.yield_now().await;
        }
    }

    async fn wait(&self) {
        let due_ns = u128::from(self.bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let due = Duration::from_nanos(u64::try_from(due_ns).unwrap_or(u64::MAX));
        let early = due.saturating_sub(self.io.now() - self.begun);
        if early.is_zero() {
            self.io.yield_now().await;
        } else {
            self.io.sleep(early).await;
        }
    }
}

/// Bytes of the disk that a swap leaves to appends.
const SPACE_LEFT_MIN: u64 = 64 << 20;
/// Bytes of batches looked at in one turn.
const TURN_BYTES: u64 = 256 << 10;
