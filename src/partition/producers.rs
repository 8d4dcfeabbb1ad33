//! The producers of one partition: what makes a batch that is sent twice be stored once. Apart because
//! it is pure: batch heads in, verdicts out, checked against a simple model.
//!
//! The rules are Kafka's (KIP-98, KIP-360): a producer's last five batches are remembered; a batch equal
//! to one of them is a duplicate and is answered with the offset it has; any other batch must carry the
//! sequence after the last one; a new epoch begins at sequence 0; a producer that is not known, because
//! it is new or was forgotten, may begin anywhere, unless a batch of it was just turned away
//! (`turned_away`).

mod left;

use kolk_model::batch::BatchView;
use kolk_model::ids::{ProducerEpoch, ProducerId, Sequence};
use kolk_model::limits::PRODUCER_IN_FLIGHT_MAX;
use kolk_model::map::Map;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use self::left::Left;
pub use self::left::Needs;

/// The part of an idempotent batch that the rules look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Who made it.
    pub producer: ProducerId,
    /// Fences earlier users of the id.
    pub epoch: ProducerEpoch,
    /// The first record's sequence.
    pub first: Sequence,
    /// How many sequences the batch takes, at least 1.
    pub sequences: u32,
}

impl ProducerBatch {
    /// Takes them from a batch; `None` for a batch of a producer without an id.
    #[inline]
    #[must_use]
    pub fn of(batch: &BatchView<'_>) -> Option<Self> {
        Some(Self {
            producer: batch.producer_id()?,
            epoch: batch.producer_epoch()?,
            first: batch.base_sequence()?,
            sequences: batch.last_offset_delta() + 1,
        })
    }

    /// The first of an idempotent producer among record batches, back to back, that nobody has checked.
    #[must_use]
    pub fn first_of(batches: &[u8]) -> Option<Self> {
        kolk_model::batch::batches(batches).map_while(Result::ok).find_map(|view| Self::of(&view))
    }
}

/// A batch that its partition remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberedBatch {
    /// The first record's sequence.
    pub first: Sequence,
    /// How many sequences and offsets it takes, at least 1.
    pub sequences: u32,
    /// The first record's offset.
    pub base_offset: Offset,
}

impl RememberedBatch {
    /// The offset after its last record.
    #[inline]
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.base_offset + u64::from(self.sequences)
    }

    /// The sequence that must come after it.
    #[inline]
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        self.first.advance(self.sequences)
    }
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Append it.
    Fresh,
    /// It is stored already: answer with these offsets.
    Duplicate {
        /// The first record's offset.
        base_offset: Offset,
        /// The offset after the last record.
        next_offset: Offset,
    },
}

/// Why a producer's batch is not accepted. The producer's fault, or that of another user of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProducerRefusal {
    /// A batch before this one is missing, or this one is older than what is remembered.
    #[error("producer {producer} sent sequence {found}, expected {expected}")]
    OutOfOrder {
        /// Whose batch.
        producer: ProducerId,
        /// The sequence that would be accepted.
        expected: Sequence,
        /// The batch's sequence.
        found: Sequence,
    },
    /// A newer producer has taken over the id.
    #[error("producer {producer} has epoch {found}, the partition has seen {current}")]
    StaleEpoch {
        /// Whose batch.
        producer: ProducerId,
        /// The epoch that the partition knows.
        current: ProducerEpoch,
        /// The batch's epoch.
        found: ProducerEpoch,
    },
    /// Some batches of one request are stored already and others are not, so no single offset can answer it. None of
    /// the others is stored.
    #[error("producer {producer} sent a stored batch and others in one request")]
    PartlyDuplicate {
        /// Whose batch.
        producer: ProducerId,
    },
}

/// What a partition knows of one producer.
#[derive(Clone, Debug)]
pub struct ProducerState {
    /// The newest epoch seen.
    pub epoch: ProducerEpoch,
    /// When its last batch was appended, by the broker's wall clock.
    pub appended_at: TimestampMs,
    /// The last batches of this epoch, oldest first; at least one.
    window: [RememberedBatch; PRODUCER_IN_FLIGHT_MAX],
    count: u8,
    left: Left,
}

/// By what its batches are compared with.
impl PartialEq for ProducerState {
    fn eq(&self, other: &Self) -> bool {
        let all = |state: &Self| (state.epoch, state.appended_at);
        all(self) == all(other) && self.batches() == other.batches()
    }
}

impl Eq for ProducerState {}

impl ProducerState {
    fn started(batch: &ProducerBatch, base_offset: Offset, now: TimestampMs) -> Self {
        let only = remembered(batch, base_offset);
        Self {
            epoch: batch.epoch,
            appended_at: now,
            window: [only; PRODUCER_IN_FLIGHT_MAX],
            count: 1,
            left: Left::default(),
        }
    }

    /// Rebuilds a state from its parts; `None` unless there are one to five batches.
    #[must_use]
    pub fn from_parts(
        epoch: ProducerEpoch,
        appended_at: TimestampMs,
        batches: &[RememberedBatch],
    ) -> Option<Self> {
        let count = u8::try_from(batches.len()).ok()?;
        let mut window = [*batches.first()?; PRODUCER_IN_FLIGHT_MAX];
        window.get_mut(..batches.len())?.copy_from_slice(batches);
        Some(Self { epoch, appended_at, window, count, left: Left::default() })
    }

    /// Remembers a batch; all below `durable` survives a crash.
    fn remember(&mut self, batch: RememberedBatch, durable: Offset) {
        if usize::from(self.count) == PRODUCER_IN_FLIGHT_MAX {
            self.left.leave(self.window[0], durable);
            self.window.rotate_left(1);
            self.count -= 1;
        }
        if let Some(slot) = self.window.get_mut(usize::from(self.count)) {
            *slot = batch;
            self.count += 1;
        }
    }

    /// What has left the window once a new epoch begins.
    fn left_behind(&self, durable: Offset) -> Left {
        let mut left = self.left;
        for batch in self.batches() {
            left.leave(*batch, durable);
        }
        left
    }

    /// What compaction has to leave besides [`ProducerState::batches`], when all below `durable` survives a crash.
    #[must_use]
    pub fn needs(&self, durable: Offset) -> Needs {
        let window_is_safe = self.batches().first().is_some_and(|b| b.next_offset() <= durable);
        if window_is_safe { Needs::NOTHING } else { self.left.needs(durable) }
    }

    /// The remembered batches, oldest first.
    #[must_use]
    pub fn batches(&self) -> &[RememberedBatch] {
        self.window.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// The newest batch.
    fn last(&self) -> RememberedBatch {
        self.batches().last().copied().unwrap_or(self.window[0])
    }

    fn admit(&self, batch: &ProducerBatch) -> Result<Admission, ProducerRefusal> {
        let ProducerBatch { producer, epoch, first, sequences } = *batch;
        if epoch < self.epoch {
            return Err(ProducerRefusal::StaleEpoch {
                producer,
                current: self.epoch,
                found: epoch,
            });
        }
        let expected =
            if epoch == self.epoch { self.last().next_sequence() } else { Sequence::new(0) };
        if first == expected {
            return Ok(Admission::Fresh);
        }
        let stored = |b: &&RememberedBatch| b.first == first && b.sequences == sequences;
        match self.batches().iter().find(stored) {
            Some(found) if epoch == self.epoch => Ok(Admission::Duplicate {
                base_offset: found.base_offset,
                next_offset: found.next_offset(),
            }),
            _ => Err(ProducerRefusal::OutOfOrder { producer, expected, found: first }),
        }
    }
}

/// Every producer that a partition remembers, at most `count_max`: beyond, those whose last batch is
/// oldest are forgotten, an eighth at a time.
#[derive(Clone, Debug)]
pub struct Producers {
    states: Map<ProducerId, ProducerState>,
    count_max: usize,
    /// All below survives a crash.
    durable: Offset,
}

impl Producers {
    /// No producer yet.
    ///
    /// # Panics
    /// When `count_max` is 0: nothing could be remembered.
    #[must_use]
    pub const fn new(count_max: usize) -> Self {
        assert!(count_max > 0, "a partition must be able to remember a producer");
        Self { states: Map::new(), count_max, durable: Offset::MAX }
    }

    /// From now on all below `durable` survives a crash, and no more. Before this is said, everything does.
    pub const fn set_durable(&mut self, durable: Offset) {
        self.durable = durable;
    }

    /// Notes a batch that was appended at `base_offset`. Checks nothing: what the log holds is true, also
    /// when it is replayed.
    pub fn record(&mut self, batch: &ProducerBatch, base_offset: Offset, now: TimestampMs) {
        if let Some(state) = self.states.get_mut(&batch.producer) {
            if state.epoch == batch.epoch {
                state.appended_at = now;
                state.remember(remembered(batch, base_offset), self.durable);
            } else {
                let left = state.left_behind(self.durable);
                *state = ProducerState { left, ..ProducerState::started(batch, base_offset, now) };
            }
            return;
        }
        self.make_room();
        self.states.insert(batch.producer, ProducerState::started(batch, base_offset, now));
    }

    /// Puts a state back that a snapshot held.
    pub fn restore(&mut self, producer: ProducerId, state: ProducerState) {
        self.make_room();
        self.states.insert(producer, state);
    }

    /// Forgets the producers whose last batch was appended before `limit`; gives how many.
    pub fn expire(&mut self, limit: TimestampMs) -> usize {
        let before = self.states.len();
        self.states.retain(|_, state| state.appended_at >= limit);
        before - self.states.len()
    }

    /// Evicts an eighth at once, so that the search for the oldest costs O(1) a new producer.
    fn make_room(&mut self) {
        if self.states.len() < self.count_max {
            return;
        }
        let mut ends: Vec<_> = self.states.values().map(|s| s.last().base_offset).collect();
        let evicted = (self.count_max / 8).max(1);
        let (_, newest_evicted, _) = ends.select_nth_unstable(evicted - 1);
        let newest_evicted = *newest_evicted;
        self.states.retain(|_, state| state.last().base_offset > newest_evicted);
    }

    /// What to do with one batch.
    ///
    /// # Errors
    /// When its epoch is stale or its sequence does not follow.
    #[inline]
    pub fn admit(&self, batch: &ProducerBatch) -> Result<Admission, ProducerRefusal> {
        self.states.get(&batch.producer).map_or(Ok(Admission::Fresh), |state| state.admit(batch))
    }

    /// What to do with the batches of one request, which are appended all or none.
    ///
    /// # Errors
    /// As [`Producers::admit`], each batch judged as if those before it were appended; and when some are
    /// stored already and others are not.
    pub fn admit_all(&self, batches: &[ProducerBatch]) -> Result<Admission, ProducerRefusal> {
        let [first, rest @ ..] = batches else { return Ok(Admission::Fresh) };
        let verdict = self.admit(first)?;
        if rest.is_empty() {
            return Ok(verdict);
        }
        match verdict {
            Admission::Fresh => self.admit_fresh(batches),
            Admission::Duplicate { base_offset, next_offset } => {
                let mut end = next_offset;
                for batch in rest {
                    match self.admit(batch)? {
                        Admission::Duplicate { base_offset, next_offset } if base_offset == end => {
                            end = next_offset;
                        }
                        _ => {
                            return Err(ProducerRefusal::PartlyDuplicate {
                                producer: batch.producer,
                            });
                        }
                    }
                }
                Ok(Admission::Duplicate { base_offset, next_offset: end })
            }
        }
    }

    /// Judges each batch as if those before it were appended, on copies of the states concerned.
    fn admit_fresh(&self, batches: &[ProducerBatch]) -> Result<Admission, ProducerRefusal> {
        let mut staged: Map<ProducerId, ProducerState> = Map::new();
        for batch in batches {
            let verdict = match staged.get(&batch.producer) {
                Some(state) => state.admit(batch)?,
                None => self.admit(batch)?,
            };
            if verdict != Admission::Fresh {
                return Err(ProducerRefusal::PartlyDuplicate { producer: batch.producer });
            }
            staged.insert(
                batch.producer,
                ProducerState::started(batch, Offset::ZERO, TimestampMs::NONE),
            );
        }
        Ok(Admission::Fresh)
    }

    /// Whether a producer is remembered.
    #[must_use]
    pub fn knows(&self, producer: ProducerId) -> bool {
        self.states.contains_key(&producer)
    }

    /// How many producers are remembered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.states.len()
    }

    /// Every producer and its state, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ProducerId, &ProducerState)> {
        self.states.iter().map(|(id, state)| (*id, state))
    }
}

const fn remembered(batch: &ProducerBatch, base_offset: Offset) -> RememberedBatch {
    RememberedBatch { first: batch.first, sequences: batch.sequences, base_offset }
}

#[cfg(test)]
mod tests;
