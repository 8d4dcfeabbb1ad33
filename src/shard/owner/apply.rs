//! Carrying out what the controller announced: logs come, change and go. One change after the other, so that
//! a topic's end never overtakes its beginning.

use std::cell::RefCell;
use std::rc::Rc;

use kolk_coord::command::Event;
use kolk_coord::topic::Topic;
use kolk_io::door::Io;
use kolk_log::error::LogError;
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicPartition;
use kolk_partition::error::PartitionError;
use kolk_partition::partition::{Partition, log_config};

use crate::message::{PartitionNews, Reply, Standing};
use crate::owner::group;
use crate::request::Refusal;
use crate::state::side_by_side::side_by_side;
use crate::state::{Announced, ShardState};

/// Logs created or removed side by side: their syncs then share the file system's commits.
const TASKS: usize = 16;

/// The task that carries changes out; runs as long as the shard.
pub(crate) async fn run<I: Io>(state: Rc<ShardState<I>>) {
    loop {
        let next = || state.announced.borrow_mut().pop_front();
        let Announced { event, by, waiter } = state.announced_bell.until(next).await;
        let applied = Reply::Applied(carry_out(&state, &event).await);
        if by == state.id {
            state.answer(waiter, applied);
        } else {
            state.send_reply(by, waiter, applied);
        }
    }
}

async fn carry_out<I: Io>(state: &Rc<ShardState<I>>, event: &Event) -> Result<(), Refusal> {
    Rc::make_mut(&mut state.metadata.borrow_mut()).apply(event);
    if matches!(
        event,
        Event::TopicCreated { .. } | Event::TopicDeleted { .. } | Event::PartitionsAdded { .. }
    ) {
        state.groups.topics_changed();
    }
    match event {
        Event::TopicCreated { topic } => {
            let owned = state.placement.owned(topic, state.id).collect();
            let created = create_logs(state, topic, owned).await;
            group::topic_created(state, topic);
            created
        }
        Event::PartitionsAdded { topic, before } => {
            let owned = state.placement.owned(topic, state.id);
            let added = owned.filter(|id| id.partition.get() >= *before).collect();
            create_logs(state, topic, added).await
        }
        Event::ConfigAltered { topic } => {
            set_config(state, topic);
            Ok(())
        }
        Event::BrokersAltered { brokers, topics } => {
            state.groups.set_settings(state.settings.group.changed_by(brokers));
            for topic in topics {
                set_config(state, topic);
            }
            Ok(())
        }
        Event::TopicDeleted { topic } => {
            let owned: Vec<_> = state.placement.owned(topic, state.id).collect();
            group::topic_deleted(state, topic);
            delete_logs(state, owned).await;
            Ok(())
        }
        Event::RunBegan { .. }
        | Event::ProducerIdsAllocated { .. }
        | Event::GroupAltered { .. } => Ok(()),
    }
}

fn set_config<I: Io>(state: &ShardState<I>, topic: &Topic) {
    let mut effects = Vec::new();
    for id in state.placement.owned(topic, state.id) {
        if let Some(hosted) = state.hosted.borrow().get(&id) {
            hosted.borrow_mut().set_config(topic.config, &mut effects);
        }
    }
    state.deliver(&mut effects);
}

/// Creates logs; those that can't be are noted as missing. Gives the first refusal.
pub(crate) async fn create_logs<I: Io>(
    state: &Rc<ShardState<I>>,
    topic: &Topic,
    ids: Vec<TopicPartition>,
) -> Result<(), Refusal> {
    let failed: Rc<RefCell<Option<Refusal>>> = Rc::default();
    let (own, first, config) = (Rc::clone(state), Rc::clone(&failed), topic.config);
    side_by_side(&state.io, ids, TASKS, move |id| {
        let (state, first) = (Rc::clone(&own), Rc::clone(&first));
        async move {
            let log = match state.storage.create(id, log_config(&config)).await {
                Err(LogError::LogExists { .. }) => {
                    state.storage.log(id).ok_or(LogError::NoSuchLog { id })
                }
                created => created,
            };
            if state.metadata.borrow().topic(id.topic).is_none() {
                // Deleted while housekeeping created what had been missing: nobody else will remove it.
                remove_log(&state, id).await;
                return;
            }
            match log {
                Ok(log) => host(
                    &state,
                    Partition::new(
                        log,
                        config,
                        state.settings.partition,
                        Rc::clone(&state.metrics),
                    ),
                ),
                Err(error) => {
                    let refusal = creation_refusal(error);
                    tracing::error!(log = %id, %refusal, "log not created");
                    note_missing(&state, id, refusal.clone());
                    first.borrow_mut().get_or_insert(refusal);
                }
            }
        }
    })
    .await;
    failed.take().map_or(Ok(()), Err)
}

/// Takes a partition in, and tells all shards where it differs from what the catalogue says.
pub(crate) fn host<I: Io>(state: &ShardState<I>, partition: Partition<I>) {
    let id = partition.id();
    let wants_producers = partition.wants_producers();
    let (epoch, damage) = (partition.log().epoch(), partition.log().damage());
    state.hosted.borrow_mut().insert(id, Rc::new(RefCell::new(partition)));
    if let Some(damage) = damage {
        let refusal = PartitionError::Damaged(Box::new(damage)).into();
        state.spread(&PartitionNews { partition: id, standing: Standing::Offline(refusal) });
    }
    let expected = {
        let metadata = state.metadata.borrow();
        metadata.topic(id.topic).map(|topic| metadata.leader_epoch(topic, id.partition))
    };
    if expected != Some(epoch) {
        state.spread(&PartitionNews { partition: id, standing: Standing::Epoch(epoch) });
    }
    if state.missing.borrow_mut().remove(&id).is_some() {
        state.spread(&PartitionNews { partition: id, standing: Standing::Online });
    }
    if wants_producers {
        state.to_load.borrow_mut().push_back(id);
        state.to_load_bell.ring();
    }
}

fn note_missing<I: Io>(state: &ShardState<I>, id: TopicPartition, refusal: Refusal) {
    let before = state.missing.borrow_mut().insert(id, refusal.clone());
    if before.is_none() {
        state.spread(&PartitionNews { partition: id, standing: Standing::Offline(refusal) });
    }
}

fn creation_refusal(error: LogError) -> Refusal {
    match error {
        LogError::JournalTooSmall { .. } => {
            Refusal::new(ErrorCode::PolicyViolation, error.to_string())
        }
        LogError::Io(error) if error.is_no_space() => {
            Refusal::new(ErrorCode::StorageFull, error.to_string())
        }
        error => PartitionError::from(error).into(),
    }
}

async fn delete_logs<I: Io>(state: &Rc<ShardState<I>>, ids: Vec<TopicPartition>) {
    let mut effects = Vec::new();
    let mut gone = Vec::new();
    for id in ids {
        state.missing.borrow_mut().remove(&id);
        let hosted = state.hosted.borrow_mut().remove(&id);
        if let Some(hosted) = hosted {
            hosted.borrow_mut().delete(&mut effects);
            gone.push(id);
        }
    }
    state.deliver(&mut effects);
    let own = Rc::clone(state);
    side_by_side(&state.io, gone, TASKS, move |id| {
        let state = Rc::clone(&own);
        async move { remove_log(&state, id).await }
    })
    .await;
}

async fn remove_log<I: Io>(state: &ShardState<I>, id: TopicPartition) {
    match state.storage.delete(id).await {
        Ok(()) | Err(LogError::NoSuchLog { .. }) => {}
        // The tombstone is durable: the next start removes what is left.
        Err(error) => tracing::warn!(log = %id, %error, "deleted log not removed"),
    }
}
