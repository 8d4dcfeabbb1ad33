//! The order of one partition's batches: what may be sent next, and what a failure means for those behind
//! it. Apart because it decides about duplicates and gaps, and so is pure: outcomes and times come in,
//! batches come out.
//!
//! Batches leave in order, at most [`LANE_IN_FLIGHT_MAX`] ahead of the oldest that is not acknowledged, each with
//! the sequence that follows the one before. When one comes back, nothing new leaves until all in flight are back ("recovering"); then they
//! leave again in their old order with their old sequences, so that the broker recognises those it has.
//! Of a producer id that the broker has acknowledged nothing of yet one batch is in flight: a partition that does not
//! know the id takes any sequence, so the second batch could be stored before the first, if that was refused.
//! A batch that the broker refuses as out of order though it is the oldest has surely not been written, nor
//! has any behind it: the lane takes another producer id and numbers them anew from 0.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kolk_model::batch::{BatchView, ProducerStamp, patch_producer, seal};
use kolk_model::error::ErrorCode;
use kolk_model::ids::Sequence;
use kolk_native::reply::{AssignedProducer, Produced};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::delivery::{BatchCell, Written};
use super::settings::LANE_IN_FLIGHT_MAX;
use crate::error::ClientError;

/// A finished batch on its way.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Without a CRC until the lane has numbered it.
    bytes: Bytes,
    pub(crate) cell: Arc<BatchCell>,
    /// When its first record came.
    pub(crate) opened: Instant,
    /// Its part of the producer's buffer, given back when the batch is dropped.
    _room: Option<OwnedSemaphorePermit>,
    /// Its place in the lane's order; the lane sets it.
    order: u64,
    /// The sequence in its header; the lane sets it.
    sequence: Option<Sequence>,
    /// Whether it has its CRC.
    sealed: bool,
    /// It came back before, perhaps from having been written.
    returned: bool,
}

impl Batch {
    /// Takes a batch from [`kolk_model::batch_builder::BatchBuilder::build_unsealed`].
    pub(crate) fn new(
        unsealed: BytesMut,
        cell: Arc<BatchCell>,
        opened: Instant,
        room: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            bytes: unsealed.freeze(),
            cell,
            opened,
            _room: room,
            order: 0,
            sequence: None,
            sealed: false,
            returned: false,
        }
    }

    fn record_count(&self) -> u32 {
        BatchView::parse(&self.bytes).map_or(0, |(view, _)| view.record_count())
    }

    /// Changes the bytes in place.
    fn change(&mut self, change: impl FnOnce(&mut [u8])) {
        let bytes = std::mem::take(&mut self.bytes);
        // Nobody else holds a batch that is not in flight, so nothing is copied but after a broken
        // connection, whose buffers may still hold a slice.
        let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        change(&mut bytes);
        self.bytes = bytes.freeze();
        self.sealed = true;
    }

    /// Writes producer and sequence into the header.
    fn stamp(&mut self, producer: AssignedProducer, base_sequence: Sequence) {
        let (id, epoch) = (producer.id, producer.epoch);
        self.change(|bytes| patch_producer(bytes, ProducerStamp { id, epoch, base_sequence }));
        self.sequence = Some(base_sequence);
    }
}

/// Names a batch in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket(u64);

/// How a batch came back.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// It is in the log.
    Written(Produced),
    /// The broker refused it.
    Refused(ClientError),
    /// Nobody knows: the connection broke.
    Lost,
}

/// What a lane can do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send these bytes.
    Send(Ticket, Bytes),
    /// Nothing is waiting; ask for another batch.
    Empty,
    /// Wait for what is in flight.
    Wait,
    /// Wait until then.
    Pause(Instant),
    /// Give it a producer id that nobody had before.
    NeedsProducer,
}

/// One partition's batches after they are finished and before they are acknowledged.
#[derive(Debug)]
pub(crate) struct Lane {
    idempotence: bool,
    producer: Option<AssignedProducer>,
    /// Whether the broker has acknowledged a batch of that producer, so that it compares sequences.
    known: bool,
    next_sequence: Sequence,
    next_order: u64,
    /// Not in flight, in order.
    waiting: VecDeque<Batch>,
    /// In flight, in order.
    flying: VecDeque<Batch>,
    recovering: bool,
    resume_at: Option<Instant>,
    /// Rounds that failed since the last success.
    failed_rounds: u32,
}

impl Lane {
    pub(crate) fn new(idempotence: bool) -> Self {
        Self {
            idempotence,
            producer: None,
            known: false,
            next_sequence: Sequence::new(0),
            next_order: 0,
            waiting: VecDeque::new(),
            flying: VecDeque::new(),
            recovering: false,
            resume_at: None,
            failed_rounds: 0,
        }
    }

    /// Puts a batch behind all others.
    pub(crate) fn push(&mut self, mut batch: Batch) {
        batch.order = self.next_order;
        self.next_order += 1;
        self.waiting.push_back(batch);
    }

    /// Answers [`Step::NeedsProducer`].
    pub(crate) fn set_producer(&mut self, producer: AssignedProducer) {
        self.producer = Some(producer);
        self.known = false;
        self.next_sequence = Sequence::new(0);
        for batch in &mut self.waiting {
            batch.sequence = None;
        }
    }

    /// Everybody who waits for a batch of this lane.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &Arc<BatchCell>> {
        self.flying.iter().chain(&self.waiting).map(|batch| &batch.cell)
    }

    /// Rounds that failed since the last success: how long to pause.
    pub(crate) fn failed_rounds(&self) -> u32 {
        self.failed_rounds
    }

    /// What to do now.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        if self.recovering {
            if !self.flying.is_empty() {
                return Step::Wait;
            }
            if let Some(at) = self.resume_at.filter(|at| *at > now) {
                return Step::Pause(at);
            }
            self.recovering = false;
        }
        // Asked before anything else, so that a batch that could not leave goes on growing in its slot.
        if self.is_full() {
            return Step::Wait;
        }
        if self.waiting.is_empty() {
            return Step::Empty;
        }
        if !self.idempotence {
            return self.send();
        }
        let Some(producer) = self.producer else {
            // An id is changed only while nothing is in flight.
            return if self.flying.is_empty() { Step::NeedsProducer } else { Step::Wait };
        };
        if let Some(batch) = self.waiting.front_mut().filter(|batch| batch.sequence.is_none()) {
            let sequence = self.next_sequence;
            self.next_sequence = sequence.advance(batch.record_count());
            batch.stamp(producer, sequence);
        }
        self.send()
    }

    /// Whether the next batch would be too far ahead of the oldest in flight. The distance counts, not the
    /// number: a batch whose answer was lost twice must still be among those that the broker remembers,
    /// though all behind it were acknowledged.
    fn is_full(&self) -> bool {
        let next = self.waiting.front().map_or(self.next_order, |batch| batch.order);
        let oldest = self.flying.front().map_or(next, |batch| batch.order);
        let ahead_max = if self.idempotence && !self.known { 1 } else { LANE_IN_FLIGHT_MAX as u64 };
        next - oldest >= ahead_max
    }

    fn send(&mut self) -> Step {
        let Some(mut batch) = self.waiting.pop_front() else {
            return Step::Empty;
        };
        if !batch.sealed {
            batch.change(seal);
        }
        let step = Step::Send(Ticket(batch.order), batch.bytes.clone());
        self.flying.push_back(batch);
        step
    }

    /// Takes an outcome. `pause` is how long to wait before the next round if this one failed. Gives the
    /// error if the batch failed for good.
    pub(crate) fn settle(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        now: Instant,
        pause: Duration,
    ) -> Option<ClientError> {
        let place = self.flying.iter().position(|batch| batch.order == ticket.0)?;
        let batch = self.flying.remove(place)?;
        match outcome {
            Outcome::Written(produced) => {
                self.failed_rounds = 0;
                self.known = true;
                batch.cell.complete(Ok(Written {
                    base_offset: produced.base_offset,
                    append_time_ns: produced.append_time_ns,
                }));
                None
            }
            Outcome::Lost => {
                self.take_back(batch, now, pause);
                None
            }
            Outcome::Refused(error) => self.refused(batch, error, now, pause),
        }
    }

    fn refused(
        &mut self,
        batch: Batch,
        error: ClientError,
        now: Instant,
        pause: Duration,
    ) -> Option<ClientError> {
        let gap = matches!(
            error.code(),
            Some(ErrorCode::OutOfOrderSequence | ErrorCode::UnknownProducerId)
        );
        if gap && self.idempotence {
            let oldest = |other: &Batch| other.order > batch.order;
            if self.flying.iter().chain(&self.waiting).all(oldest) {
                self.producer = None;
            }
            self.take_back(batch, now, pause);
            return None;
        }
        if error.retriable() {
            self.take_back(batch, now, pause);
            return None;
        }
        // Those behind it come back as out of order, and then get another producer id. If none is in
        // flight, and it was surely never written, its sequences are simply given to the next.
        if let Some(sequence) = batch.sequence
            && !batch.returned
            && self.flying.is_empty()
            && self.waiting.iter().all(|waiting| waiting.sequence.is_none())
            && error.code() != Some(ErrorCode::OutcomeUnknown)
        {
            self.next_sequence = sequence;
        }
        batch.cell.complete(Err(error.clone()));
        Some(error)
    }

    /// Puts a batch back to its place in the order.
    fn take_back(&mut self, mut batch: Batch, now: Instant, pause: Duration) {
        batch.returned = true;
        if !self.recovering {
            self.recovering = true;
            self.failed_rounds += 1;
            self.resume_at = Some(now + pause);
        }
        let place = self.waiting.partition_point(|waiting| waiting.order < batch.order);
        self.waiting.insert(place, batch);
    }

    /// Gives up batches whose first record came before `oldest`. Those in flight are left: their
    /// connection has a limit of its own.
    pub(crate) fn expire(&mut self, oldest: Instant, error: &ClientError) {
        while self.waiting.front().is_some_and(|batch| batch.opened < oldest) {
            if let Some(batch) = self.waiting.pop_front() {
                batch.cell.complete(Err(error.clone()));
            }
        }
    }

    /// Gives up everything that is not in flight.
    pub(crate) fn fail_waiting(&mut self, error: &ClientError) {
        for batch in self.waiting.drain(..) {
            batch.cell.complete(Err(error.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
