//! Reading own partitions, and waiting until there is enough to read.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;

use kolk_io::door::Io;
use kolk_model::ids::ShardId;
use kolk_partition::effect::WaiterId;
use kolk_partition::error::PartitionError;

use crate::message::{BytesAwaited, FetchPart, FetchedPart};
use crate::request::{FetchSlot, FetchedSlot, Refusal};
use crate::state::{Phase, ShardState};

/// What a look at the partitions of a fetch shows.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// Visible bytes, each slot counted up to its own maximum.
    available: u64,
    /// Waiting makes no sense: a slot has an error, or all are full.
    settled: bool,
}

/// Another shard that waits for a fetch, and may hurry it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) shard: ShardId,
    /// Its own name for the wait.
    pub(crate) waiter: WaiterId,
    /// Rung when it has lost patience; [`ShardState::remote_fetches`] has no entry any more then.
    pub(crate) bell: WaiterId,
}

/// How a wait came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// A partition has moved.
    Moved,
    /// The time is over, or whoever asked lost patience.
    Over,
}

/// Answers at once, if there is enough or no time to wait, and everything is in memory.
pub(crate) fn fetch_now<I: Io>(state: &ShardState<I>, part: &FetchPart) -> Option<FetchedPart> {
    let look = look(state, &part.slots);
    let waits = !part.wait.is_zero() && state.phase.get() == Phase::Open;
    if waits && !look.is_enough(part.bytes_min, part.bytes_max) {
        return None;
    }
    let mut fill = Fill::new(part.bytes_max, part.slots.len());
    for slot in &part.slots {
        match fill.limit(slot) {
            None => fill.push(state, slot, Ok(Vec::new())),
            Some(limit) => {
                let read = match state.partition(slot.partition) {
                    Ok(hosted) => hosted.borrow().read_in_memory(slot.offset, limit),
                    Err(refusal) => {
                        fill.push(state, slot, Err(refusal));
                        continue;
                    }
                };
                fill.push(state, slot, read.map_err(Refusal::from).transpose()?);
            }
        }
    }
    Some(fill.part(look))
}

/// Reads the slots in order, once there is enough or the wait is over. `patience` is that of
/// another shard, on whose behalf this is done.
pub(crate) async fn fetch<I: Io>(
    state: Rc<ShardState<I>>,
    part: FetchPart,
    patience: Option<Patience>,
) -> FetchedPart {
    if !part.wait.is_zero() {
        let awaited = BytesAwaited {
            slots: part.slots.clone(),
            bytes_min: part.bytes_min.min(part.bytes_max),
            wait: part.wait,
        };
        if let Err(refusal) = await_bytes(&state, &awaited, patience).await {
            return refused(&part, &refusal);
        }
    }
    let look = look(&state, &part.slots);
    let mut fill = Fill::new(part.bytes_max, part.slots.len());
    for slot in &part.slots {
        let result = match fill.limit(slot) {
            None => Ok(Vec::new()),
            Some(limit) => read_slot(&state, slot, limit).await,
        };
        fill.push(&state, slot, result);
    }
    fill.part(look)
}

/// Waits until the slots have enough to read, the time is over, or whoever asked lost patience.
///
/// # Errors
/// When too many wait already.
pub(crate) async fn await_bytes<I: Io>(
    state: &Rc<ShardState<I>>,
    awaited: &BytesAwaited,
    patience: Option<Patience>,
) -> Result<(), Refusal> {
    if look(state, &awaited.slots).is_enough(awaited.bytes_min, u64::MAX) {
        return Ok(());
    }
    let watching = Watching::new(state, awaited, patience)?;
    let mut over = pin!(state.io.sleep(awaited.wait));
    while state.phase.get() == Phase::Open {
        watching.watch()?;
        let woken = poll_fn(|cx| {
            if state.waiters.poll_bell(watching.bell, cx).is_ready() {
                Poll::Ready(Woken::Moved)
            } else {
                over.as_mut().poll(cx).map(|()| Woken::Over)
            }
        })
        .await;
        let enough = look(state, &awaited.slots).is_enough(awaited.bytes_min, u64::MAX);
        if enough || woken == Woken::Over || watching.hurried() {
            break;
        }
    }
    Ok(())
}

/// The watches of one fetch; ended when it is dropped.
struct Watching<'a, I: Io> {
    state: &'a ShardState<I>,
    awaited: &'a BytesAwaited,
    bell: WaiterId,
    patience: Option<Patience>,
}

impl<'a, I: Io> Watching<'a, I> {
    fn new(
        state: &'a ShardState<I>,
        awaited: &'a BytesAwaited,
        patience: Option<Patience>,
    ) -> Result<Self, Refusal> {
        let bell = match patience {
            Some(patience) => patience.bell,
            None => state.waiters.open_bell()?,
        };
        Ok(Self { state, awaited, bell, patience })
    }

    /// Asks each partition to ring when it has more; one that can't is an end of the wait.
    fn watch(&self) -> Result<(), Refusal> {
        for slot in &self.awaited.slots {
            let Ok(hosted) = self.state.partition(slot.partition) else { continue };
            let mut partition = hosted.borrow_mut();
            let beyond = partition.watermarks().high_watermark.max(slot.offset);
            // Deleted or stopping is no error here: the look that follows sees it.
            if let Err(error @ PartitionError::Overloaded { .. }) =
                partition.watch(self.bell, beyond)
            {
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Whether whoever asked from another shard wants the answer now.
    fn hurried(&self) -> bool {
        let waits = self.state.remote_fetches.borrow();
        self.patience
            .is_some_and(|patience| !waits.contains_key(&(patience.shard, patience.waiter)))
    }
}

impl<I: Io> Drop for Watching<'_, I> {
    fn drop(&mut self) {
        for slot in &self.awaited.slots {
            if let Ok(hosted) = self.state.partition(slot.partition) {
                hosted.borrow_mut().unwatch(self.bell);
            }
        }
        if self.patience.is_none() {
            self.state.waiters.close(self.bell);
        }
    }
}

fn look<I: Io>(state: &ShardState<I>, slots: &[FetchSlot]) -> Look {
    let (mut available, mut settled, mut full) = (0, slots.is_empty(), true);
    for slot in slots {
        let Ok(hosted) = state.partition(slot.partition) else {
            settled = true;
            continue;
        };
        let partition = hosted.borrow();
        if partition.check_fetch(slot.offset).is_err() {
            settled = true;
            continue;
        }
        let bytes = partition.bytes_available(slot.offset);
        full &= bytes >= slot.bytes_max;
        available += bytes.min(slot.bytes_max);
    }
    Look { available, settled: settled || full }
}

impl Look {
    fn is_enough(self, bytes_min: u64, bytes_max: u64) -> bool {
        self.settled || self.available >= bytes_min.min(bytes_max)
    }
}

async fn read_slot<I: Io>(
    state: &ShardState<I>,
    slot: &FetchSlot,
    limit: u64,
) -> Result<Vec<Bytes>, Refusal> {
    let hosted = state.partition(slot.partition)?;
    let (log, end) = {
        let partition = hosted.borrow();
        if let Some(slices) = partition.read_in_memory(slot.offset, limit)? {
            return Ok(slices);
        }
        (partition.log().clone(), partition.watermarks().high_watermark)
    };
    let read = log.read(slot.offset, end, limit).await;
    read.map_err(|error| Refusal::from(PartitionError::from(error)))
}

/// An answer as it fills, within its bound of bytes.
struct Fill {
    slots: Vec<FetchedSlot>,
    bytes: u64,
    bytes_max: u64,
}

impl Fill {
    fn new(bytes_max: u64, slots: usize) -> Self {
        Self { slots: Vec::with_capacity(slots), bytes: 0, bytes_max }
    }

    /// Bytes to read for a slot; `None` if there is no room left. The first batch of all comes whole.
    fn limit(&self, slot: &FetchSlot) -> Option<u64> {
        let room = self.bytes_max.saturating_sub(self.bytes);
        if room == 0 && self.bytes > 0 { None } else { Some(slot.bytes_max.min(room).max(1)) }
    }

    fn push<I: Io>(
        &mut self,
        state: &ShardState<I>,
        slot: &FetchSlot,
        result: Result<Vec<Bytes>, Refusal>,
    ) {
        let marks = state.partition(slot.partition).ok().map(|hosted| hosted.borrow().watermarks());
        let result = result.map(|slices| {
            let bytes: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
            if self.bytes > 0 && self.bytes + bytes > self.bytes_max {
                // Its first batch is larger than what is left: it comes first in a later fetch.
                return Vec::new();
            }
            self.bytes += bytes;
            slices
        });
        self.slots.push(FetchedSlot { result, marks });
    }

    fn part(self, look: Look) -> FetchedPart {
        FetchedPart { slots: self.slots, available: look.available, settled: look.settled }
    }
}

/// The same refusal for every slot.
pub(crate) fn refused(part: &FetchPart, refusal: &Refusal) -> FetchedPart {
    let slot = FetchedSlot { result: Err(refusal.clone()), marks: None };
    FetchedPart { slots: vec![slot; part.slots.len()], available: 0, settled: true }
}
