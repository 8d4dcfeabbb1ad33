//! One replica of one partition: what may be appended, what may be read, who waits for what. Synchronous
//! state; the floor above gives it the log's events and delivers the effects.

use std::rc::Rc;

use bytes::Bytes;

use kolk_io::door::Io;
use kolk_io::time::{Monotonic, WallClock};
use kolk_log::compact::CompactionOrder;
use kolk_log::log::Log;
use kolk_log::settings::{LogConfig, SyncPolicy};
use kolk_metric::shard::ShardMetrics;
use kolk_model::batch::compacted::need::CompactionRules;
use kolk_model::durability::{AckLevel, Durability};
use kolk_model::ids::TopicPartition;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;
use kolk_model::topic_config::TopicConfig;

use crate::effect::{Effect, Produced, WaiterId};
use crate::error::{PartitionError, of_append};
use crate::intake::{CheckedBatches, Intake, ProducerUse};
use crate::limits::PartitionLimits;
use crate::producers::{Admission, ProducerBatch, Producers};
use crate::saving::{SaveWhen, Saving, TakenSnapshot};
use crate::turned_away::TurnedAway;
use crate::waiting::appends::{CheckedAppend, WaitingAppends};
use crate::waiting::tickets::{Ticket, Tickets};
use crate::waiting::watches::Watches;

#[cfg(test)]
mod tests;

/// One partition on the shard that owns it.
pub struct Partition<I: Io> {
    log: Log<I>,
    config: TopicConfig,
    limits: PartitionLimits,
    metrics: Rc<ShardMetrics>,
    phase: Phase,
    producers: KnownProducers,
    turned_away: TurnedAway,
    saving: Saving,
    high_watermark: Offset,
    tickets: Tickets,
    appends: WaitingAppends,
    watches: Watches,
}

/// Whether appends are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Stopping,
    Deleted,
}

/// What is known of the idempotent producers.
enum KnownProducers {
    /// They are being read from snapshot and log: their appends wait.
    Loading,
    /// They could not be read: their appends are refused.
    Unreadable(PartitionError),
    Ready(Producers),
}

/// A request to append.
#[derive(Clone, Debug)]
pub struct Append {
    /// Who is told when it is safe, if that takes a while.
    pub waiter: WaiterId,
    /// Record batches, back to back.
    pub batches: Bytes,
    /// What the answer waits for.
    pub wait: AckLevel,
    /// The offset that the first record must get, else nothing is appended.
    pub expected_next_offset: Option<Offset>,
}

/// What became of a request to append.
#[derive(Debug)]
pub enum Appending {
    /// It is answered.
    Done(Result<Produced, PartitionError>),
    /// [`Effect::Produced`] will answer it.
    Waits,
}

/// Where a partition's records lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that can be read.
    pub log_start: Offset,
    /// Records below are safe at the topic's level and visible.
    pub high_watermark: Offset,
    /// The offset after the last record, visible or not.
    pub log_end: Offset,
}

enum Tried {
    Done(Result<Produced, PartitionError>),
    Ticket(Durability, Ticket),
    Busy,
}

impl<I: Io> Partition<I> {
    /// Takes a log over. A log that was written before needs [`Partition::producers_loaded`] before it
    /// takes batches of idempotent producers.
    #[must_use]
    pub fn new(
        log: Log<I>,
        config: TopicConfig,
        limits: PartitionLimits,
        metrics: Rc<ShardMetrics>,
    ) -> Self {
        let producers = if log.log_end() == Offset::ZERO {
            KnownProducers::Ready(Producers::new(limits.producers_max))
        } else {
            KnownProducers::Loading
        };
        let high_watermark = visible_end(&log, config.durability);
        Self {
            log,
            config,
            limits,
            metrics,
            phase: Phase::Open,
            producers,
            turned_away: TurnedAway::default(),
            saving: Saving::default(),
            high_watermark,
            tickets: Tickets::default(),
            appends: WaitingAppends::default(),
            watches: Watches::default(),
        }
    }

    /// Appends batches, all or none, in call order. The bytes are copied into the log before this returns,
    /// unless the append has to wait its turn.
    pub fn append(&mut self, append: Append, now: WallClock) -> Appending {
        let Append { waiter, batches, wait, expected_next_offset } = append;
        match self.phase {
            Phase::Open => {}
            Phase::Stopping => return Appending::Done(Err(PartitionError::ShuttingDown)),
            Phase::Deleted => return Appending::Done(Err(PartitionError::NoSuchPartition)),
        }
        let intake =
            Intake { config: &self.config, limits: &self.limits, copies: &self.metrics.copies };
        let batches = match intake.check(batches, TimestampMs::new(now.as_ms())) {
            Ok(batches) => batches,
            Err(error) => return Appending::Done(Err(error)),
        };
        let append = CheckedAppend { waiter, batches, wait, expected_next_offset };
        let tried = if self.appends.is_empty() { self.attempt(&append, now) } else { Tried::Busy };
        match tried {
            Tried::Done(result) => Appending::Done(result),
            Tried::Ticket(level, ticket) => {
                self.tickets.push(level, ticket);
                Appending::Waits
            }
            Tried::Busy => match self.appends.check_room(&append, &self.limits) {
                Ok(()) => {
                    self.appends.push(append);
                    Appending::Waits
                }
                Err(error) => {
                    self.note_turned_away(&append.batches, now);
                    Appending::Done(Err(error))
                }
            },
        }
    }

    /// A request with this batch of an idempotent producer was refused before it came here, for the moment: its later
    /// batches are not stored before it.
    pub fn turn_away(&mut self, batch: &ProducerBatch, now: WallClock) {
        let known = match &self.producers {
            KnownProducers::Ready(producers) => producers.knows(batch.producer),
            KnownProducers::Loading | KnownProducers::Unreadable(_) => false,
        };
        // The sequences of those that are known are compared anyway.
        if !known {
            self.turned_away.note(batch, TimestampMs::new(now.as_ms()));
        }
    }

    #[cold]
    fn note_turned_away(&mut self, batches: &CheckedBatches, now: WallClock) {
        if batches.producer == ProducerUse::Idempotent {
            batches.with_views(|views| {
                views.iter().filter_map(ProducerBatch::of).for_each(|b| self.turn_away(&b, now));
            });
        }
    }

    fn attempt(&mut self, append: &CheckedAppend, now: WallClock) -> Tried {
        if append.batches.is_none() {
            return self.answer_visible(append.waiter, now);
        }
        match self.admit(append, now) {
            Ok(Some(Admission::Fresh)) => {
                let tried = self.append_fresh(append, now);
                if matches!(&tried, Tried::Done(Err(error)) if error.code().retriable()) {
                    self.note_turned_away(&append.batches, now);
                }
                tried
            }
            Ok(Some(Admission::Duplicate { base_offset, next_offset })) => {
                self.answer_duplicate(append, (base_offset, next_offset), now)
            }
            Ok(None) => Tried::Busy,
            Err(error) => {
                if matches!(self.producers, KnownProducers::Unreadable(_)) {
                    self.note_turned_away(&append.batches, now);
                }
                Tried::Done(Err(error))
            }
        }
    }

    /// What the producers say; `None` while they are not known.
    fn admit(
        &self,
        append: &CheckedAppend,
        now: WallClock,
    ) -> Result<Option<Admission>, PartitionError> {
        let batches = &append.batches;
        match &self.producers {
            _ if batches.producer == ProducerUse::Anonymous => Ok(Some(Admission::Fresh)),
            KnownProducers::Ready(producers) => {
                let verdict = batches.admit(producers)?;
                let now = TimestampMs::new(now.as_ms());
                batches.check_begins(producers, &self.turned_away, now)?;
                Ok(Some(verdict))
            }
            KnownProducers::Loading => Ok(None),
            KnownProducers::Unreadable(error) => Err(error.clone()),
        }
    }

    fn append_fresh(&mut self, append: &CheckedAppend, now: WallClock) -> Tried {
        let end = self.log.log_end();
        if let Some(expected) = append.expected_next_offset.filter(|expected| *expected != end) {
            return Tried::Done(Err(PartitionError::WrongNextOffset { expected, end }));
        }
        let level = append.wait.resolve(self.config.durability);
        let sync = sync_policy(level);
        let appended = match append.batches.with_views(|views| self.log.append(views, sync)) {
            Ok(appended) => appended,
            Err(refused) => {
                return of_append(refused).map_or(Tried::Busy, |error| Tried::Done(Err(error)));
            }
        };
        if let KnownProducers::Ready(producers) = &mut self.producers
            && append.batches.producer == ProducerUse::Idempotent
        {
            producers.set_durable(self.log.durable().min(self.high_watermark));
            let mut base = appended.base_offset;
            append.batches.with_views(|views| {
                for view in views {
                    if let Some(batch) = ProducerBatch::of(view) {
                        producers.record(&batch, base, TimestampMs::new(now.as_ms()));
                        if !self.turned_away.is_empty() {
                            self.turned_away.forget(batch.producer);
                        }
                    }
                    base += u64::from(view.last_offset_delta()) + 1;
                }
            });
            assert_eq!(base, appended.next_offset, "offsets given by log {}", self.log.id());
        }
        let ticket = Ticket {
            waiter: append.waiter,
            base_offset: appended.base_offset,
            next_offset: appended.next_offset,
            append_time: now,
            duplicate: false,
        };
        self.answer_at(level, ticket)
    }

    /// A duplicate waits as its original did: it may have come while that is not safe yet.
    fn answer_duplicate(
        &self,
        append: &CheckedAppend,
        (base_offset, next_offset): (Offset, Offset),
        now: WallClock,
    ) -> Tried {
        let level = append.wait.resolve(self.config.durability);
        if level == Some(Durability::PowerLoss) && self.log.durable() < next_offset {
            self.log.request_sync();
        }
        let waiter = append.waiter;
        let ticket = Ticket { waiter, base_offset, next_offset, append_time: now, duplicate: true };
        self.answer_at(level, ticket)
    }

    /// Nobody waits for a log that will never get there.
    fn answer_at(&self, level: Option<Durability>, ticket: Ticket) -> Tried {
        match level {
            Some(level) if self.reached(level) < ticket.next_offset && self.log.is_frozen() => {
                Tried::Done(Err(PartitionError::OutcomeUnknown))
            }
            Some(level) if self.reached(level) < ticket.next_offset => Tried::Ticket(level, ticket),
            _ => Tried::Done(Ok(ticket.answer(self.log.log_start()))),
        }
    }

    /// The log has moved on: completes tickets in order, raises the high watermark, wakes fetches.
    pub fn advance(&mut self, effects: &mut Vec<Effect>) {
        let log_start = self.log.log_start();
        for level in [Durability::ProcessCrash, Durability::PowerLoss] {
            self.tickets.complete(level, self.reached(level), log_start, effects);
        }
        // It never falls, also when the topic's level was raised from process-crash to power-loss.
        let visible = visible_end(&self.log, self.config.durability);
        if visible > self.high_watermark {
            self.high_watermark = visible;
            self.watches.wake(visible, effects);
        }
    }

    /// The log takes appends again: those that wait are tried in order.
    pub fn unblocked(&mut self, now: WallClock, effects: &mut Vec<Effect>) {
        while let Some(append) = self.appends.first().cloned() {
            let tried = self.attempt(&append, now);
            let waiter = append.waiter;
            match tried {
                Tried::Busy => return,
                Tried::Done(result) => effects.push(Effect::Produced { waiter, result }),
                Tried::Ticket(level, ticket) => self.tickets.push(level, ticket),
            }
            self.appends.pop();
        }
    }

    /// The log, or the shard's journal, failed for good: what is not safe by now has an unknown outcome, and
    /// nothing more is taken.
    pub fn failed(&mut self, effects: &mut Vec<Effect>) {
        self.advance(effects);
        self.tickets.fail(&PartitionError::OutcomeUnknown, effects);
        let refusal = self.log.damage().map_or(PartitionError::JournalFailed, |damage| {
            PartitionError::Damaged(Box::new(damage))
        });
        self.refuse_waiting(&refusal, effects);
        self.watches.wake_all(effects);
    }

    /// The broker stops: appends that were not taken yet are refused, those that were are still answered.
    pub fn stop(&mut self, effects: &mut Vec<Effect>) {
        self.phase = Phase::Stopping;
        self.refuse_waiting(&PartitionError::ShuttingDown, effects);
        self.watches.wake_all(effects);
    }

    /// The partition is deleted: everybody who waits is told.
    pub fn delete(&mut self, effects: &mut Vec<Effect>) {
        self.phase = Phase::Deleted;
        self.tickets.fail(&PartitionError::NoSuchPartition, effects);
        self.refuse_waiting(&PartitionError::NoSuchPartition, effects);
        self.watches.wake_all(effects);
    }

    fn refuse_waiting(&mut self, error: &PartitionError, effects: &mut Vec<Effect>) {
        while let Some(append) = self.appends.pop() {
            effects.push(Effect::Produced { waiter: append.waiter, result: Err(error.clone()) });
        }
    }

    /// The producers were read, or could not be: appends that waited for them go on.
    pub fn producers_loaded(
        &mut self,
        loaded: Result<Producers, PartitionError>,
        now: WallClock,
        effects: &mut Vec<Effect>,
    ) {
        if !self.wants_producers() {
            // Read once more by somebody who was late: it says less than what is known by now.
            return;
        }
        self.producers = match loaded {
            Ok(producers) => KnownProducers::Ready(producers),
            Err(error) => KnownProducers::Unreadable(error),
        };
        self.unblocked(now, effects);
    }

    /// Whether the producers still have to be read, for the first time or once more.
    #[must_use]
    pub const fn wants_producers(&self) -> bool {
        !matches!(self.producers, KnownProducers::Ready(_))
    }

    /// Forgets producers whose last append is older than `limit`; gives how many.
    pub fn expire_producers(&mut self, limit: TimestampMs) -> usize {
        match &mut self.producers {
            KnownProducers::Ready(producers) => producers.expire(limit),
            KnownProducers::Loading | KnownProducers::Unreadable(_) => 0,
        }
    }

    /// A snapshot of the producers to write, if one is due and safe; ask again when the log has moved on.
    pub fn snapshot_to_write(&mut self, when: SaveWhen) -> Option<TakenSnapshot> {
        match &self.producers {
            KnownProducers::Ready(producers) => self.saving.take(&self.log, producers, when),
            KnownProducers::Loading | KnownProducers::Unreadable(_) => None,
        }
    }

    /// A snapshot is on disk, written by this run or found by it.
    pub fn snapshot_saved(&mut self, offset: Offset, now: Monotonic) {
        self.saving.note_saved(offset, now);
    }

    /// The snapshot on disk was written by a newer kolk and stays: this run saves none.
    pub const fn leave_snapshot_alone(&mut self) {
        self.saving.leave_alone();
    }

    /// What a compaction of the log would go by; `None` if the topic is not compacted, there is no sealed segment, or the producers
    /// are not known yet: the last batches of each keep their place, so that a start finds the same sequences.
    #[must_use]
    pub fn compaction_order(&self, now: TimestampMs) -> Option<CompactionOrder> {
        let config = &self.config;
        let KnownProducers::Ready(producers) = &self.producers else { return None };
        if !config.cleanup_policy.compacts() || self.log.segment_count() < 2 {
            return None;
        }
        let durable = self.log.durable().min(self.high_watermark);
        let (mut keep, mut below) = (Vec::new(), self.high_watermark);
        for (_, state) in producers.iter() {
            let needs = state.needs(durable);
            below = below.min(needs.below);
            keep.extend(state.batches().iter().map(|batch| batch.base_offset).chain(needs.keep));
        }
        keep.sort_unstable();
        let rules = CompactionRules {
            dirty_ppm_min: config.cleanable_dirty_ppm_min,
            delete_retention_ms: config.delete_retention_ms,
            lag_ms_min: config.compaction_lag_ms_min,
            lag_ms_max: config.compaction_lag_ms_max,
        };
        Some(CompactionOrder { rules, now, below, keep })
    }

    /// Takes the topic's new settings; they count from the next append on.
    pub fn set_config(&mut self, config: TopicConfig, effects: &mut Vec<Effect>) {
        self.config = config;
        self.log.set_config(log_config(&config));
        if config.durability == Durability::PowerLoss {
            // What was appended under the lower level becomes visible by a sync that nobody else asks for.
            self.log.request_sync();
        }
        self.advance(effects);
    }

    /// Wakes `waiter` ([`Effect::FetchReady`], once) when the high watermark is above `beyond`, or the
    /// partition changes in another way that a fetch must see.
    ///
    /// # Errors
    /// [`PartitionError::Overloaded`] when too many wait; [`PartitionError::NoSuchPartition`] and
    /// [`PartitionError::ShuttingDown`] when nothing will come.
    pub fn watch(&mut self, waiter: WaiterId, beyond: Offset) -> Result<(), PartitionError> {
        match self.phase {
            Phase::Open => self.watches.push(waiter, beyond, self.limits.fetches_waiting_max),
            Phase::Stopping => Err(PartitionError::ShuttingDown),
            Phase::Deleted => Err(PartitionError::NoSuchPartition),
        }
    }

    /// Wakes every fetch that waits: something has changed that it must see.
    pub fn wake_fetches(&mut self, effects: &mut Vec<Effect>) {
        self.watches.wake_all(effects);
    }

    /// Ends what [`Partition::watch`] began; harmless when it has ended by itself.
    pub fn unwatch(&mut self, waiter: WaiterId) {
        self.watches.remove(waiter);
    }

    /// Answers `waiter` ([`Effect::Produced`]) when everything below `offset` is on stable storage, whatever
    /// the topic's level. `Done` when it is already.
    pub fn wait_durable(&mut self, waiter: WaiterId, offset: Offset, now: WallClock) -> Appending {
        if self.log.durable() < offset {
            self.log.request_sync();
        }
        let ticket = Ticket {
            waiter,
            base_offset: offset,
            next_offset: offset,
            append_time: now,
            duplicate: false,
        };
        match self.answer_at(Some(Durability::PowerLoss), ticket) {
            Tried::Ticket(level, ticket) => {
                self.tickets.push(level, ticket);
                Appending::Waits
            }
            Tried::Done(result) => Appending::Done(result),
            Tried::Busy => unreachable!("waiting takes no room"),
        }
    }

    /// Answers `waiter` ([`Effect::Produced`]) when everything appended so far is visible, or never will be.
    /// `Done` when it is already.
    pub fn wait_visible(&mut self, waiter: WaiterId, now: WallClock) -> Appending {
        let tried =
            if self.appends.is_empty() { self.answer_visible(waiter, now) } else { Tried::Busy };
        match tried {
            Tried::Ticket(level, ticket) => {
                self.tickets.push(level, ticket);
                Appending::Waits
            }
            Tried::Done(result) => Appending::Done(result),
            // Behind the appends that wait for their turn.
            Tried::Busy => {
                let (batches, wait) = (CheckedBatches::none(), AckLevel::Topic);
                let place = CheckedAppend { waiter, batches, wait, expected_next_offset: None };
                match self.appends.check_room(&place, &self.limits) {
                    Ok(()) => {
                        self.appends.push(place);
                        Appending::Waits
                    }
                    Err(error) => Appending::Done(Err(error)),
                }
            }
        }
    }

    fn answer_visible(&self, waiter: WaiterId, now: WallClock) -> Tried {
        let (level, end) = (self.config.durability, self.log.log_end());
        let (base_offset, next_offset) = (end, end);
        let ticket =
            Ticket { waiter, base_offset, next_offset, append_time: now, duplicate: false };
        // Not by what is safe: the log is ahead of the high watermark until its event is heard.
        if self.high_watermark >= end || self.log.is_frozen() {
            return Tried::Done(Ok(ticket.answer(self.log.log_start())));
        }
        Tried::Ticket(level, ticket)
    }

    /// Checks that a fetch may start at `from`, and says where the records lie.
    ///
    /// # Errors
    /// [`PartitionError::OffsetOutOfRange`] below the log start or beyond the log end; at or above the high
    /// watermark there is nothing to read yet. [`PartitionError::NoSuchPartition`] when it was deleted.
    pub fn check_fetch(&self, from: Offset) -> Result<Watermarks, PartitionError> {
        if self.phase == Phase::Deleted {
            return Err(PartitionError::NoSuchPartition);
        }
        if let Some(damage) = self.log.damage() {
            return Err(PartitionError::Damaged(Box::new(damage)));
        }
        let marks = self.watermarks();
        if from < marks.log_start || from > marks.log_end {
            let (start, end) = (marks.log_start, marks.log_end);
            return Err(PartitionError::OffsetOutOfRange { asked: from, start, end });
        }
        Ok(marks)
    }

    /// Whole visible batches from the one that holds `from` on, if they are in memory: shared, not copied.
    /// `None` when the disk is needed: ask [`Partition::log`] to read then.
    ///
    /// # Errors
    /// As [`Partition::check_fetch`], and what the log says.
    pub fn read_in_memory(
        &self,
        from: Offset,
        bytes_max: u64,
    ) -> Result<Option<Vec<Bytes>>, PartitionError> {
        let marks = self.check_fetch(from)?;
        if from >= marks.high_watermark {
            return Ok(Some(Vec::new()));
        }
        Ok(self.log.read_in_memory(from, marks.high_watermark, bytes_max)?)
    }

    /// Roughly how many visible bytes lie at and behind `from`; 0 only if there is none.
    #[must_use]
    pub fn bytes_available(&self, from: Offset) -> u64 {
        self.log.bytes_between(from, self.high_watermark)
    }

    /// Where the records lie.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        Watermarks {
            log_start: self.log.log_start(),
            high_watermark: self.high_watermark,
            log_end: self.log.log_end(),
        }
    }

    /// How far the log is safe at a level.
    fn reached(&self, level: Durability) -> Offset {
        visible_end(&self.log, level)
    }

    /// The log, for reads that need the disk and for what only it can do.
    #[must_use]
    pub const fn log(&self) -> &Log<I> {
        &self.log
    }

    /// Which partition.
    #[must_use]
    pub fn id(&self) -> TopicPartition {
        self.log.id()
    }

    /// The topic's settings.
    #[must_use]
    pub const fn config(&self) -> &TopicConfig {
        &self.config
    }

    /// The bounds.
    #[must_use]
    pub const fn limits(&self) -> &PartitionLimits {
        &self.limits
    }

    /// How many idempotent producers are remembered; `None` while that is not known.
    #[must_use]
    pub fn producer_count(&self) -> Option<usize> {
        match &self.producers {
            KnownProducers::Ready(producers) => Some(producers.count()),
            KnownProducers::Loading | KnownProducers::Unreadable(_) => None,
        }
    }

    /// The idempotent producers that are remembered; none while they are not known.
    #[must_use]
    pub fn producers(&self) -> Option<&Producers> {
        match &self.producers {
            KnownProducers::Ready(producers) => Some(producers),
            KnownProducers::Loading | KnownProducers::Unreadable(_) => None,
        }
    }

    /// How many appends wait for their turn or their level.
    #[must_use]
    pub fn appends_waiting(&self) -> usize {
        self.appends.len() + self.tickets.len()
    }

    /// How many fetches wait for records.
    #[must_use]
    pub fn fetches_waiting(&self) -> usize {
        self.watches.len()
    }
}

/// What the log has to know of a topic's settings.
#[must_use]
pub const fn log_config(config: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes,
        index_interval_bytes: config.index_interval_bytes,
        sync: sync_policy(Some(config.durability)),
    }
}

const fn sync_policy(level: Option<Durability>) -> SyncPolicy {
    match level {
        Some(Durability::PowerLoss) => SyncPolicy::EachGroup,
        Some(Durability::ProcessCrash) | None => SyncPolicy::OnDemand,
    }
}

fn visible_end<I: Io>(log: &Log<I>, level: Durability) -> Offset {
    match level {
        Durability::PowerLoss => log.durable(),
        Durability::ProcessCrash => log.written(),
    }
}
