//! Fetches that wait for the high watermark to move. Apart because it is pure: bounded, woken once.

use kolk_model::map::Map;
use kolk_model::offset::Offset;

use crate::effect::{Effect, WaiterId};
use crate::error::PartitionError;

/// The fetches that wait at one partition, each with the offset that must be passed.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    watches: Map<WaiterId, Offset>,
}

impl Watches {
    /// Wakes `waiter` once the high watermark is above `beyond`; of several, the first to come counts.
    pub(crate) fn push(
        &mut self,
        waiter: WaiterId,
        beyond: Offset,
        waiting_max: usize,
    ) -> Result<(), PartitionError> {
        let waiting = self.watches.len();
        if waiting >= waiting_max && !self.watches.contains_key(&waiter) {
            return Err(PartitionError::Overloaded { waiting });
        }
        let entry = self.watches.entry(waiter).or_insert(beyond);
        *entry = beyond.min(*entry);
        Ok(())
    }

    /// Forgets what `waiter` waits for.
    pub(crate) fn remove(&mut self, waiter: WaiterId) {
        self.watches.remove(&waiter);
    }

    /// Wakes those for whom the high watermark has moved far enough.
    pub(crate) fn wake(&mut self, high_watermark: Offset, effects: &mut Vec<Effect>) {
        self.watches.retain(|waiter, beyond| {
            let waits = *beyond >= high_watermark;
            if !waits {
                effects.push(Effect::FetchReady { waiter: *waiter });
            }
            waits
        });
    }

    /// Wakes all: the partition has changed in another way.
    pub(crate) fn wake_all(&mut self, effects: &mut Vec<Effect>) {
        let woken = std::mem::take(&mut self.watches);
        effects.extend(woken.into_keys().map(|waiter| Effect::FetchReady { waiter }));
    }

    pub(crate) fn len(&self) -> usize {
        self.watches.len()
    }
}
