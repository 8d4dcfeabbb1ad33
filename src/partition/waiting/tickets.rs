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

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(waiter: u64, next_offset: u64) -> Ticket {
        Ticket {
            waiter: WaiterId::new(waiter),
            base_offset: Offset::ZERO,
            next_offset: Offset::new(next_offset),
            append_time: WallClock::new(0),
            duplicate: false,
        }
    }

    fn completed(tickets: &mut Tickets, level: Durability, reached: u64) -> Vec<u64> {
        let mut effects = Vec::new();
        tickets.complete(level, Offset::new(reached), Offset::ZERO, &mut effects);
        let waiter = |effect| match effect {
            Effect::Produced { waiter, result: Ok(_) } => waiter.get(),
            other => panic!("{other:?}"),
        };
        effects.into_iter().map(waiter).collect()
    }

    #[test]
    fn a_duplicate_does_not_wait_for_what_was_appended_after_its_original() {
        let mut tickets = Tickets::default();
        for (waiter, next_offset) in [(1, 10), (2, 20), (3, 30), (4, 10), (5, 20)] {
            tickets.push(Durability::PowerLoss, ticket(waiter, next_offset));
        }
        assert_eq!(completed(&mut tickets, Durability::PowerLoss, 9), [] as [u64; 0]);
        assert_eq!(completed(&mut tickets, Durability::PowerLoss, 10), [1, 4]);
        assert_eq!(completed(&mut tickets, Durability::PowerLoss, 29), [2, 5]);
        assert_eq!(tickets.len(), 1);
    }

    #[test]
    fn levels_wait_apart() {
        let mut tickets = Tickets::default();
        tickets.push(Durability::PowerLoss, ticket(1, 10));
        tickets.push(Durability::ProcessCrash, ticket(2, 20));
        assert_eq!(completed(&mut tickets, Durability::ProcessCrash, 20), [2]);
        assert_eq!(completed(&mut tickets, Durability::PowerLoss, 20), [1]);
    }
}
