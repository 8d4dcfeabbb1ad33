//! Producers whose first batch was refused for the moment: what keeps their later batches from being stored before it.
//! Apart because it is pure, and because it is not what the log says: nothing of it outlives the run.
//!
//! A partition takes any sequence of a producer that it does not know, as Kafka does, for what it knew may have been
//! forgotten. So of several batches in flight a later one would be stored if the first was refused for want of room and
//! room came between the two, and the first could never be stored before it again. Kafka keeps the lowest sequence for its
//! transactions against this (KIP-890, `VerificationStateEntry`). Here the batches behind wait for every producer: they are
//! refused as out of order, on which clients send them again behind the first.

use kolk_model::ids::{ProducerEpoch, ProducerId, Sequence};
use kolk_model::map::Map;
use kolk_model::time::TimestampMs;

use crate::producers::{ProducerBatch, ProducerRefusal};

/// Producers remembered so. Beyond: those that were turned away too long ago are forgotten; then no more are remembered.
const COUNT_MAX: usize = 1024;

/// How long: as long as Kafka's clients try to deliver a batch (`delivery.timeout.ms`). Later the client has given the
/// first batch up, and those behind it need not wait.
const AGE_MS_MAX: u64 = 120_000;

/// The producers of one partition that were turned away and have not come back.
#[derive(Debug, Default)]
pub(crate) struct TurnedAway {
    firsts: Map<ProducerId, First>,
}

/// The batch that must come first.
#[derive(Clone, Copy, Debug)]
struct First {
    epoch: ProducerEpoch,
    sequence: Sequence,
    at: TimestampMs,
}

impl TurnedAway {
    /// A batch of a producer that the partition does not know was refused, and may be sent again.
    pub(crate) fn note(&mut self, batch: &ProducerBatch, now: TimestampMs) {
        let fresh = First { epoch: batch.epoch, sequence: batch.first, at: now };
        if let Some(first) = self.firsts.get_mut(&batch.producer) {
            let older = batch.epoch < first.epoch;
            let behind = batch.epoch == first.epoch && is_behind(first.sequence, batch.first);
            let stays = (older || behind) && first.is_current(now);
            if !stays {
                *first = fresh;
            }
            return;
        }
        if self.firsts.len() >= COUNT_MAX {
            self.firsts.retain(|_, first| first.is_current(now));
        }
        if self.firsts.len() < COUNT_MAX {
            self.firsts.insert(batch.producer, fresh);
        }
    }

    /// Whether a batch of a producer that the partition does not know may be stored.
    ///
    /// # Errors
    /// It is behind one that was turned away.
    pub(crate) fn check(
        &self,
        batch: &ProducerBatch,
        now: TimestampMs,
    ) -> Result<(), ProducerRefusal> {
        match self.firsts.get(&batch.producer) {
            Some(first)
                if first.epoch == batch.epoch
                    && is_behind(first.sequence, batch.first)
                    && first.is_current(now) =>
            {
                Err(ProducerRefusal::OutOfOrder {
                    producer: batch.producer,
                    expected: first.sequence,
                    found: batch.first,
                })
            }
            _ => Ok(()),
        }
    }

    /// A batch of the producer was stored: from now on the partition knows what follows.
    pub(crate) fn forget(&mut self, producer: ProducerId) {
        self.firsts.remove(&producer);
    }

    /// Whether nobody is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.firsts.is_empty()
    }
}

impl First {
    /// Whether it counts still. A clock that was set back ends it, too.
    fn is_current(&self, now: TimestampMs) -> bool {
        now.get().abs_diff(self.at.get()) <= AGE_MS_MAX
    }
}

/// Whether a sequence comes after another, on the circle where 0 follows the largest.
fn is_behind(first: Sequence, other: Sequence) -> bool {
    let ahead = other.get().wrapping_sub(first.get()) & Sequence::MAX.get();
    ahead != 0 && ahead <= Sequence::MAX.get() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(producer: u64, epoch: u16, first: u32) -> ProducerBatch {
        ProducerBatch {
            producer: ProducerId::new(producer),
            epoch: ProducerEpoch::new(epoch),
            first: Sequence::new(first),
            sequences: 1,
        }
    }

    const NOW: TimestampMs = TimestampMs::new(1_000_000);

    fn taken(turned_away: &TurnedAway, batches: &[ProducerBatch], now: TimestampMs) -> Vec<bool> {
        batches.iter().map(|batch| turned_away.check(batch, now).is_ok()).collect()
    }

    #[test]
    fn what_is_behind_the_lowest_sequence_waits_for_it() {
        let last = Sequence::MAX.get();
        for (noted, asked, expected) in [
            (&[batch(1, 0, 0)][..], batch(1, 0, 0), true),
            (&[batch(1, 0, 0)], batch(1, 0, 5), false),
            (&[batch(1, 0, 5), batch(1, 0, 0)], batch(1, 0, 3), false),
            (&[batch(1, 0, 0), batch(1, 0, 5)], batch(1, 0, 3), false),
            // One before it must come sooner, and another producer has nothing to do with it.
            (&[batch(1, 0, 5)], batch(1, 0, 0), true),
            (&[batch(1, 0, 0)], batch(2, 0, 5), true),
            (&[batch(1, 0, last)], batch(1, 0, 2), false),
            (&[batch(1, 0, 2)], batch(1, 0, last), true),
            // With another epoch a producer begins anew.
            (&[batch(1, 0, 0)], batch(1, 1, 5), true),
            (&[batch(1, 1, 0), batch(1, 0, 0)], batch(1, 1, 5), false),
            (&[batch(1, 0, 7), batch(1, 1, 0)], batch(1, 1, 5), false),
        ] {
            let mut turned_away = TurnedAway::default();
            for one in noted {
                turned_away.note(one, NOW);
            }
            assert_eq!(turned_away.check(&asked, NOW).is_ok(), expected, "{noted:?}, {asked:?}");
        }
    }

    #[test]
    fn it_is_forgotten_after_a_while_and_when_the_batch_came() {
        let mut turned_away = TurnedAway::default();
        turned_away.note(&batch(1, 0, 0), NOW);
        let behind = [batch(1, 0, 5)];
        let later = |ms| TimestampMs::new(NOW.get() + ms);
        assert_eq!(taken(&turned_away, &behind, later(120_000)), [false]);
        assert_eq!(taken(&turned_away, &behind, later(120_001)), [true]);
        assert_eq!(taken(&turned_away, &behind, later(-120_001)), [true], "the clock was set back");
        // One that is turned away later than that is the first.
        turned_away.note(&batch(1, 0, 5), later(120_001));
        assert_eq!(taken(&turned_away, &[batch(1, 0, 6)], later(120_001)), [false]);
        turned_away.forget(ProducerId::new(1));
        assert!(turned_away.is_empty());
    }

    #[test]
    fn the_number_of_producers_is_bounded() {
        let mut turned_away = TurnedAway::default();
        for producer in 0..2 * COUNT_MAX as u64 {
            turned_away.note(&batch(producer, 0, 0), NOW);
        }
        assert_eq!(turned_away.firsts.len(), COUNT_MAX);
        let later = TimestampMs::new(NOW.get() + 200_000);
        turned_away.note(&batch(9_999, 0, 0), later);
        assert_eq!(turned_away.firsts.len(), 1);
        assert_eq!(taken(&turned_away, &[batch(9_999, 0, 1)], later), [false]);
    }
}
