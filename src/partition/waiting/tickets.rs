//! Appends that wait to be safe. Apart because it is pure: offsets in, completions out, in offset order.

use std::collections::VecDeque;

use kolk_io::time::WallClock;
use kolk_model::durability::Durability;
use kolk_model::offset::Offset;

use crate::effect::{Effect, Produced, WaiterId};
use crate::error::PartitionError;

/// An append that waits until the log has reached an offset at one durability.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) waiter: WaiterId,
    pub(crate) base_offset: Offset,
    pub(crate) next_offset: Offset,
    pub(crate) append_time: WallClock,
    pub(crate) duplicate: bool,
}

impl Ticket {
    /// What the client is told.
    pub(crate) const fn answer(&self, log_start: Offset) -> Produced {
        Produced {
            base_offset: self.base_offset,
            next_offset: self.next_offset,
            log_start,
            append_time: self.append_time,
            duplicate: self.duplicate,
        }
    }
}

/// The tickets of one partition. Their number is bounded by what the shard lets in.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    written: VecDeque<Ticket>,
    durable: VecDeque<Ticket>,
}

impl Tickets {
    /// Takes a ticket in. Offsets rise, except where a duplicate waits for its original.
    pub(crate) fn push(&mut self, level: Durability, ticket: Ticket) {
        let queue = self.queue(level);
        if queue.back().is_none_or(|last| last.next_offset <= ticket.next_offset) {
            queue.push_back(ticket);
        } else {
            let at = queue.partition_point(|other| other.next_offset <= ticket.next_offset);
            queue.insert(at, ticket);
        }
    }

    /// Completes the tickets that `reached` covers, in offset order.
    pub(crate) fn complete(
        &mut self,
        level: Durability,
        reached: Offset,
        log_start: Offset,
        effects: &mut Vec<Effect>,
    ) {
        let queue = self.queue(level);
        while let Some(ticket) = queue.front().filter(|ticket| ticket.next_offset <= reached) {
            let result = Ok(ticket.answer(log_start));
            effects.push(Effect::Produced { waiter: ticket.waiter, result });
            queue.pop_front();
        }
    }

    /// Completes all with a refusal.
    pub(crate) fn fail(&mut self, error: &PartitionError, effects: &mut Vec<Effect>) {
        for queue in [&mut self.written, &mut self.durable] {
            effects.extend(queue.drain(..).map(|ticket| Effect::Produced {
                waiter: ticket.waiter,
                result: Err(error.clone()),
            }));
        }
    }

    const fn queue(&mut self, level: Durability) -> &mut VecDeque<Ticket> {
        match level {
            Durability::ProcessCrash => &mut self.written,
            Durability::PowerLoss => &mut self.durable,
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.written.len() + self.durable.len()
    }
}
