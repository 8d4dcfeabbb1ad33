//! The controller, a task of shard 0: the one that changes the catalogue. A change is durable before any
//! shard hears of it, and answered when every shard has carried it out.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use kolk_coord::catalogue::Catalogue;
use kolk_coord::command::{CatalogueError, Command, Event, NewTopic};
use kolk_io::door::Io;
use kolk_io::error::{IoError, Op};
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;
use kolk_model::time::TimestampMs;
use kolk_partition::effect::WaiterId;

use crate::message::{Change, Changed, ProducerIdBlock, Reply, Request};
use crate::request::{CreateTopicOp, CreatedTopic, Intent, Refusal};
use crate::state::waiters::Waiting;
use crate::state::{Announced, NOBODY, Ordered, ShardState};

/// Changes made durable with one write of the file.
const CHANGES_AT_ONCE_MAX: usize = 256;

/// The owner of the catalogue.
pub(crate) struct Controller<I: Io> {
    state: Rc<ShardState<I>>,
    catalogue: Catalogue,
    path: PathBuf,
    /// The file could not be written for good: what it holds is not known, so nothing is changed any more.
    fenced: Option<Refusal>,
}

/// A change that is applied to a copy of the catalogue and waits for the disk.
struct Made {
    waiter: WaiterId,
    event: Event,
    kind: Kind,
}

/// What a change is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Change,
    ProducerIds,
}

impl<I: Io> Controller<I> {
    pub(crate) const fn new(state: Rc<ShardState<I>>, catalogue: Catalogue, path: PathBuf) -> Self {
        Self { state, catalogue, path, fenced: None }
    }

    /// Runs as long as the shard.
    pub(crate) async fn run(mut self) {
        let state = Rc::clone(&self.state);
        loop {
            let next = || {
                let mut changes = state.changes.borrow_mut();
                let count = changes.len().min(CHANGES_AT_ONCE_MAX);
                (count > 0).then(|| changes.drain(..count).collect::<Vec<_>>())
            };
            let orders = state.changes_bell.until(next).await;
            self.carry_out(orders).await;
        }
    }

    /// Applies changes to a copy, makes the copy durable, keeps it, and announces what is new.
    async fn carry_out(&mut self, orders: Vec<(Ordered, WaiterId)>) {
        let mut next = self.catalogue.clone();
        let mut made = Vec::new();
        for (ordered, waiter) in orders {
            let kind = match ordered {
                Ordered::Change(_) => Kind::Change,
                Ordered::ProducerIds { .. } => Kind::ProducerIds,
            };
            match self.apply(&mut next, ordered) {
                Ok(Applied::Event(event)) => made.push(Made { waiter, event, kind }),
                Ok(Applied::Validated(would_be)) => {
                    self.state.answer(waiter, Reply::Changed(Ok(would_be)));
                }
                Err(refusal) => self.state.answer(waiter, kind.refuse(refusal)),
            }
        }
        if made.is_empty() {
            return;
        }
        match self.write(&next).await {
            Ok(()) => {
                self.catalogue = next;
                for made in made {
                    self.publish(made);
                }
            }
            Err(refusal) => {
                for made in made {
                    self.state.answer(made.waiter, made.kind.refuse(refusal.clone()));
                }
            }
        }
    }

    fn apply(&self, next: &mut Catalogue, ordered: Ordered) -> Result<Applied, Refusal> {
        if let Some(refusal) = &self.fenced {
            return Err(refusal.clone());
        }
        let command = match ordered {
            Ordered::ProducerIds { count } => Command::AllocateProducerIds { count },
            Ordered::Change(Change::Other(command)) => command,
            Ordered::Change(Change::Validate(command)) => {
                let mut would_be = next.clone();
                would_be.apply(command)?;
                self.check_groups(&would_be)?;
                return Ok(Applied::Validated(Changed::Done));
            }
            Ordered::Change(Change::Create(op)) => {
                let (new, intent) = self.new_topic(op);
                let partitions = new.partitions;
                let command = Command::CreateTopic(new);
                if intent == Intent::Validate {
                    next.clone().apply(command)?;
                    let created = CreatedTopic { id: TopicId::ZERO, partitions };
                    return Ok(Applied::Validated(Changed::Created(created)));
                }
                command
            }
        };
        if matches!(command, Command::AlterBroker { .. }) {
            let mut would_be = next.clone();
            would_be.apply(command.clone())?;
            self.check_groups(&would_be)?;
        }
        let mut events = next.apply(command)?;
        let event = events.pop().filter(|_| events.is_empty());
        let unexpected =
            || Refusal::new(ErrorCode::UnknownServerError, "not one event for a change");
        event.map(Applied::Event).ok_or_else(unexpected)
    }

    /// Whether what groups would heed makes sense; the catalogue does not know what the broker was started with.
    fn check_groups(&self, catalogue: &Catalogue) -> Result<(), Refusal> {
        let settings = self.state.settings.group.changed_by(catalogue.brokers());
        Ok(settings.check().map_err(CatalogueError::from)?)
    }

    fn new_topic(&self, op: CreateTopicOp) -> (NewTopic, Intent) {
        let CreateTopicOp { name, partitions, config, intent } = op;
        let partitions = partitions.unwrap_or(self.state.settings.partitions_default);
        let random = self.state.io.random_u64();
        let now = TimestampMs::new(self.state.wall_clock().as_ms());
        (NewTopic { name, partitions, config, random, now }, intent)
    }

    async fn write(&mut self, next: &Catalogue) -> Result<(), Refusal> {
        let Err(error) = self.state.io.write_file_atomic(&self.path, &next.encode()).await else {
            return Ok(());
        };
        // Until the rename the former file is in place; from there on nobody knows which one a restart finds.
        let untouched = matches!(&error, IoError::NoSpace { op, .. } if *op != Op::Rename);
        if untouched {
            return Err(Refusal::new(ErrorCode::StorageFull, error.to_string()));
        }
        tracing::error!(%error, "catalogue not written: topics can't be changed until the broker is restarted");
        let detail = format!("topics can't be changed until the broker is restarted: {error}");
        let refusal = Refusal::new(ErrorCode::KafkaStorageError, detail);
        self.fenced = Some(refusal.clone());
        Err(refusal)
    }

    /// Answers a durable change, after every shard has carried it out.
    fn publish(&self, made: Made) {
        let Made { waiter, event, .. } = made;
        if let Event::ProducerIdsAllocated { first, count } = event {
            self.state.answer(waiter, Reply::ProducerIds(Ok(ProducerIdBlock { first, count })));
            return;
        }
        let event = Arc::new(event);
        // Sent now, so that every shard hears of changes in the order of the catalogue.
        let acks = self.announce(&event);
        let state = Rc::clone(&self.state);
        self.state.io.spawn(async move {
            let result = finish(&state, &event, acks).await;
            state.answer(waiter, Reply::Changed(result));
        });
    }

    fn announce(&self, event: &Arc<Event>) -> Vec<Waiting> {
        let state = &self.state;
        let mut acks = Vec::with_capacity(usize::from(state.placement.shards()));
        let mut open = || match state.waiters.open_local() {
            Ok(waiter) => {
                acks.push(Waiting::new(&state.waiters, waiter));
                waiter
            }
            // The shard must hear of it all the same; only its answer is not waited for.
            Err(_) => NOBODY,
        };
        for shard in state.others() {
            state.ask(shard, open(), Request::Apply(Arc::clone(event)));
        }
        let announced = Announced { event: Arc::clone(event), by: state.id, waiter: open() };
        state.announced.borrow_mut().push_back(announced);
        state.announced_bell.ring();
        acks
    }
}

/// Waits for every shard. A topic whose logs could not all be created is deleted again.
async fn finish<I: Io>(
    state: &Rc<ShardState<I>>,
    event: &Event,
    acks: Vec<Waiting>,
) -> Result<Changed, Refusal> {
    let mut failed = None;
    for ack in acks {
        if let Some(Reply::Applied(Err(refusal))) = ack.await {
            failed.get_or_insert(refusal);
        }
    }
    match (event, failed) {
        (Event::TopicCreated { topic }, None) => {
            show_everywhere(state, topic.id).await;
            tracing::info!(topic = %topic.name, id = %topic.id, partitions = topic.partitions, "topic created");
            let created = CreatedTopic { id: topic.id, partitions: topic.partitions };
            Ok(Changed::Created(created))
        }
        (Event::TopicCreated { topic }, Some(refusal)) => {
            tracing::warn!(topic = %topic.name, %refusal, "topic not created: its logs can't be");
            let waiter = state.waiters.open_local()?;
            let delete = Change::Other(Command::DeleteTopic { topic: topic.id });
            state.order(Ordered::Change(delete), waiter);
            Waiting::new(&state.waiters, waiter).await;
            Err(refusal)
        }
        (Event::TopicDeleted { topic }, None) => {
            tracing::info!(topic = %topic.name, id = %topic.id, "topic deleted");
            Ok(Changed::Done)
        }
        (_, None) => Ok(Changed::Done),
        (_, Some(refusal)) => Err(refusal),
    }
}

/// Lets every shard tell its clients of a topic that all shards have.
async fn show_everywhere<I: Io>(state: &Rc<ShardState<I>>, topic: TopicId) {
    let mut acks = Vec::with_capacity(usize::from(state.placement.shards()));
    for shard in state.others() {
        let waiter = state.waiters.open_local().unwrap_or(NOBODY);
        if waiter != NOBODY {
            acks.push(Waiting::new(&state.waiters, waiter));
        }
        state.ask(shard, waiter, Request::Arrived(topic));
    }
    Rc::make_mut(&mut state.metadata.borrow_mut()).arrived(topic);
    for ack in acks {
        ack.await;
    }
}

enum Applied {
    Event(Event),
    Validated(Changed),
}

impl Kind {
    const fn refuse(self, refusal: Refusal) -> Reply {
        match self {
            Self::Change => Reply::Changed(Err(refusal)),
            Self::ProducerIds => Reply::ProducerIds(Err(refusal)),
        }
    }
}
