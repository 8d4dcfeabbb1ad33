//! Where callers put records: one slot a partition, with the batch that is being filled. Apart because it is
//! the part of a producer that callers of any thread share with its sender.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use kolk_model::batch_builder::{BatchBuilder, BuildError};
use kolk_model::compression::Compression;
use kolk_model::ids::{TopicName, TopicPartition};
use kolk_model::records::Header;
use kolk_model::time::TimestampMs;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::delivery::{BatchCell, Delivery, Failures};
use super::lane::Batch;
use crate::error::ClientError;

#[allow(clippy::disallowed_types, reason = "callers of any thread fill one batch")]
type Mutex<T> = std::sync::Mutex<T>;

/// The parts of a record, borrowed.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) timestamp: TimestampMs,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: &'a [Header<'a>],
}

impl Parts<'_> {
    /// Most bytes that the record takes in a batch.
    pub(super) fn bytes_max(&self) -> usize {
        BatchBuilder::record_bytes_max(self.key, self.value, self.headers)
    }
}

/// How a slot's batches are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchShape {
    pub(super) bytes: usize,
    pub(super) compression: Compression,
}

/// One partition's records that no batch in flight holds yet.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: TopicPartition,
    pub(super) topic: TopicName,
    /// The sender's number for it, once it has one.
    pub(super) lane: OnceLock<usize>,
    shape: BatchShape,
    failures: Arc<Failures>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    open: Option<Open>,
    full: VecDeque<Batch>,
    known: Known,
    /// Why nothing is taken any more.
    closed: Option<ClientError>,
    /// Bytes of the last batch: how large a buffer to begin the next with.
    bytes_hint: usize,
}

/// What the sender knows of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Known {
    /// That there is nothing.
    Nothing,
    /// That the open batch will be due; it comes then by itself.
    Lingering,
    /// That there is something; it comes when it can.
    Something,
}

#[derive(Debug)]
struct Open {
    builder: BatchBuilder,
    cell: Arc<BatchCell>,
    opened: Instant,
    room: Option<OwnedSemaphorePermit>,
}

/// What came of an attempt to add a record.
pub(super) enum Added {
    /// It is in a batch; `wake` says whether the sender was told and has to be woken.
    Yes { delivery: Delivery, wake: bool },
    /// A batch must be begun: come again with room for so many bytes.
    NeedsRoom(usize),
}

/// What a slot has for the sender.
pub(super) enum Offer {
    /// A finished batch.
    Batch(Batch),
    /// Records that may still wait until then.
    Later(Instant),
    /// Nothing.
    Nothing,
}

/// Bytes of a slot's first buffer.
const FIRST_BUFFER_BYTES: usize = 4096;

impl Slot {
    pub(super) fn new(
        id: TopicPartition,
        topic: TopicName,
        shape: BatchShape,
        failures: Arc<Failures>,
    ) -> Self {
        let inner = Inner {
            open: None,
            full: VecDeque::new(),
            known: Known::Nothing,
            closed: None,
            bytes_hint: FIRST_BUFFER_BYTES,
        };
        Self { id, topic, lane: OnceLock::new(), shape, failures, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record. `room` is for the batch that it may begin, and is left alone if it begins none. `tell` tells the sender of
    /// the slot; it is called before anybody else can add to the batch, so that a flush finds all that was accepted.
    pub(super) fn add(
        &self,
        parts: Parts<'_>,
        room: &mut Option<OwnedSemaphorePermit>,
        tell: impl FnOnce(),
    ) -> Result<Added, ClientError> {
        let record_bytes = parts.bytes_max();
        let mut guard = self.lock();
        let inner = &mut *guard;
        if let Some(error) = &inner.closed {
            return Err(error.clone());
        }
        let full = |open: &Open| open.builder.len() + record_bytes > self.shape.bytes;
        if inner.open.as_ref().is_some_and(full) {
            self.finish(inner);
        }
        if inner.open.is_none() {
            let Some(room) = room.take() else {
                return Ok(Added::NeedsRoom(record_bytes.max(self.shape.bytes)));
            };
            inner.open = Some(Open {
                builder: BatchBuilder::with_capacity(inner.bytes_hint.max(record_bytes + 61)),
                cell: BatchCell::new(self.id, Arc::clone(&self.failures)),
                opened: Instant::now(),
                room: Some(room),
            });
        }
        let Some(open) = inner.open.as_mut() else {
            return Err(ClientError::Closed { what: "the batch is gone" });
        };
        let index = open.builder.record_count();
        open.builder
            .append(parts.timestamp, parts.key, parts.value, parts.headers)
            .map_err(|error| build_error(&error))?;
        let cell = Arc::clone(&open.cell);
        let delivery = Delivery { cell, index, timestamp: parts.timestamp, place: None };
        let wake = inner.must_tell();
        if wake {
            tell();
        }
        Ok(Added::Yes { delivery, wake })
    }

    /// Finishes the open batch: compresses it and puts it behind the others.
    fn finish(&self, inner: &mut Inner) {
        let Some(open) = inner.open.take() else {
            return;
        };
        // A batch that was begun but got no record, because the codec or the format refused it.
        if open.builder.is_empty() {
            return;
        }
        inner.bytes_hint = open.builder.len().min(self.shape.bytes) + 64;
        match open.builder.build_unsealed(self.shape.compression) {
            Ok(bytes) => {
                let mut room = open.room;
                // It was begun with room for a whole batch.
                if let Some(room) = &mut room {
                    drop(room.split(room.num_permits().saturating_sub(bytes.len())));
                }
                inner.full.push_back(Batch::new(bytes, open.cell, open.opened, room));
            }
            Err(error) => open.cell.complete(Err(build_error(&error))),
        }
    }

    /// The next batch for the sender: a full one, or the open one if it is older than `linger`.
    pub(super) fn offer(&self, now: Instant, linger: Duration) -> Offer {
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.known = Known::Something;
        if let Some(batch) = inner.full.pop_front() {
            return Offer::Batch(batch);
        }
        let due = inner.open.as_ref().map(|open| open.opened + linger);
        if let Some(due) = due.filter(|due| *due > now) {
            inner.known = Known::Lingering;
            return Offer::Later(due);
        }
        self.finish(inner);
        let Some(batch) = inner.full.pop_front() else {
            inner.known = Known::Nothing;
            return Offer::Nothing;
        };
        Offer::Batch(batch)
    }

    /// Finishes the open batch and lists everybody who waits.
    pub(super) fn seal(&self) -> Vec<Arc<BatchCell>> {
        let mut inner = self.lock();
        self.finish(&mut inner);
        inner.full.iter().map(|batch| Arc::clone(&batch.cell)).collect()
    }

    /// Gives up batches whose first record came before `oldest`.
    pub(super) fn expire(&self, oldest: Instant, error: &ClientError) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        if inner.open.as_ref().is_some_and(|open| open.opened < oldest) {
            self.finish(inner);
        }
        while inner.full.front().is_some_and(|batch| batch.opened < oldest) {
            if let Some(batch) = inner.full.pop_front() {
                batch.cell.complete(Err(error.clone()));
            }
        }
    }

    /// Takes nothing any more, and fails what is there.
    pub(super) fn close(&self, error: &ClientError) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.closed = Some(error.clone());
        self.finish(inner);
        for batch in inner.full.drain(..) {
            batch.cell.complete(Err(error.clone()));
        }
    }
}

impl Inner {
    /// Whether the sender must be told of what was just added.
    fn must_tell(&mut self) -> bool {
        let tell = match self.known {
            Known::Nothing => true,
            Known::Lingering => !self.full.is_empty(),
            Known::Something => false,
        };
        if tell {
            self.known = Known::Something;
        }
        tell
    }
}

fn build_error(error: &BuildError) -> ClientError {
    match error {
        BuildError::TooLarge { record_bytes, .. } => {
            ClientError::RecordTooLarge { bytes: *record_bytes, bytes_max: i32::MAX as usize / 2 }
        }
        error => ClientError::Build { reason: Arc::from(error.to_string()) },
    }
}
