//! Groups, from a connection's side.

use std::future::Future;
use std::rc::Rc;

use kolk_coord::group::OFFSETS_TOPIC;
use kolk_coord::group::answer::{GroupAnswer, ListedGroup};
use kolk_coord::group::ids::GroupId;
use kolk_coord::group::request::{GroupRequest, ListFilter, RequestKind};
use kolk_io::door::Io;
use kolk_model::config::overrides::Overrides;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, ShardId, TopicName, TopicPartition};

use crate::message::{Reply, Request};
use crate::owner::group;
use crate::request::{CreateTopicOp, Intent, Refusal};
use crate::shard::{Shard, apart, ask};
use crate::state::ShardState;
use crate::state::waiters::Waiting;

/// Whose groups are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupsOf {
    /// Of all shards of the node.
    Node,
    /// Of the shard that is asked.
    Shard,
}

/// What the offsets topic is created with; Kafka's values but for the size of a batch, which has to hold a large
/// group in one record.
const OFFSETS_TOPIC_SETTINGS: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("compression.type", "producer"),
    ("segment.bytes", "104857600"),
    ("max.message.bytes", "16777216"),
];

impl<I: Io> Shard<I> {
    /// Asks a group's coordinator, wherever it is. Requests of one shard about one group are carried out in the
    /// order of these calls. The answer is of the request's variant; one that changed something comes when the
    /// change is durable. Dropping the future does not undo the request.
    ///
    /// Beside what a group answers: `CoordinatorLoadInProgress` after a start, `NotCoordinator` and
    /// `CoordinatorNotAvailable` when the coordinator had to give up or the broker stops. All are retriable.
    pub fn group(&self, request: GroupRequest) -> impl Future<Output = GroupAnswer> + use<I> {
        let state = Rc::clone(&self.state);
        let kind = request.kind();
        let asked = match coordinator_of(&state, request.group()) {
            Some(owner) => Ok(send(&state, owner, request)),
            None => Err(request),
        };
        let shard = self.clone();
        async move {
            let sent = match asked {
                Ok(sent) => sent,
                Err(request) => match shard.find_group(request.group()).await {
                    Ok(owner) => send(&state, owner, request),
                    Err(_) => Err(ErrorCode::CoordinatorNotAvailable),
                },
            };
            match sent {
                Ok(waiting) => answer(kind, waiting.await),
                Err(code) => kind.refuse(code),
            }
        }
    }

    /// The shard that coordinates a group. Creates the topic that keeps groups at the first need.
    ///
    /// Answers with a [`Refusal`] when that topic can't be created.
    pub fn find_group(
        &self,
        group: &GroupId,
    ) -> impl Future<Output = Result<ShardId, Refusal>> + use<I> {
        let (shard, group) = (self.clone(), group.clone());
        async move {
            let state = &shard.state;
            loop {
                state.check_open()?;
                if let Some(owner) = coordinator_of(state, &group) {
                    return Ok(owner);
                }
                if state.groups.creating.replace(true) {
                    let over = || (!state.groups.creating.get()).then_some(());
                    state.groups.created.until(over).await;
                    continue;
                }
                let own = shard.clone();
                let created = apart(&state.io, async move {
                    let created = own.create_offsets_topic().await;
                    // Whether that worked or not, others may try now.
                    own.state.groups.creating.set(false);
                    own.state.groups.created.ring();
                    created
                });
                created.await?;
            }
        }
    }

    /// Groups with their states, in no order.
    ///
    /// Resolves to a retriable code while a coordinator loads or can't be asked.
    pub fn list_groups(
        &self,
        filter: ListFilter,
        of: GroupsOf,
    ) -> impl Future<Output = Result<Vec<ListedGroup>, ErrorCode>> + use<I> {
        let state = Rc::clone(&self.state);
        async move {
            let others: Vec<_> = match of {
                GroupsOf::Shard => Vec::new(),
                GroupsOf::Node => {
                    let one = |other| ask(&state, other, Request::ListGroups(filter.clone()));
                    state.others().map(one).collect()
                }
            };
            let mut listed = group::list(&state, &filter).await?;
            for other in others {
                match other.await {
                    Ok(Reply::Groups(groups)) => listed.extend(groups?),
                    _ => return Err(ErrorCode::CoordinatorNotAvailable),
                }
            }
            Ok(listed)
        }
    }

    async fn create_offsets_topic(&self) -> Result<(), Refusal> {
        let kind = kolk_model::config::definition::ConfigKind::Topic;
        let settings = OFFSETS_TOPIC_SETTINGS.iter().copied();
        let unusable = |why: String| Refusal::new(ErrorCode::UnknownServerError, why);
        let op = CreateTopicOp {
            name: TopicName::new(OFFSETS_TOPIC).map_err(|why| unusable(why.to_string()))?,
            partitions: Some(self.state.settings.offsets_topic_partitions),
            config: Overrides::from_settings(kind, settings)
                .map_err(|why| unusable(why.to_string()))?,
            intent: Intent::Carry,
        };
        match self.create_topic(op).await {
            Err(refusal) if refusal.code == ErrorCode::TopicAlreadyExists => {
                // Another shard was first, and the news is on its way.
                self.state.io.sleep(NEWS_WAIT).await;
                Ok(())
            }
            created => created.map(|_| ()),
        }
    }
}

/// How long the news of a topic that another shard created may take.
const NEWS_WAIT: std::time::Duration = std::time::Duration::from_millis(2);

/// Who owns the partition that keeps a group; `None` while there is no such topic.
fn coordinator_of<I: Io>(state: &ShardState<I>, group: &GroupId) -> Option<ShardId> {
    let metadata = state.metadata.borrow();
    let topic = metadata.topic_named(OFFSETS_TOPIC)?;
    let partition = PartitionId::new(group.partition(topic.partitions));
    Some(state.placement.owner(TopicPartition::new(topic.id, partition)))
}

fn send<I: Io>(
    state: &Rc<ShardState<I>>,
    owner: ShardId,
    request: GroupRequest,
) -> Result<Waiting, ErrorCode> {
    let unavailable = ErrorCode::CoordinatorNotAvailable;
    state.check_open().map_err(|_| unavailable)?;
    let waiter = state.waiters.open_local().map_err(|_| unavailable)?;
    if owner == state.id {
        group::ask(state, waiter, request);
    } else {
        state.ask(owner, waiter, Request::Group(Box::new(request)));
    }
    Ok(Waiting::new(&state.waiters, waiter))
}

fn answer(kind: RequestKind, reply: Option<Reply>) -> GroupAnswer {
    match reply {
        Some(Reply::Group(answer)) => *answer,
        _ => kind.refuse(ErrorCode::CoordinatorNotAvailable),
    }
}
