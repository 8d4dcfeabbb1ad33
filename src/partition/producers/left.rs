//! What is known of the batches that a producer's window has let go. Compaction has to leave the newest batch of each producer that no
//! crash takes away, for its sequence: without one the producer would be taken for an older one, or for nobody, at the next start.
//! While everything in the window may still be lost that is a batch which has left it.

use kolk_model::offset::Offset;

use super::RememberedBatch;

/// The batches that have left one producer's window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    /// Base offset of the newest that is known to be durable.
    durable: Option<Offset>,
    /// The first that left behind that one: none of those behind it is known any more, but for `next`.
    unsure_from: Option<Offset>,
    /// One of these, with the offset after it, which takes the place of `durable` as soon as it is.
    next: Option<(Offset, Offset)>,
    /// The first that left behind `next`.
    after_next: Option<Offset>,
}

/// What compaction has to leave for one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Base offset of a batch that stays, be it without its records.
    pub keep: Option<Offset>,
    /// What lies at or above this is not to be looked at yet: which batch there is needed is not known.
    pub below: Offset,
}

impl Needs {
    /// Of a producer whose window has all that is needed.
    pub(super) const NOTHING: Self = Self { keep: None, below: Offset::MAX };
}

impl Left {
    /// A batch leaves the window, and all below `durable` survives a crash.
    pub(super) fn leave(&mut self, batch: RememberedBatch, durable: Offset) {
        self.promote(durable);
        let base = batch.base_offset;
        if batch.next_offset() <= durable {
            *self = Self { durable: Some(base), ..Self::default() };
            return;
        }
        self.unsure_from.get_or_insert(base);
        match self.next {
            Some(_) => {
                self.after_next.get_or_insert(base);
            }
            None => self.next = Some((base, batch.next_offset())),
        }
    }

    /// What is needed of these batches while none of the window is durable.
    pub(super) fn needs(mut self, durable: Offset) -> Needs {
        self.promote(durable);
        Needs { keep: self.durable, below: self.unsure_from.unwrap_or(Offset::MAX) }
    }

    fn promote(&mut self, durable: Offset) {
        if let Some((base, _)) = self.next.filter(|(_, end)| *end <= durable) {
            *self = Self {
                durable: Some(base),
                unsure_from: self.after_next,
                next: None,
                after_next: None,
            };
        }
    }
}
