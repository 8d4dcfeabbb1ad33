//! The coordinators of one shard, seen from those who ask them: a queue for each.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use kolk_coord::group::request::{GroupRequest, ListFilter};
use kolk_coord::group::settings::GroupSettings;
use kolk_model::ids::{TopicId, TopicName};
use kolk_model::map::Map;
use kolk_partition::effect::WaiterId;

use crate::state::bell::Bell;

/// Coordinators by partition of the offsets topic.
#[derive(Debug)]
pub(crate) struct Groups {
    /// What is in force for every group.
    settings: Cell<GroupSettings>,
    seats: RefCell<Map<u32, Rc<Seat>>>,
    topic: Cell<Option<TopicId>>,
    /// Rises whenever a topic comes, goes, or gets partitions.
    pub(crate) topics_version: Cell<u64>,
    /// Somebody of this shard has the offsets topic created; rung when that is over.
    pub(crate) creating: Cell<bool>,
    pub(crate) created: Bell,
}

/// The way to one coordinator.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    queue: RefCell<VecDeque<Asked>>,
    pub(crate) bell: Bell,
    pub(crate) standing: Cell<Standing>,
}

/// What a coordinator is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It reads its log.
    #[default]
    Loading,
    /// It answers.
    Open,
    /// It is gone: its topic was deleted, or the shard stops.
    Closed,
}

/// Something for a coordinator. Bounded by the waiters of the shard, but for what administrators change.
#[derive(Debug)]
pub(crate) enum Asked {
    Request {
        waiter: WaiterId,
        request: GroupRequest,
    },
    List {
        waiter: WaiterId,
        filter: ListFilter,
    },
    TopicDeleted(TopicName, TopicId),
    /// Settings were changed.
    Settings,
}

impl Groups {
    /// No coordinators yet; `settings` are in force when the shard opens.
    pub(crate) fn new(settings: GroupSettings) -> Self {
        Self {
            settings: Cell::new(settings),
            seats: RefCell::default(),
            topic: Cell::default(),
            topics_version: Cell::default(),
            creating: Cell::default(),
            created: Bell::default(),
        }
    }

    /// What is in force for every group.
    pub(crate) const fn settings(&self) -> GroupSettings {
        self.settings.get()
    }

    /// Settings were changed: every coordinator looks at them.
    pub(crate) fn set_settings(&self, settings: GroupSettings) {
        if self.settings.replace(settings) != settings {
            for seat in self.seats() {
                seat.push(Asked::Settings);
            }
        }
    }

    /// The offsets topic, if it exists.
    #[inline]
    pub(crate) const fn topic(&self) -> Option<TopicId> {
        self.topic.get()
    }

    pub(crate) fn set_topic(&self, topic: Option<TopicId>) {
        self.topic.set(topic);
    }

    /// The way to the coordinator of a partition, if this shard has it.
    pub(crate) fn seat(&self, partition: u32) -> Option<Rc<Seat>> {
        self.seats.borrow().get(&partition).map(Rc::clone)
    }

    pub(crate) fn seats(&self) -> Vec<Rc<Seat>> {
        self.seats.borrow().values().map(Rc::clone).collect()
    }

    /// Makes a way to a coordinator that is about to load.
    pub(crate) fn open(&self, partition: u32) -> Rc<Seat> {
        let seat = Rc::new(Seat::default());
        self.seats.borrow_mut().insert(partition, Rc::clone(&seat));
        seat
    }

    /// Ends every coordinator: its topic is gone.
    pub(crate) fn close_all(&self) {
        for seat in std::mem::take(&mut *self.seats.borrow_mut()).into_values() {
            seat.standing.set(Standing::Closed);
            seat.bell.ring();
        }
    }

    /// A topic came, went, or got partitions.
    pub(crate) fn topics_changed(&self) {
        self.topics_version.set(self.topics_version.get() + 1);
    }

    /// Lets every coordinator look at the phase of the shard.
    pub(crate) fn ring_all(&self) {
        for seat in self.seats() {
            seat.bell.ring();
        }
    }
}

impl Seat {
    pub(crate) fn push(&self, asked: Asked) {
        self.queue.borrow_mut().push_back(asked);
        self.bell.ring();
    }

    /// Puts back what was taken and is not over.
    pub(crate) fn push_front(&self, asked: Asked) {
        self.queue.borrow_mut().push_front(asked);
    }

    /// Takes what is queued first.
    pub(crate) fn pop(&self) -> Option<Asked> {
        self.queue.borrow_mut().pop_front()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.borrow().is_empty()
    }
}
