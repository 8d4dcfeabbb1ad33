//! The coordinators of groups: one for each partition of the offsets topic that this shard owns. Apart from
//! the state machine, which knows no log: here its records are appended, and its answers wait for them.

use std::rc::Rc;

use kolk_coord::group::OFFSETS_TOPIC;
use kolk_coord::group::answer::ListedGroup;
use kolk_coord::group::request::{GroupRequest, ListFilter};
use kolk_coord::topic::Topic;
use kolk_io::door::Io;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicPartition};
use kolk_partition::effect::WaiterId;

use crate::message::Reply;
use crate::state::ShardState;
use crate::state::groups::{Asked, Seat, Standing};
use crate::state::waiters::Waiting;

mod load;
mod run;

/// Starts the coordinators of a shard that opens.
pub(crate) fn start<I: Io>(state: &Rc<ShardState<I>>) {
    let topic = state.metadata.borrow().topic_named(OFFSETS_TOPIC).cloned();
    if let Some(topic) = topic {
        topic_created(state, &topic);
    }
}

/// A topic exists from now on: if it is that of the offsets, its coordinators start.
pub(crate) fn topic_created<I: Io>(state: &Rc<ShardState<I>>, topic: &Topic) {
    if topic.name.as_str() != OFFSETS_TOPIC {
        return;
    }
    state.groups.set_topic(Some(topic.id));
    for id in state.placement.owned(topic, state.id) {
        let seat = state.groups.open(id.partition.get());
        state.io.spawn(run::run(Rc::clone(state), id, seat));
    }
}

/// A topic is gone: its offsets go, or, if it is that of the offsets, every group.
pub(crate) fn topic_deleted<I: Io>(state: &ShardState<I>, topic: &Topic) {
    if topic.name.as_str() == OFFSETS_TOPIC {
        state.groups.set_topic(None);
        state.groups.close_all();
        return;
    }
    for seat in state.groups.seats() {
        seat.push(Asked::TopicDeleted(topic.name.clone(), topic.id));
    }
}

/// Asks the coordinator of a group on behalf of `waiter`, which is answered in any case.
pub(crate) fn ask<I: Io>(state: &ShardState<I>, waiter: WaiterId, request: GroupRequest) {
    match seat_of(state, &request) {
        Ok(seat) => seat.push(Asked::Request { waiter, request }),
        Err(code) => {
            state.answer(waiter, Reply::Group(Box::new(request.kind().refuse(code))));
        }
    }
}

/// The coordinator that a request is for, if it answers.
fn seat_of<I: Io>(state: &ShardState<I>, request: &GroupRequest) -> Result<Rc<Seat>, ErrorCode> {
    let (topic, is_everywhere) = {
        let metadata = state.metadata.borrow();
        let topic = metadata.topic_named(OFFSETS_TOPIC).cloned();
        let topic = topic.ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let is_everywhere = metadata.is_everywhere(topic.id);
        (topic, is_everywhere)
    };
    // Where one of its logs can't be made the topic goes again, with all that a quicker coordinator would have promised by then.
    if !is_everywhere {
        return Err(ErrorCode::CoordinatorLoadInProgress);
    }
    let partition = request.group().partition(topic.partitions);
    let id = TopicPartition::new(topic.id, PartitionId::new(partition));
    if state.placement.owner(id) != state.id {
        return Err(ErrorCode::NotCoordinator);
    }
    // The topic is known before its logs are there.
    let seat = state.groups.seat(partition).ok_or(ErrorCode::CoordinatorLoadInProgress)?;
    match seat.standing.get() {
        Standing::Open => Ok(seat),
        Standing::Loading => Err(ErrorCode::CoordinatorLoadInProgress),
        Standing::Closed => Err(ErrorCode::CoordinatorNotAvailable),
    }
}

/// The groups of this shard that a filter lets through.
pub(crate) async fn list<I: Io>(
    state: &Rc<ShardState<I>>,
    filter: &ListFilter,
) -> Result<Vec<ListedGroup>, ErrorCode> {
    let mut waits = Vec::new();
    for seat in state.groups.seats() {
        match seat.standing.get() {
            Standing::Open => {}
            Standing::Loading => return Err(ErrorCode::CoordinatorLoadInProgress),
            Standing::Closed => return Err(ErrorCode::CoordinatorNotAvailable),
        }
        let waiter = state.waiters.open_local().map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
        seat.push(Asked::List { waiter, filter: filter.clone() });
        waits.push(Waiting::new(&state.waiters, waiter));
    }
    let mut listed = Vec::new();
    for wait in waits {
        match wait.await {
            Some(Reply::Groups(groups)) => listed.extend(groups?),
            _ => return Err(ErrorCode::UnknownServerError),
        }
    }
    Ok(listed)
}
