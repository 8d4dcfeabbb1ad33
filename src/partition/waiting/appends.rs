//! Appends that came while the log prepares room or the producers are still being read: a bounded queue,
//! served in order. Apart because order and bound are all it knows.

use std::collections::VecDeque;

use kolk_model::durability::AckLevel;
use kolk_model::offset::Offset;

use crate::effect::WaiterId;
use crate::error::PartitionError;
use crate::intake::CheckedBatches;
use crate::limits::PartitionLimits;

/// An append that passed the checks that need no state.
#[derive(Clone, Debug)]
pub(crate) struct CheckedAppend {
    pub(crate) waiter: WaiterId,
    pub(crate) batches: CheckedBatches,
    pub(crate) wait: AckLevel,
    pub(crate) expected_next_offset: Option<Offset>,
}

/// First in, first out.
#[derive(Debug, Default)]
pub(crate) struct WaitingAppends {
    queue: VecDeque<CheckedAppend>,
    bytes: usize,
}

impl WaitingAppends {
    /// Whether there is room for an append.
    pub(crate) fn check_room(
        &self,
        append: &CheckedAppend,
        limits: &PartitionLimits,
    ) -> Result<(), PartitionError> {
        let bytes = self.bytes + append.batches.len();
        let full = self.queue.len() >= limits.appends_waiting_max
            || (bytes > limits.appends_waiting_bytes_max && !self.queue.is_empty());
        if full {
            return Err(PartitionError::Overloaded { waiting: self.queue.len() });
        }
        Ok(())
    }

    /// Takes an append in, for which there is room.
    pub(crate) fn push(&mut self, append: CheckedAppend) {
        self.bytes += append.batches.len();
        self.queue.push_back(append);
    }

    /// The append that is next.
    pub(crate) fn first(&self) -> Option<&CheckedAppend> {
        self.queue.front()
    }

    /// Takes the next append out.
    pub(crate) fn pop(&mut self) -> Option<CheckedAppend> {
        let append = self.queue.pop_front()?;
        self.bytes -= append.batches.len();
        Some(append)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}
