//! What other shards ask of this one. Produce requests, and fetches that can be answered from memory, are
//! carried out on the spot, in order; what has to wait gets a task. So the lanes always empty.

use std::rc::Rc;

use kolk_io::door::Io;
use kolk_model::error::ErrorCode;
use kolk_model::ids::ShardId;
use kolk_partition::effect::WaiterId;
use kolk_partition::producers::ProducerBatch;

use crate::message::{Answer, BytesAwaited, Call, FetchPart, Reply, Request};
use crate::owner::fetch::{Patience, await_bytes, fetch, fetch_now, refused};
use crate::owner::{append, group, lookup};
use crate::request::{ProduceOp, Refusal};
use crate::state::{Announced, Ordered, ShardState};

/// Bytes of batches appended, those that they inflate to included, and calls taken, before other tasks get their turn.
const TURN_BYTES: usize = 1 << 20;
const TURN_CALLS: usize = 128;

/// Takes what one other shard said in one turn, in order.
pub(crate) async fn take_calls<I: Io>(
    state: &Rc<ShardState<I>>,
    from: ShardId,
    calls: impl Iterator<Item = Call>,
) {
    let (mut bytes, mut taken) = (0, 0);
    for Call { waiter, request } in calls {
        if bytes >= TURN_BYTES || taken >= TURN_CALLS {
            state.io.yield_now().await;
            (bytes, taken) = (0, 0);
        }
        taken += 1;
        if let Request::Produce(op) = &request {
            bytes += op.batches.len();
        }
        let inflated = state.metrics.copies.decompress.get();
        take_call(state, from, waiter, request);
        let inflated = state.metrics.copies.decompress.get() - inflated;
        bytes = bytes.saturating_add(usize::try_from(inflated).unwrap_or(usize::MAX));
    }
}

/// Takes the replies that another shard gave in one turn.
pub(crate) fn take_answers<I: Io>(state: &ShardState<I>, answers: impl Iterator<Item = Answer>) {
    for Answer { waiter, reply } in answers {
        state.answer(waiter, reply);
    }
}

fn take_call<I: Io>(state: &Rc<ShardState<I>>, from: ShardId, waiter: WaiterId, request: Request) {
    match request {
        Request::Produce(op) => produce(state, from, waiter, op),
        Request::TurnAway { partition, batch } => {
            append::turn_away(state, partition, &batch);
            state.send_reply(from, waiter, Reply::TurnedAway);
        }
        Request::Fetch(part) => {
            state.metrics.requests.received.add(part.slots.len() as u64);
            match fetch_now(state, &part) {
                Some(fetched) => state.send_reply(from, waiter, Reply::Fetched(fetched)),
                None => spawn_fetch(state, from, waiter, part),
            }
        }
        Request::AwaitBytes(awaited) => spawn_await(state, from, waiter, awaited),
        Request::Hurry => hurry(state, from, waiter),
        Request::EpochEnd { partition, epoch } => {
            let end = lookup::epoch_end(state, partition, epoch);
            state.send_reply(from, waiter, Reply::EpochEnd(end));
        }
        Request::Describe { topic } => {
            let described = lookup::describe(state, topic);
            state.send_reply(from, waiter, Reply::Described(described));
        }
        Request::Producers { partition } => {
            let producers = lookup::producers(state, partition);
            state.send_reply(from, waiter, Reply::Producers(producers));
        }
        Request::Stats => {
            let stats = Box::new(lookup::stats(state));
            state.send_reply(from, waiter, Reply::Stats(stats));
        }
        Request::Group(request) => match state.waiters.open_remote(from, waiter) {
            Ok(seat) => group::ask(state, seat, *request),
            Err(_) => {
                let answer = request.kind().refuse(ErrorCode::CoordinatorNotAvailable);
                state.send_reply(from, waiter, Reply::Group(Box::new(answer)));
            }
        },
        Request::Enter { address, limits } => {
            let entered = state.census.borrow_mut().enter(address, limits);
            state.send_reply(from, waiter, Reply::Entered(entered));
        }
        Request::Leave { address } => state.census.borrow_mut().leave(address),
        Request::News(news) => state.note(&news),
        Request::Arrived(topic) => {
            Rc::make_mut(&mut state.metadata.borrow_mut()).arrived(topic);
            state.send_reply(from, waiter, Reply::Applied(Ok(())));
        }
        Request::Drained => {
            state.shards_drained.borrow_mut().insert(from);
            state.drained.ring();
        }
        request => take_waiting_call(state, from, waiter, request),
    }
}

fn produce<I: Io>(state: &ShardState<I>, from: ShardId, waiter: WaiterId, op: ProduceOp) {
    state.metrics.requests.received.inc();
    let result = match state.waiters.open_remote(from, waiter) {
        Ok(seat) => {
            let appended = append::append(state, op, seat);
            if appended.is_some() {
                state.waiters.close(seat);
            }
            appended
        }
        Err(full) => {
            if let Some(batch) = ProducerBatch::first_of(&op.batches) {
                append::turn_away(state, op.partition, &batch);
            }
            Some(Err(full.into()))
        }
    };
    if let Some(result) = result {
        state.send_reply(from, waiter, Reply::Produced(result));
    }
}

/// Requests that always wait for a disk.
fn take_waiting_call<I: Io>(
    state: &Rc<ShardState<I>>,
    from: ShardId,
    waiter: WaiterId,
    request: Request,
) {
    match request {
        Request::ListOffset { partition, place } => {
            let own = Rc::clone(state);
            state.io.spawn(async move {
                let listed = lookup::list_offset(&own, partition, place).await;
                own.send_reply(from, waiter, Reply::Listed(listed));
            });
        }
        Request::Trim { partition, before } => {
            let own = Rc::clone(state);
            state.io.spawn(async move {
                let trimmed = lookup::trim(&own, partition, before).await;
                own.send_reply(from, waiter, Reply::Trimmed(trimmed));
            });
        }
        Request::ListGroups(filter) => {
            let own = Rc::clone(state);
            state.io.spawn(async move {
                let listed = group::list(&own, &filter).await;
                own.send_reply(from, waiter, Reply::Groups(listed));
            });
        }
        Request::Change(change) => {
            order(state, from, waiter, Ordered::Change(change), Reply::Changed);
        }
        Request::ProducerIds { count } => {
            order(state, from, waiter, Ordered::ProducerIds { count }, Reply::ProducerIds);
        }
        Request::Apply(event) => {
            let announced = Announced { event, by: from, waiter };
            state.announced.borrow_mut().push_back(announced);
            state.announced_bell.ring();
        }
        // Answered by the caller of this function.
        _ => {}
    }
}

/// Queues a change for the controller.
fn order<I: Io, T>(
    state: &ShardState<I>,
    from: ShardId,
    waiter: WaiterId,
    ordered: Ordered,
    refuse: impl Fn(Result<T, Refusal>) -> Reply,
) {
    match state.waiters.open_remote(from, waiter) {
        Ok(seat) => state.order(ordered, seat),
        Err(full) => state.send_reply(from, waiter, refuse(Err(full.into()))),
    }
}

fn spawn_fetch<I: Io>(state: &Rc<ShardState<I>>, from: ShardId, waiter: WaiterId, part: FetchPart) {
    let patience = match be_patient(state, from, waiter) {
        Ok(patience) => patience,
        Err(refusal) => {
            state.send_reply(from, waiter, Reply::Fetched(refused(&part, &refusal)));
            return;
        }
    };
    let own = Rc::clone(state);
    state.io.spawn(async move {
        let fetched = fetch(Rc::clone(&own), part, Some(patience)).await;
        end_patience(&own, patience);
        own.send_reply(from, waiter, Reply::Fetched(fetched));
    });
}

fn spawn_await<I: Io>(
    state: &Rc<ShardState<I>>,
    from: ShardId,
    waiter: WaiterId,
    awaited: BytesAwaited,
) {
    let Ok(patience) = be_patient(state, from, waiter) else {
        state.send_reply(from, waiter, Reply::Awaited);
        return;
    };
    let own = Rc::clone(state);
    state.io.spawn(async move {
        if let Err(refusal) = await_bytes(&own, &awaited, Some(patience)).await {
            tracing::debug!(%refusal, "a fetch of another shard could not wait");
        }
        end_patience(&own, patience);
        own.send_reply(from, waiter, Reply::Awaited);
    });
}

fn be_patient<I: Io>(
    state: &ShardState<I>,
    shard: ShardId,
    waiter: WaiterId,
) -> Result<Patience, Refusal> {
    let bell = state.waiters.open_bell()?;
    state.remote_fetches.borrow_mut().insert((shard, waiter), bell);
    Ok(Patience { shard, waiter, bell })
}

fn end_patience<I: Io>(state: &ShardState<I>, patience: Patience) {
    state.remote_fetches.borrow_mut().remove(&(patience.shard, patience.waiter));
    state.waiters.close(patience.bell);
}

/// The other shard wants its answer now.
fn hurry<I: Io>(state: &ShardState<I>, from: ShardId, waiter: WaiterId) {
    let bell = state.remote_fetches.borrow_mut().remove(&(from, waiter));
    if let Some(bell) = bell {
        state.waiters.ring(bell);
    }
}
