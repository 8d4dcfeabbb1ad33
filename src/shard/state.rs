//! The state of one shard, which its tasks and its connections share. Everything here lives on one core;
//! no borrow is held over an `.await`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use kolk_coord::command::Event;
use kolk_io::door::Io;
use kolk_io::time::{Monotonic, WallClock};
use kolk_log::shard_log::ShardLog;
use kolk_metric::shard::ShardMetrics;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{ShardId, TopicPartition};
use kolk_model::map::{Map, Set};
use kolk_partition::effect::{Effect, WaiterId};
use kolk_partition::partition::Partition;

use crate::message::{Answer, Call, Change, PartitionNews, ProducerIdBlock, Reply, Request};
use crate::metadata::{Metadata, Placement};
use crate::request::Refusal;
use crate::settings::ShardSettings;
use crate::state::groups::Groups;
use crate::state::lane::Lane;

pub(crate) mod bell;
pub(crate) mod budget;
pub(crate) mod census;
pub(crate) mod clock;
pub(crate) mod groups;
pub(crate) mod lane;
pub(crate) mod side_by_side;
pub(crate) mod waiters;

use bell::Bell;
use budget::Budget;
use census::Census;
use clock::{ClockGuard, Trust};
use waiters::{TooManyWait, Waiters};

/// A partition that this shard owns and whose log is open.
pub(crate) type Hosted<I> = Rc<RefCell<Partition<I>>>;

/// Everything of one shard.
pub(crate) struct ShardState<I: Io> {
    pub(crate) id: ShardId,
    pub(crate) io: I,
    pub(crate) settings: ShardSettings,
    pub(crate) metrics: Rc<ShardMetrics>,
    pub(crate) placement: Placement,
    pub(crate) storage: ShardLog<I>,
    pub(crate) hosted: RefCell<Map<TopicPartition, Hosted<I>>>,
    /// Owned partitions without a log, and why.
    pub(crate) missing: RefCell<Map<TopicPartition, Refusal>>,
    pub(crate) metadata: RefCell<Rc<Metadata>>,
    pub(crate) waiters: Rc<Waiters>,
    pub(crate) budget: Rc<Budget>,
    /// To each shard, by its number; the own pair is not used.
    pub(crate) lanes: Vec<Lanes>,
    pub(crate) phase: Cell<Phase>,
    /// Requests of this shard that are carried out here and wait for a disk.
    pub(crate) busy: Cell<usize>,
    /// Rung when a request of this shard was answered while it stops, and when another shard has drained.
    pub(crate) drained: Bell,
    pub(crate) shards_drained: RefCell<Set<ShardId>>,
    /// Waiting fetches of other shards: whom to ring when they lose patience.
    pub(crate) remote_fetches: RefCell<Map<(ShardId, WaiterId), WaiterId>>,
    /// On the controller: the clients of all shards.
    pub(crate) census: RefCell<Census>,
    /// Shards that owe an answer to a fetch which went on without it, and whom to ring when it has come.
    pub(crate) late: RefCell<Map<ShardId, Set<WaiterId>>>,
    /// Announced changes that this shard has not carried out yet, with who wants to know.
    pub(crate) announced: RefCell<VecDeque<Announced>>,
    pub(crate) announced_bell: Bell,
    /// On the controller: changes to make.
    pub(crate) changes: RefCell<VecDeque<(Ordered, WaiterId)>>,
    pub(crate) changes_bell: Bell,
    pub(crate) producer_ids: RefCell<ProducerIdBlock>,
    pub(crate) producer_ids_bell: Bell,
    pub(crate) producer_ids_asked: Cell<bool>,
    /// Partitions whose producers must be read from disk.
    pub(crate) to_load: RefCell<VecDeque<TopicPartition>>,
    pub(crate) to_load_bell: Bell,
    pub(crate) groups: Groups,
    /// Whether the wall clock may be believed.
    pub(crate) clock: RefCell<ClockGuard>,
    /// Where what time it is is written down; on the controller, when that was done last.
    pub(crate) clock_path: PathBuf,
    pub(crate) clock_saved_at: Cell<Option<Monotonic>>,
}

/// Refused batches that one other shard is being told of at once: many times what connections are refused in the time of
/// its answer. Beyond it is not told, and a later batch of that producer may be stored first.
pub(crate) const TURNED_AWAY_MAX: u64 = 1024;

/// The two lanes to another shard.
pub(crate) struct Lanes {
    pub(crate) requests: Lane<Call>,
    pub(crate) replies: Lane<Answer>,
    /// Bytes of produce requests on the way there. A shard that is silent may have a part of all that may be in
    /// flight, so that it does not take the room of the others.
    pub(crate) produce: Rc<Budget>,
    /// How many batches refused on the way there it is being told of.
    pub(crate) turned_away: Rc<Budget>,
    /// When it last answered anything, or owed its first answer.
    pub(crate) heard_at: Cell<Monotonic>,
}

/// A change as the controller queues it.
#[derive(Debug)]
pub(crate) enum Ordered {
    Change(Change),
    ProducerIds { count: u32 },
}

/// An announced change, and who wants to know once it is carried out here. Takes no waiter of this shard: a change is
/// durable by now and said once, so it may not be refused. Bounded by what the controller has under way.
pub(crate) struct Announced {
    pub(crate) event: Arc<Event>,
    /// The controller's shard, whose waiter it is.
    pub(crate) by: ShardId,
    pub(crate) waiter: WaiterId,
}

/// Where the shard is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// No new requests of clients; what is in flight is finished.
    Draining,
    Stopped,
}

impl<I: Io> ShardState<I> {
    /// A partition of this shard.
    #[inline]
    pub(crate) fn partition(&self, id: TopicPartition) -> Result<Hosted<I>, Refusal> {
        if let Some(hosted) = self.hosted.borrow().get(&id) {
            return Ok(Rc::clone(hosted));
        }
        Err(self.not_hosted(id))
    }

    #[cold]
    fn not_hosted(&self, id: TopicPartition) -> Refusal {
        if let Some(refusal) = self.missing.borrow().get(&id) {
            return refusal.clone();
        }
        match self.metadata.borrow().topic(id.topic) {
            None => Refusal::new(
                ErrorCode::UnknownTopicId,
                format!("there is no topic with id {}", id.topic),
            ),
            Some(topic) if id.partition.get() < topic.partitions => Refusal::new(
                ErrorCode::LeaderNotAvailable,
                format!("partition {id} is being created"),
            ),
            Some(_) => Refusal::no_such_partition(id),
        }
    }

    /// Looks at both clocks: whether anything may be forgotten by the wall clock.
    pub(crate) fn clock_trust(&self) -> Trust {
        self.clock.borrow_mut().tick(self.io.now(), self.io.wall_clock())
    }

    /// The time that is written down beside what may be forgotten by it: never earlier than what is believed, so that a clock that
    /// is behind for a while makes nothing old.
    pub(crate) fn wall_clock(&self) -> WallClock {
        let wall = self.io.wall_clock();
        let believed = self.clock.borrow().believed(self.io.now());
        believed.map_or(wall, |believed| believed.max(wall))
    }

    /// Every partition of this shard, by id.
    pub(crate) fn all_hosted(&self) -> Vec<(TopicPartition, Hosted<I>)> {
        self.hosted.borrow().iter().map(|(id, hosted)| (*id, Rc::clone(hosted))).collect()
    }

    /// Answers a waiter, here or on another shard.
    #[inline]
    pub(crate) fn answer(&self, waiter: WaiterId, reply: Reply) {
        if let Some((shard, waiter, reply)) = self.waiters.answer(waiter, reply) {
            self.send_reply(shard, waiter, reply);
        }
        if self.phase.get() != Phase::Open {
            self.drained.ring();
        }
    }

    /// Carries out what partitions want.
    pub(crate) fn deliver(&self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Produced { waiter, result } => {
                    self.answer(waiter, Reply::Produced(result.map_err(Refusal::from)));
                }
                Effect::FetchReady { waiter } => self.waiters.ring(waiter),
            }
        }
    }

    /// Asks another shard on behalf of `waiter`.
    #[inline]
    pub(crate) fn ask(&self, shard: ShardId, waiter: WaiterId, request: Request) {
        if let Some(lanes) = self.lanes.get(usize::from(shard.get())) {
            lanes.requests.push(Call { waiter, request });
        }
    }

    /// Says something to every other shard.
    pub(crate) fn tell_others(&self, request: impl Fn() -> Request) {
        for shard in self.others() {
            self.ask(shard, NOBODY, request());
        }
    }

    pub(crate) fn send_reply(&self, shard: ShardId, waiter: WaiterId, reply: Reply) {
        if let Some(lanes) = self.lanes.get(usize::from(shard.get())) {
            lanes.replies.push(Answer { waiter, reply });
        }
    }

    /// Every shard but this one.
    pub(crate) fn others(&self) -> impl Iterator<Item = ShardId> + use<I> {
        let own = self.id;
        (0..self.placement.shards()).map(ShardId::new).filter(move |shard| *shard != own)
    }

    /// Queues a change on the controller.
    pub(crate) fn order(&self, ordered: Ordered, waiter: WaiterId) {
        self.changes.borrow_mut().push_back((ordered, waiter));
        self.changes_bell.ring();
    }

    /// Makes a partition's standing known to all shards.
    pub(crate) fn spread(&self, news: &PartitionNews) {
        self.note(news);
        self.tell_others(|| Request::News(news.clone()));
    }

    /// Takes a partition's standing into the own metadata.
    pub(crate) fn note(&self, news: &PartitionNews) {
        Rc::make_mut(&mut self.metadata.borrow_mut()).note(news);
    }

    /// Requests of this shard that were not answered yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.waiters.local() + self.busy.get()
    }

    /// A refusal unless requests of clients are taken.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<(), Refusal> {
        if self.phase.get() == Phase::Open { Ok(()) } else { Err(Refusal::shutting_down()) }
    }
}

/// A request that is carried out here and not answered yet: a stop waits for it.
pub(crate) struct Busy<I: Io> {
    state: Rc<ShardState<I>>,
}

impl<I: Io> Busy<I> {
    pub(crate) fn new(state: &Rc<ShardState<I>>) -> Self {
        state.busy.set(state.busy.get() + 1);
        Self { state: Rc::clone(state) }
    }
}

impl<I: Io> Drop for Busy<I> {
    fn drop(&mut self) {
        self.state.busy.set(self.state.busy.get() - 1);
        self.state.drained.ring();
    }
}

/// The waiter of requests that have no reply.
pub(crate) const NOBODY: WaiterId = WaiterId::new(u64::MAX);

impl From<TooManyWait> for Refusal {
    fn from(TooManyWait: TooManyWait) -> Self {
        Self::new(ErrorCode::Overloaded, "too many requests wait on this shard")
    }
}
