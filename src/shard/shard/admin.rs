//! Changes of topics, carried out by the controller, and producer ids, which come from it in blocks.

use std::rc::Rc;

use kolk_coord::command::Command;
use kolk_io::door::Io;
use kolk_model::ids::{ProducerEpoch, ProducerId, TopicId};

use crate::message::{Change, Changed, ProducerIdBlock, Reply, Request};
use crate::metadata::CONTROLLER;
use crate::request::{
    AddPartitionsOp, AlterBrokerOp, AlterGroupOp, AlterTopicOp, AssignedProducer, CreateTopicOp,
    CreatedTopic, Intent, Refusal,
};
use crate::shard::{Shard, apart, wrong_reply};
use crate::state::waiters::Waiting;
use crate::state::{Ordered, ShardState};

/// Producer ids a shard takes at once: ids that a restart loses cost nothing, there are 2^63.
const PRODUCER_IDS: u32 = 1000;

impl<I: Io> Shard<I> {
    /// Creates a topic. When this answers, the topic is durable and every owner takes requests for it.
    ///
    /// Answers with a [`Refusal`] when the name is taken or not allowed, the number of partitions is not
    /// possible, or the logs can't be created; then there is no topic.
    pub fn create_topic(
        &self,
        op: CreateTopicOp,
    ) -> impl Future<Output = Result<CreatedTopic, Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        async move {
            match change(&state, Change::Create(op)).await? {
                Changed::Created(created) => Ok(created),
                Changed::Done => Err(wrong_reply()),
            }
        }
    }

    /// Deletes a topic. When this answers, the deletion is durable and nobody serves the topic any more.
    ///
    /// Answers with a [`Refusal`] when there is no such topic.
    pub fn delete_topic(
        &self,
        topic: TopicId,
    ) -> impl Future<Output = Result<(), Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        let command = Command::DeleteTopic { topic };
        async move { change(&state, Change::Other(command)).await.map(|_| ()) }
    }

    /// Changes settings of a topic, all or none. When this answers, the change is durable and in force.
    ///
    /// Answers with a [`Refusal`] when there is no such topic or a setting is not accepted.
    pub fn alter_topic(
        &self,
        op: AlterTopicOp,
    ) -> impl Future<Output = Result<(), Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        let AlterTopicOp { topic, changes, intent } = op;
        let command = Command::AlterConfig { topic, changes };
        async move { change(&state, intended(intent, command)).await.map(|_| ()) }
    }

    /// Changes settings of brokers, all or none. When this answers, the change is durable and in force for
    /// every topic that has no setting of its own.
    ///
    /// Answers with a [`Refusal`] when a setting is not accepted or needs a restart.
    pub fn alter_broker(
        &self,
        op: AlterBrokerOp,
    ) -> impl Future<Output = Result<(), Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        let AlterBrokerOp { scope, changes, intent } = op;
        let command = Command::AlterBroker { scope, changes };
        async move { change(&state, intended(intent, command)).await.map(|_| ()) }
    }

    /// Changes settings of a group, all or none. When this answers, the change is durable and every shard
    /// knows it.
    ///
    /// Answers with a [`Refusal`] when a setting is not accepted.
    pub fn alter_group(
        &self,
        op: AlterGroupOp,
    ) -> impl Future<Output = Result<(), Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        let AlterGroupOp { group, changes, intent } = op;
        let command = Command::AlterGroup { group, changes };
        async move { change(&state, intended(intent, command)).await.map(|_| ()) }
    }

    /// Raises the number of partitions of a topic. When this answers, every owner takes requests for them.
    ///
    /// Answers with a [`Refusal`] when there is no such topic, the number is not larger than before, or some
    /// logs can't be created yet (those partitions stay offline until they can).
    pub fn add_partitions(
        &self,
        op: AddPartitionsOp,
    ) -> impl Future<Output = Result<(), Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        let AddPartitionsOp { topic, partitions, intent } = op;
        let command = Command::AddPartitions { topic, partitions };
        async move { change(&state, intended(intent, command)).await.map(|_| ()) }
    }

    /// A producer id that nobody ever had, with epoch 0.
    ///
    /// Answers with a [`Refusal`] when the controller can't write its file.
    pub fn assign_producer_id(
        &self,
    ) -> impl Future<Output = Result<AssignedProducer, Refusal>> + use<I> {
        let state = Rc::clone(&self.state);
        async move {
            loop {
                state.check_open()?;
                if let Some(id) = take_producer_id(&state) {
                    return Ok(AssignedProducer { id, epoch: ProducerEpoch::new(0) });
                }
                if state.producer_ids_asked.replace(true) {
                    let asked = || (!state.producer_ids_asked.get()).then_some(());
                    state.producer_ids_bell.until(asked).await;
                    continue;
                }
                apart(&state.io, more_producer_ids(Rc::clone(&state))).await?;
            }
        }
    }
}

/// Gets a block, for all who wait for one; then others may ask.
async fn more_producer_ids<I: Io>(state: Rc<ShardState<I>>) -> Result<(), Refusal> {
    let block = producer_ids(&state).await;
    let got = block.map(|block| *state.producer_ids.borrow_mut() = block);
    state.producer_ids_asked.set(false);
    state.producer_ids_bell.ring();
    got
}

fn take_producer_id<I: Io>(state: &ShardState<I>) -> Option<ProducerId> {
    let mut block = state.producer_ids.borrow_mut();
    block.count = block.count.checked_sub(1)?;
    let id = block.first;
    block.first = ProducerId::new(id.get() + 1);
    Some(id)
}

async fn producer_ids<I: Io>(state: &ShardState<I>) -> Result<ProducerIdBlock, Refusal> {
    match order(state, Ordered::ProducerIds { count: PRODUCER_IDS }).await? {
        Reply::ProducerIds(block) => block,
        _ => Err(wrong_reply()),
    }
}

async fn change<I: Io>(state: &ShardState<I>, change: Change) -> Result<Changed, Refusal> {
    state.check_open()?;
    match order(state, Ordered::Change(change)).await? {
        Reply::Changed(result) => result,
        _ => Err(wrong_reply()),
    }
}

const fn intended(intent: Intent, command: Command) -> Change {
    match intent {
        Intent::Carry => Change::Other(command),
        Intent::Validate => Change::Validate(command),
    }
}

/// Has the controller carry something out, wherever it is.
async fn order<I: Io>(state: &ShardState<I>, ordered: Ordered) -> Result<Reply, Refusal> {
    let waiter = state.waiters.open_local()?;
    match ordered {
        ordered if state.id == CONTROLLER => state.order(ordered, waiter),
        Ordered::Change(change) => state.ask(CONTROLLER, waiter, Request::Change(change)),
        Ordered::ProducerIds { count } => {
            state.ask(CONTROLLER, waiter, Request::ProducerIds { count });
        }
    }
    Waiting::new(&state.waiters, waiter).await.ok_or_else(wrong_reply)
}
